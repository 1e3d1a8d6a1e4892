"""Which revision upstream's own verdict lets through."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from lockbot.model import ChangeKind, InputChange, Locked
from lockbot.policy.decisions import HoldReason
from lockbot.policy.minimum_age import Aged
from lockbot.policy.upstream_checks import MOST, Checks, Choice, Standing, newest_green, nobody

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LINK = "https://ci.example.org/1"


def rev(number: int) -> str:
    return f"{number:040x}"


class Forge:
    """Revision → its checks, by number; what is not named has none. Notes what was asked."""

    def __init__(self, standings: Mapping[int, Standing], until: datetime | None = None) -> None:
        self.standings = standings
        self.until = until
        self.asked: list[int] = []

    def __call__(self, locked: Locked, revision: str) -> Checks:
        assert locked.url == "github:o/r"
        self.asked.append(int(revision, 16))
        standing = self.standings.get(int(revision, 16), Standing.NONE)
        return Checks(standing, f"check 'a' is {standing}", LINK, self.until)


def chosen(forge: Forge, tip: int = 4, *, days: float = 0) -> Choice:
    """Locked is 1; `days`: since when the others are known."""
    old, new = (Locked("github", "github:o/r", "github:o/r", rev(number)) for number in (1, tip))
    since = NOW - timedelta(days=days)
    revisions = [Aged(rev(number), since) for number in range(tip, 1, -1)]
    return newest_green(forge, InputChange("a", ChangeKind.UPDATED, old, new), iter(revisions), NOW)


G, R, P, N, U = Standing.GREEN, Standing.RED, Standing.PENDING, Standing.NONE, Standing.UNKNOWN


@pytest.mark.parametrize(
    ("standings", "revision", "asked", "held"),
    [
        ({4: G, 3: R}, 4, [4], None),
        ({4: R, 3: G}, 3, [4, 3], HoldReason.CHECKS),
        ({4: N, 3: P, 2: G}, 2, [4, 3, 2], HoldReason.CHECKS),
        ({4: P, 3: N, 2: R}, None, [4, 3, 2], HoldReason.CHECKS),
        ({4: N, 3: N, 2: R}, None, [4, 3, 2], HoldReason.CHECKS),
        ({4: R, 3: U, 2: G}, None, [4, 3], HoldReason.CHECKS_UNKNOWN),
        ({}, 4, [4, 3, 2, 1], None),
        ({1: G}, None, [4, 3, 2, 1], HoldReason.CHECKS),
        ({1: R}, None, [4, 3, 2, 1], HoldReason.CHECKS),
        ({1: U}, None, [4, 3, 2, 1], HoldReason.CHECKS),
    ],
)
def test_which_is_taken(
    standings: Mapping[int, Standing], revision: int | None, asked: list[int], held: HoldReason | None
) -> None:
    forge = Forge(standings)
    choice = chosen(forge)
    assert choice.revision == (None if revision is None else rev(revision))
    assert forge.asked == asked
    assert (choice.hold.reason if choice.hold else None) is held
    assert choice.checked is (G in standings.values() and revision is not None)


def test_without_a_report_for_a_day_there_will_be_none() -> None:
    assert chosen(Forge({1: G}), days=0.9).hold is not None
    late = chosen(Forge({1: G}), days=1)
    assert (late.revision, late.hold) == (rev(4), None)
    assert late.warnings == ("a: no check has reported on 0000000 within a day: taken without",)
    assert chosen(Forge({1: G, 4: P}), days=1).revision is None, "one that has begun is waited for"


def test_no_more_than_so_many_are_asked_about() -> None:
    forge = Forge(dict.fromkeys(range(2, 100), R) | {5: G})
    choice = chosen(forge, tip=99)
    assert len(forge.asked) == MOST
    assert choice.hold is not None
    assert "none of the 20 newest is green, and no more were asked about" in choice.hold.detail
    assert LINK in choice.hold.detail


def test_a_forge_that_will_say_later() -> None:
    until = NOW + timedelta(hours=1)
    hold = chosen(Forge({4: U}, until)).hold
    assert hold is not None and hold.until == until
    assert "again from 2026-11-22 13:00 UTC on" in hold.detail


def test_no_forge_is_no_hindrance() -> None:
    old, new = (Locked("git", "git+file:///a", "git+file:///a", rev(number)) for number in (1, 2))
    choice = newest_green(nobody, InputChange("a", ChangeKind.UPDATED, old, new), [Aged(rev(2), NOW)], NOW)
    assert (choice.revision, choice.hold, choice.checked) == (rev(2), None, False)
    assert "no forge is known" in choice.warnings[0]


@pytest.mark.parametrize(
    ("standings", "told"),
    [
        ({4: R, 3: G}, f"check 'a' is red on 0000000 {LINK}: 0000000, the newest green one, is taken"),
        ({4: N, 3: G}, "no check has reported on 0000000: 0000000, the newest green one, is taken"),
        ({4: R, 3: R, 2: R}, f"check 'a' is red on 0000000 {LINK}; nor is any of the 2 before it green"),
        ({4: P, 3: R, 2: R}, f"check 'a' is pending on 0000000 {LINK}; nor is any of the 2 before it green"),
        ({1: G}, "no check has reported on 0000000 yet"),
    ],
)
def test_what_is_told_is_about_the_newest(standings: Mapping[int, Standing], told: str) -> None:
    hold = chosen(Forge(standings)).hold
    assert hold is not None and hold.detail == told


def test_what_is_told_of_how_many_there_are() -> None:
    one, two = chosen(Forge({2: R}), tip=2).hold, chosen(Forge({3: R, 2: P}), tip=3).hold
    assert one is not None and one.detail == f"check 'a' is red on 0000000 {LINK}"
    assert two is not None and two.detail == f"check 'a' is red on 0000000 {LINK}; nor is the one before it green"


def test_a_single_one_without_checks_is_waited_for() -> None:
    waits = chosen(Forge({1: G}), tip=2, days=0.5)
    assert waits.hold is not None and waits.hold.until == NOW + timedelta(days=0.5)


def test_of_what_was_locked_without_a_commit_no_checks_are_asked_for() -> None:
    forge = Forge({})
    old = Locked("path", "github:o/r", "github:o/r", nar_hash="sha256-x")
    new = Locked("github", "github:o/r", "github:o/r", rev(2))
    choice = newest_green(forge, InputChange("a", ChangeKind.UPDATED, old, new), [Aged(rev(2), NOW)], NOW)
    assert (choice.revision, forge.asked) == (rev(2), [2])


def test_a_check_need_not_have_a_page() -> None:
    old, new = (Locked("github", "github:o/r", "github:o/r", rev(number)) for number in (1, 2))
    change = InputChange("a", ChangeKind.UPDATED, old, new)
    choice = newest_green(lambda *_: Checks(R, "check 'a' failed"), change, [Aged(rev(2), NOW)], NOW)
    assert choice.hold is not None and choice.hold.detail == "check 'a' failed on 0000000"
