"""The ledger on real SQLite: tips, holds, acceptances, states, derivations, and the way there from version 1."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockbot import retention
from lockbot.history import ledger as ledgers
from lockbot.history import rows as rows_of
from lockbot.history import schema
from lockbot.history.input_states import Acceptance, InputState, Observation, SeenTip, StateWord, UserHold, advance
from lockbot.history.ledger import Ledger
from lockbot.history.store import History
from lockbot.model import CulpritCommit, Failure, FailureKind, Heard, UntilMerged
from tests.history.samples import NOON, failed, old_run

DAY = timedelta(days=1)
SOURCE = "github:o/r/main"
HERE = "what decides here"
DRV = "/nix/store/00000000000000000000000000000000-a.drv"
OTHER = "/nix/store/11111111111111111111111111111111-b.drv"
HOSTILE = "\udcff\x00'; DROP TABLE tips; --\x1b[31m\u202e" + "x" * 70_000


@dataclass
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def past(tmp_path: Path, clock: Clock) -> Iterator[History]:
    with History.open(tmp_path / "history.sqlite", clock) as history:
        yield history


@pytest.fixture
def ledger(past: History) -> Ledger:
    return past.ledger("/srv/flake")


def rows(past: History, table: str) -> int:
    return int(past._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 -- our names


# -- from version 1


def test_a_database_of_version_1_is_lifted_with_all_it_holds(tmp_path: Path, clock: Clock) -> None:
    """The file was written by the lockbot that knew only runs."""
    path = tmp_path / "history.sqlite"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "version1.sqlite.gz").read_bytes()))
    raw = sqlite3.connect(path)
    assert schema.version(raw) == 1
    raw.close()
    with History.open(path, clock) as history:
        assert history.notes == ()
        assert schema.version(history._connection) == len(schema.MIGRATIONS)
        assert history.get("full") == old_run()
        assert history.whereabouts("r00003").publishing == "e" * 40
        ledger = history.ledger("/srv/flake")
        assert (ledger.states(), ledger.holds(), ledger.accepted()) == ({}, {}, {})
        ledger.record_tip("nixpkgs", SOURCE, "1" * 40)
        ledger.remember(HERE, {DRV: failed("beta").failure})
    with History.open(path, clock) as history:
        assert set(history.ledger("/srv/flake").first_seen("nixpkgs", SOURCE)) == {"1" * 40}
        assert history._connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert history._connection.execute("PRAGMA foreign_key_check").fetchall() == []


# -- tips


def test_the_first_sight_of_a_tip_counts_and_the_last_orders(ledger: Ledger, clock: Clock) -> None:
    ledger.record_tip("a", SOURCE, "one", committed=5)
    clock.now += DAY
    ledger.record_tip("a", SOURCE, "two")
    clock.now += DAY
    ledger.record_tip("a", SOURCE, "one")
    assert ledger.tips("a", SOURCE) == (
        SeenTip(SOURCE, "one", NOON, NOON + 2 * DAY, 5),
        SeenTip(SOURCE, "two", NOON + DAY, NOON + DAY),
    )
    assert ledger.first_seen("a", SOURCE) == {"one": NOON, "two": NOON + DAY}
    assert ledger.tips("a", SOURCE, limit=1) == ledger.tips("a", SOURCE)[:1]


def test_what_was_seen_elsewhere_says_nothing_here(past: History, ledger: Ledger) -> None:
    ledger.record_tip("a", SOURCE, "one")
    assert ledger.tips("a", "github:o/r/other") == ()
    assert ledger.tips("b", SOURCE) == ()
    assert past.ledger("/srv/other").tips("a", SOURCE) == ()


def test_a_clock_that_was_ahead_keeps_nothing_young(ledger: Ledger, clock: Clock) -> None:
    clock.now = datetime(2099, 1, 1, tzinfo=UTC)
    ledger.record_tip("a", SOURCE, "one")
    clock.now = NOON
    ledger.record_tip("a", SOURCE, "one")
    assert ledger.first_seen("a", SOURCE) == {"one": NOON}


# -- holds and acceptances


def test_a_hold_replaces_an_earlier_one_and_is_released_once(ledger: Ledger) -> None:
    ledger.hold(UserHold("a", "first", NOON, until=NOON + DAY))
    second = UserHold("a", "second", NOON, at="1" * 40)
    ledger.hold(second)
    ledger.hold(UserHold("b", "forever", NOON))
    assert ledger.holds() == {"a": second, "b": UserHold("b", "forever", NOON)}
    assert ledger.release("a") == second
    assert ledger.release("a") is None
    assert set(ledger.holds()) == {"b"}


def test_a_hold_ends_at_its_time(ledger: Ledger) -> None:
    ledger.hold(UserHold("a", "w", NOON, until=NOON + DAY))
    hold = ledger.holds()["a"]
    assert hold.active(NOON + DAY - timedelta(microseconds=1))
    assert not hold.active(NOON + DAY)


def seen(state: StateWord = StateWord.CURRENT, locked: str = "one", asked: bool = True) -> Observation:
    return Observation("a", state, locked, asked)


def test_who_is_first_asks_about_a_hold(ledger: Ledger) -> None:
    """Of several that read it before anybody asked; and an answer is about the hold that was there."""
    hold = UserHold("a", "w", NOON, ends=UntilMerged("https://github.com/o/r/pull/1"))
    ledger.hold(hold)
    assert [ledger.begin_to_ask(hold) for _ in range(2)] == [True, False]
    (asked,) = ledger.holds().values()
    assert asked.heard == Heard(NOON)
    assert [ledger.begin_to_ask(asked) for _ in range(1)] == [True]
    ledger.note_answer(hold, heard := Heard(NOON, "not yet", NOON, "1" * 40))
    assert ledger.holds() == {"a": replace(hold, heard=heard)}
    other = replace(hold, since=NOON + DAY)
    ledger.hold(other)
    ledger.note_answer(hold, heard)
    assert (ledger.begin_to_ask(hold), ledger.end(hold)) == (False, False)
    assert ledger.holds() == {"a": other}
    assert ledger.end(other) and ledger.holds() == {}


def test_an_acceptance_is_used_up_by_a_move_and_by_nothing_else(ledger: Ledger) -> None:
    ledger.record([seen()])
    ledger.accept(Acceptance("a", NOON, "one"))
    ledger.record([seen(StateWord.HELD), replace(seen(), input="b")])
    assert set(ledger.accepted()) == {"a"}
    ledger.record([seen(locked="two")])
    assert ledger.accepted() == {}


def test_what_an_acceptance_covers() -> None:
    anything = Acceptance("a", NOON, "one")
    assert anything.covers("one", "two")
    assert not anything.covers("two", "three")  # somebody moved it meanwhile
    named = replace(anything, revision="two")
    assert named.covers("one", "two")
    assert not named.covers("one", "three")


# -- states


BAD = CulpritCommit(
    "2" * 40, "break it", "Eve", 1_700_000_000, "https://x/y", ("web", "db"), "1" * 40, exact=False
)


def test_everything_of_a_state_comes_back(past: History, ledger: Ledger) -> None:
    moments = [NOON + number * DAY for number in range(7)]
    full = InputState(
        "a/b",
        NOON,
        StateWord.HELD,
        "r",
        "d",
        since=moments[0],
        stuck_since=moments[1],
        cache_since=moments[2],
        last_attempt=moments[3],
        last_success=moments[4],
        unreachable_since=moments[5],
        last_good="good",
        culprit=BAD,
        next_try=moments[6],
        locked="one",
    )
    assert all(getattr(full, field.name) for field in fields(full))
    observation = Observation("a/b", StateWord.HELD, "one", True, "r", "d", "good", BAD, NOON + DAY)
    ledger.record([observation])
    state = advance(None, observation, NOON)
    assert ledger.states() == {"a/b": state}
    assert state.culprit == BAD
    # And what advance() does not happen to set:
    past._write(lambda connection: ledgers._replace(connection, "inputs", rows_of.state_columns("x", full)))
    assert past.ledger("x").states() == {"a/b": full}


def run_of(clock: Clock, ledger: Ledger, *observations: Observation) -> InputState:
    """A run a day; the state of `a` after the last."""
    for observation in observations:
        ledger.record([observation])
        clock.now += DAY
    return ledger.states()["a"]


def test_a_success_is_only_that_upstream_was_asked(ledger: Ledger, clock: Clock) -> None:
    unreachable = seen(StateWord.UNREACHABLE, asked=False)
    state = run_of(clock, ledger, seen(), unreachable, unreachable, seen(StateWord.HELD, asked=False))
    assert state.last_success == NOON
    assert state.last_attempt == NOON + 2 * DAY
    assert state.unreachable_since == NOON + DAY
    state = run_of(clock, ledger, seen())
    assert (state.last_success, state.unreachable_since) == (NOON + 4 * DAY, None)


def test_since_when_it_is_stuck_outlives_other_reasons_and_a_day_of_no_network(
    ledger: Ledger, clock: Clock
) -> None:
    waiting = replace(seen(StateWord.WAITING_FOR_CACHE), reason="r")
    state = run_of(clock, ledger, seen(), waiting, seen(StateWord.UNREACHABLE, asked=False), waiting)
    assert state.cache_since == state.stuck_since == NOON + DAY
    assert state.since == NOON + 3 * DAY
    state = run_of(clock, ledger, replace(seen(StateWord.HELD), reason="other"))
    assert (state.stuck_since, state.cache_since, state.since) == (NOON + DAY, NOON + DAY, NOON + 4 * DAY)
    state = run_of(clock, ledger, seen(StateWord.HELD, locked="two"))
    assert (state.stuck_since, state.cache_since) == (NOON + 5 * DAY, None)
    state = run_of(clock, ledger, seen(locked="two"))
    assert (state.stuck_since, state.cache_since) == (None, None)


def test_a_culprit_is_known_until_the_input_moves(ledger: Ledger, clock: Clock) -> None:
    bad = replace(seen(StateWord.HELD), culprit=BAD, last_good="one")
    state = run_of(clock, ledger, bad, seen(StateWord.HELD))
    assert (state.culprit, state.last_good) == (BAD, "one")
    assert run_of(clock, ledger, seen(StateWord.CURRENT, locked="three")).culprit is None


def test_inputs_that_are_gone_are_forgotten_but_not_what_the_user_said(past: History, ledger: Ledger) -> None:
    for name in ("a", "b"):
        ledger.record_tip(name, SOURCE, "one")
        ledger.record([replace(seen(), input=name)])
        ledger.accept(Acceptance(name, NOON, "one"))
        ledger.hold(UserHold(name, "w", NOON))
    past.ledger("/other").record_tip("b", SOURCE, "one")
    ledger.forget_inputs({"a"})
    assert [set(found) for found in (ledger.states(), ledger.accepted(), ledger.holds())] == [
        {"a"},
        {"a"},
        {"a", "b"},
    ]
    assert ledger.tips("b", SOURCE) == ()
    assert len(past.ledger("/other").tips("b", SOURCE)) == 1


# -- derivations


def failure(kind: FailureKind = FailureKind.BUILD, culprit: str | None = None) -> Failure:
    return Failure(kind, "boom", culprit, ("last", "lines"), "whole log")


def test_a_failure_is_known_for_as_long_as_wished(ledger: Ledger, clock: Clock) -> None:
    ledger.remember(HERE, {DRV: failure(culprit=DRV), OTHER: None})
    clock.now += timedelta(seconds=100)
    known = ledger.known(HERE, [DRV, OTHER, "/nix/store/unknown.drv", DRV], max_age=100)
    assert known.keys() == {DRV, OTHER}
    assert known[DRV].failure == failure(culprit=DRV)
    assert (known[OTHER].failure, known[DRV].when, known[DRV].flaky) == (None, NOON, False)
    assert ledger.known(HERE, [DRV, OTHER], max_age=99).keys() == {OTHER}
    assert ledger.known(HERE, [DRV], max_age=float(2**60)).keys() == {DRV}


@pytest.mark.parametrize("kind", FailureKind)
def test_only_failures_of_its_own_are_held_against_a_derivation(ledger: Ledger, kind: FailureKind) -> None:
    lasting = {"evaluation", "assertion", "build", "hash-mismatch", "lock-file", "gone"}
    ledger.remember(HERE, {OTHER: None})
    ledger.remember(HERE, {DRV: failure(kind), OTHER: failure(kind)})
    known = ledger.known(HERE, [DRV, OTHER], max_age=60)
    assert (DRV in known) == (kind.value in lasting)
    assert (known[OTHER].failure is None) == (kind.value not in lasting)  # what was known is not undone


def test_a_build_that_fails_and_then_passes_unchanged_is_flaky_ever_after(ledger: Ledger, clock: Clock) -> None:
    assert ledger.remember(HERE, {DRV: failure(culprit=DRV)}) == ()
    assert ledger.remember(HERE, {DRV: None}) == (DRV,)
    assert ledger.remember(HERE, {DRV: None}) == ()
    assert ledger.known(HERE, [DRV], 60)[DRV].flaky
    ledger.remember(HERE, {DRV: failure()})
    again = ledger.known(HERE, [DRV], 60)[DRV]
    assert (again.failure, again.flaky) == (failure(), True)
    clock.now += DAY
    assert ledger.forget_failures() == 1
    forgotten = ledger.known(HERE, [DRV], 1e9)[DRV]
    assert (forgotten.failure, forgotten.flaky) == (None, True)


@pytest.mark.parametrize(
    "first",
    [
        failure(FailureKind.DEPENDENCY, OTHER),
        failure(FailureKind.BUILD, OTHER),
        failure(FailureKind.HASH_MISMATCH),
    ],
    ids=["dependency", "somebody else's build", "download"],
)
def test_what_failed_because_of_another_is_not_flaky(ledger: Ledger, first: Failure) -> None:
    ledger.remember(HERE, {DRV: first})
    assert ledger.remember(HERE, {DRV: None}) == ()
    assert not ledger.known(HERE, [DRV], 60)[DRV].flaky


def test_what_failed_because_of_a_derivation_that_now_builds_is_unknown(past: History, ledger: Ledger) -> None:
    ledger.remember(HERE, {DRV: failure(FailureKind.DEPENDENCY, OTHER), OTHER: failure(culprit=OTHER)})
    assert ledger.remember(HERE, {OTHER: None}) == (OTHER,)
    assert ledger.known(HERE, [DRV, OTHER], 60).keys() == {OTHER}
    assert rows(past, "failures") == 0


def test_failures_are_forgotten_when_wished(past: History, ledger: Ledger) -> None:
    ledger.remember(HERE, {DRV: failure(), OTHER: None})
    assert ledger.forget_failures() == 1
    assert ledger.forget_failures() == 0
    assert ledger.known(HERE, [DRV, OTHER], 60).keys() == {OTHER}
    assert rows(past, "failures") == 0


def test_many_derivations_are_asked_at_once(ledger: Ledger) -> None:
    drvs = [f"/nix/store/{number:032}-x.drv" for number in range(1201)]
    ledger.remember(HERE, dict.fromkeys(drvs))
    assert list(ledger.known(HERE, drvs, 60)) == drvs
    assert ledger.known(HERE, [], 60) == {}


# -- growth


def test_growth_is_bounded(past: History, ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "NEWEST_TIPS", 5)
    monkeypatch.setattr(retention, "MOST_DERIVATIONS", 4)
    ledger.record_tip("quiet", SOURCE, "the only one")
    for number in range(10):
        clock.now += DAY
        ledger.record_tip("a", SOURCE, f"r{number}")
        ledger.remember(HERE, {f"d{number}": failure()})
    ledger.prune(keep_days=100)
    assert [tip.revision for tip in ledger.tips("a", SOURCE)] == ["r9", "r8", "r7", "r6", "r5"]
    assert ledger.known(HERE, [f"d{number}" for number in range(10)], 1e9).keys() == {"d6", "d7", "d8", "d9"}
    assert rows(past, "failures") == 4
    ledger.prune(keep_days=1.5)
    assert [tip.revision for tip in ledger.tips("a", SOURCE)] == ["r9", "r8"]
    assert ledger.known(HERE, ["d7", "d8", "d9"], 1e9).keys() == {"d8", "d9"}
    ledger.prune(keep_days=0)
    # How long the newest has been there stays known: else it would be young again.
    assert [len(ledger.tips(name, SOURCE)) for name in ("a", "quiet")] == [1, 1]


# -- what strangers write


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(), max_size=30) | st.just(HOSTILE), number=st.integers())
def test_whatever_is_said_is_kept_and_found_again(past: History, text: str, number: int) -> None:
    ledger = past.ledger(text)
    ledger.record_tip(text, text, text, number)
    ledger.hold(UserHold(text, text, NOON, at=text))
    bad = CulpritCommit(text, text, text, number, text, (text, text), text)
    ledger.record([Observation(text, StateWord.HELD, text, True, text, text, text, bad)])
    ledger.accept(Acceptance(text, NOON, text, text))
    ledger.remember(HERE, {text: Failure(FailureKind.BUILD, text, text, (text,), text)})
    (name,) = ledger.states()
    assert [list(found) for found in (ledger.holds(), ledger.accepted())] == [[name], [name]]
    assert len(ledger.tips(text, text)) == 1
    assert len(ledger.known(HERE, [text], 60)) == 1
    state = ledger.states()[name]
    assert state.culprit is not None
    assert len(state.culprit.subject) <= 70_000
    assert ledger.release(text) is not None
    ledger.forget_inputs({text})
    assert set(ledger.states()) == {name}
    ledger.record([Observation(text, StateWord.HELD, text, True)])
    assert set(ledger.accepted()) == {name}  # compared as stored: it has not moved
    ledger.forget_inputs(())
    assert ledger.states() == {}
