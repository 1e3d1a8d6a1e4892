"""Which runs there is something to tell of. Knows SQL. Dry runs are left out: they change nothing.

What comes from a flake and its runs is read whole, so each question has a limit.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from lockbot.history import codec, damage, texts
from lockbot.history.notices.values import Looked
from lockbot.model import Outcome, Run

MOST_PUBLISHED = 20
"""So many runs that published are told of at once, at most: the newest."""

_RUNS = "SELECT * FROM runs WHERE flake = ? AND NOT dry_run AND outcome IS NOT NULL"
_NEWEST_FIRST = "ORDER BY started DESC, id DESC LIMIT ?"
_JUDGED = tuple(one for one in Outcome if one not in (Outcome.FAILED, Outcome.INTERRUPTED))
"""Runs that got so far as to judge every host, where they judged any."""


@damage.reading("the newest runs")
def newest_judged(connection: sqlite3.Connection, flake: str, now: datetime) -> Run | None:
    """The newest run that judged all hosts. One of the future (the clock was wrong) would hide all others."""
    words = ", ".join(f"'{one.value}'" for one in _JUDGED)
    judged = f"outcome IN ({words}) AND EXISTS (SELECT 1 FROM hosts WHERE run = runs.id)"  # noqa: S608 -- our words
    return _first(
        connection,
        f"{_RUNS} AND started <= ? AND {judged} {_NEWEST_FIRST}",
        (texts.storable(flake), texts.moment(now), 1),
    )


@damage.reading("the newest runs")
def newest_ended(connection: sqlite3.Connection, flake: str, now: datetime) -> Run | None:
    """The newest run that has an outcome; the same."""
    return _first(
        connection, f"{_RUNS} AND started <= ? {_NEWEST_FIRST}", (texts.storable(flake), texts.moment(now), 1)
    )


@damage.reading("the newest runs")
def published_since(connection: sqlite3.Connection, flake: str, looked: Looked) -> tuple[Run, ...]:
    """The runs that published since, the oldest first."""
    start = "" if looked.started is None else texts.moment(looked.started)
    query = f"{_RUNS} AND published IS NOT NULL AND (started, id) > (?, ?) {_NEWEST_FIRST}"
    values = (texts.storable(flake), start, looked.run or "", MOST_PUBLISHED)
    rows = connection.execute(query, values).fetchall()
    return tuple(codec.read_run(connection, row) for row in reversed(rows))


@damage.reading("the run of a pull request")
def run_of(connection: sqlite3.Connection, id: str) -> Run | None:
    """A run whole; None: it was long ago."""
    row = connection.execute("SELECT * FROM runs WHERE id = ?", (texts.storable(id),)).fetchone()
    return None if row is None else codec.read_run(connection, row)


def _first(connection: sqlite3.Connection, query: str, values: tuple[str, str, int]) -> Run | None:
    row = connection.execute(query, values).fetchone()
    return None if row is None else codec.read_run(connection, row)
