"""Opening the database: settings, migration, and what to do when the file is damaged.

Knows SQLite, not what is stored in it. A damaged file is moved aside, never deleted, and a new one begun with
what can still be read of it: to lose a part of the history is a note, not a reason to stop. Openers exclude each
other by a flock on the directory, which needs no file of its own: two of them never move aside each other's new
database.

A database is made beside its place and moved in, so that what lies there was whole once. Files that lockbot did
not make (links, another user's) are refused: SQLite would write through them.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from urllib.parse import quote

from lockbot import files
from lockbot.errors import LockbotError, SurroundingsError
from lockbot.history import adopt, schema
from lockbot.history.damage import Damaged

BUSY_SECONDS = 10.0
"""How long another process's transaction is waited for."""
_OPENING_SECONDS = 600.0
"""As long as the history of years may take to be brought up to date."""
_WAL_BYTES = 16 * 1024 * 1024
_DAMAGED = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG}
)
_DAMAGED_AT_OPENING = _DAMAGED | {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT}
"""What is asked then is always the same, and right for a sound file."""
_COMPANIONS = ("-wal", "-shm", "-journal")
_MAKING, _NEW = ".making", ".new"
_ASIDE = re.compile(r"\.corrupt-(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)(?:-\d+)?")
_Error = sqlite3.Error | Damaged | UnicodeDecodeError
"""The last: what a text, or SQLite's own message, holds is no UTF-8."""


class Remedy(Enum):
    """What is done about damage, one after the other as long as it shows."""

    LOOK = auto()
    """Read every page: what has shown may be no damage."""
    RESCUE = auto()
    """Begin a new one with what can be read."""
    ANEW = auto()
    """Begin a new one."""


@dataclass(frozen=True)
class Opened:
    """A connection that is ready. `note`: what the user must be told about the way there."""

    connection: sqlite3.Connection
    file: tuple[int, int] | None
    """Device and number of the file, which tell it from one that took its place; None: it is only read."""
    note: str | None = None


def open_database(
    path: Path,
    now: datetime,
    remedy: Remedy | None = None,
    *,
    why: str = "",
    file: tuple[int, int] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Opened:
    """Open, migrate and, where it must be, replace the database at `path`.

    `remedy`: using `file` has just shown damage (`why`); where another file lies there now, it was seen to.
    `tell` hears of what may take long, before it is done.
    Raises LockbotError: a newer lockbot's or another program's database, or a place that can't be written.
    """
    with _alone(path.parent):
        _check_files(path)
        new = path.with_name(path.name + _NEW)
        if not path.exists() and new.exists():  # who replaced a damaged one was killed in the midst
            new.rename(path)
        if not path.exists() and not any(path.with_name(path.name + end).exists() for end in _COMPANIONS):
            _make(path, None).rename(path)
        try:
            if remedy in (Remedy.RESCUE, Remedy.ANEW) and _file(path) == file:
                raise Damaged(why)
            connection = _prepare(path, suspicious=remedy is Remedy.LOOK, tell=tell)
            return Opened(connection, _file(path), _untold(path, connection))
        except (sqlite3.Error, Damaged) as error:
            if not _is_damage_at_opening(path, error):
                raise refusal(path, error) from error
            why = str(error)
        return _replaced(path, now, why, rescue=remedy is not Remedy.ANEW)


def is_damage(error: _Error) -> bool:
    """Whether the file's content is at fault, rather than the place or the statement."""
    if isinstance(error, Damaged | UnicodeDecodeError) or "decode to UTF-8" in str(error):
        return True
    return _primary(error) in _DAMAGED


def _is_damage_at_opening(path: Path, error: _Error) -> bool:
    if is_damage(error):
        return True
    if _primary(error) == sqlite3.SQLITE_READONLY:  # by what its header says?
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return _primary(error) in _DAMAGED_AT_OPENING


def refusal(path: Path, error: _Error) -> LockbotError:
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


def _primary(error: _Error) -> int:
    """SQLite's result code without its refinement; errors of Python's own module have none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _check_files(path: Path) -> None:
    try:
        for end in ("", *_COMPANIONS, _MAKING, _NEW):
            files.check_file(path.with_name(path.name + end))
    except files.NotOurs as error:
        hint = "a new history is begun then, unless the old one is put back"
        raise LockbotError(f"the history can't be used: {error.strerror}", hint) from error
    except OSError:
        return  # told by who opens it


def _file(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def connect(path: Path, mode: str, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection to a file that is there. `mode` is SQLite's: rw or ro, and what may stand behind that."""
    return sqlite3.connect(
        f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=busy_seconds,
        check_same_thread=False,
    )


def _prepare(
    path: Path, *, suspicious: bool = False, tell: Callable[[str], None] = lambda _: None
) -> sqlite3.Connection:
    if not path.exists():
        raise Damaged("its file is gone, and what belongs to it is not")
    if path.stat().st_size == 0:
        raise Damaged("it is empty")
    connection = connect(path, "rw")
    try:
        _refuse_foreign(connection, path)
        if suspicious:
            _check_every_page(connection)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        if runs := schema.runs_to_lift(connection):
            tell(f"an older lockbot's history is brought up to date, once: {runs} run(s)")
        schema.migrate(connection)
        if (lacking := _lacking(connection)) is not None:
            raise Damaged(lacking)
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException as error:
        connection.close()
        if isinstance(error, UnicodeDecodeError):  # what SQLite wanted to say of a damaged schema
            raise Damaged(str(error)) from error
        raise
    return connection


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Before anything is written: is it ours, and not of a later time?"""
    if schema.belongs_to_another(connection):
        raise LockbotError(
            f"{path} is another program's database", "move it away, or choose another state directory"
        )
    found = schema.version(connection)
    if found < 0:
        raise Damaged(f"its version is {found}")
    if found > len(schema.MIGRATIONS):
        raise LockbotError(
            f"{path} was written by a newer lockbot (version {found}; this one knows {len(schema.MIGRATIONS)})",
            "use the newer lockbot, choose another state directory, or move it away to begin a new history",
        )


def _check_every_page(connection: sqlite3.Connection) -> None:
    """Raise what SQLite would, had it met the damage just now."""
    complaint = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if complaint != "ok":
        raise Damaged(str(complaint))


def _lacking(connection: sqlite3.Connection) -> str | None:
    """What a database of the newest version has not, of what belongs to it; None: nothing is lacking."""
    missing = _whole() - _shape(connection)
    for kind, name, *_ in sorted(missing, key=lambda part: (_ORDER.index(part[0]), part)):
        return f"{kind} {name} is missing or another"
    return None


_ORDER = ("table", "index", "trigger", "column", "reference")


@functools.cache
def _whole() -> frozenset[tuple[str, ...]]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.migrate(connection)
        return _shape(connection)


def _shape(connection: sqlite3.Connection) -> frozenset[tuple[str, ...]]:
    """Tables with their columns and references; indexes and triggers with their text. (A table's text is another
    one after ALTER, in each SQLite's own way.)"""
    return frozenset(tuple(map(str, row)) for query in _SHAPE for row in connection.execute(query))


_SHAPE = (
    "SELECT type, name, iif(type = 'table', '', sql) FROM sqlite_master WHERE sql IS NOT NULL",
    """SELECT 'column', t.name || '.' || c.name, c.type, c."notnull", c.pk
        FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'""",
    """SELECT 'reference', t.name || '.' || f."from", f."table", f."to", f.on_delete
        FROM sqlite_master t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table'""",
)


# -- in place of a damaged one


def _replaced(path: Path, now: datetime, why: str, *, rescue: bool) -> Opened:
    try:
        kept: dict[str, int] = {}
        made = _make(path, kept if rescue else None)
        new = made.rename(path.with_name(path.name + _NEW))
        moved = _move_aside(path, now)
        new.rename(path)
        connection = _prepare(path)
    except sqlite3.Error as error:
        raise refusal(path, error) from error
    except OSError as error:
        raise LockbotError(f"the history {path} is damaged and can't be replaced: {error.strerror}") from error
    told = [f"{number} {_TOLD[table]}" for table, number in kept.items() if number and table in _TOLD]
    taken = f" with what could be read of it ({', '.join(told)})" if told else ""
    note = f"the history was damaged ({why}); it is kept as {moved}, and a new one was begun{taken}"
    return Opened(connection, _file(path), note)


_TOLD = {
    "runs": "run(s)",
    "holds": "hold(s)",
    "accepted": "acceptance(s)",
    "inputs": "input(s)",
    "outbox": "message(s)",
}


def _make(path: Path, kept: dict[str, int] | None) -> Path:
    """A whole database beside the place; with `kept`, what can be read of the one there is in it, and counted."""
    making = path.with_name(path.name + _MAKING)
    for end in ("", *_COMPANIONS):
        with contextlib.suppress(OSError):  # shows in the next step
            making.with_name(making.name + end).unlink(missing_ok=True)
    try:
        os.close(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with contextlib.closing(connect(making, "rw")) as new:
            new.row_factory = sqlite3.Row
            schema.migrate(new)
            if kept is not None:
                with contextlib.suppress(_Unreadable), contextlib.closing(_readable(path)) as old:
                    kept.update(adopt.rescue(old, new))
    except sqlite3.Error as error:
        raise refusal(path, error) from error
    except OSError as error:
        hint = f"{path.parent} must exist and be writable for the user that runs lockbot"
        raise LockbotError(f"the history {path} can't be made: {error.strerror}", hint) from error
    return making


class _Unreadable(Exception):
    """Nothing of a damaged database can be read."""


def _readable(path: Path) -> sqlite3.Connection:
    """A damaged database, which must not be changed any more."""
    try:
        connection = connect(path, "ro")
    except sqlite3.Error as error:
        raise _Unreadable from error
    return connection


def _move_aside(path: Path, now: datetime) -> Path:
    """Rename the database with its -wal and -shm, so that `sqlite3 FILE .recover` still finds them together."""
    stamp = now.astimezone(UTC).strftime("%Y%m%d-%H%M%S")
    target = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while any(os.path.lexists(target.with_name(target.name + end)) for end in ("", *_COMPANIONS)):
        number += 1
        target = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    try:
        for suffix in (*_COMPANIONS, ""):  # the database last: cut short, this starts again
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    except OSError as error:
        raise LockbotError(
            f"the history {path} is damaged and can't be moved aside: {error.strerror}",
            f"{path.parent} must be writable for the user that runs lockbot",
        ) from error
    return target


def _untold(path: Path, connection: sqlite3.Connection) -> str | None:
    """That a damaged one was replaced, until a run has told: whoever replaced it may have had no reader."""
    found = sorted(
        (match.groups(), aside)
        for aside in path.parent.glob(f"{path.name}.corrupt-*")
        if (match := _ASIDE.fullmatch(aside.name.removeprefix(path.name)))
    )
    if not found:
        return None
    (year, month, day, *time), aside = found[-1]
    last = connection.execute("SELECT max(coalesce(finished, started)) FROM runs").fetchone()[0]
    if last is not None and str(last) >= f"{year}-{month}-{day}T{':'.join(time)}":
        return None
    return f"the history was damaged; it is kept as {aside}, and a new one was begun with what could be read of it"


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
