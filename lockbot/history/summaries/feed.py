"""The newest runs that are worth a line to somebody who subscribes: of the flake, or of one host. Knows SQL."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from lockbot.history import codec, damage, texts
from lockbot.model import Host, HostStatus, InputChange, Outcome

MOST = 50
_MOST_LINES = 20
"""So many changes, hosts and held inputs of one run are told."""
LOOKED_THROUGH = 2000
"""So many runs are looked through."""


@dataclass(frozen=True)
class Told:
    """A run; `changes`, `broken` (hosts) and `held` (inputs) are the first of them, `counts` how many of each.

    `status`: of the host that is asked for.
    """

    id: str
    started: datetime
    finished: datetime | None
    outcome: Outcome
    commit: str | None
    error: str | None
    changes: tuple[InputChange, ...]
    broken: tuple[str, ...]
    held: tuple[str, ...]
    counts: tuple[int, ...]
    status: HostStatus | None = None


def told_runs(connection: sqlite3.Connection, flake: str) -> tuple[Told, ...]:
    """Those that landed or proposed something, were rejected, or failed; the newest first. `flake` is storable."""
    rows = connection.execute(_RUNS, (flake, LOOKED_THROUGH, MOST)).fetchall()
    return tuple(_told(connection, row, None) for row in rows)


def told_of_host(connection: sqlite3.Connection, flake: str, host: Host) -> tuple[Told, ...]:
    """Those that landed with another system for it, or in which it broke; the newest first."""
    attribute = texts.strings(map(texts.storable, host.attribute))
    rows = connection.execute(_OF_HOST, (flake, LOOKED_THROUGH, attribute, MOST)).fetchall()
    return tuple(_told(connection, row, codec.word(HostStatus, row["status"])) for row in rows)


def _words(*words: str) -> str:
    return ", ".join(f"'{word}'" for word in words)


_TOLD = _words(Outcome.PUBLISHED, Outcome.PARTLY_PUBLISHED, Outcome.REQUESTED, Outcome.REJECTED, Outcome.FAILED)
_CHANGED = _words(HostStatus.BUILT, HostStatus.EVALUATED, HostStatus.NOT_BUILDABLE_HERE)
_BROKEN = _words(HostStatus.FAILED, HostStatus.NEW_AND_BROKEN)
_NEWEST = "(SELECT * FROM runs WHERE flake = ? AND NOT dry_run ORDER BY started DESC, id DESC LIMIT ?) AS runs"
_RUNS = f"""
    SELECT * FROM {_NEWEST} WHERE outcome IN ({_TOLD}) ORDER BY started DESC, id DESC LIMIT ?
"""  # noqa: S608 -- words of ours
_OF_HOST = f"""
    SELECT runs.*, hosts.status FROM {_NEWEST} CROSS JOIN hosts ON hosts.run = runs.id
    WHERE hosts.attribute = ? AND outcome IS NOT NULL
        AND (published IS NOT NULL AND status IN ({_CHANGED}) OR status IN ({_BROKEN}))
    ORDER BY runs.started DESC, runs.id DESC LIMIT ?
"""  # noqa: S608 -- words of ours


@damage.reading("a run")
def _told(connection: sqlite3.Connection, row: sqlite3.Row, status: HostStatus | None) -> Told:
    key = (row["id"],)
    changes = connection.execute("SELECT * FROM changes WHERE run = ? ORDER BY position", key).fetchall()
    broken = connection.execute(
        f"SELECT name FROM hosts WHERE run = ? AND status IN ({_BROKEN}) ORDER BY position",  # noqa: S608 -- words of ours
        key,
    ).fetchall()
    held = connection.execute("SELECT input FROM held WHERE run = ? ORDER BY position", key).fetchall()
    return Told(
        id=row["id"],
        started=damage.moment(row["started"]),
        finished=damage.moment_or_none(row["finished"]),
        outcome=codec.word(Outcome, row["outcome"]),
        commit=row["published"],
        error=row["error"],
        changes=tuple(map(codec.read_change, changes[:_MOST_LINES])),
        broken=tuple(one["name"] for one in broken[:_MOST_LINES]),
        held=tuple(one["input"] for one in held[:_MOST_LINES]),
        counts=(len(changes), len(broken), len(held)),
        status=status,
    )
