"""The ledger: what is remembered of each input between runs, and how derivations fared.

Knows SQL; not what a state leads to (`policy`) nor when it changes (`values.advance`). Each method is one
transaction of the History that it belongs to. Text from outside is made storable here, and raises nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from lockbot import retention
from lockbot.history import codec, damage, rows, texts
from lockbot.history.input_states import (
    Acceptance,
    InputState,
    Observation,
    Remembered,
    SeenTip,
    UserHold,
    advance,
)
from lockbot.model import Failure, FailureKind, Heard

_CHUNK = 500
"""How many values one statement binds: older SQLites take no more than 999."""
_Result = TypeVar("_Result")
_Key = tuple[str, str]
"""Flake and context."""


@dataclass(frozen=True, eq=False)
class _ByInput(Mapping[str, _Result]):
    """What is kept of inputs, found by their names as flake.nix has them: kept are those without secrets."""

    kept: dict[str, _Result]

    def __getitem__(self, input: str) -> _Result:
        return self.kept[texts.storable(input)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)


class Transact(Protocol):
    """Runs an action in a transaction, and heals what it meets: History's own."""

    def __call__(self, action: Callable[[sqlite3.Connection], _Result], /) -> _Result: ...


class Ledger:
    """One flake's inputs. `flake` is its key (`app.Place.flake`), storable already; made by `History.ledger`."""

    def __init__(self, flake: str, read: Transact, write: Transact, clock: Callable[[], datetime]) -> None:
        self._flake = flake
        self._read = read
        self._write = write
        self._clock = clock

    # -- tips

    def record_tip(self, input: str, source: str, revision: str, committed: int | None = None) -> None:
        """Remember that what `input` follows (`source`, a flake reference) was at `revision` just now."""
        key = (self._flake, texts.storable(input), texts.origin(source), texts.storable(revision))
        now = texts.moment(self._clock())
        self._write(lambda connection: connection.execute(_SEE, (*key, now, now, texts.integer(committed))))

    def tips(self, input: str, source: str, limit: int = -1) -> tuple[SeenTip, ...]:
        """The tips that were seen of this source, the one seen last first; at most `limit` unless negative."""
        key = (self._flake, texts.storable(input), texts.origin(source), limit)
        return self._read(lambda connection: tuple(map(rows.tip, connection.execute(_TIPS, key).fetchall())))

    def follows(self, input: str, source: str) -> bool:
        """Whether this is the source that the input was seen to follow last; also where none was ever asked."""
        query = "SELECT source FROM tips WHERE flake = ? AND input = ? ORDER BY last_seen DESC LIMIT 1"
        key = (self._flake, texts.storable(input))
        found = self._read(lambda connection: [damage.text(row[0]) for row in connection.execute(query, key)])
        return found in ([], [texts.origin(source)])

    def first_seen(self, input: str, source: str) -> dict[str, datetime]:
        """When each revision was first seen at the tip of this source."""
        return {tip.revision: tip.first_seen for tip in self.tips(input, source)}

    # -- what the user says

    def hold(self, hold: UserHold) -> None:
        """Keep an input where the user wants it, from the next run on; in place of an earlier hold."""
        row = rows.hold_columns(self._flake, hold)
        self._write(lambda connection: _replace(connection, "holds", row))

    def begin_to_ask(self, hold: UserHold) -> bool:
        """Note that somebody is asked now whether it has ended, before that is done. False: another process was
        faster, or the user has changed the hold meanwhile."""
        row, now = rows.hold_columns(self._flake, hold), texts.moment(self._clock())
        values = (now, row["flake"], row["input"], row["since"], row["ends"], row.get("asked"))
        return bool(self._write(lambda connection: connection.execute(_BEGIN_TO_ASK, values).rowcount))

    def note_answer(self, hold: UserHold, heard: Heard) -> None:
        """Keep what was heard of a hold, unless the user has changed that meanwhile."""
        row = rows.hold_columns(self._flake, replace(hold, heard=heard))
        self._write(lambda connection: connection.execute(_NOTE_ANSWER, row))

    def end(self, hold: UserHold) -> bool:
        """Release a hold whose end has come; False: the user has changed it meanwhile, and it stays."""
        row = rows.hold_columns(self._flake, hold)
        values = tuple(row[name] for name in ("flake", "input", "since", "ends"))
        return bool(self._write(lambda connection: connection.execute(_END, values).rowcount))

    def release(self, input: str) -> UserHold | None:
        """End a hold; the one that there was."""

        def end(connection: sqlite3.Connection) -> UserHold | None:
            row = _one(connection, "holds", self._flake, input)
            _delete(connection, "holds", self._flake, input)
            return None if row is None else rows.hold(row)

        return self._write(end)

    def holds(self) -> Mapping[str, UserHold]:
        """Every hold, also those whose time is over (`UserHold.active`), by input."""
        return _ByInput({hold.input: hold for hold in self._all("holds", rows.hold)})

    def accept(self, acceptance: Acceptance) -> None:
        """Let the next move of an input pass in spite of what holds it; in place of an earlier acceptance."""
        row: dict[str, codec.Value] = {
            "flake": self._flake,
            "input": texts.storable(acceptance.input),
            "since": texts.moment(acceptance.since),
            "locked": texts.optional(acceptance.locked),
            "revision": texts.optional(acceptance.revision),
        }
        self._write(lambda connection: _replace(connection, "accepted", row))

    def accepted(self) -> Mapping[str, Acceptance]:
        """What was accepted and not used up yet, by input (`Acceptance.covers`)."""
        return _ByInput({one.input: one for one in self._all("accepted", rows.acceptance)})

    # -- how inputs stand

    def states(self) -> Mapping[str, InputState]:
        """How each input stood after the last run that had it."""
        return _ByInput({state.input: state for state in self._all("inputs", rows.state)})

    def record(self, observations: Iterable[Observation]) -> None:
        """Take over what a run found out. Acceptances of inputs that have moved are used up."""
        now = self._clock()

        def update(connection: sqlite3.Connection) -> None:
            for seen in observations:
                row = _one(connection, "inputs", self._flake, seen.input)
                state = advance(None if row is None else rows.state(row), seen, now)
                _replace(connection, "inputs", rows.state_columns(self._flake, state))
                taken = _one(connection, "accepted", self._flake, seen.input)
                if taken is not None and taken["locked"] != texts.optional(seen.locked):
                    _delete(connection, "accepted", self._flake, seen.input)

        self._write(update)

    def forget_inputs(self, keep: Collection[str]) -> None:
        """Forget states, tips and acceptances of inputs that the lock no longer has. The user's holds stay."""
        kept = set(map(texts.storable, keep))

        def delete(connection: sqlite3.Connection) -> None:
            for table in ("inputs", "tips", "accepted"):
                query = f"SELECT DISTINCT input FROM {table} WHERE flake = ?"  # noqa: S608 -- our own table names
                for row in connection.execute(query, (self._flake,)).fetchall():
                    if damage.text(row["input"]) not in kept:
                        _delete(connection, table, self._flake, row["input"])

        self._write(delete)

    # -- derivations: `context` is a word for all that decides how they fare (`RunConfig.fingerprint`)

    def known(self, context: str, drvs: Sequence[str], max_age: float) -> dict[str, Remembered]:
        """What is remembered of these derivations; failures older than `max_age` seconds are left out."""
        oldest = _before(self._clock(), max_age)
        key = self._in(context)

        def select(connection: sqlite3.Connection) -> dict[str, Remembered]:
            found = [
                row
                for part in _chunks(drvs)
                for row in connection.execute(_derivations(len(part)), (*key, *part)).fetchall()
            ]
            known = [rows.remembered(connection, row) for row in found]
            return {one.drv: one for one in known if one.failure is None or one.when >= oldest}

        return self._read(select)

    def failures(self, context: str, max_age: float) -> dict[str, Failure]:
        """The derivations that are taken to fail again: those that failed in the last `max_age` seconds."""
        values = (*self._in(context), texts.moment(_before(self._clock(), max_age)))

        def select(connection: sqlite3.Connection) -> dict[str, Failure]:
            found = [rows.remembered(connection, row) for row in connection.execute(_FAILING, values).fetchall()]
            return {one.drv: one.failure for one in found if one.failure is not None}

        return self._read(select)

    def remember(self, context: str, results: Mapping[str, Failure | None]) -> tuple[str, ...]:
        """Remember how builds ended (None: well). Returns the derivations that turned out to be flaky.

        Failures that are not the derivation's own (network, memory, timeout …) are not remembered, nor do they
        undo what was. With what builds now, those are forgotten that are only known to fail because of it.
        """
        now = texts.moment(self._clock())
        key = self._in(context)

        def insert(connection: sqlite3.Connection) -> tuple[str, ...]:
            taken = [
                (texts.storable(drv), failure)
                for drv, failure in results.items()
                if failure is None or failure.kind.own
            ]
            return tuple(drv for drv, failure in taken if _remember(connection, key, drv, failure, now))

        return self._write(insert)

    def forget_failures(self) -> int:
        """Forget which derivations fail (`--retry-failed`), in every context; that they are flaky stays.

        Returns how many.
        """

        def delete(connection: sqlite3.Connection) -> int:
            flake = (self._flake,)
            kept = connection.execute(_FLAKY, flake).fetchall()
            failing = "DELETE FROM derivations WHERE flake = ? AND failure IS NOT NULL"
            gone = connection.execute(failing, flake).rowcount
            connection.executemany(
                "INSERT INTO derivations (flake, context, drv, recorded, flaky) VALUES (?, ?, ?, ?, 1)",
                map(tuple, kept),
            )
            return gone

        return self._write(delete)

    # -- growth

    def prune(self, keep_days: float) -> None:
        """Remove derivations and tips not seen for so long, and those above MOST_DERIVATIONS and NEWEST_TIPS.

        Those of every flake: else of one that is no longer updated all would stay for ever.
        """
        oldest = texts.moment(_before(self._clock(), keep_days * 86400))

        def delete(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM derivations WHERE recorded < ?", (oldest,))
            connection.execute(_SURPLUS_DERIVATIONS, (retention.MOST_DERIVATIONS,))
            connection.execute(_SURPLUS_TIPS, (oldest, retention.NEWEST_TIPS))

        self._write(delete)

    def _in(self, context: str) -> _Key:
        return self._flake, texts.storable(context)

    def _all(self, table: str, read: Callable[[sqlite3.Row], _Result]) -> tuple[_Result, ...]:
        query = f"SELECT * FROM {table} WHERE flake = ? ORDER BY input"  # noqa: S608 -- our own table names
        return self._read(
            lambda connection: tuple(map(read, connection.execute(query, (self._flake,)).fetchall()))
        )


_THIS_HOLD = "flake = ? AND input = ? AND since = ? AND ends = ?"
_BEGIN_TO_ASK = f"UPDATE holds SET asked = ? WHERE {_THIS_HOLD} AND asked IS ?"  # noqa: S608 -- values are bound
_NOTE_ANSWER = """
    UPDATE holds SET asked = :asked, answer = :answer, answered = :answered, looked_at = :looked_at
    WHERE flake = :flake AND input = :input AND since = :since AND ends = :ends
"""
_END = f"DELETE FROM holds WHERE {_THIS_HOLD}"  # noqa: S608 -- values are bound

# A clock that once went wrong must not keep a revision young for years: the earliest sight holds.
_SEE = """
    INSERT INTO tips (flake, input, source, revision, first_seen, last_seen, committed)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (flake, input, source, revision) DO UPDATE SET
        first_seen = min(first_seen, excluded.first_seen),
        last_seen = excluded.last_seen,
        committed = coalesce(excluded.committed, committed)
"""

_TIPS = """
    SELECT * FROM tips WHERE flake = ? AND input = ? AND source = ?
    ORDER BY last_seen DESC, first_seen DESC, revision LIMIT ?
"""

_FAILING = """
    SELECT * FROM derivations WHERE flake = ? AND context = ? AND failure IS NOT NULL AND recorded >= ?
"""

_FLAKY = """
    SELECT flake, context, drv, recorded FROM derivations WHERE flake = ? AND failure IS NOT NULL AND flaky
"""

_SURPLUS_DERIVATIONS = """
    DELETE FROM derivations WHERE (flake, context, drv) IN (
        SELECT flake, context, drv FROM derivations ORDER BY recorded DESC, flake, context, drv LIMIT -1 OFFSET ?
    )
"""

# The newest of each source stays, however old: it is how long the tip has been there that is asked for.
_SURPLUS_TIPS = """
    DELETE FROM tips WHERE (flake, input, source, revision) IN (
        SELECT flake, input, source, revision FROM (
            SELECT *, row_number() OVER (
                PARTITION BY flake, input, source ORDER BY last_seen DESC, first_seen DESC, revision
            ) AS age FROM tips
        ) WHERE age > 1 AND (last_seen < ? OR age > ?)
    )
"""


def _derivations(number: int) -> str:
    names = ", ".join("?" * number)
    return f"SELECT * FROM derivations WHERE flake = ? AND context = ? AND drv IN ({names})"  # noqa: S608 -- values are bound


def _chunks(drvs: Sequence[str]) -> Iterable[tuple[str, ...]]:
    names = tuple(dict.fromkeys(map(texts.storable, drvs)))
    return (names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK))


def _remember(connection: sqlite3.Connection, key: _Key, drv: str, failure: Failure | None, now: str) -> bool:
    """Whether the derivation, having failed by itself before, has built now."""
    before = connection.execute(_derivations(1), (*key, drv)).fetchone()
    was = None if before is None else rows.remembered(connection, before)
    recovered = failure is None and was is not None and was.failure is not None and _by_itself(drv, was.failure)
    ours = "DELETE FROM derivations WHERE flake = ? AND context = ?"
    connection.execute(f"{ours} AND drv = ?", (*key, drv))
    if failure is None:
        connection.execute(f"{ours} AND culprit = ?", (*key, drv))
    row: dict[str, codec.Value] = {
        "flake": key[0],
        "context": key[1],
        "drv": drv,
        "recorded": now,
        "flaky": recovered or (was is not None and was.flaky),
        "culprit": None if failure is None else texts.optional(failure.culprit),
        "failure": None if failure is None else codec.write_failure(connection, failure),
    }
    codec.insert(connection, "derivations", row)
    return recovered


def _by_itself(drv: str, failure: Failure) -> bool:
    """Whether it was its own builder that failed, and neither a dependency nor a download."""
    return failure.kind is FailureKind.BUILD and failure.culprit in (None, drv)


def _one(connection: sqlite3.Connection, table: str, flake: str, input: str) -> sqlite3.Row | None:
    query = f"SELECT * FROM {table} WHERE flake = ? AND input = ?"  # noqa: S608 -- our own table names
    row: sqlite3.Row | None = connection.execute(query, (flake, texts.storable(input))).fetchone()
    return row


def _delete(connection: sqlite3.Connection, table: str, flake: str, input: str) -> None:
    statement = f"DELETE FROM {table} WHERE flake = ? AND input = ?"  # noqa: S608 -- our own table names
    connection.execute(statement, (flake, texts.storable(input)))


def _replace(connection: sqlite3.Connection, table: str, row: dict[str, codec.Value]) -> None:
    """The whole row of an input, in place of the one that is there."""
    _delete(connection, table, str(row["flake"]), str(row["input"]))
    codec.insert(connection, table, row)


def _before(now: datetime, seconds: float) -> datetime:
    """So long ago, or as far back as dates go."""
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        return datetime.min.replace(tzinfo=now.tzinfo)
