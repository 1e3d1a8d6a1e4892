"""What is known to be red, as clauses over units, and the largest set that none of them forbids.

Pure logic: no questions are asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lockbot.search.interface import Level, Point

LEAVES = 20_000
"""How many branches the exact search may take before it settles for a good set instead of the largest."""


@dataclass(frozen=True)
class Unit:
    """Inputs that move together, at their tips. Its place in the user's order breaks ties: earlier is kept."""

    place: int
    moves: Point = field(compare=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, _ in self.moves))


Units = frozenset[Unit]


def point_of(units: Units) -> Point:
    return frozenset(move for unit in units for move in unit.moves)


def in_order(units: Iterable[Unit]) -> list[Unit]:
    return sorted(units, key=lambda unit: unit.place)


@dataclass(frozen=True)
class Clause:
    """`host` is not good wherever all of `moved` are moved and none of `unmoved` is.

    Seen at one point, believed everywhere until a good point contradicts it.
    """

    moved: Units
    host: str
    level: Level
    unmoved: Units = frozenset()
    judged: bool = True
    """False: it could not be judged there, so nobody is to blame."""

    def forbids(self, units: Units) -> bool:
        return self.moved <= units and not self.unmoved & units


def largest(units: Units, clauses: Sequence[Clause]) -> Units:
    """The largest set that no clause forbids; of several, the one that keeps earlier units."""
    search = _Dropping(units, tuple(dict.fromkeys(clauses)))
    for allowed in range(len(units) + 1):
        out = search.drop(frozenset(), frozenset(), allowed)
        if out is not None:
            return units - out
        if search.leaves > LEAVES:
            break
    return _greedy(units, clauses)


def _greedy(units: Units, clauses: Sequence[Clause]) -> Units:
    while hit := [clause for clause in clauses if clause.forbids(units)]:
        often = {unit: sum(unit in clause.moved for clause in hit) for clause in hit for unit in clause.moved}
        units -= {max(often, key=lambda unit: (often[unit], unit.place))}
    return units


class _Dropping:
    """Branches over the ways to satisfy a forbidding clause: one of `moved` that is free must go.

    Complete: units go only by decision, so what `unmoved` names and is out was decided out.
    """

    def __init__(self, units: Units, clauses: tuple[Clause, ...]) -> None:
        self.units = units
        self.clauses = clauses
        self.leaves = 0

    def drop(self, out: Units, kept: Units, allowed: int) -> Units | None:
        hit = [clause.moved - kept for clause in self.clauses if clause.forbids(self.units - out)]
        if not hit:
            return out
        self.leaves += 1
        hit.sort(key=len)
        if self.leaves > LEAVES or _disjoint(hit) > allowed:
            return None
        for unit in reversed(in_order(hit[0])):
            found = self.drop(out | {unit}, kept, allowed - 1)
            if found is not None:
                return found
            kept |= {unit}
        return None


def _disjoint(sets: Iterable[Units]) -> int:
    """How many of these share no unit, at least: each costs one of its own."""
    seen: Units = frozenset()
    count = 0
    for units in sets:
        if not units & seen:
            seen |= units
            count += 1
    return count
