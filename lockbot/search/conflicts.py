"""What is known to be red, as conflicts between groups, and the largest set that none of them forbids.

Pure logic: no questions are asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lockbot.search.interface import FrozenSelection, Level

LEAVES = 20_000
"""How many branches the exact search may take before it settles for a good set instead of the largest."""


@dataclass(frozen=True)
class UpdateGroup:
    """Inputs that move together, at their tips. Its place in the user's order breaks ties: earlier is kept."""

    place: int
    moves: FrozenSelection = field(compare=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, _ in self.moves))


UpdateGroups = frozenset[UpdateGroup]


def selection_of(groups: UpdateGroups) -> FrozenSelection:
    return frozenset(move for group in groups for move in group.moves)


def in_order(groups: Iterable[UpdateGroup]) -> list[UpdateGroup]:
    return sorted(groups, key=lambda group: group.place)


@dataclass(frozen=True)
class Conflict:
    """`host` is not good wherever all of `moved` are moved and none of `unmoved` is.

    Seen at one selection, believed everywhere until a good selection contradicts it.
    """

    moved: UpdateGroups
    host: str
    level: Level
    unmoved: UpdateGroups = frozenset()
    judged: bool = True
    """False: it could not be judged there, so nobody is to blame."""

    def forbids(self, groups: UpdateGroups) -> bool:
        return self.moved <= groups and not self.unmoved & groups


def largest(groups: UpdateGroups, conflicts: Sequence[Conflict]) -> UpdateGroups:
    """The largest set that no conflict forbids; of several, one that keeps earlier groups, mostly."""
    search = _Dropping(groups, tuple(dict.fromkeys(conflicts)))
    for allowed in range(len(groups) + 1):
        out = search.drop(frozenset(), frozenset(), allowed)
        if out is not None:
            return groups - out
        if search.leaves > LEAVES:
            break
    return _greedy(groups, conflicts)


def _greedy(groups: UpdateGroups, conflicts: Sequence[Conflict]) -> UpdateGroups:
    while hit := [conflict for conflict in conflicts if conflict.forbids(groups)]:
        often = {
            group: sum(group in conflict.moved for conflict in hit) for conflict in hit for group in conflict.moved
        }
        groups -= {max(often, key=lambda group: (often[group], group.place))}
    return groups


class _Dropping:
    """Branches over the ways to satisfy a forbidding conflict: one of `moved` that is free must go.

    Complete: groups go only by decision, so what `unmoved` names and is out was decided out.
    """

    def __init__(self, groups: UpdateGroups, conflicts: tuple[Conflict, ...]) -> None:
        self.groups = groups
        self.conflicts = conflicts
        self.leaves = 0

    def drop(self, out: UpdateGroups, kept: UpdateGroups, allowed: int) -> UpdateGroups | None:
        hit = [conflict.moved - kept for conflict in self.conflicts if conflict.forbids(self.groups - out)]
        if not hit:
            return out
        self.leaves += 1
        hit.sort(key=len)
        if self.leaves > LEAVES or _disjoint(hit) > allowed:
            return None
        for group in reversed(in_order(hit[0])):
            found = self.drop(out | {group}, kept, allowed - 1)
            if found is not None:
                return found
            kept |= {group}
        return None


def _disjoint(sets: Iterable[UpdateGroups]) -> int:
    """How many of these share no group, at least: each costs one of its own."""
    seen: UpdateGroups = frozenset()
    count = 0
    for groups in sets:
        if not groups & seen:
            seen |= groups
            count += 1
    return count
