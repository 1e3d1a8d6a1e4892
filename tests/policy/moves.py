"""Moves of one input, and what is decided on them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from lockbot.git.inputs.revisions import Relation
from lockbot.history.input_states import Acceptance, UserHold
from lockbot.model import ChangeKind, InputChange, Locked
from lockbot.policy import minimum_age
from lockbot.policy.decide import decide
from lockbot.policy.decisions import Decision, Facts, Move
from lockbot.policy.rules import InputRules

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = 86400.0
OLD, NEW, OTHER = "1" * 40, "2" * 40, "3" * 40
DEFAULT = InputRules()


def locked(
    rev: str = OLD, place: str = "github:o/r", ref: str = "/main", date: int | None = 1_700_000_000
) -> Locked:
    return Locked("github", f"{place}/{rev}", f"{place}{ref}", rev, last_modified=date)


def updated(input: str = "a", old: Locked | None = None, new: Locked | None = None) -> InputChange:
    return InputChange(input, ChangeKind.UPDATED, old or locked(), new or locked(NEW, date=1_700_000_100))


def added(input: str, url: str) -> InputChange:
    return InputChange(input, ChangeKind.ADDED, new=Locked(url.partition(":")[0], url, url))


def decided(
    *beneath: InputChange,
    change: InputChange | None = None,
    rules: InputRules = DEFAULT,
    relation: Relation = Relation.FORWARD,
    first_seen: datetime | None = None,
    hold: UserHold | None = None,
    acceptance: Acceptance | None = None,
) -> Decision:
    change = change or updated()
    young = minimum_age.young_until(change, first_seen, NOW, rules.minimum_age)
    return decide(Move(change, beneath), Facts(NOW, relation, young, hold, acceptance), rules)


ACCEPTED = Acceptance("a", NOW, OLD)
TIMES = st.integers(-10 * 86400, 10 * 86400).map(lambda seconds: NOW + timedelta(seconds=seconds))


def days_ago(number: float) -> datetime:
    return NOW - timedelta(days=number)
