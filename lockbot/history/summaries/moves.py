"""When one input moved, and what held it in between. Knows SQL.

A move is what a run has landed: proposals that came to nothing, dry runs and what waits on a branch of lockbot's
are none. Where somebody else has moved the lock nobody says so here; the next move begins elsewhere then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from lockbot.history import codec, damage
from lockbot.model import InputChange

MOST = 50
"""So many moves are told, the newest."""
LOOKED_BACK = 5000
"""So many times that it was held are looked at, the newest."""


@dataclass(frozen=True)
class Move:
    run: str
    when: datetime
    commit: str
    change: InputChange


@dataclass(frozen=True)
class Hold:
    """Runs, one after the other, that held the input for one reason; `detail` is what the newest of them said."""

    reason: str
    detail: str
    first: datetime
    last: datetime
    runs: int
    run: str
    """The newest of them."""


def moves(connection: sqlite3.Connection, flake: str, input: str) -> tuple[Move, ...]:
    """The newest first. Flake and input are storable."""
    return tuple(map(_move, connection.execute(_MOVES, (flake, input, MOST))))


def holds(connection: sqlite3.Connection, flake: str, input: str, moved: Sequence[Move]) -> tuple[Hold, ...]:
    """The newest first, each as long as the reason was the same and the input did not move."""
    rows = connection.execute(_HELD, (flake, input, LOOKED_BACK))
    return tuple(_stretches(rows, [move.when for move in moved]))


def _stretches(rows: Iterable[sqlite3.Row], moved: list[datetime]) -> Iterator[Hold]:
    open_: Hold | None = None
    for row in rows:
        when, reason = damage.moment(row["started"]), damage.text(row["reason"])
        if open_ is not None and (open_.reason != reason or any(when < move <= open_.first for move in moved)):
            yield open_
            open_ = None
        if open_ is None:
            open_ = _hold(row)
        else:
            open_ = Hold(reason, open_.detail, when, open_.last, open_.runs + 1, open_.run)
    if open_ is not None:
        yield open_


@damage.reading("a move")
def _move(row: sqlite3.Row) -> Move:
    return Move(row["run"], damage.moment(row["started"]), row["published"], codec.read_change(row))


@damage.reading("a hold of a run's")
def _hold(row: sqlite3.Row) -> Hold:
    when = damage.moment(row["started"])
    return Hold(row["reason"], row["detail"], when, when, 1, row["run"])


# Runs first, by the flake's index, which has them in the wanted order; of each, its few changes.
_MOVES = """
    SELECT runs.started, runs.published, changes.* FROM runs CROSS JOIN changes ON changes.run = runs.id
    WHERE runs.flake = ? AND runs.published IS NOT NULL AND NOT runs.dry_run
        AND changes.input = ?
    ORDER BY runs.started DESC, runs.id DESC LIMIT ?
"""
_HELD = """
    SELECT runs.started, held.* FROM runs CROSS JOIN held ON held.run = runs.id
    WHERE runs.flake = ? AND NOT runs.dry_run AND held.input = ?
    ORDER BY runs.started DESC, runs.id DESC LIMIT ?
"""
