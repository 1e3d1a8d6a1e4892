"""What a kind of fault is, for those that are in `injections/` and for whoever runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.faults.ground import Ground
from tests.nixes import Nix

MakeGround = Callable[[Nix, Path], AbstractContextManager[Ground]]


@dataclass(frozen=True)
class Case:
    """One fault. `place` (from 1) is which of the kind's `places`; `label` says it in words; `chance` is the same
    each time."""

    kind: str
    place: int
    label: str
    chance: Random

    @property
    def id(self) -> str:
        return f"{self.kind}/{self.place}"


@dataclass(frozen=True)
class Kind:
    """`places` are all the places where a fault of this kind can be injected, in words, found out on a ground;
    at most `most` of them are taken, evenly. `inject` does it, and raises AssertionError where lockbot failed."""

    name: str
    title: str
    """For the table: what is injected."""
    checked: str
    """For the table: what is looked at beside the invariants."""
    ground: MakeGround
    places: Callable[[Ground], Sequence[str]]
    inject: Callable[[Ground, Case], None]
    most: int = 10_000
    unless: Callable[[], str | None] = lambda: None
    """Why it can't be had on this machine."""

    def chosen(self, places: Sequence[str], most: int | None = None) -> list[int]:
        """Which places are taken (from 1)."""
        wanted = min(len(places), self.most if most is None else most)
        return [1 + at * len(places) // wanted for at in range(wanted)] if wanted else []

    def case(self, place: int, label: str) -> Case:
        return Case(self.name, place, label, Random(f"{self.name}/{place}"))  # noqa: S311 -- to be had again


def plain(**options: Any) -> MakeGround:
    """A ground with nothing special, but for `options` of Ground.create."""

    @contextmanager
    def made(nix: Nix, directory: Path) -> Iterator[Ground]:
        yield Ground.create(nix, directory, **options)

    return made
