"""How long revisions have been out, and which is the newest that is old enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st

from lockbot.git.inputs.revisions import Relation
from lockbot.policy import minimum_age
from lockbot.policy.decide import decide
from lockbot.policy.decisions import Allow, Facts, Hold, HoldReason, Move
from lockbot.policy.minimum_age import Aged, FirstSeen, OldEnough, newest_old_enough
from tests.policy.moves import (
    ACCEPTED,
    DAY,
    DEFAULT,
    NOW,
    TIMES,
    days_ago,
    decided,
    updated,
)


def test_nothing_is_taken_before_its_time() -> None:
    rules = replace(DEFAULT, minimum_age=3 * DAY)
    decision = decided(rules=rules, first_seen=NOW - timedelta(days=2))
    assert decision == Hold(
        HoldReason.AGE,
        "nothing newer has been out for 3 days yet: first at 2026-11-23 12:00 UTC",
        NOW + timedelta(days=1),
    )
    assert decided(rules=rules, first_seen=NOW - timedelta(days=3)) == Allow()
    never = decided(rules=rules, first_seen=None)
    assert isinstance(never, Hold)
    assert never.until == NOW + timedelta(days=3)
    assert decided(rules=rules, first_seen=NOW, acceptance=ACCEPTED) == Allow()
    assert decided(rules=replace(DEFAULT, minimum_age=1e12), first_seen=NOW) != Allow()


def test_an_age_passes_with_the_clock() -> None:
    """The same facts, asked again each day: what was too young becomes old enough, to the second."""
    rules = replace(DEFAULT, minimum_age=2 * DAY)
    with freeze_time("2026-11-22 12:00:00") as time:
        seen = datetime.now(UTC)
        for wait, allowed in ((0, False), (1, False), (2 * DAY - 2, False), (1, True)):
            time.tick(timedelta(seconds=wait))
            now = datetime.now(UTC)
            young = minimum_age.young_until(updated(), seen, now, rules.minimum_age)
            assert (
                isinstance(decide(Move(updated()), Facts(now, Relation.FORWARD, young), rules), Allow) == allowed
            )


def first_seen(times: Mapping[str, datetime], revisions: Sequence[str]) -> tuple[Aged, ...]:
    """Each the parent of the one before."""
    return FirstSeen(times, parents=True).aged(revisions)


def test_of_tips_each_was_seen_by_itself() -> None:
    times = {"d": days_ago(1), "b": days_ago(5)}
    assert FirstSeen(times).aged(["d", "c", "b"]) == (
        Aged("d", days_ago(1)),
        Aged("c", None),
        Aged("b", days_ago(5)),
    )


def test_who_saw_a_tip_saw_what_it_descends_from() -> None:
    assert first_seen({"d": days_ago(1), "b": days_ago(5), "x": days_ago(9)}, ["e", "d", "c", "b", "a"]) == (
        Aged("e", None),
        Aged("d", days_ago(1)),
        Aged("c", days_ago(1)),
        Aged("b", days_ago(5)),
        Aged("a", days_ago(5)),
    )


@pytest.mark.parametrize(
    ("age", "chosen"),
    [
        (0, OldEnough("d")),
        (1, OldEnough("d")),
        (2, OldEnough("b", days_ago(-1))),
        (5, OldEnough("b", days_ago(-4))),
        (6, OldEnough(None, days_ago(-1))),
    ],
)
def test_the_newest_that_is_old_enough(age: float, chosen: OldEnough) -> None:
    known = first_seen({"d": days_ago(1), "b": days_ago(5)}, ["e", "d", "c", "b", "locked", "older"])
    assert newest_old_enough(known, NOW, age * DAY, locked="locked") == chosen


def test_nothing_newer_is_neither_old_enough_nor_awaited() -> None:
    assert newest_old_enough([], NOW, DAY, locked="x") == OldEnough()
    assert newest_old_enough(first_seen({"y": days_ago(9)}, ["x", "y"]), NOW, DAY, locked="x") == OldEnough()


@settings(max_examples=500, deadline=None)
@given(
    st.integers(0, 12),
    st.integers(0, 12),
    st.dictionaries(st.integers(0, 12).map(str), TIMES),
    st.sampled_from([0.0, 3600.0, 5 * DAY]),
)
def test_the_chosen_revision_is_newer_old_enough_and_the_newest_such(
    count: int, position: int, seen: dict[str, datetime], age: float
) -> None:
    """Revisions are 0 (newest) to count - 1; an ancestor is as old as the oldest tip that contains it."""
    revisions = [str(number) for number in range(count)]

    def old_enough(number: int) -> bool:
        tips = [seen[str(tip)] for tip in range(number + 1) if str(tip) in seen]
        return bool(tips) and (NOW - min(*tips, NOW)).total_seconds() >= age

    chosen = newest_old_enough(first_seen(seen, revisions), NOW, age, locked=str(position))
    good = [number for number in range(min(count, position)) if old_enough(number)]
    assert chosen.revision == (str(good[0]) if good else None)
    assert chosen.first_at is None or chosen.first_at > NOW
