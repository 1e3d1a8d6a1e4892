"""The tables of the history, and how an older database becomes the newest.

Knows SQL's data definition only. Each entry of MIGRATIONS lifts the database by one version; an entry that was
released is never edited, a new one is appended. A list of statements, because `executescript` commits, and of
functions for what SQL can't say.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from lockbot.history.schema import differences, first_steps, holds, notices, pull_requests
from lockbot.redact import redact, without_secrets

APPLICATION = 0x6C6B6274
"""`PRAGMA application_id`: "lkbt". It tells this database from another program's."""

Step = tuple[str | Callable[[sqlite3.Connection], None], ...]
MIGRATIONS: tuple[Step, ...] = (*first_steps.STEPS, differences.STEP, notices.STEP, holds.STEP, pull_requests.STEP)


def version(connection: sqlite3.Connection) -> int:
    """The number of migrations that the database has been through."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def runs_to_lift(connection: sqlite3.Connection) -> int:
    """How many runs `migrate` has to go through."""
    if not 0 < version(connection) < len(MIGRATIONS):
        return 0
    return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])


def belongs_to_another(connection: sqlite3.Connection) -> bool:
    """Whether a sound database is some other program's. An empty one is anybody's."""
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    return application != APPLICATION and (application != 0 or tables > 0)


def migrate(connection: sqlite3.Connection, migrations: tuple[Step, ...] = MIGRATIONS) -> None:
    """Lift the database to the newest version, all or nothing. Foreign keys must be off, the caller alone."""
    if version(connection) >= len(migrations):
        return
    for name, function in (("redacted", redact), ("origin", without_secrets)):
        connection.create_function(name, 1, _or_null(function), deterministic=True)
    connection.execute("PRAGMA secure_delete = ON")  # else the file would hold for long what its rows no longer do
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in migrations[version(connection) :]:
            for statement in step:
                connection.execute(statement) if isinstance(statement, str) else statement(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _or_null(function: Callable[[str], str]) -> Callable[[str | None], str | None]:
    return lambda text: None if text is None else function(text)
