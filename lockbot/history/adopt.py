"""Taking over what an older lockbot kept of a whole repository: now it belongs to each of the repository's flakes.

Knows SQL. What was said and seen of inputs (holds above all) goes to every flake that comes, as it held for all of
them; a run goes to one, the first that it can have been of.
"""

from __future__ import annotations

import sqlite3

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
