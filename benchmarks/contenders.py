"""What competes: scripts that people write, and lockbot. Each takes a world whose inputs have moved."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.measure import Measured, measure
from benchmarks.worlds import World
from tests.fleet import HostSpec

LOCKBOT = Path(sys.executable).with_name("lockbot")
COMMIT = "git commit --quiet --all --message update"


def _installable(host: HostSpec) -> str:
    return "'.#" + ".".join(host.attribute) + "'"


def _shell(world: World, *lines: str) -> Measured:
    script = "\n".join(["set -eu", "nix flake update", *lines, COMMIT])
    return measure(["/bin/sh", "-c", script], env=world.environment, cwd=world.fleet.path)


def naive(world: World) -> Measured:
    """The script that everyone writes: update, build host after host, commit."""
    return _shell(world, *(f"nix build --no-link {_installable(host)}" for host in world.fleet.hosts))


def one_build(world: World) -> Measured:
    """All hosts in one `nix build`."""
    return _shell(world, f"nix build --no-link {' '.join(map(_installable, world.fleet.hosts))}")


def one_build_uncached(world: World) -> Measured:
    """The strongest one-liner: the evaluation cache keeps values in memory, so do without it."""
    hosts = " ".join(map(_installable, world.fleet.hosts))
    return _shell(world, f"nix build --no-eval-cache --no-link {hosts}")


def lockbot(world: World) -> Measured:
    """The steady state: the last run published the base, and is remembered."""
    measured = measure([LOCKBOT, "--quiet", "update"], env=world.environment, cwd=world.fleet.path)
    assert "published" in measured.stdout.lower(), measured.stdout
    return measured


def lockbot_first(world: World) -> Measured:
    """Nothing is remembered: the base is evaluated, too, to be compared with."""
    world.forget()
    return lockbot(world)


CONTENDERS: Mapping[str, Callable[[World], Measured]] = {
    "naive script": naive,
    "one nix build": one_build,
    "one nix build --no-eval-cache": one_build_uncached,
    "lockbot update": lockbot,
    "lockbot update, first run": lockbot_first,
}


def update_alone(world: World) -> Measured:
    """`nix flake update` with nothing new."""
    return measure(["nix", "flake", "update"], env=world.environment, cwd=world.fleet.path, watched=False)


def unchanged(world: World) -> Measured:
    """`lockbot update` with nothing new."""
    return measure([LOCKBOT, "--quiet", "update"], env=world.environment, cwd=world.fleet.path, watched=False)
