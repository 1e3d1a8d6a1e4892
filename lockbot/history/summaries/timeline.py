"""Runs by day, and a page of them at a time. Knows SQL.

A page is what was found among so many runs: who filters for what is rare gets a short one, and where to go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from lockbot.errors import UsageError
from lockbot.history import codec, damage, texts
from lockbot.history.summaries.runs import RunSummary, of_runs, summary
from lockbot.model import Outcome

LOOKED_THROUGH = 2000
"""So many runs are looked at for one page."""
MOST_INPUTS = 12
"""So many inputs of a run are named; `RunSummary.changes` counts all."""


@dataclass(frozen=True)
class DayCount:
    """How many runs began on a day (UTC) and ended so; None: they run, or were killed."""

    day: date
    outcome: Outcome | None
    runs: int


@dataclass(frozen=True)
class Filter:
    """Only runs that ended so (None: any; `unfinished`: not yet), that moved the input, that judged the host."""

    outcome: str | None = None
    input: str | None = None
    host: tuple[str, ...] | None = None
    """Its attribute."""


@dataclass(frozen=True)
class ListedRun:
    """A run in short, and the first of the inputs that moved."""

    run: RunSummary
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class RunPage:
    """`older`: the id before which the next page begins; None: there is none."""

    runs: tuple[ListedRun, ...]
    older: str | None


UNFINISHED = "unfinished"


@damage.reading("the runs of a day")
def runs_by_day(connection: sqlite3.Connection, flake: str, since: datetime) -> tuple[DayCount, ...]:
    rows = connection.execute(_BY_DAY, (texts.storable(flake), texts.moment(since)))
    return tuple(DayCount(date.fromisoformat(row["day"]), _outcome(row), row["number"]) for row in rows)


def _outcome(row: sqlite3.Row) -> Outcome | None:
    return None if row["outcome"] is None else codec.word(Outcome, row["outcome"])


_BY_DAY = """
    SELECT substr(started, 1, 10) AS day, outcome, count(*) AS number FROM runs
    WHERE flake = ? AND started >= ? GROUP BY 1, 2 ORDER BY 1, 2
"""


def page_of_runs(
    connection: sqlite3.Connection, flake: str, wanted: Filter, limit: int, before: str | None = None
) -> RunPage:
    """The newest that are wanted, newest first; with `before` (a run's id) those older than that one.

    Raises UsageError: there is no such run, or no such outcome.
    """
    values: list[str | int] = [texts.storable(flake)]
    if before is not None:
        values += _start(connection, values[0], before)
    conditions, more = _conditions(wanted)
    window = _WINDOW.format(paged="AND (started, id) < (?, ?)" if before is not None else "")
    query = f"WITH recent AS ({window}) SELECT id FROM recent {conditions} LIMIT ?"  # noqa: S608 -- our own words
    found = _ids(connection.execute(query, (*values, LOOKED_THROUGH, *more, limit + 1)))
    end = found[limit - 1] if len(found) > limit else _end(connection, window, values)
    return RunPage(tuple(_listed(connection, found[:limit])), end)


_WINDOW = """
    SELECT id, started, outcome FROM runs WHERE flake = ? {paged} ORDER BY started DESC, id DESC LIMIT ?
"""


def _start(connection: sqlite3.Connection, flake: str | int, before: str) -> tuple[str, str]:
    query = "SELECT started, id FROM runs WHERE id = ? AND flake = ?"
    row = connection.execute(query, (texts.storable(before), flake)).fetchone()
    if row is None:
        raise UsageError(f"there is no run {before!r} here", "begin with the newest runs, without `before`")
    return damage.text(row["started"]), damage.text(row["id"])


def _conditions(wanted: Filter) -> tuple[str, list[str]]:
    """What is behind WHERE, and its values."""
    conditions, values = [], []
    if wanted.outcome == UNFINISHED:
        conditions.append("outcome IS NULL")
    elif wanted.outcome is not None:
        if wanted.outcome not in frozenset(Outcome):
            raise UsageError(
                f"a run does not end {wanted.outcome!r}", f"they end {', '.join(Outcome)}, or are {UNFINISHED}"
            )
        conditions.append("outcome = ?")
        values.append(wanted.outcome)
    if wanted.input is not None:
        conditions.append("EXISTS (SELECT 1 FROM changes WHERE run = recent.id AND input = ?)")
        values.append(texts.storable(wanted.input))
    if wanted.host is not None:
        conditions.append("EXISTS (SELECT 1 FROM hosts WHERE run = recent.id AND attribute = ?)")
        values.append(stored(wanted.host))
    return f"WHERE {' AND '.join(conditions)}" if conditions else "", values


def _end(connection: sqlite3.Connection, window: str, values: Sequence[str | int]) -> str | None:
    """The last that was looked at, if there are older ones."""
    last = connection.execute(f"{window} OFFSET ?", (*values, 2, LOOKED_THROUGH - 1)).fetchall()
    return damage.text(last[0]["id"]) if len(last) > 1 else None


def _ids(rows: sqlite3.Cursor) -> list[str]:
    return [damage.text(row["id"]) for row in rows]


@damage.reading("a list of runs")
def _listed(connection: sqlite3.Connection, ids: Sequence[str]) -> tuple[ListedRun, ...]:
    if not ids:
        return ()
    inputs: dict[str, list[str]] = {run: [] for run in ids}
    for row in connection.execute(_INPUTS.format(marks(ids)), (*ids, MOST_INPUTS)):
        inputs[row["run"]].append(row["input"])
    by_id = {row["id"]: summary(row) for row in connection.execute(of_runs(len(ids)), ids)}
    return tuple(ListedRun(by_id[run], tuple(inputs[run])) for run in ids)


_INPUTS = "SELECT run, input FROM changes WHERE run IN ({}) AND position < ? ORDER BY run, position"


def stored(attribute: Sequence[str]) -> str:
    """As `hosts.attribute` has it."""
    return texts.strings(map(texts.storable, attribute))


def marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
