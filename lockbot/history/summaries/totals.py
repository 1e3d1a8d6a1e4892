"""What monitors ask of a flake's runs: how many ended how, how long they took, and which were the last.

Knows SQL. Dry runs are left out, since they say nothing of whether the flake is kept up to date. Sums go over the
runs that are on record: `History.prune` makes them smaller.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from lockbot.history import codec, damage
from lockbot.model import Outcome, PullRequestState, Run

IN_VAIN = frozenset({Outcome.FAILED, Outcome.STALE, Outcome.INTERRUPTED, Outcome.UNJUDGED})
"""Runs that did not get to the end of their work, whatever the inputs are like."""


@dataclass(frozen=True)
class Totals:
    """`outcomes` counts runs; None: it runs, or was killed. `seconds` is wall time by phase."""

    outcomes: dict[Outcome | None, int]
    seconds: dict[str, float]
    latest: Run | None = None
    """The run that was started last; it may be running still."""
    ended: Run | None = None
    """The last one that has an outcome."""
    published: datetime | None = None
    """When something was published last: a run that did ended, or the pull request of an earlier one landed."""
    succeeded: datetime | None = None
    """When the last run ended that has exit code 0."""
    in_vain: int = 0
    """How many of the newest runs, one after the other, ended IN_VAIN."""


@damage.reading("the runs' totals")
def read_totals(connection: sqlite3.Connection, flake: str) -> Totals:
    """`flake` is its key, storable already."""
    outcomes = connection.execute(f"SELECT outcome, count(*) AS number {_RUNS} GROUP BY outcome", (flake,))
    seconds = connection.execute(_SECONDS, (flake,))
    return Totals(
        outcomes={_outcome(row): row["number"] for row in outcomes.fetchall()},
        seconds={row["phase"]: row["total"] for row in seconds.fetchall()},
        latest=_newest(connection, flake, ""),
        ended=_newest(connection, flake, "AND outcome IS NOT NULL"),
        published=_published(connection, flake),
        succeeded=_last(connection, flake, f"outcome IN ({_GOOD})"),
        in_vain=_in_vain(connection, flake),
    )


_RUNS = "FROM runs WHERE flake = ? AND NOT dry_run"
_SECONDS = """
    SELECT phases.phase, sum(seconds) AS total FROM phases JOIN runs ON phases.run = runs.id
    WHERE flake = ? AND NOT dry_run GROUP BY phases.phase
"""
_GOOD = ", ".join(f"'{outcome.value}'" for outcome in Outcome if outcome.exit_code == 0)
_NEWEST_FIRST = "ORDER BY started DESC, id DESC"


def _outcome(row: sqlite3.Row) -> Outcome | None:
    return None if row["outcome"] is None else codec.word(Outcome, row["outcome"])


def _newest(connection: sqlite3.Connection, flake: str, condition: str) -> Run | None:
    query = f"SELECT * {_RUNS} {condition} {_NEWEST_FIRST} LIMIT 1"
    row = connection.execute(query, (flake,)).fetchone()
    return None if row is None else codec.read_run(connection, row)


def _last(connection: sqlite3.Connection, flake: str, condition: str) -> datetime | None:
    query = f"SELECT max(finished) AS moment {_RUNS} AND {condition}"
    row = connection.execute(query, (flake,)).fetchone()
    return damage.moment_or_none(row["moment"])


def _published(connection: sqlite3.Connection, flake: str) -> datetime | None:
    """A run's pull request may land long after the run."""
    query = "SELECT max(changed) AS moment FROM pull_requests WHERE flake = ? AND state = ?"
    row = connection.execute(query, (flake, PullRequestState.LANDED)).fetchone()
    moments = (_last(connection, flake, "published IS NOT NULL"), damage.moment_or_none(row["moment"]))
    return max((one for one in moments if one is not None), default=None)


def _in_vain(connection: sqlite3.Connection, flake: str) -> int:
    query = f"SELECT outcome {_RUNS} AND outcome IS NOT NULL {_NEWEST_FIRST}"
    number = 0
    for row in connection.execute(query, (flake,)):
        if _outcome(row) not in IN_VAIN:
            break
        number += 1
    return number
