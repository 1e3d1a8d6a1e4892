"""Opening the database only to look at it, also where this process may write nothing. Knows SQLite's ways of it.

Nothing is made, migrated, healed or waited for: whoever writes does that. A reader may come before the first run,
or meet a database that another version of lockbot wrote.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from lockbot import files
from lockbot.errors import LockbotError
from lockbot.history import schema
from lockbot.history.connection import Opened, connect, refusal

BUSY_SECONDS = 2.0
_TRIES, _TRY_SECONDS = 10, 0.05
"""Between its `-wal` and its `-shm` a writer takes less time than these."""


def open_read_only(path: Path) -> Opened:
    """The database as it is; where there is none yet, an empty one that nobody else sees.

    Raises LockbotError: it can't be read, is another program's, or was written by another version of lockbot.
    """
    try:
        files.check_file(path)
        if not path.exists():
            return Opened(_ready(_empty()), None)
        connection = _connect(path)
    except files.NotOurs as error:
        raise LockbotError(f"the history can't be used: {error.strerror}") from error
    except (sqlite3.Error, OSError) as error:
        raise _unreadable(path, error) from error
    try:
        _refuse_foreign(connection, path)
        return Opened(_ready(connection), None)
    except sqlite3.Error as error:
        connection.close()
        raise _unreadable(path, error) from error
    except BaseException:
        connection.close()
        raise


def _connect(path: Path) -> sqlite3.Connection:
    """As a reader beside writers. SQLite wants to write its `-shm` for that: where it may not, and nobody has the
    database open, it lies still and is read as it is."""
    for left in reversed(range(_TRIES)):
        try:
            return _asked(connect(path, "ro", BUSY_SECONDS))
        except sqlite3.OperationalError as error:
            if not path.with_name(path.name + "-wal").exists():
                break
            if not left or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN:
                raise
        time.sleep(_TRY_SECONDS)  # a writer comes or goes just now
    return _asked(connect(path, "ro&immutable=1", BUSY_SECONDS))


def _asked(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Only who asks opens the file. Raises sqlite3.Error."""
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    schema.migrate(connection)
    return connection


def _ready(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA query_only = ON")
    return connection


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    if schema.belongs_to_another(connection):
        raise LockbotError(f"{path} is another program's database", "choose another state directory")
    found, known = schema.version(connection), len(schema.MIGRATIONS)
    if found != known:
        which = "a newer" if found > known else "an older"
        hint = (
            "use the same lockbot for both" if found > known else "the next `lockbot update` brings it up to date"
        )
        raise LockbotError(
            f"{path} was written by {which} lockbot (version {found}; this one reads {known})", hint
        )


def _unreadable(path: Path, error: sqlite3.Error | OSError) -> LockbotError:
    if isinstance(error, sqlite3.Error):
        return refusal(path, error)
    return LockbotError(f"the history {path} can't be read: {error.strerror}")
