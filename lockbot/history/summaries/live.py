"""Which runs have not ended, and how far they had come by their marks. Knows SQL."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from lockbot.history import damage

MOST = 4
"""One runs at a time; more than that are left over from runs that were killed."""


@dataclass(frozen=True)
class Unended:
    id: str
    started: datetime
    phase: str | None


def unended(connection: sqlite3.Connection, flake: str) -> tuple[Unended, ...]:
    """The newest of them, the newest first. `flake` is its key, storable."""
    return tuple(map(_unended, connection.execute(_QUERY, (flake, MOST))))


# By the flake's index: the newest runs are looked at first, and one that has not ended is among those.
_QUERY = """
    SELECT id, started, phase, outcome FROM (
        SELECT id, started, phase, outcome FROM runs WHERE flake = ? ORDER BY started DESC, id DESC LIMIT 50
    ) WHERE outcome IS NULL LIMIT ?
"""


@damage.reading("a run that has not ended")
def _unended(row: sqlite3.Row) -> Unended:
    return Unended(row["id"], damage.moment(row["started"]), row["phase"])
