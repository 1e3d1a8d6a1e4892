# ruff: noqa: S608 -- statements are made of our own names
"""What nobody wrote, by kind: impossible values, missing parts, flipped and cut bytes.

A history is made by lockbot's own means, damaged as a file, and used in every way; some of each kind by the
commands themselves, on a real repository.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from lockbot.cli import cli
from lockbot.errors import LockbotError, UsageError
from lockbot.history import damage, schema
from lockbot.history.connection import Remedy, open_database
from lockbot.history.input_states import Acceptance, Observation, StateWord, UserHold
from lockbot.history.notices.runs import newest_ended, newest_judged, published_since
from lockbot.history.notices.values import Decision, Letter, Looked
from lockbot.history.schema import first_steps
from lockbot.history.store import History
from lockbot.history.summaries import hosts, packages, timeline
from lockbot.history.summaries.packages import Search
from lockbot.history.summaries.timeline import Filter
from lockbot.model import Condition, Failure, FailureKind, Heard, Notice, NoticeKind, UntilIn, UntilVersion
from tests.commands.test_status import ONE, World, _in_utc, world  # noqa: F401 -- fixtures
from tests.history.samples import CULPRIT, FLAKE, PULL_REQUEST, clock, full_run, run

COMMANDS = [
    ["status"],
    ["status", "--json"],
    ["history", "--all"],
    ["history", "--json"],
    ["show", "full"],
    ["show", "r00001"],
    ["show", "latest"],
    ["logs"],
    ["healthcheck"],
    ["metrics"],
    ["inputs"],
    ["hold", "b", "--why", "so"],
    ["accept", "b", "--revision", "5" * 40],
    ["release", "b"],
]


BROKE = Condition(NoticeKind.BROKE, "host web", "web is broken", "why", ("a",), ("web",), "r00001", clock())
LETTER = Letter(
    "abc", "phone", Notice(NoticeKind.BROKE, "web is broken", "why", ("a",), ("web",)), clock(), clock()
)
TOLD = Decision(
    (BROKE,),
    Looked(clock(), clock(), clock(), "r00001"),
    (LETTER, replace(LETTER, id="def")),
    {"phone": clock()},
    {"full-1": NoticeKind.REQUESTED},
)


def fill(path: Path, flake: str) -> None:
    """Something in every table of a flake's."""
    with History.open(path, clock) as history:
        history.save(full_run())
        history.save(run(1, flake=flake))
        history.save(run(2, flake=flake, outcome=None))
        history.mark_publishing("r00002", "c" * 40)
        history.remember(flake, "context", "b" * 40, full_run().hosts)
        history.mark_seen(flake, "e" * 40)
        history.notices(flake).decide(lambda _: TOLD)
        history.pull_requests(flake).save(PULL_REQUEST)
        ledger = history.ledger(flake)
        ledger.record_tip("a", "github:o/a", ONE, 1_700_000_000)
        ledger.hold(UserHold("a", "mine", clock(), ends=UntilIn("main", ONE), heard=HEARD))
        ledger.accept(Acceptance("b", clock(), ONE))
        ledger.record([Observation("b", StateWord.HELD, ONE, asked=True, reason="breaks-host", culprit=CULPRIT)])
        ledger.remember(
            "context", {"/nix/store/x.drv": Failure(FailureKind.BUILD, "boom"), "/nix/store/y.drv": None}
        )
        with closing(sqlite3.connect(path)) as raw, raw:
            for table in ("tips", "holds", "accepted", "inputs"):
                columns = [one[1] for one in raw.execute(f"PRAGMA table_info({table})") if one[1] != "flake"]
                names = ", ".join(columns)
                raw.execute(
                    f"INSERT INTO {table}_of_repositories (repository, {names}) SELECT 'r', {names} FROM {table}"
                )
            raw.execute("INSERT INTO adopted VALUES ('r')")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in one file, of the flake FLAKE."""
    path = tmp_path_factory.mktemp("whole") / "history.sqlite"
    fill(path, "FLAKE")
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert all(raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables(raw))
    return path


def tables(raw: sqlite3.Connection) -> list[str]:
    return [row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]


def change(path: Path, *statements: str) -> None:
    """As somebody does with another program, whatever the tables say of their content."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            raw.execute(statement)


def loosened(path: Path, table: str) -> None:
    """A table that takes any value: as it was made before, without STRICT and NOT NULL."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute(
            "UPDATE sqlite_master SET sql = replace(replace(sql, 'STRICT, WITHOUT', 'WITHOUT'), ') STRICT', ')')"
            " WHERE name = ?",
            (table,),
        )


VALUES: dict[str, str] = {
    "NULL": "NULL",
    "no date": "'not a date'",
    "a date from nowhere": "'0001-01-01T00:00:00.000000+00:00'",
    "a date without a zone": "'2026-11-22T12:00:00'",
    "negative": "-1",
    "huge": "9223372036854775807",
    "infinite": "9e999",
    "bytes": "x'ff00fe'",
    "no UTF-8": "CAST(x'ff00fe' AS TEXT)",
    "cut JSON": "'[\"a'",
    "other JSON": "'{\"a\": [1, null]}'",
    "deep JSON": f"'{'[' * 5000}'",
    "empty": "''",
}
HEARD = Heard(clock(), "not yet", clock(), ONE)
WRONG = replace(CULPRIT, hosts=(1,))  # type: ignore[arg-type]  # what damage makes
TURNS, FLIPS = 2, 60
"""How many values each column is given (all of them: len(VALUES)), and how many places are damaged."""
COLUMNS: list[tuple[str, str]] = []
with closing(sqlite3.connect(":memory:", isolation_level=None)) as _raw:
    schema.migrate(_raw)
    COLUMNS += [
        (table, str(one[1])) for table in tables(_raw) for one in _raw.execute(f"PRAGMA table_info({table})")
    ]
    TABLES = tables(_raw)
    PARTS = [
        (str(kind), str(name))
        for kind, name in _raw.execute("SELECT type, name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
    ]


ALPHA = full_run().hosts[0].host
QUESTIONS: list[Callable[[sqlite3.Connection], object]] = [
    lambda raw: timeline.runs_by_day(raw, FLAKE, clock() - timedelta(days=9)),
    lambda raw: timeline.page_of_runs(raw, FLAKE, Filter(input="nixpkgs", host=ALPHA.attribute), 9),
    lambda raw: hosts.hosts_now(raw, FLAKE),
    lambda raw: hosts.host_names(raw, FLAKE),
    lambda raw: hosts.find_host(raw, FLAKE, "nobody"),
    lambda raw: hosts.page_of_host(raw, FLAKE, ALPHA, 9),
    lambda raw: hosts.build_of_host(raw, ALPHA, "full"),
    lambda raw: hosts.changes_of_host(raw, FLAKE, ALPHA, 9),
    lambda raw: packages.search(raw, FLAKE, Search("openssl", host=ALPHA.installable)),
    lambda raw: packages.search(raw, FLAKE, Search("ssl")),
    lambda raw: packages.newest_changes(raw, FLAKE, Search("")),
]
"""What pages ask; of the flake of the run that has something in every field."""


def asides(path: Path) -> list[Path]:
    return [one for one in path.parent.glob("*.corrupt-*") if not one.name.endswith(("-wal", "-shm", "-journal"))]


def use_in_every_way(path: Path) -> tuple[str, ...]:
    """All that a History can do, as a run and the commands do it. Returns what the user is told of damage."""
    with History.open(path, clock) as history:
        ledger, notices = history.ledger("FLAKE"), history.notices("FLAKE")
        requests = history.pull_requests("FLAKE")
        seen = [Observation(name, StateWord.CURRENT, ONE, asked=True) for name in ("a", "b")]
        use: list[Callable[[], object]] = [
            lambda: history.adopt("OTHER", "r", None),
            history.runs,
            lambda: history.runs("FLAKE", before="r00002"),
            *(partial(history.get, name) for name in ("full", "r00001", "r00002")),
            *(partial(history.whereabouts, name) for name in ("full", "r00001", "r00002")),
            *(partial(read, "FLAKE") for read in (history.latest, history.totals, history.unjudged)),
            *(partial(history.ask, question) for question in QUESTIONS),
            lambda: history.unfinished("/srv/flake"),
            lambda: history.baseline("FLAKE", "context", "b" * 40),
            lambda: ledger.first_seen("a", "github:o/a"),
            *(ledger.holds, ledger.accepted, ledger.states),
            lambda: history.seen("FLAKE"),
            lambda: history.mark_seen("FLAKE", "f" * 40),
            *(partial(requests.all, base) for base in (None, "main")),
            lambda: requests.save(PULL_REQUEST),
            requests.prune,
            *(notices.known, notices.waiting, lambda: notices.deliveries(["phone"])),
            lambda: history.ask(lambda connection: newest_ended(connection, "FLAKE", clock())),
            lambda: history.ask(lambda connection: newest_judged(connection, "FLAKE", clock())),
            lambda: history.ask(lambda connection: published_since(connection, "FLAKE", Looked(clock(), clock()))),
            lambda: notices.mark_sending(["abc"]),
            lambda: notices.settle(["abc"]),
            lambda: notices.fail(notices.waiting(), "no answer"),
            lambda: notices.decide(
                lambda known: replace(TOLD, letters=(), conditions=tuple(known.conditions.values()))
            ),
            lambda: ledger.known("context", ["/nix/store/x.drv", "/nix/store/y.drv"], 1e9),
            lambda: ledger.failures("context", 1e9),
            lambda: ledger.record(seen),
            lambda: ledger.remember("context", {"/nix/store/x.drv": None}),
            lambda: history.remember("FLAKE", "context", "b" * 40, full_run().hosts),
            lambda: ledger.record_tip("a", "github:o/a", ONE),
            lambda: history.forget_baselines("FLAKE", ()),
            *(ledger.forget_failures, partial(ledger.forget_inputs, ["a"]), partial(ledger.prune, 1)),
            lambda: history.save(full_run()),
            lambda: history.prune(0, clock() + timedelta(days=9000)),
        ]
        for one in use:
            try:
                one()
            except UsageError as error:
                assert "no run begins with" in error.message
        return history.notes


def check(path: Path, what: str, told: tuple[str, ...], *, hold: bool = True) -> None:
    """It was set aside once and told once, or nobody minds; the new one is whole, and holds what was said."""
    assert len(asides(path)) == len(told) <= 1, what
    with closing(sqlite3.connect(path)) as raw:
        if told:
            assert raw.execute("PRAGMA integrity_check").fetchone()[0] == "ok", what
            assert raw.execute("PRAGMA foreign_key_check").fetchall() == [], what
        if hold and told:
            assert raw.execute("SELECT why FROM holds WHERE flake = 'FLAKE'").fetchall() == [("mine",)], what
    with History.open(path, clock) as history:
        assert history.notes == () or told, what


def again(whole: Path, path: Path) -> None:
    """The sound database, in place of all that lies there."""
    for one in path.parent.glob("history.sqlite*"):
        one.unlink()
    shutil.copy(whole, path)


@pytest.fixture
def path(tmp_path: Path, whole: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "history.sqlite"))


def test_what_is_sound_is_used_in_every_way(path: Path) -> None:
    assert use_in_every_way(path) == ()
    assert asides(path) == []


@pytest.mark.parametrize("turn", range(TURNS))
@pytest.mark.parametrize("table", TABLES)
def test_an_impossible_value_in_any_column(path: Path, whole: Path, table: str, turn: int) -> None:
    columns = [column for name, column in COLUMNS if name == table]
    for number, column in enumerate(columns):
        value = list(VALUES)[(number + turn * 5) % len(VALUES)]
        again(whole, path)
        loosened(path, table)
        try:
            change(path, f"UPDATE OR REPLACE {table} SET {column} = {VALUES[value]}")
        except sqlite3.IntegrityError:
            continue  # not even SQLite takes it
        told = use_in_every_way(path)
        check(path, f"{column}: {value}", told, hold=table != "holds")


@pytest.mark.parametrize(("kind", "name"), PARTS, ids=lambda part: part)
def test_a_part_that_is_missing(path: Path, kind: str, name: str) -> None:
    change(path, f"DROP {kind} {name}")
    (note,) = use_in_every_way(path)
    assert f"{kind} {name} is missing" in note
    check(path, name, (note,), hold=name != "holds")


@pytest.mark.parametrize(("table", "column"), [one for one in COLUMNS if one[1] in ("outcome", "why", "text")])
def test_a_column_that_is_missing(path: Path, table: str, column: str) -> None:
    change(path, f"ALTER TABLE {table} RENAME COLUMN {column} TO other")
    (note,) = use_in_every_way(path)
    assert "is missing or another" in note
    check(path, column, (note,), hold=table != "holds")


@pytest.mark.parametrize("table", ["runs", "failures", "hosts", "changes", "held"])
def test_a_row_set_that_is_half_deleted(path: Path, table: str) -> None:
    some = "WHERE rowid % 2" if table == "failures" else ""
    change(path, "DROP TRIGGER hosts_take_their_failure", f"DELETE FROM {table} {some}")
    check(path, table, use_in_every_way(path))


def test_an_older_database_that_is_damaged_keeps_its_holds(path: Path) -> None:
    """Rows that lack columns which came later."""
    path.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        schema.migrate(raw, first_steps.STEPS)
        moment = clock().isoformat(timespec="microseconds")
        raw.execute("INSERT INTO holds (flake, input, why, since) VALUES ('FLAKE', 'a', 'mine', ?)", (moment,))
        raw.execute("DROP TABLE changes")
    with History.open(path, clock) as history:
        assert history.ledger("FLAKE").holds() == {"a": UserHold("a", "mine", clock())}
    assert len(asides(path)) == 1


HEADER = {
    "a version below none": "PRAGMA user_version = -3",
    "no version": "PRAGMA user_version = 0",
    "an older version": "PRAGMA user_version = 2",
}


@pytest.mark.parametrize("kind", HEADER)
def test_a_version_that_it_is_not_of(path: Path, kind: str) -> None:
    change(path, HEADER[kind])
    (note,) = use_in_every_way(path)
    check(path, kind, (note,))


def test_empty_or_cut_anywhere(path: Path, whole: Path) -> None:
    """Also what is cut within the pages that are read at the opening, and where nothing is left but the log."""
    data = whole.read_bytes()
    for size in [*range(0, 120, 17), *range(512, len(data), len(data) // 40 + 1)]:
        again(whole, path)
        path.write_bytes(data[:size])
        told = use_in_every_way(path)
        assert told or size > len(data) - 4096, size
        check(path, str(size), told, hold=False)
        assert not told or asides(path)[0].read_bytes() == data[:size], "as it was"


def test_a_log_without_its_database(path: Path) -> None:
    path.with_name("history.sqlite-wal").write_bytes(b"what was written last")
    path.unlink()
    with History.open(path, clock) as history:
        assert "its file is gone" in history.notes[0]
    (kept,) = path.parent.glob("*.corrupt-*-wal")
    assert kept.read_bytes() == b"what was written last"


def test_flipped_bytes_anywhere(path: Path, whole: Path) -> None:
    """Some go unnoticed: a letter of a text. The header's may make it another program's, or a newer lockbot's."""
    chance = random.Random(9)  # noqa: S311 -- places, not secrets
    data = whole.read_bytes()
    places = [*range(16, 100, 3), *(chance.randrange(100, len(data)) for _ in range(FLIPS))]
    noticed = 0
    for place in places:
        again(whole, path)
        flipped = bytearray(data)
        for offset in range(place, min(place + chance.choice((1, 1, 8, 300)), len(data))):
            flipped[offset] ^= chance.randrange(1, 256)
        path.write_bytes(flipped)
        try:
            told = use_in_every_way(path)
        except LockbotError as error:
            assert place < 100, place
            assert "another program's" in error.message or "newer lockbot" in error.message, place
            assert error.hint and path.read_bytes() == flipped
            continue
        noticed += bool(told)
        assert len(asides(path)) == len(told) <= 1, place
        if told:
            check(path, str(place), told, hold=False)
    assert noticed > len(places) // 8


def test_it_is_told_until_a_run_has_told_it(path: Path) -> None:
    """Whoever meets it first may have had no reader: a scrape, a monitor."""

    def later() -> datetime:
        return clock() + timedelta(hours=1)

    change(path, "UPDATE runs SET started = 'noon' WHERE id = 'r00001'")
    with History.open(path, later) as history:
        history.runs()
        (first,) = history.notes
        assert "1 hold(s)" in first and str(asides(path)[0]) in first
    for _ in range(2):
        with History.open(path, later) as history:
            assert [str(asides(path)[0]) in note for note in history.notes] == [True]
    with History.open(path, clock) as history:
        history.save(run(100))
    with History.open(path, clock) as history:
        assert history.notes == ()
    assert asides(path)[0].exists()


def test_messages_outlive_damage_elsewhere(path: Path) -> None:
    """What was not sent yet is sent; what can't be read is not made up."""
    change(
        path,
        "UPDATE runs SET started = 'noon' WHERE id = 'r00001'",
        "UPDATE outbox SET due = 'soon' WHERE id = 'def'",
    )
    with History.open(path, clock) as history:
        history.runs()
        assert history.notes
        assert [(one.id, one.notice) for one in history.notices("FLAKE").waiting()] == [("abc", LETTER.notice)]
        assert list(history.notices("FLAKE").known().conditions.values()) == [BROKE]


def test_what_is_taken_over_is_kept_as_today_without_secrets(path: Path) -> None:
    """The one that is set aside is as it was."""
    change(
        path,
        "UPDATE tips SET source = 'git+https://me:s3cret-one@host/a', revision = '2'",
        "UPDATE holds SET why = 'see https://me:s3cret-two@host/a'",
        "UPDATE runs SET error = 'see https://me:s3cret-three@host/a'",
        "UPDATE runs SET started = 'noon' WHERE id = 'r00001'",
    )
    with History.open(path, clock) as history:
        assert len(history.runs()) == 2
        assert history.notes
        assert history.ledger("FLAKE").follows("a", "git+https://me:another@host/a")
    assert b"s3cret" not in b"".join(
        one.read_bytes() for one in path.parent.glob("history.sqlite*") if "corr" not in one.name
    )
    assert b"s3cret-one" in asides(path)[0].read_bytes()


def test_what_is_set_aside_is_as_it_was(path: Path) -> None:
    """With its log: nothing is written to it any more, so that other tools find what there was."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA wal_autocheckpoint = 0")
        raw.execute("UPDATE runs SET started = 'noon' WHERE id = 'r00001'")
        copies = {end: path.with_name(path.name + end).read_bytes() for end in ("", "-wal")}
        for end, content in copies.items():
            (path.parent / f"copy{end}").write_bytes(content)
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    for end in copies:
        (path.parent / f"copy{end}").rename(path.with_name(path.name + end))
    with History.open(path, clock) as history:
        assert [one.id for one in history.runs()] == ["r00002", "full"], "the log was read, too"
    (aside,) = asides(path)
    with closing(sqlite3.connect(f"file:{aside}?mode=ro", uri=True)) as raw:
        assert raw.execute("SELECT count(*) FROM runs WHERE started = 'noon'").fetchone()[0] == 1


def test_a_replacement_that_was_cut_off_is_finished(path: Path) -> None:
    """Killed between the old one's leaving and the new one's coming."""
    path.rename(path.with_name("history.sqlite.new"))
    with History.open(path, clock) as history:
        assert history.get("full") == full_run()
        assert history.ledger("FLAKE").holds()["a"].why == "mine"


def test_damage_that_a_rescue_takes_along_does_not_last_for_ever(path: Path) -> None:
    """The last way out: a new one without anything."""
    opened = open_database(path, clock())
    opened.connection.close()
    told = open_database(path, clock(), Remedy.ANEW, why="so", file=opened.file)
    assert told.connection.execute("SELECT count(*) FROM runs").fetchone()[0] == 0
    told.connection.close()
    later = open_database(path, clock(), Remedy.ANEW, why="so", file=opened.file)
    later.connection.close()
    assert len(asides(path)) == 1, "another has seen to it"


@pytest.mark.parametrize(
    ("value", "sound"),
    [
        (UserHold("a", "b", clock()), True),
        (UserHold("a", "b", "now"), False),  # type: ignore[arg-type]  # what damage makes
        (UserHold("a", b"b", clock()), False),  # type: ignore[arg-type]
        (UserHold("a", "b", clock(), ends=UntilVersion(("a", "b"), "1"), heard=HEARD), True),
        (UserHold("a", "b", clock(), ends=UntilVersion(("a", 1), "1")), False),  # type: ignore[arg-type]
        (UserHold("a", "b", clock(), ends=UntilIn("main", None)), False),  # type: ignore[arg-type]
        (full_run(), True),
        (replace(full_run(), seconds={"sync": float("nan")}), False),
        (replace(full_run(), held=(replace(full_run().held[0], culprit=WRONG),)), False),
    ],
)
def test_a_value_is_of_its_types_all_through(value: object, sound: bool) -> None:
    @damage.reading("it")
    def read() -> object:
        return value

    if sound:
        assert read() is value
    else:
        with pytest.raises(damage.Damaged, match="it can't be read"):
            read()


# -- the commands ----------------------------------------------------------------------------------------------

DAMAGE: dict[str, str] = {
    "a time of a run": "UPDATE runs SET started = 'not a date'",
    "an outcome": "UPDATE runs SET outcome = 'levitated'",
    "a host's status": "UPDATE hosts SET status = 'levitating'",
    "a failure that is gone": "DELETE FROM failures",
    "a state": "UPDATE inputs SET state = '?'",
    "a culprit's hosts": "UPDATE inputs SET bad_hosts = '[1]'",
    "a tip's time": "UPDATE tips SET last_seen = '0001-01-01'",
    "a hold's time": "UPDATE holds SET until = 'tomorrow'",
    "a table": "DROP TABLE changes",
    "an index": "DROP INDEX runs_by_flake",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_no_command_ends_in_a_traceback(world: World, kind: str) -> None:  # noqa: F811
    """Each says what is so, and who meets it first says where the damaged one is."""
    state = Path(world.environ["LOCKBOT_STATE__DIRECTORY"])
    for words in COMMANDS:
        shutil.rmtree(state, ignore_errors=True)
        flake = world.app.place().flake
        fill(state / "history.sqlite", flake)
        change(state / "history.sqlite", DAMAGE[kind])
        done = CliRunner().invoke(cli, words, env=world.environ, standalone_mode=False)
        assert done.exception is None or isinstance(done.exception, LockbotError), (words, done.exception)
        after = CliRunner().invoke(cli, ["status"], env=world.environ, standalone_mode=False)
        assert after.exception is None
        told = done.stderr + after.stdout
        found = asides(state / "history.sqlite")
        assert found or words == ["inputs"] or "host" in kind or "failure" in kind, "some look at no hosts"
        assert all(str(one) in told for one in found), words
