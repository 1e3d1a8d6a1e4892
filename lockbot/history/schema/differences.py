"""What runs changed on hosts, taken out of `reviews` to be found by package and by host. Knows SQL, JSON and zlib.

`reviews` stays what is read back; these rows only answer "when did this change, and where". They are made anew of
it, by the same statements for one run that is written and for all that an older lockbot wrote.
"""

from __future__ import annotations

import json
import sqlite3
import zlib

LARGEST = 256 * 2**20
"""Bytes of JSON that are read back: what a damaged or a forged row would unfold to has no other end."""

# `old` and `new` are JSON arrays of versions, in Nix's order; sizes are bytes. Packages that were only rebuilt are
# left out: the same versions are no answer to when they changed.
_TABLES = (
    """
    CREATE TABLE differences (
        id INTEGER PRIMARY KEY,
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        size_before INTEGER, size_after INTEGER,
        paths_before INTEGER, paths_after INTEGER
    ) STRICT
    """,
    "CREATE UNIQUE INDEX differences_by_run ON differences (run, position)",
    """
    CREATE TABLE difference_hosts (
        host TEXT NOT NULL,
        difference INTEGER NOT NULL REFERENCES differences (id) ON DELETE CASCADE,
        PRIMARY KEY (host, difference)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX difference_hosts_by_difference ON difference_hosts (difference)",
    """
    CREATE TABLE package_changes (
        package TEXT NOT NULL,
        difference INTEGER NOT NULL REFERENCES differences (id) ON DELETE CASCADE,
        change TEXT NOT NULL,
        old TEXT NOT NULL,
        new TEXT NOT NULL,
        PRIMARY KEY (package, difference)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX package_changes_by_difference ON package_changes (difference)",
)


def _filled(runs: str) -> tuple[str, ...]:
    """The statements that fill the tables from the reviews of `runs`, a condition on `reviews.run`."""
    return (
        f"""
        INSERT INTO differences (run, position, size_before, size_after, paths_before, paths_after)
        SELECT run, told.key, json_extract(told.value, '$.closure.size[0]'),
            json_extract(told.value, '$.closure.size[1]'), json_extract(told.value, '$.closure.paths[0]'),
            json_extract(told.value, '$.closure.paths[1]')
        FROM reviews, json_each(differences_of(reviews.told)) AS told WHERE {runs}
        """,  # noqa: S608 -- our own condition
        f"""
        INSERT OR IGNORE INTO difference_hosts (host, difference)
        SELECT host.value, differences.id
        FROM reviews JOIN json_each(differences_of(reviews.told)) AS told
            JOIN differences ON differences.run = reviews.run AND differences.position = told.key
            JOIN json_each(told.value, '$.hosts') AS host
        WHERE {runs}
        """,  # noqa: S608 -- the same
        f"""
        INSERT OR IGNORE INTO package_changes (package, difference, change, old, new)
        SELECT json_extract(package.value, '$.name'), differences.id, json_extract(package.value, '$.change'),
            json_extract(package.value, '$.old'), json_extract(package.value, '$.new')
        FROM reviews JOIN json_each(differences_of(reviews.told)) AS told
            JOIN differences ON differences.run = reviews.run AND differences.position = told.key
            JOIN json_each(told.value, '$.packages') AS package
        WHERE {runs} AND json_extract(package.value, '$.change') <> 'rebuilt'
        """,  # noqa: S608 -- the same
    )


STEP: tuple[str, ...] = (*_TABLES, *_filled("1"))


def index(connection: sqlite3.Connection, run: str) -> None:
    """Make the rows of one run (its id, storable) anew."""
    connection.execute("DELETE FROM differences WHERE run = ?", (run,))
    for statement in _filled("reviews.run = ?"):
        connection.execute(statement, (run,))


def differences_of(told: bytes) -> str:
    """SQL's function of this name: the JSON array of differences in `reviews.told`; empty for a damaged one."""
    try:
        found = json.loads(zlib.decompressobj().decompress(told, LARGEST))[0]
    except (zlib.error, ValueError, LookupError, TypeError, RecursionError):
        return "[]"
    return json.dumps(found, ensure_ascii=False) if isinstance(found, list) else "[]"
