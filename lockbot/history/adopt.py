"""Taking over what was kept before: by an older lockbot, or in a database that is damaged. Knows SQL.

An older lockbot kept things of a whole repository; now they belong to each of the repository's flakes. What was
said and seen of inputs (holds above all) goes to every flake that comes, as it held for all of them; a run goes to
one, the first that it can have been of.

Of a damaged database each row is taken that a lockbot can have written: a run with all that belongs to it, or not
at all. How derivations and hosts fared is found out anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

from lockbot.history import codec, pull_requests, rows, texts
from lockbot.history.damage import Damaged
from lockbot.history.notices import rows as notices

_TABLES = ("tips", "holds", "accepted", "inputs")


def pending(connection: sqlite3.Connection, flake: str, repository: str, branch: str | None) -> bool:
    """Whether there is anything to take over. Texts are storable already, here and below."""
    values = {"flake": flake, "repository": repository, "branch": branch}
    return bool(connection.execute(_PENDING, values).fetchone()[0])


def adopt(connection: sqlite3.Connection, flake: str, repository: str, branch: str | None) -> None:
    """Take it over; what the flake has of its own stays. `branch` None: which is not known, any may be meant."""
    values = {"flake": flake, "repository": repository, "branch": branch}
    connection.execute(f"UPDATE runs SET flake = :flake WHERE {_RUNS}", values)  # noqa: S608 -- values are bound
    if connection.execute("SELECT 1 FROM adopted WHERE flake = ?", (flake,)).fetchone() is not None:
        return  # what the flake has forgotten since must not come back
    for table in _TABLES:
        names = [row["name"] for row in connection.execute(f"PRAGMA table_info({table})")]
        rest = ", ".join(name for name in names if name != "flake")
        connection.execute(
            f"INSERT OR IGNORE INTO {table} (flake, {rest})"  # noqa: S608 -- our own names
            f" SELECT ?, {rest} FROM {table}_of_repositories WHERE repository = ?",
            (flake, repository),
        )
    connection.execute("INSERT INTO adopted (flake) VALUES (?)", (flake,))


# A run that ended before it had found its branch says HEAD.
_RUNS = """
    flake IS NULL AND repository = :repository AND (:branch IS NULL OR branch IN (:branch, 'HEAD', ''))
"""
_KEPT = " OR ".join(
    f"EXISTS (SELECT 1 FROM {table}_of_repositories WHERE repository = :repository)"  # noqa: S608 -- our own names
    for table in _TABLES
)
_PENDING = f"""
    SELECT EXISTS (SELECT 1 FROM runs WHERE {_RUNS})
        OR (({_KEPT}) AND NOT EXISTS (SELECT 1 FROM adopted WHERE flake = :flake))
"""  # noqa: S608 -- our own names


def rescue(old: sqlite3.Connection, new: sqlite3.Connection) -> dict[str, int]:
    """Copy into a new database what can be read of a damaged one. Returns how many rows of which table.

    Raises sqlite3.Error only for what is wrong with the new one.
    """
    old.row_factory = sqlite3.Row
    old.text_factory = lambda data: data.decode(errors="surrogateescape")
    kept = dict.fromkeys(("runs", *_READ), 0)
    with new:  # one transaction, else each row would wait for the disk
        new.execute("BEGIN")
        for row in _rows(old, "runs"):
            kept["runs"] += _rescued_run(old, row, new)
        for table, read in _READ.items():
            columns = [one[1] for one in new.execute(f"PRAGMA table_info({table})")]
            for row in _rows(old, table):
                kept[table] += _rescued_row(table, columns, row, read, new)
    return kept


def _rows(old: sqlite3.Connection, table: str) -> Iterator[sqlite3.Row]:
    """A table's rows, as far as they can be read."""
    try:
        yield from old.execute(f"SELECT * FROM {table}")  # noqa: S608 -- our own table names
    except (sqlite3.Error, UnicodeDecodeError):  # the latter: of an error's own words
        return


def _rescued_run(old: sqlite3.Connection, row: sqlite3.Row, new: sqlite3.Connection) -> bool:
    try:
        run = codec.read_run(old, row)
        marks = codec.read_marks(row)
    except (Damaged, sqlite3.Error):
        return False
    codec.write_run(new, run)
    new.execute(
        "UPDATE runs SET phase = ?, publishing = ? WHERE id = ?",
        (*map(texts.optional, marks), texts.storable(run.id)),
    )
    return True


def _rescued_row(
    table: str,
    columns: list[str],
    row: sqlite3.Row,
    read: Callable[[rows.Row], object],
    new: sqlite3.Connection,
) -> bool:
    try:
        # An older lockbot's row lacks what came later.
        whole = {name: row[name] if name in row.keys() else None for name in columns}  # noqa: SIM118 -- of a Row
        read(whole)
        codec.insert(new, table, {name: _storable(name, value) for name, value in whole.items()})
    except (Damaged, sqlite3.IntegrityError, LookupError):
        return False
    return True


def _storable(column: str, value: codec.Value) -> codec.Value:
    """As lockbot stores it today, whatever an older one did."""
    if not isinstance(value, str):
        return value
    return texts.origin(value) if column == "source" else texts.storable(value)


_LEDGER: dict[str, Callable[[rows.Row], object]] = {
    "tips": rows.tip,
    "holds": rows.hold,
    "accepted": rows.acceptance,
    "inputs": rows.state,
}
_READ: dict[str, Callable[[rows.Row], object]] = {
    **_LEDGER,
    **{f"{table}_of_repositories": read for table, read in _LEDGER.items()},
    "adopted": lambda row: row["flake"],
    "seen": rows.seen,
    "conditions": notices.condition,
    "looked": notices.looked,
    "told_targets": notices.target,
    "outbox": notices.letter,
    "pull_requests": pull_requests.read,
}
