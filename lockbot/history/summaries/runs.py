"""The list of runs: a line of each, without what belongs to it. Knows SQL."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from lockbot.history import codec, damage
from lockbot.model import Outcome


@dataclass(frozen=True)
class RunSummary:
    """A line of the list of runs. `changes`, `hosts`, `failed` and `held` are counts."""

    id: str
    repository: str
    flake: str
    started: datetime
    finished: datetime | None
    outcome: Outcome | None
    branch: str
    base: str | None
    commit: str | None
    parked: str | None
    pushed: bool
    dry_run: bool
    error: str | None
    changes: int
    hosts: int
    failed: int
    held: int
    requests: tuple[str, ...] = ()
    """The pull requests that it has opened, or made ask for what it judged: `#5`, or a branch."""


def summaries_query(*, by_flake: bool, paged: bool) -> str:
    """The list of runs; its values are the flake, the (started, id) of the page's start, and the limit."""
    conditions = ["flake = ?"] * by_flake + ["(started, id) < (?, ?)"] * paged
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"{_SUMMARIES} {where} ORDER BY started DESC, id DESC LIMIT ?"


def of_runs(number: int) -> str:
    """So many runs, by their ids, in no order."""
    return f"{_SUMMARIES} WHERE id IN ({', '.join('?' * number)})"


_SUMMARIES = """
    SELECT id, repository, flake, started, finished, outcome, branch, base, published, parked, pushed, dry_run,
        error, requests,
        (SELECT count(*) FROM changes WHERE run = runs.id) AS changes,
        (SELECT count(*) FROM hosts WHERE run = runs.id) AS hosts,
        (SELECT count(*) FROM hosts WHERE run = runs.id AND status = 'failed') AS failed,
        (SELECT count(*) FROM held WHERE run = runs.id) AS held
    FROM runs
"""


@damage.reading("a run")
def summary(row: sqlite3.Row) -> RunSummary:
    return RunSummary(
        id=row["id"],
        repository=row["repository"],
        flake=row["flake"] or "",
        started=damage.moment(row["started"]),
        finished=damage.moment_or_none(row["finished"]),
        outcome=None if row["outcome"] is None else codec.word(Outcome, row["outcome"]),
        branch=row["branch"],
        base=row["base"],
        commit=row["published"],
        parked=row["parked"],
        pushed=bool(row["pushed"]),
        dry_run=bool(row["dry_run"]),
        error=row["error"],
        changes=row["changes"],
        hosts=row["hosts"],
        failed=row["failed"],
        held=row["held"],
        requests=tuple(one.label for one in codec.read_done(row["requests"]) if one.step.asks),
    )
