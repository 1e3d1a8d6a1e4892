"""Old runs go; with the last run of a flake, all that was remembered of it. Knows SQL; not how old is too old."""

from __future__ import annotations

import sqlite3

from lockbot.history import damage
from lockbot.retention import NEWEST_FLAKES, NEWEST_RUNS


def prune(connection: sqlite3.Connection, oldest: str) -> list[str]:
    """Remove the runs that were started before, but for the newest of each flake that may still be alive. Returns
    their ids."""
    limits = {"runs": NEWEST_RUNS, "flakes": NEWEST_FLAKES, "oldest": oldest}
    old = connection.execute(_PRUNABLE, limits).fetchall()
    connection.executemany("DELETE FROM runs WHERE id = ?", [(row["id"],) for row in old])
    for flake in {row["flake"] for row in old}:
        if connection.execute(_ANY_RUN, (flake,)).fetchone() is None:
            for table in _OF_FLAKES:
                connection.execute(f"DELETE FROM {table} WHERE flake = ?", (flake,))  # noqa: S608 -- our own names
    return [damage.text(row["id"]) for row in old]


_OF_FLAKES = (
    *("baselines", "inputs", "tips", "accepted", "derivations"),
    *("conditions", "looked", "told_targets", "told_requests", "outbox"),
)
"""What is of no use without a run. Holds stay, and so does what somebody has looked at, and pull requests."""

_ANY_RUN = "SELECT 1 FROM runs WHERE coalesce(flake, repository) = ? LIMIT 1"

# Of a flake that is held somewhere the last run says where it was, should it have moved (`App._bring_holds`).
_PRUNABLE = """
    WITH
    kept AS (
        SELECT id, started, coalesce(flake, repository) AS flake, repository, row_number() OVER (
            PARTITION BY coalesce(flake, repository) ORDER BY started DESC, id DESC
        ) AS age FROM runs
    ),
    flakes AS (
        SELECT flake, row_number() OVER (PARTITION BY repository ORDER BY started DESC, id DESC) AS turn
        FROM kept WHERE age = 1
    )
    SELECT id, flake FROM kept JOIN flakes USING (flake)
    WHERE started < :oldest
    AND (age > :runs OR turn > :flakes AND flake NOT IN (SELECT flake FROM holds))
"""
