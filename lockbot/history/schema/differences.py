"""What runs changed on hosts, taken out of `reviews` to be found by package and by host. Knows SQL, JSON and zlib.

`reviews` stays what is read back; these rows only answer "when did this change, and where". They are made of it by
the same function for one run that is written and for all that an older lockbot wrote.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from dataclasses import dataclass
from typing import Any

LARGEST = 256 * 2**20
"""Bytes of JSON that are read back: what a damaged or a forged row would unfold to has no other end."""

# Sizes are bytes; `packages` counts what changes on these hosts, `reboot` is a JSON array of reasons (NULL: it is
# not known what a switch does). A flake's runs come one after the other: ids of differences grow with time.
#
# `old` and `new` are JSON arrays of versions, in Nix's order. Packages that were only rebuilt are left out: the
# same versions are no answer to when they changed. What is the same on hosts that differ otherwise is one row, of
# the first such difference, with the others' ids as a JSON array in `also`: of 50 hosts that differ by one package
# each, the 300 others would be 15,000 rows. A package that no row speaks of any more is forgotten.
_TABLES = (
    """
    CREATE TABLE differences (
        id INTEGER PRIMARY KEY,
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        size_before INTEGER, size_after INTEGER,
        paths_before INTEGER, paths_after INTEGER,
        packages INTEGER NOT NULL,
        reboot TEXT
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
    "CREATE TABLE packages (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT",
    "CREATE UNIQUE INDEX packages_by_name ON packages (name)",
    """
    CREATE TABLE package_changes (
        package INTEGER NOT NULL REFERENCES packages (id),
        difference INTEGER NOT NULL REFERENCES differences (id) ON DELETE CASCADE,
        change TEXT NOT NULL,
        old TEXT NOT NULL,
        new TEXT NOT NULL,
        also TEXT NOT NULL,
        PRIMARY KEY (package, difference)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX package_changes_by_difference ON package_changes (difference)",
    """
    CREATE TRIGGER packages_go_with_their_changes AFTER DELETE ON package_changes
    WHEN NOT EXISTS (SELECT 1 FROM package_changes WHERE package = OLD.package)
    BEGIN DELETE FROM packages WHERE id = OLD.package; END
    """,
)
_CHANGES = frozenset({"added", "removed", "up", "down", "changed"})


@dataclass(frozen=True)
class _Difference:
    """One of a review. `moves`: package, change, old and new, as they are stored."""

    hosts: tuple[str, ...]
    sizes: tuple[int | None, int | None, int | None, int | None]
    reboot: str | None
    moves: tuple[tuple[str, str, str, str], ...]


def index(connection: sqlite3.Connection, run: str, told: object) -> None:
    """Make the rows of one run (its id, storable) anew. `told`: its differences, as they are in JSON."""
    for statement in _DELETE:
        connection.execute(statement, (run,))
    moves: dict[tuple[str, str, str, str], list[int]] = {}
    for position, one in enumerate(_read(told)):
        row = (run, position, *one.sizes, len(one.moves), one.reboot)
        identity = connection.execute(_INSERT, row).lastrowid or 0
        connection.executemany(
            "INSERT INTO difference_hosts VALUES (?, ?)", [(host, identity) for host in one.hosts]
        )
        for move in one.moves:
            moves.setdefault(move, []).append(identity)
    connection.executemany("INSERT OR IGNORE INTO packages (name) VALUES (?)", [move[:1] for move in moves])
    rows = [(first, *move[1:], json.dumps(also), move[0]) for move, (first, *also) in moves.items()]
    connection.executemany(
        "INSERT INTO package_changes SELECT id, ?, ?, ?, ?, ? FROM packages WHERE name = ?", rows
    )


# Also where foreign keys are off: a damaged database may have a run twice.
_DELETE = (
    "DELETE FROM package_changes WHERE difference IN (SELECT id FROM differences WHERE run = ?)",
    "DELETE FROM difference_hosts WHERE difference IN (SELECT id FROM differences WHERE run = ?)",
    "DELETE FROM differences WHERE run = ?",
)
_INSERT = """
    INSERT INTO differences (run, position, size_before, size_after, paths_before, paths_after, packages, reboot)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""


def _index_all(connection: sqlite3.Connection) -> None:
    """Of every review that an older lockbot wrote. A damaged one is told of when it is read, not here."""
    query = "SELECT runs.id FROM runs JOIN reviews ON reviews.run = runs.id ORDER BY started, runs.id"
    for (run,) in connection.execute(query).fetchall():
        (told,) = connection.execute("SELECT told FROM reviews WHERE run = ?", (run,)).fetchone()
        index(connection, run, _unfolded(told))


STEP = (*_TABLES, _index_all)


def _unfolded(told: bytes) -> object:
    try:
        return json.loads(zlib.decompressobj().decompress(told, LARGEST))[0]
    except (zlib.error, ValueError, LookupError, TypeError, RecursionError):
        return None


def _read(told: object) -> tuple[_Difference, ...]:
    """Nothing, where it is not what lockbot writes all through."""
    try:
        return tuple(map(_difference, told)) if isinstance(told, list) else ()
    except (ValueError, LookupError, TypeError, AttributeError):
        return ()


def _difference(one: Any) -> _Difference:
    closure, switch = one["closure"], one["switch"]
    (size, paths) = (closure["size"], closure["paths"]) if closure is not None else ((None, None), (None, None))
    (before, after), (fewer, more) = size, paths
    return _Difference(
        tuple(dict.fromkeys(map(_text, one["hosts"]))),
        (_number(before), _number(after), _number(fewer), _number(more)),
        _texts(switch["reboot"]) if switch is not None else None,
        tuple({move[0]: move for move in map(_move, one["packages"]) if move[1] in _CHANGES}.values()),
    )


def _move(package: Any) -> tuple[str, str, str, str]:
    return _text(package["name"]), _text(package["change"]), _texts(package["old"]), _texts(package["new"])


def _texts(values: Any) -> str:
    return json.dumps(list(map(_text, values)), ensure_ascii=False, separators=(",", ":"))


def _text(value: Any) -> str:
    """Raises ValueError for half of a character: SQLite takes none, and lockbot wrote none."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value.encode().decode()


def _number(value: Any) -> int | None:
    if value is not None and (type(value) is not int or abs(value) >= 2**63):
        raise ValueError(f"{value!r} is no number of bytes")
    return value
