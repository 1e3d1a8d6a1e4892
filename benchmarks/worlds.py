"""What is measured on: fleets whose hosts cost something to evaluate and to build, each with stores of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import nixes
from tests.fleet import Fleet, HostSpec, Upstream

USED = 5
"""Inputs that each host uses: the first (as nixpkgs would be), and some of the others."""


@dataclass(frozen=True)
class Size:
    """`cost` is turns of a loop in each host's evaluation, `seconds` how long each host's build sleeps."""

    hosts: int
    inputs: int
    cost: int
    seconds: float


@dataclass
class World:
    """One fleet with its upstreams and its own Nix store: what one contender does is no help to another."""

    directory: Path
    nix: nixes.Nix
    upstreams: Sequence[Upstream]
    fleet: Fleet
    state: int = 0

    @classmethod
    def create(cls, directory: Path, installed: nixes.Installed, size: Size) -> World:
        nix = nixes.prepare(installed, directory / "nix")
        upstreams = [Upstream.create(directory / "inputs", f"input{n}") for n in range(size.inputs)]
        names = [upstream.name for upstream in upstreams]
        hosts = [
            HostSpec(f"host{n:03}", uses=_uses(names, n), cost=size.cost, seconds=size.seconds)
            for n in range(size.hosts)
        ]
        return cls(
            directory, nix, upstreams, Fleet.create(directory / "fleet", nix, inputs=upstreams, hosts=hosts)
        )

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.nix.environment) | {"XDG_STATE_HOME": str(self.directory / f"state{self.state}")}

    def move_inputs(self) -> None:
        """One new commit in every upstream: every host changes."""
        for upstream in self.upstreams:
            upstream.commit("newer")

    def forget(self) -> None:
        """From now on, lockbot finds an empty state directory."""
        self.state += 1


def _uses(names: Sequence[str], number: int) -> list[str]:
    others = names[1:]
    turn = [others[(number * 3 + n) % len(others)] for n in range(min(USED - 1, len(others)))]
    return [*names[:1], *turn]
