"""More conflicts than can be searched whole: a set that none of them forbids is found all the same."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from lockbot.search import conflicts
from lockbot.search.conflicts import Conflict, UpdateGroup, UpdateGroups, largest
from lockbot.search.interface import Level
from tests.search.worlds import seeded


@pytest.mark.parametrize("leaves", [0, 1, 3, 10, conflicts.LEAVES])
def test_what_is_settled_for_is_allowed_and_not_far_from_the_largest(
    leaves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, lost = seeded(7), 0
    for _ in range(60):
        groups = [UpdateGroup(place, frozenset({(str(place), "1")})) for place in range(8)]
        known = []
        for _ in range(chance.randint(1, 9)):
            named = chance.sample(groups, chance.randint(1, 4))
            cut = chance.randint(1, len(named))
            known.append(Conflict(frozenset(named[:cut]), "web", Level.BUILD, frozenset(named[cut:])))
        monkeypatch.setattr(conflicts, "LEAVES", 10**9)
        best = largest(frozenset(groups), known)
        monkeypatch.setattr(conflicts, "LEAVES", leaves)
        found = largest(frozenset(groups), known)
        assert found <= frozenset(groups) and not any(conflict.forbids(found) for conflict in known)
        lost += len(best) - len(found)
    assert lost <= (0 if leaves == 20_000 else 60), "one too many, on average, at most"


def test_of_those_that_stand_in_the_way_the_one_that_does_so_most_goes_and_of_equals_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conflicts, "LEAVES", 0)
    a, b, c, d = (UpdateGroup(place, frozenset({(name, "1")})) for place, name in enumerate("abcd"))

    def pair(*moved: UpdateGroup) -> Conflict:
        return Conflict(frozenset(moved), "web", Level.BUILD)

    assert largest(frozenset({a, b, c, d}), [pair(a, b), pair(a, c), pair(a, d)]) == {b, c, d}
    assert largest(frozenset({a, b, c, d}), [pair(a, b)]) == {a, c, d}
    assert largest(frozenset({a, b}), []) == {a, b}


@dataclass(frozen=True)
class Counted(Conflict):
    """How often it was asked whether it forbids a set."""

    asked: list[None] = field(default_factory=list, compare=False)

    def forbids(self, groups: UpdateGroups) -> bool:
        self.asked.append(None)
        return super().forbids(groups)


def test_however_many_conflicts_there_are_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far more than could ever be searched: so many branches are, and what lies beside those is looked at once."""
    monkeypatch.setattr(conflicts, "LEAVES", 300)
    chance = seeded(3)
    groups = [UpdateGroup(place, frozenset({(str(place), "1")})) for place in range(16)]
    known = [Counted(frozenset(chance.sample(groups, 6)), "web", Level.BUILD) for _ in range(400)]
    found = largest(frozenset(groups), known)
    assert found and not any(conflict.forbids(found) for conflict in known)
    assert max(len(conflict.asked) for conflict in known) <= 300 + 6 * len(groups)


def test_a_lot_of_small_conflicts_that_have_nothing_to_do_with_each_other_is_searched_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of each three legs, the one in the middle stands in the way most, and still is worth keeping."""
    monkeypatch.setattr(conflicts, "LEAVES", 100)
    groups = [UpdateGroup(place, frozenset({(str(place), "1")})) for place in range(7 * 6)]
    known = []
    for first in range(0, len(groups), 7):
        middle, *legs = groups[first : first + 7]
        for near, far in zip(legs[:3], legs[3:], strict=True):
            known += [Conflict(frozenset(pair), "web", Level.BUILD) for pair in ((middle, near), (near, far))]
    assert len(largest(frozenset(groups), known)) == 4 * 6
