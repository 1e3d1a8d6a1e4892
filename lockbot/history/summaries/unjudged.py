"""Hosts and inputs of which nothing could be found out for several nights running. Knows SQL.

A source that is gone for good, a builder that stays away or a limit that is too low holds an update for as long as
nobody hears of it.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from lockbot.history import damage
from lockbot.model import Answer, HostStatus

NIGHTS = 3
"""For so many nights a host may go unjudged before somebody should look."""
LOOKED_BACK = 3000
"""How many runs are looked at, at most: a month of one every quarter of an hour."""
HELD = "could-not-be-judged"
"""The reason for which an input is held, as a word for machines (`model.Held`)."""


@dataclass(frozen=True)
class Unjudged:
    """A host that each of its newest runs could not judge, or an input that each held for that: on `nights`
    different days (UTC), from `since` on. `why` is what the newest one said."""

    kind: str
    """`host` or `input`."""
    name: str
    nights: int
    since: datetime
    why: str


@damage.reading("an unjudged host")
def read_unjudged(connection: sqlite3.Connection, flake: str) -> tuple[Unjudged, ...]:
    """What the newest run that had it could not judge, where it is still there. `flake` is storable already."""
    found: list[Unjudged] = []
    for kind, (query, existing) in _QUERIES.items():
        there = {row[0] for row in connection.execute(existing, (flake,))}
        streaks = _streaks(kind, connection.execute(query, (flake, LOOKED_BACK)), there)
        found += [one for one in streaks if one.name in there]
    return tuple(found)


def _streaks(kind: str, rows: Iterable[sqlite3.Row], there: set[str]) -> Iterator[Unjudged]:
    """Rows are by run, the newest first; `open` says whether it could not be judged there. Most end at once."""
    streaks: dict[str, list[sqlite3.Row]] = {}
    over: set[str] = set()
    for _, of_run in itertools.groupby(rows, key=lambda row: row["run"]):
        seen: dict[str, sqlite3.Row] = {}
        for row in of_run:
            if row["name"] not in seen or row["open"]:
                seen[row["name"]] = row
        for name, row in seen.items():
            if not row["open"]:
                over.add(name)
            elif name not in over:
                streaks.setdefault(name, []).append(row)
        if there <= over:
            break
    for name, found in sorted(streaks.items()):
        days = {row["started"][:10] for row in found}
        since = damage.moment(found[-1]["started"])
        yield Unjudged(kind, name, len(days), since, found[0]["message"] or "")


_RECENT = """
    WITH recent AS (
        SELECT id, started, published FROM runs WHERE flake = ? AND outcome IS NOT NULL
        ORDER BY started DESC, id DESC LIMIT ?
    )
"""
_HOSTS_THERE = """
    SELECT name FROM hosts WHERE run = (
        SELECT id FROM runs WHERE flake = ? AND EXISTS (SELECT 1 FROM hosts WHERE run = runs.id)
        ORDER BY started DESC, id DESC LIMIT 1
    )
"""
_INPUTS_THERE = "SELECT input FROM inputs WHERE flake = ?"
_QUERIES = {
    "host": (
        f"""{_RECENT}
    SELECT recent.id AS run, started, name, failures.message,
        status = '{HostStatus.UNJUDGED}' AND answer = '{Answer.UNJUDGED}' AS open
    FROM recent JOIN hosts ON hosts.run = recent.id LEFT JOIN failures ON failures.id = hosts.failure
    WHERE status <> '{HostStatus.UNCHANGED}'
    ORDER BY started DESC, run DESC
    """,  # noqa: S608 -- words of ours
        _HOSTS_THERE,
    ),
    "input": (
        f"""{_RECENT}
    SELECT recent.id AS run, started, input AS name, detail AS message, reason = '{HELD}' AS open
    FROM recent JOIN held ON held.run = recent.id
    UNION ALL
    SELECT recent.id, started, input, '', 0
    FROM recent JOIN changes ON changes.run = recent.id WHERE published IS NOT NULL
    ORDER BY started DESC, run DESC
    """,  # noqa: S608 -- words of ours
        _INPUTS_THERE,
    ),
}
