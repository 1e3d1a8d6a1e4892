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
