"""What is remembered belongs to a flake: no other sees it, and an older lockbot's database is taken over."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from lockbot import retention
from lockbot.errors import LockbotError
from lockbot.history import schema
from lockbot.history.input_states import Acceptance, Observation, StateWord, UserHold
from lockbot.history.notices.values import Decision, Known, Letter, Looked
from lockbot.history.store import History
from lockbot.model import Condition, Failure, FailureKind, HostBuild, HostStatus, Notice, NoticeKind, Outcome
from tests.history.samples import NOON, built, clock, failed, host, run

REPOSITORY = "/srv/nixos/.git"
MAIN = f"{REPOSITORY}?ref=main"
OTHERS = (f"{REPOSITORY}?ref=other", f"{MAIN}&dir=hosts/one", "/srv/else/.git?ref=main", REPOSITORY)
SOURCE = "github:o/r/main"
DRV = "/nix/store/00000000000000000000000000000000-a.drv"
BROKE = Failure(FailureKind.BUILD, "boom", DRV)
BREAKS = Condition(NoticeKind.BROKE, "host web", "web is broken", since=NOON)
TOLD = Decision(
    (BREAKS,),
    Looked(NOON, NOON),
    (Letter("one", "phone", Notice(NoticeKind.BROKE, "web is broken"), NOON, NOON),),
    {"phone": NOON},
    {"request": NoticeKind.REQUESTED},
)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(tmp_path / "history.sqlite", clock) as opened:
        yield opened


# -- each its own


@dataclass(frozen=True)
class Kind:
    """One kind of thing that is remembered: how it is kept, and what is found of it."""

    keep: Callable[[History, str], object]
    find: Callable[[History, str], object]


def _run(history: History, flake: str, **fields: object) -> None:
    number = len(history.runs())
    history.save(run(number, REPOSITORY, flake, **fields))


KINDS = {
    "runs": Kind(lambda past, flake: _run(past, flake), lambda past, flake: past.runs(flake)),
    "latest": Kind(lambda past, flake: _run(past, flake), lambda past, flake: past.latest(flake)),
    "totals": Kind(
        lambda past, flake: _run(past, flake, outcome=Outcome.FAILED, seconds={"sync": 1.0}),
        lambda past, flake: past.totals(flake).outcomes or past.totals(flake).seconds,
    ),
    "baseline": Kind(
        lambda past, flake: past.remember(flake, "", "c1", [built("x")]),
        lambda past, flake: past.baseline(flake, "", "c1"),
    ),
    "tips": Kind(
        lambda past, flake: past.ledger(flake).record_tip("a", SOURCE, "one"),
        lambda past, flake: past.ledger(flake).tips("a", SOURCE),
    ),
    "holds": Kind(
        lambda past, flake: past.ledger(flake).hold(UserHold("a", "w", NOON)),
        lambda past, flake: past.ledger(flake).holds(),
    ),
    "accepted": Kind(
        lambda past, flake: past.ledger(flake).accept(Acceptance("a", NOON, "one")),
        lambda past, flake: past.ledger(flake).accepted(),
    ),
    "states": Kind(
        lambda past, flake: past.ledger(flake).record([Observation("a", StateWord.CURRENT, "one", True)]),
        lambda past, flake: past.ledger(flake).states(),
    ),
    "failures": Kind(
        lambda past, flake: past.ledger(flake).remember("", {DRV: BROKE}),
        lambda past, flake: past.ledger(flake).failures("", 60),
    ),
    "derivations": Kind(
        lambda past, flake: past.ledger(flake).remember("", {DRV: None}),
        lambda past, flake: past.ledger(flake).known("", [DRV], 60),
    ),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("other", OTHERS)
def test_flakes_never_see_each_others(history: History, name: str, other: str) -> None:
    kind = KINDS[name]
    kind.keep(history, MAIN)
    assert kind.find(history, MAIN)
    for repository in (REPOSITORY, "/srv/else/.git"):
        history.adopt(other, repository, "main")
    assert not kind.find(history, other)
    kind.keep(history, other)
    _forget_all(history, other)
    assert kind.find(history, MAIN)


def _forget_all(history: History, flake: str) -> None:
    """Whatever is done to one leaves the other's alone."""
    ledger = history.ledger(flake)
    ledger.release("a")
    ledger.forget_inputs(())
    ledger.forget_failures()
    history.forget_baselines(flake, ())
    history.forget_failed_baselines(flake)


def test_what_builds_in_one_flake_says_nothing_in_another(history: History) -> None:
    one, other = history.ledger(MAIN), history.ledger(OTHERS[0])
    one.remember("", {DRV: BROKE})
    assert other.remember("", {DRV: None}) == (), "not flaky: it never failed here"
    assert one.failures("", 60) == {DRV: BROKE}


def test_each_flake_keeps_its_newest_runs(history: History) -> None:
    history.save(run(-999_999, REPOSITORY, OTHERS[0]))
    for number in range(30):
        history.save(run(number - 500_000, REPOSITORY, MAIN))
    assert history.prune(1, NOON) == 10
    assert len(history.runs(OTHERS[0])) == 1


def test_of_a_repositorys_flakes_those_that_ran_last_keep_their_runs(history: History) -> None:
    """Else each branch that ever was one would leave its runs, and all that was remembered, for good."""
    flakes = [f"{REPOSITORY}?ref=branch{number}" for number in range(retention.NEWEST_FLAKES + 3)]
    # What built since has not failed.
    remembered = {name: kind for name, kind in KINDS.items() if name not in ("holds", "failures")}
    for number, flake in enumerate(flakes):
        history.save(run(number - 500_000, REPOSITORY, flake))
        for kind in remembered.values():
            kind.keep(history, flake)
    history.save(run(-600_000, "/srv/else/.git", OTHERS[2]))
    history.ledger(flakes[0]).hold(UserHold("a", "w", NOON))
    told = history.notices(flakes[1])
    told.decide(lambda _: TOLD)
    history.prune(1, NOON + timedelta(days=2))
    gone = flakes[1:3]
    assert [flake for flake in [*flakes, OTHERS[2]] if not history.runs(flake)] == gone
    for flake in gone:
        assert [name for name, kind in remembered.items() if kind.find(history, flake)] == []
    assert (told.known(), told.waiting()) == (Known(), ())
    for flake in (flakes[0], flakes[3]):
        assert [name for name, kind in remembered.items() if not kind.find(history, flake)] == []


def test_a_flake_of_which_a_run_is_left_forgets_nothing_else(history: History) -> None:
    flakes = [f"{REPOSITORY}?ref=branch{number}" for number in range(retention.NEWEST_FLAKES + 1)]
    for flake in flakes:
        history.save(run(len(history.runs(limit=99)), REPOSITORY, flake))
    history.save(run(-500_000, REPOSITORY, flakes[0]))
    KINDS["tips"].keep(history, flakes[0])
    assert history.prune(1, NOON + timedelta(minutes=1)) == 1
    assert KINDS["tips"].find(history, flakes[0])


def test_those_that_were_killed_are_found_for_the_whole_repository(history: History) -> None:
    """Its lock is held: nobody of it runs."""
    for number, flake in enumerate([MAIN, OTHERS[0]]):
        history.start(run(number, REPOSITORY, flake, outcome=None))
    assert [one.flake for one in history.unfinished(REPOSITORY)] == [MAIN, OTHERS[0]]


# -- each context its own


def test_another_context_knows_nothing(history: History) -> None:
    ledger = history.ledger(MAIN)
    history.remember(MAIN, "here", "c1", [failed("x")])
    ledger.remember("here", {DRV: BROKE})
    assert history.baseline(MAIN, "there", "c1") == {}
    assert (ledger.failures("there", 60), ledger.known("there", [DRV], 60)) == ({}, {})
    history.remember(MAIN, "there", "c1", [built("x")])
    assert ledger.remember("there", {DRV: None}) == ()
    assert list(history.baseline(MAIN, "here", "c1").values()) == [failed("x")]
    assert ledger.failures("here", 60) == {DRV: BROKE}


def test_failures_are_forgotten_in_every_context(history: History) -> None:
    ledger = history.ledger(MAIN)
    for context in ("here", "there"):
        history.remember(MAIN, context, "c1", [failed("x"), built("y")])
        ledger.remember(context, {DRV: BROKE})
    assert ledger.forget_failures() == 2
    history.forget_failed_baselines(MAIN)
    for context in ("here", "there"):
        assert ledger.failures(context, 60) == {}
        assert list(history.baseline(MAIN, context, "c1").values()) == [built("y")]
    assert history._connection.execute("SELECT count(*) FROM failures").fetchone()[0] == 0


def test_what_could_not_be_found_out_is_not_remembered(history: History) -> None:
    unknown = HostBuild(host("x"), HostStatus.UNJUDGED, DRV)
    assert history.remember(MAIN, "", "c1", [unknown]) == (unknown,)
    assert history.baseline(MAIN, "", "c1") == {}


# -- from version 2


OLD_RUN = (
    "INSERT INTO runs (id, repository, started, outcome, branch, pushed, dry_run) VALUES (?, ?, ?, ?, ?, 0, 0)"
)
OLD_HOLD = "INSERT INTO holds (repository, input, why, since, at_revision) VALUES (?, ?, 'because', ?, ?)"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database of version 2, with something in every table of it that has to do with flakes."""
    path = tmp_path / "history.sqlite"
    noon = "2026-11-22T12:00:00.000000+00:00"
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        schema.migrate(raw, schema.MIGRATIONS[:2])
        rows = [("of-main", "main"), ("of-other", "other"), ("of-nobody", "HEAD"), ("killed", "main")]
        for name, branch in rows:
            outcome = None if name == "killed" else "unchanged"
            raw.execute(OLD_RUN, (name, REPOSITORY, noon, outcome, branch))
        raw.execute(OLD_RUN, ("of-another", "/srv/else/.git", noon, "unchanged", "main"))
        raw.execute(OLD_HOLD, (REPOSITORY, "a", noon, "1" * 40))
        raw.execute(
            "INSERT INTO accepted (repository, input, since, locked) VALUES (?, 'b', ?, 'x')", (REPOSITORY, noon)
        )
        raw.execute("INSERT INTO tips VALUES (?, 'a', ?, 'one', ?, ?, 5)", (REPOSITORY, SOURCE, noon, noon))
        raw.execute(
            "INSERT INTO inputs (repository, input, noticed, state, reason, detail, locked)"
            " VALUES (?, 'a', ?, 'held', 'r', 'd', 'x')",
            (REPOSITORY, noon),
        )
        for _ in range(2):
            raw.execute("INSERT INTO failures (kind, message, tail, log) VALUES ('build', 'boom', '[]', '')")
        raw.execute("INSERT INTO derivations VALUES (?, ?, 0, NULL, 1)", (DRV, noon))
        raw.execute(
            "INSERT INTO baselines (repository, revision, attribute, name, kind, evaluate_only, status, failure,"
            " recorded) VALUES (?, 'c1', '[]', 'x', 'attribute', 0, 'failed', 2, ?)",
            (REPOSITORY, noon),
        )
    return path


def test_a_hold_and_all_else_survives_for_every_flake_that_comes(old: Path) -> None:
    flakes = (MAIN, OTHERS[0], OTHERS[1], REPOSITORY)
    for flake in flakes:  # each in a process of its own, and twice
        for _ in range(2):
            with History.open(old, clock) as history:
                history.adopt(flake, REPOSITORY, "main")
    with History.open(old, clock) as history:
        for flake in flakes:
            ledger = history.ledger(flake)
            assert ledger.holds() == {"a": UserHold("a", "because", NOON, at="1" * 40)}
            assert ledger.accepted() == {"b": Acceptance("b", NOON, "x")}
            assert ledger.first_seen("a", SOURCE) == {"one": NOON}
            assert ledger.states()["a"].reason == "r"
            assert ledger.failures("", 1e9) == {}
            assert history.baseline(flake, "", "c1") == {}
        history.adopt("/srv/else/.git?ref=main", "/srv/else/.git", "main")
        assert history.ledger("/srv/else/.git?ref=main").holds() == {}
        connection = history._connection
        assert connection.execute("SELECT count(*) FROM failures").fetchone()[0] == 0
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_runs_go_to_the_branch_that_they_were_of(old: Path) -> None:
    with History.open(old, clock) as history:
        assert len(history.runs()) == 5, "`--all` lists them before anybody has taken them over"
        history.adopt(OTHERS[0], REPOSITORY, "other")
        history.adopt(MAIN, REPOSITORY, "main")
        assert {one.id for one in history.runs(OTHERS[0])} == {"of-other", "of-nobody"}
        assert {one.id for one in history.runs(MAIN)} == {"of-main", "killed"}
        assert [one.id for one in history.unfinished(REPOSITORY)] == ["killed"]
        assert history.get("of-another").flake == ""


def test_a_url_without_a_branch_takes_over_the_runs_of_whichever_it_was(old: Path) -> None:
    with History.open(old, clock) as history:
        history.adopt(REPOSITORY, REPOSITORY, None)
        assert len(history.runs(REPOSITORY)) == 4


def test_what_was_released_or_said_since_is_not_undone(old: Path) -> None:
    with History.open(old, clock) as history:
        history.adopt(MAIN, REPOSITORY, "main")
        history.ledger(MAIN).release("a")
        history.save(replace(history.get("of-main"), id="late", flake=""))  # an older lockbot was still at work
        history.adopt(MAIN, REPOSITORY, "main")
        assert history.ledger(MAIN).holds() == {}
        assert history.get("late").flake == MAIN
        assert history.ledger(OTHERS[0]).holds() == {}
        history.adopt(OTHERS[0], REPOSITORY, "other")
        assert set(history.ledger(OTHERS[0]).holds()) == {"a"}


def test_two_at_once_adopt_once(old: Path) -> None:
    History.open(old, clock).close()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with History.open(old, clock) as history:
                history.adopt(MAIN, REPOSITORY, "main")
        except BaseException as error:  # noqa: BLE001 -- shown by the main thread
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with History.open(old, clock) as history:
        assert set(history.ledger(MAIN).holds()) == {"a"}


@pytest.mark.parametrize("legacy", [True, False])
def test_when_there_is_nothing_to_take_over_nothing_is_written(old: Path, tmp_path: Path, legacy: bool) -> None:
    path = old if legacy else tmp_path / "new.sqlite"
    with History.open(path, clock) as history:
        history.adopt(MAIN, REPOSITORY, "main")
        before = history._connection.total_changes
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")  # would have a write wait
            history.adopt(MAIN, REPOSITORY, "main")
            writer.execute("ROLLBACK")
        assert history._connection.total_changes == before
        plan = _plan(history)
    assert not [step for step in plan if step.startswith("SCAN") and "CONSTANT" not in step], plan


def _plan(history: History) -> list[str]:
    from lockbot.history.adopt import _PENDING

    values = {"flake": MAIN, "repository": REPOSITORY, "branch": "main"}
    return [row["detail"] for row in history._connection.execute(f"EXPLAIN QUERY PLAN {_PENDING}", values)]


def test_a_step_that_fails_leaves_the_database_as_it_was(old: Path) -> None:
    broken = (*schema.MIGRATIONS[:2], (*schema.MIGRATIONS[2], "NONSENSE"))
    with closing(sqlite3.connect(old, isolation_level=None)) as raw:
        with pytest.raises(sqlite3.OperationalError):
            schema.migrate(raw, broken)
        assert schema.version(raw) == 2
        assert raw.execute("SELECT count(*) FROM holds WHERE repository = ?", (REPOSITORY,)).fetchone() == (1,)
        assert raw.execute("SELECT count(*) FROM derivations").fetchone() == (1,)
    with History.open(old, clock) as history:
        history.adopt(MAIN, REPOSITORY, "main")
        assert set(history.ledger(MAIN).holds()) == {"a"}


def test_an_older_lockbot_refuses_it(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    History.open(old, clock).close()
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:2])
    with pytest.raises(LockbotError, match="newer lockbot"):
        History.open(old, clock)
