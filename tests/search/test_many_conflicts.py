"""More conflicts than can be searched whole: a set that none of them forbids is found all the same."""

from __future__ import annotations

import pytest

from lockbot.search import conflicts
from lockbot.search.conflicts import Conflict, UpdateGroup, largest
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
