"""Damaged, foreign, newer, full, read-only and killed: what a database goes through."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lockbot.errors import LockbotError, SurroundingsError
from lockbot.history import schema
from lockbot.history.connection import _move_aside
from lockbot.history.store import History
from lockbot.model import Event, Note
from tests.history.samples import clock, failed, full_run, run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


def fill(path: Path, runs: int = 30) -> None:
    with History.open(path, clock) as history:
        for number in range(runs):
            history.save(full_run(f"r{number:05}"))


def only_corrupt(path: Path) -> Path:
    (found,) = [
        file for file in path.parent.glob("history.sqlite.corrupt-*") if not file.name.endswith(("-wal", "-shm"))
    ]
    return found


# -- settings


def test_settings_that_survive_a_power_cut(path: Path) -> None:
    old = os.umask(0o022)
    try:
        with History.open(path, clock) as history:
            history.save(run(1))
            connection = history._connection
            assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
            assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
            modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("history.sqlite*")}
            assert modes == {0o600}
    finally:
        os.umask(old)


def test_a_database_is_made_beside_its_place(path: Path) -> None:
    """What a killed maker leaves there is no database, nor in the way."""
    path.with_name("history.sqlite.making").write_bytes(b"half")
    fill(path, 1)
    with History.open(path, clock) as history:
        assert history.notes == ()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# -- damage


@pytest.mark.parametrize(
    "content",
    [b"garbage", b"\0" * 8192, b"SQLite format 3\0" + b"\xff" * 5000, os.urandom(20_000)],
    ids=["short", "zeros", "header", "noise"],
)
def test_what_is_no_database_is_moved_aside_and_told(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.with_name("history.sqlite-wal").write_bytes(b"old wal")
    events: list[Event] = []
    with History.open(path, clock, events.append) as history:
        history.save(run(1))
        assert len(history.notes) == 1
        assert events == [Note(history.notes[0])]
        moved = only_corrupt(path)
        assert moved.name == "history.sqlite.corrupt-20261122-120000"
        assert str(moved) in history.notes[0]
        assert moved.read_bytes() == content
    with History.open(path, clock) as history:
        assert history.notes == ()
        assert history.get("r00001") == run(1)


def test_the_log_beside_a_damaged_database_goes_with_it(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)
    wal = path.with_name("history.sqlite-wal")
    wal.write_bytes(b"old wal")
    moved = _move_aside(path, clock())
    assert moved.with_name(moved.name + "-wal").read_bytes() == b"old wal"
    assert not wal.exists()
    path.write_bytes(b"again")
    assert _move_aside(path, clock()) != moved


def test_a_truncated_database_is_moved_aside(path: Path) -> None:
    fill(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with History.open(path, clock) as history:
        assert len(history.notes) == 1
        assert history.runs() == ()
    assert only_corrupt(path).exists()


def scribble(path: Path) -> None:
    """Overwrite everything but the pages that are read at the opening."""
    page = int.from_bytes(path.read_bytes()[16:18], "big")
    with path.open("r+b") as file:
        schema_pages = _schema_pages(path, page)
        for number in range(schema_pages, path.stat().st_size // page):
            file.seek(number * page)
            file.write(b"\xaa" * page)


def _schema_pages(path: Path, page: int) -> int:
    """The schema may span a few pages; the tables' roots follow it."""
    data = path.read_bytes()
    return max(
        (number + 1 for number in range(len(data) // page) if b"CREATE TABLE" in data[number * page :][:page]),
        default=1,
    )


@pytest.mark.parametrize("first", ["list", "save", "get"])
def test_damage_that_shows_later_is_healed_in_the_midst(path: Path, first: str) -> None:
    fill(path)
    scribble(path)
    events: list[Event] = []
    with History.open(path, clock, events.append) as history:
        assert history.notes == ()  # the opening reads no table
        match first:
            case "list":
                assert history.runs() == ()
            case "save":
                history.save(full_run("new"))
            case _:
                with pytest.raises(LockbotError, match="no run begins"):
                    history.get("r00001")
        assert len(history.notes) == len(events) == 1
        assert "damaged" in history.notes[0]
        history.save(full_run("after"))
        assert history.get("after") == full_run("after")
    assert only_corrupt(path).stat().st_size > 8192
    with History.open(path, clock) as history:
        assert history.notes == ()
        assert len(history.runs()) == (2 if first == "save" else 1)


def test_two_that_meet_damage_move_it_aside_once(path: Path) -> None:
    fill(path)
    scribble(path)
    with History.open(path, clock) as one, History.open(path, clock) as two:
        one.save(run(1))
        two.save(run(2))
        assert len(one.runs()) == 2
    assert only_corrupt(path).exists()


# -- versions


def test_a_newer_lockbots_database_is_refused_untouched(path: Path) -> None:
    fill(path, 1)
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.commit()
    raw.close()
    before = path.read_bytes()
    with pytest.raises(LockbotError, match="newer lockbot") as caught:
        History.open(path, clock)
    assert "version 99" in caught.value.message
    assert caught.value.hint
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_another_programs_database_is_refused_untouched(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE bookmarks (url)")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(LockbotError, match="another program"):
        History.open(path, clock)
    assert path.read_bytes() == before


def test_a_later_migration_lifts_an_older_database(path: Path) -> None:
    fill(path, 1)
    raw = sqlite3.connect(path, isolation_level=None)
    later = (*schema.MIGRATIONS, ("ALTER TABLE runs ADD COLUMN mood TEXT", "UPDATE runs SET mood = 'good'"))
    schema.migrate(raw, later)
    assert schema.version(raw) == len(schema.MIGRATIONS) + 1
    assert raw.execute("SELECT id, mood FROM runs").fetchall() == [("r00000", "good")]
    raw.close()


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    fill(path, 1)
    raw = sqlite3.connect(path, isolation_level=None)
    bad = (*schema.MIGRATIONS, ("ALTER TABLE runs ADD COLUMN mood TEXT", "UPDATE nonsense SET x = 1"))
    with pytest.raises(sqlite3.OperationalError, match="nonsense"):
        schema.migrate(raw, bad)
    raw.close()
    with History.open(path, clock) as history:
        assert history.get("r00000") == full_run("r00000")


# -- places that refuse


@contextlib.contextmanager
def small_disk(place: Path, options: str = "size=1m") -> Iterator[None]:
    """A file system of 1 MB."""
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root may mount a small file system")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this machine's root may not mount: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def occupy(place: Path) -> Path:
    """Fill what is left of the disk."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return ballast


def test_a_full_disk_is_an_error_and_nothing_is_lost(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    with small_disk(place):
        with History.open(place / "history.sqlite", clock) as history:
            history.save(full_run("before"))
            ballast = occupy(place)
            with pytest.raises(SurroundingsError, match="history") as caught:
                for number in range(1000):
                    history.save(full_run(f"r{number:05}"))
            assert "space" in caught.value.hint or "full" in caught.value.hint
            problem = history.write_log("before", "alpha", os.urandom(100_000).hex(), 10_000_000)
            assert problem is not None
            assert "No space left on device" in problem
            assert not list(place.rglob("*.tmp"))
            assert history.get("before") == full_run("before")
            ballast.unlink()
            history.save(full_run("after"))
            assert history.write_log("before", "alpha", "text", 1000) is None
        with History.open(place / "history.sqlite", clock) as history:
            assert history.notes == ()
            assert history.get("after") == full_run("after")
            assert history._connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_disk_that_is_full_at_the_opening_is_an_error_and_no_damage(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    with small_disk(place):
        path = place / "history.sqlite"
        fill(path, 1)
        ballast = occupy(place)
        with pytest.raises(LockbotError), History.open(path, clock) as history:
            for number in range(1000):
                history.save(full_run(f"x{number}"))
        assert not list(place.glob("*.corrupt-*"))
        ballast.unlink()
        with History.open(path, clock) as history:
            assert history.get("r00000") == full_run("r00000")


def test_a_new_database_on_a_full_disk_is_an_error(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    with small_disk(place):
        ballast = occupy(place)
        with pytest.raises(LockbotError):
            History.open(place / "history.sqlite", clock)
        ballast.unlink()
        fill(place / "history.sqlite", 1)


@pytest.mark.parametrize("existing", [True, False])
def test_a_read_only_place_is_an_error_with_a_hint(tmp_path: Path, existing: bool) -> None:
    place = tmp_path / "disk"
    with small_disk(place):
        if existing:
            fill(place / "history.sqlite", 1)
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        with pytest.raises(LockbotError) as caught, History.open(place / "history.sqlite", clock) as history:
            history.save(run(1))
        assert "writable" in caught.value.hint


def test_who_only_reads_waits_for_a_writer_that_is_just_coming(path: Path) -> None:
    fill(path, 1)
    in_the_way = path.with_name("history.sqlite-wal")
    in_the_way.mkdir()
    with pytest.raises(LockbotError, match="unable to open"):
        History.read_only(path, clock)
    threading.Timer(0.03, in_the_way.rmdir).start()
    with History.read_only(path, clock) as history:
        assert len(history.runs()) == 1


@pytest.mark.parametrize("where", ["missing/history.sqlite", "file/history.sqlite", "directory"])
def test_a_place_that_is_none_is_an_error_with_a_hint(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    with pytest.raises(LockbotError) as caught:
        History.open(tmp_path / where, clock)
    assert caught.value.hint


def test_a_closed_history_is_an_error_of_ours(path: Path) -> None:
    history = History.open(path, clock)
    history.close()
    with pytest.raises(LockbotError, match="closed"):
        history.runs()


# -- other processes

WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from lockbot.history.store import History
from tests.history.samples import built, clock, failed, full_run
with History.open(Path(sys.argv[1]), clock) as history:
    print("ready", flush=True)
    for number in range(int(sys.argv[3])):
        run = replace(full_run(f"{sys.argv[2]}-{number:05}"), notes=("n",) * 40, hosts=(failed("x"),) * 40)
        history.start(replace(run, outcome=None))
        history.mark_publishing(run.id, "c")
        history.save(run)
        history.remember("/srv/flake", "", "base", run.hosts)
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )


def test_a_writer_killed_at_any_moment_leaves_whole_runs(path: Path) -> None:
    chance = random.Random(7)  # noqa: S311 -- moments, not secrets
    for life in range(6):
        with writer(path, f"life{life}", 1_000_000) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0.02, 0.25))
            process.send_signal(signal.SIGKILL)
        with History.open(path, clock) as history:
            assert history.notes == ()
            check_whole(history)
            assert len(history.unfinished("/srv/flake")) <= life + 1


def check_whole(history: History) -> None:
    connection = history._connection
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    lines = history.runs(limit=100_000)
    assert lines
    assert {(line.hosts, line.changes, line.held) for line in lines} == {(40, 3, 2)}
    notes = connection.execute("SELECT count(*) FROM notes").fetchone()[0]
    failures = connection.execute("SELECT count(*) FROM failures").fetchone()[0]
    baselines = connection.execute("SELECT count(*) FROM baselines").fetchone()[0]
    assert notes == 40 * len(lines)
    assert failures == 40 * len(lines) + baselines


def test_several_processes_write_at_once(path: Path) -> None:
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(writer(path, f"w{number}", 10)) for number in range(4)]
        assert [process.wait() for process in writers] == [0] * 4
    with History.open(path, clock) as history:
        check_whole(history)
        assert len(history.runs(limit=100)) == 40


def test_opening_is_for_one_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or two would move aside each other's new database. Shared, so that only an exclusive lock has to wait."""
    monkeypatch.setattr("lockbot.history.connection._OPENING_SECONDS", 0.1)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_SH)
        with pytest.raises(SurroundingsError, match="another process has been opening"):
            History.open(path, clock)
    finally:
        os.close(directory)
    fill(path, 1)


def test_several_processes_that_find_garbage_move_it_aside_once(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(writer(path, f"w{number}", 2)) for number in range(4)]
        assert [process.wait() for process in writers] == [0] * 4
    assert only_corrupt(path).read_bytes() == b"garbage" * 1000
    with History.open(path, clock) as history:
        assert len(history.runs(limit=100)) == 8


def test_a_transaction_elsewhere_is_waited_for_no_longer_than_allowed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path, 1)
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("lockbot.history.connection.BUSY_SECONDS", 0.1)
    with History.open(path, clock) as history:
        assert history.get("r00000")  # readers don't wait
        with pytest.raises(SurroundingsError, match="locked"):
            history.save(replace(full_run(), hosts=(failed("x"),)))
        raw.execute("COMMIT")
        raw.close()
        history.save(full_run())
