"""Runs and baselines in a real database."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockbot.errors import LockbotError, UsageError
from lockbot.history import codec, texts
from lockbot.history.store import History, Whereabouts
from lockbot.history.summaries.runs import RunSummary, summaries_query
from lockbot.model import (
    Answer,
    ChangeKind,
    CulpritCommit,
    Failure,
    FailureKind,
    Held,
    Host,
    HostBuild,
    HostKind,
    HostStatus,
    InputChange,
    Judgement,
    Locked,
    Outcome,
    Phase,
    Run,
)
from lockbot.retention import NEWEST_RUNS
from tests.history.samples import FLAKE, NOON, built, clock, failed, full_run, host, run

HERE = "what decides here"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    with History.open(path, clock) as opened:
        yield opened


# -- round trips


def test_every_field_comes_back(history: History) -> None:
    history.save(full_run())
    assert history.get("full") == full_run()


def test_it_comes_back_in_another_process_of_lockbot(path: Path) -> None:
    with History.open(path, clock) as history:
        history.save(full_run())
    with History.open(path, clock) as history:
        assert history.get("full") == full_run()
        assert history.notes == ()


def test_saving_again_replaces_and_leaves_nothing_behind(history: History, path: Path) -> None:
    history.start(replace(full_run(), outcome=None, finished=None))
    history.save(full_run())
    history.save(full_run())
    assert history.get("full") == full_run()
    history.save(replace(run(), id="full"))
    with sqlite3.connect(path) as raw:
        counts = [raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in codec.CHILDREN]  # noqa: S608 -- our own table names
        assert counts == [0, 0, 0, 0, 0]
        assert raw.execute("SELECT count(*) FROM failures").fetchone() == (0,)
    raw.close()


def test_a_run_starts_once(history: History) -> None:
    history.start(run(1))
    with pytest.raises(LockbotError, match="recorded already"):
        history.start(run(1))


def test_times_of_any_zone_are_the_same_moment(history: History) -> None:
    tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
    history.save(replace(run(1), id="a", started=tokyo))
    history.save(replace(run(1), id="b", started=NOON + timedelta(seconds=1)))
    assert history.get("a").started == NOON
    assert [line.id for line in history.runs()] == ["b", "a"]


anything = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["\0", "a\0b", "\ud800", "x\udcffy", "'; --"]
)
storable_text = st.text(st.characters(codec="utf-8"))


def locks(text: st.SearchStrategy[str]) -> st.SearchStrategy[Locked]:
    return st.builds(Locked, text, text, text, st.none() | text, text, text, st.none() | st.integers())


def runs(text: st.SearchStrategy[str]) -> st.SearchStrategy[Run]:
    failures = st.builds(
        Failure, st.sampled_from(FailureKind), text, st.none() | text, st.lists(text).map(tuple), text
    )
    hosts = st.builds(Host, text, st.lists(text).map(tuple), st.sampled_from(HostKind), st.booleans())
    builds = st.builds(HostBuild, hosts, st.sampled_from(HostStatus), text, text, text, st.none() | failures)
    lock = st.none() | locks(text)
    judgements = st.none() | st.builds(Judgement, st.sampled_from(Answer), text, st.booleans())
    builds = st.builds(
        lambda build, here, base: replace(build, here=here, base=base), builds, judgements, judgements
    )
    number = st.none() | st.integers()
    culprits = st.builds(
        CulpritCommit, text, text, text, number, text, st.lists(text).map(tuple), text, st.booleans()
    )
    helds = st.builds(Held, text, text, text, st.none() | text, st.none() | culprits)
    changes = st.builds(
        InputChange, text, st.sampled_from(ChangeKind), lock, lock, st.none() | text, text, st.integers()
    )
    return st.builds(
        Run,
        id=text,
        repository=text,
        flake=text,
        started=st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.timezones()),  # noqa: DTZ001 -- the strategy adds the zone
        outcome=st.none() | st.sampled_from(Outcome),
        branch=text,
        base=st.none() | text,
        commit=st.none() | text,
        changes=st.lists(changes, max_size=2).map(tuple),
        hosts=st.lists(builds, max_size=2).map(tuple),
        held=st.lists(helds, max_size=2).map(tuple),
        notes=st.lists(text, max_size=2).map(tuple),
        error=st.none() | text,
        hint=st.none() | text,
        seconds=st.dictionaries(text, st.floats(-1e12, 1e12), max_size=2),
    )


def small(number: int | None) -> int | None:
    limit = texts.LARGEST_INTEGER
    return None if number is None else max(-limit, min(limit, number))


def as_stored(some: Run) -> Run:
    """In UTC, since Python calls no two zones' times equal in an hour that a zone has twice; within 64 bits."""

    def lock(one: Locked | None) -> Locked | None:
        return one and replace(one, last_modified=small(one.last_modified))

    changes = (replace(c, old=lock(c.old), new=lock(c.new), commits=small(c.commits)) for c in some.changes)
    held = (
        replace(one, culprit=one.culprit and replace(one.culprit, date=small(one.culprit.date)))
        for one in some.held
    )
    return replace(some, changes=tuple(changes), held=tuple(held), started=some.started.astimezone(UTC))


@settings(max_examples=60, deadline=None)
@given(some=runs(storable_text))
def test_any_run_comes_back(some: Run) -> None:
    with tempfile.TemporaryDirectory() as place, History.open(Path(place) / "h", clock) as history:
        history.save(some)
        assert history.get(some.id) == as_stored(some)


@settings(max_examples=60, deadline=None)
@given(some=runs(anything))
def test_what_no_database_can_hold_is_written_out_and_stays_so(some: Run) -> None:
    with tempfile.TemporaryDirectory() as place, History.open(Path(place) / "h", clock) as history:
        history.save(some)
        history.mark_publishing(some.id, "\udcff")
        stored = history.get(some.id)
        assert stored is not None
        history.save(stored)
        assert history.get(some.id) == stored
        assert len(history.runs()) == 1
        history.remember(some.flake, HERE, "\udc00", some.hosts)
        assert set(history.baseline(some.flake, HERE, "\udc00")) <= {
            texts.attribute_path(build.host.attribute) for build in some.hosts
        }


def test_a_megabyte_of_prose_loses_its_middle_once(history: History) -> None:
    text = "begin " + "x" * 10_000_000 + " end"
    failure = Failure(FailureKind.BUILD, text, None, (text, "short"), text)
    history.save(run(1, hosts=(replace(failed("a"), failure=failure),), notes=(text,), error=text))
    stored = history.get("r00001")
    assert stored.error is not None
    assert len(stored.error) <= texts.PROSE_CHARACTERS
    assert stored.error.startswith("begin x")
    assert stored.error.endswith("x end")
    assert "characters left out" in stored.error
    history.save(stored)
    assert history.get("r00001") == stored


def test_a_word_that_there_is_not_costs_its_run_and_is_told(history: History, path: Path) -> None:
    history.save(full_run())
    history.save(run(1))
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE hosts SET status = 'levitating' WHERE position = 0")
    raw.close()
    with pytest.raises(LockbotError, match="no run begins with"):
        history.get("full")
    assert "'levitating' is no HostStatus" in history.notes[0]
    assert history.get("r00001") == run(1)


# -- finding runs


def test_a_run_is_found_by_what_it_begins_with(history: History) -> None:
    for identity in ("20261122-154703-3f9a", "20261122-154703-3fff", "20261123-000000-0000"):
        history.save(replace(run(), id=identity))
    assert history.get("20261123").id == "20261123-000000-0000"
    assert history.get("20261122-154703-3f9").id == "20261122-154703-3f9a"


@pytest.mark.parametrize("prefix", ["", "r1", "%", "*", "' OR 1=1 --", "\udcff", "r00001\0"])
def test_an_unknown_run_is_said_to_be(history: History, prefix: str) -> None:
    history.save(run(1))
    with pytest.raises(UsageError, match="no run begins with"):
        history.get(prefix)


def test_an_ambiguous_beginning_names_the_runs(history: History) -> None:
    for number in range(5):
        history.save(run(number))
    with pytest.raises(UsageError, match="r00000, r00001, r00002, …"):
        history.get("r0")


def test_an_id_that_another_id_begins_with_is_itself(history: History) -> None:
    history.save(replace(run(), id="ab"))
    history.save(replace(run(), id="abc"))
    assert history.get("ab").id == "ab"


def test_the_latest_is_the_repositorys_own(history: History) -> None:
    history.save(run(2))
    history.save(run(1))
    history.save(run(3, flake="other"))
    assert history.latest(FLAKE) == run(2)
    assert history.latest("nobody") is None


def test_unfinished_runs_are_those_without_an_outcome_oldest_first(history: History) -> None:
    history.save(run(1))
    history.start(run(3, outcome=None))
    history.start(run(2, outcome=None, notes=("so far",)))
    history.start(run(4, outcome=None, repository="other"))
    assert history.unfinished("/srv/flake") == (run(2, outcome=None, notes=("so far",)), run(3, outcome=None))


def test_marks_outlive_a_later_save(history: History) -> None:
    history.start(run(1, outcome=None))
    assert history.whereabouts("r00001") == Whereabouts()
    history.mark_phase("r00001", Phase.JUDGE)
    assert history.whereabouts("r00001") == Whereabouts(Phase.JUDGE)
    history.mark_publishing("r00001", "c" * 40)
    history.save(run(1, outcome=None))
    assert history.whereabouts("r00001") == Whereabouts(Phase.PUBLISH, "c" * 40)
    with pytest.raises(LockbotError, match="no run"):
        history.mark_publishing("r9", "c" * 40)


def test_the_list_counts(history: History) -> None:
    history.save(full_run())
    assert history.runs() == (
        RunSummary(
            id="full",
            repository="/srv/flake",
            flake=FLAKE,
            started=NOON,
            finished=NOON + timedelta(seconds=61.5),
            outcome=Outcome.PARTLY_PUBLISHED,
            branch="main",
            base="b" * 40,
            commit="d" * 40,
            parked="lockbot/update",
            pushed=True,
            dry_run=True,
            error="something",
            changes=3,
            hosts=3,
            failed=1,
            held=2,
            requests=("#5",),
        ),
    )


def test_the_list_turns_pages(history: History) -> None:
    for number in range(10):
        history.save(replace(run(number // 2), id=f"r{number:05}"))  # two of each moment
    history.save(run(99, flake="other"))
    first = history.runs(FLAKE, limit=5)
    second = history.runs(FLAKE, limit=5, before=first[-1].id)
    assert [line.id for line in first + second] == [f"r{number:05}" for number in reversed(range(10))]
    assert history.runs(FLAKE, before="r00000") == ()
    assert [line.id for line in history.runs(limit=2)] == ["r00099", "r00009"]


@pytest.mark.parametrize("by_flake", [True, False])
@pytest.mark.parametrize("paged", [True, False])
def test_the_list_of_ten_thousand_reads_only_what_it_shows(path: Path, by_flake: bool, paged: bool) -> None:
    with History.open(path, clock):
        pass
    raw = sqlite3.connect(path)
    row = ("main", 0, 0)
    many = ((f"r{n:05}", "repo", f"repo{n % 3}", f"2026-{n:05}", *row) for n in range(10_000))
    raw.executemany(
        "INSERT INTO runs (id, repository, flake, started, branch, pushed, dry_run) VALUES (?,?,?,?,?,?,?)", many
    )
    raw.execute("ANALYZE")
    query = summaries_query(by_flake=by_flake, paged=paged)
    values = ["repo1"] * by_flake + ["2026-09000", "r09000"] * paged + [20]
    plan = [line[3] for line in raw.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    steps = _steps_of(raw, query, values)
    raw.close()
    assert not [line for line in plan if "TEMP B-TREE" in line], plan
    assert all("INDEX" in line or "PRIMARY KEY" in line for line in plan if line.startswith(("SCAN", "SEARCH"))), (
        plan
    )
    assert steps < 10_000  # of SQLite's virtual machine: 20 rows, not 10,000


def _steps_of(raw: sqlite3.Connection, query: str, values: list[str | int]) -> int:
    """How many hundreds of instructions a query takes, times a hundred."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 100
        return 0

    raw.set_progress_handler(tick, 100)
    assert len(raw.execute(query, values).fetchall()) == 20
    raw.set_progress_handler(None, 0)
    return count


def test_threads_take_turns(history: History) -> None:
    errors: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for number in range(10):
                history.save(replace(full_run(), id=f"{thread}-{number}"))
                assert history.get(f"{thread}-{number}").hosts == full_run().hosts
        except BaseException as error:  # noqa: BLE001 -- shown by the main thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(history.runs(limit=100)) == 40


# -- pruning


def test_old_runs_go_with_all_that_is_theirs(history: History, path: Path) -> None:
    for number in range(NEWEST_RUNS + 3):
        history.save(replace(full_run(f"r{number:05}"), started=NOON - timedelta(days=100 - number)))
        assert history.write_log(f"r{number:05}", "alpha", "a log", 1000) is None
    history.save(run(-999_999, flake="other"))  # of the same repository
    assert history.prune(30, NOON) == 3
    assert [line.id for line in history.runs(FLAKE, limit=99)][-1] == "r00003"
    assert history.read_log("r00002", "alpha") is None
    assert history.read_log("r00003", "alpha") == "a log"
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT count(*) FROM hosts").fetchone() == (NEWEST_RUNS * 3,)
    assert raw.execute("SELECT count(*) FROM failures").fetchone() == (NEWEST_RUNS,)
    assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
    raw.close()


def test_young_runs_stay_however_many(history: History) -> None:
    for number in range(NEWEST_RUNS + 5):
        history.save(run(number))
    assert history.prune(30, NOON + timedelta(days=29)) == 0
    assert history.prune(1e9, NOON + timedelta(days=10_000)) == 0
    assert history.prune(30, NOON + timedelta(days=31)) == 5


# -- baselines


def test_a_baseline_is_what_was_remembered(history: History) -> None:
    odd = HostBuild(
        Host("a.b", ("nixosConfigurations", "a.b"), HostKind.NIXOS), HostStatus.UNCHANGED, "/d", "/o", "s"
    )
    plain = HostBuild(Host("a", ("nixosConfigurations", "a", "b")), HostStatus.EVALUATED, "/d2")
    assert history.remember("repo", HERE, "c1", [odd, plain, failed("x")]) == ()
    assert history.baseline("repo", HERE, "c1") == {
        'nixosConfigurations."a.b"': odd,
        "nixosConfigurations.a.b": plain,
        texts.attribute_path(host("x").attribute): failed("x"),
    }
    assert history.baseline("repo", HERE, "c2") == {}
    assert history.baseline("other", HERE, "c1") == {}


def test_a_later_memory_replaces_only_its_own_host(history: History, path: Path) -> None:
    history.remember("repo", HERE, "c1", [failed("x"), built("y")])
    history.remember("repo", HERE, "c1", [built("x")])
    assert set(history.baseline("repo", HERE, "c1").values()) == {built("x"), built("y")}
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT count(*) FROM failures").fetchone() == (0,)
    raw.close()


@pytest.mark.parametrize("kind", FailureKind)
def test_only_the_hosts_own_failures_are_remembered(history: History, kind: FailureKind) -> None:
    own = {"evaluation", "assertion", "build", "hash-mismatch", "lock-file", "gone"}
    history.remember("repo", HERE, "c1", [built("x")])
    refused = history.remember("repo", HERE, "c1", [failed("x", kind), built("y")])
    known = history.baseline("repo", HERE, "c1")[texts.attribute_path(host("x").attribute)]
    if kind in own:
        assert (refused, known) == ((), failed("x", kind))
    else:
        assert (refused, known) == ((failed("x", kind),), built("x"))
    assert len(history.baseline("repo", HERE, "c1")) == 2


def test_a_failure_without_a_reason_is_refused(history: History) -> None:
    nameless = HostBuild(host("x"), HostStatus.FAILED)
    assert history.remember("repo", HERE, "c1", [nameless]) == (nameless,)


def test_baselines_are_forgotten_but_the_kept(history: History, path: Path) -> None:
    for commit in ("c1", "c2", "c3"):
        history.remember("repo", HERE, commit, [failed("x")])
    history.remember("other", HERE, "c1", [built("x")])
    history.forget_baselines("repo", {"c2", "never seen"})
    assert [commit for commit in ("c1", "c2", "c3") if history.baseline("repo", HERE, commit)] == ["c2"]
    assert history.baseline("other", HERE, "c1")
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT count(*) FROM failures").fetchone() == (1,)
    raw.close()
