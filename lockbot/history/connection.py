"""Opening the database: settings, migration, and what to do when the file is damaged.

Knows SQLite, not what is stored in it. A damaged file is moved aside, never deleted, and a new one begun: losing
the history is a note, not a reason to stop. Openers exclude each other by a flock on the directory, which needs no
file of its own: two of them never move aside each other's new database.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lockbot.errors import LockbotError, SurroundingsError
from lockbot.history import schema

BUSY_SECONDS = 10.0
"""How long another process's transaction is waited for."""
_OPENING_SECONDS = 60.0
_WAL_BYTES = 16 * 1024 * 1024
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@dataclass(frozen=True)
class Opened:
    """A connection that is ready. `note`: what the user must be told about the way there."""

    connection: sqlite3.Connection
    note: str | None = None


def open_database(path: Path, now: datetime, *, suspicious: bool = False) -> Opened:
    """Open, migrate and, where it must be, replace the database at `path`.

    `suspicious`: read every page first, since using the database has just shown damage.
    Raises LockbotError: a newer lockbot's or another program's database, or a place that can't be written.
    """
    with _alone(path.parent):
        try:
            return Opened(_prepare(path, suspicious=suspicious))
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise refusal(path, error) from error
            why = str(error)
        moved = _move_aside(path, now)
        try:
            connection = _prepare(path)
        except sqlite3.DatabaseError as error:
            raise refusal(path, error) from error
    note = f"the history was damaged ({why}); it is kept as {moved}, and a new one was begun"
    return Opened(connection, note)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file's content is at fault, rather than the place or the statement."""
    return _primary(error) in _DAMAGED


def refusal(path: Path, error: sqlite3.Error) -> LockbotError:
    """The error to show for one of SQLite's."""
    message = f"the history {path} can't be used: {error}"
    match _primary(error):
        case sqlite3.SQLITE_FULL:
            return SurroundingsError(message, f"free some space on the file system of {path.parent}")
        case sqlite3.SQLITE_IOERR:
            return SurroundingsError(message, f"is the file system of {path.parent} full or failing? See `dmesg`")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return SurroundingsError(message, "another program holds the database open in a transaction")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            hint = f"{path.parent} must exist and be writable for the user that runs lockbot"
            return LockbotError(message, hint)
        case _:
            return LockbotError(message)


def _primary(error: sqlite3.Error) -> int:
    """SQLite's result code without its refinement; errors of Python's own module have none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _prepare(path: Path, *, suspicious: bool = False) -> sqlite3.Connection:
    with contextlib.suppress(OSError):  # SQLite would create it readable for all; a failure shows in the next step
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        _refuse_foreign(connection, path)
        if suspicious:
            _check_every_page(connection)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        schema.migrate(connection)
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Before anything is written: is it ours, and not of a later time?"""
    if schema.belongs_to_another(connection):
        raise LockbotError(
            f"{path} is another program's database", "move it away, or choose another state directory"
        )
    found = schema.version(connection)
    if found > len(schema.MIGRATIONS):
        raise LockbotError(
            f"{path} was written by a newer lockbot (version {found}; this one knows {len(schema.MIGRATIONS)})",
            "use the newer lockbot, or choose another state directory",
        )


def _check_every_page(connection: sqlite3.Connection) -> None:
    """Raise what SQLite would, had it met the damage just now."""
    complaint = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if complaint != "ok":
        error = sqlite3.DatabaseError(complaint)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _move_aside(path: Path, now: datetime) -> Path:
    """Rename the database with its -wal and -shm, so that `sqlite3 FILE .recover` still finds them together."""
    stamp = now.astimezone(UTC).strftime("%Y%m%d-%H%M%S")
    target = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    try:
        for suffix in ("-wal", "-shm", ""):  # the database last: cut short, this starts again
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    except OSError as error:
        raise LockbotError(
            f"the history {path} is damaged and can't be moved aside: {error.strerror}",
            f"{path.parent} must be writable for the user that runs lockbot",
        ) from error
    return target


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the directory's flock; the kernel frees it however this process ends."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise LockbotError(
            f"the state directory {directory} can't be used: {error.strerror}", "create it, or choose another"
        ) from error
    try:
        end = time.monotonic() + _OPENING_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise SurroundingsError(
                        f"another process has been opening the history in {directory} for too long",
                        "is a lockbot stopped or stuck there?",
                    ) from None
                time.sleep(0.02)
        yield
    finally:
        # Closing is not enough: a child that another thread is just starting has a copy until it has exec-ed.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
