"""What one flake's people were told and what waits to be sent to them. Knows SQL; not what is worth telling.

Each method is one transaction of the History that it belongs to. Whoever sends takes turns with others (see
`commands.notify.turns`): so what is found half sent here was left by somebody who was killed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from lockbot.history import codec, texts
from lockbot.history.ledger import Transact
from lockbot.history.notices import rows
from lockbot.history.notices.values import (
    TRIED_FOR,
    TRIES,
    Decision,
    Delivery,
    Known,
    Letter,
    LetterState,
    pause,
)
from lockbot.retention import KEEP_TOLD

_OVER = (LetterState.SENT, LetterState.UNKNOWN, LetterState.GIVEN_UP)


class Notices:
    """`flake` is its key (`app.Place.flake`), storable already; made by `History.notices`."""

    def __init__(self, flake: str, read: Transact, write: Transact, clock: Callable[[], datetime]) -> None:
        self._flake = flake
        self._read = read
        self._write = write
        self._clock = clock

    # -- what stands

    def known(self) -> Known:
        """What was told so far."""
        return self._read(lambda connection: rows.known(connection, self._flake))

    def decide(self, decision: Callable[[Known], Decision]) -> Decision:
        """Compare what was told with how things stand, and keep the outcome with what is to be sent: all of it or,
        killed meanwhile, nothing. `decision` must be quick, for others wait."""

        def write(connection: sqlite3.Connection) -> Decision:
            decided = decision(rows.known(connection, self._flake))
            self._keep(connection, decided)
            return decided

        return self._write(write)

    def _keep(self, connection: sqlite3.Connection, decided: Decision) -> None:
        flake = self._flake
        for table in ("conditions", "told_targets", "told_requests"):
            connection.execute(f"DELETE FROM {table} WHERE flake = ?", (flake,))  # noqa: S608 -- our own names
        for condition in decided.conditions:
            codec.insert(connection, "conditions", rows.condition_columns(flake, condition))
        for request, kind in decided.requests.items():
            row: dict[str, codec.Value] = {"id": texts.storable(request), "flake": flake, "kind": kind}
            codec.insert(connection, "told_requests", row)
        codec.insert(connection, "looked", rows.looked_columns(flake, decided.looked), replacing="flake")
        targets = {texts.storable(name): due for name, due in sorted(decided.targets.items())}
        for target, due in targets.items():
            codec.insert(connection, "told_targets", {"flake": flake, "target": target})
            self._bring_forward(connection, target, texts.moment(due))
        for letter in decided.letters:
            codec.insert(connection, "outbox", rows.letter_columns(flake, letter))
        self._prune(connection, targets)

    def _bring_forward(self, connection: sqlite3.Connection, target: str, due: str) -> None:
        """Its digest has other times by now, or it has none any more."""
        query = """
            UPDATE outbox SET due = ? WHERE flake = ? AND target = ? AND state = ? AND attempts = 0 AND due > ?
        """
        connection.execute(query, (due, self._flake, target, LetterState.WAITING, due))

    def _prune(self, connection: sqlite3.Connection, targets: Collection[str]) -> None:
        """Letters of targets that are no more, and those that were over long ago, go."""
        kept = texts.strings(targets)
        query = "DELETE FROM outbox WHERE flake = ? AND target NOT IN (SELECT value FROM json_each(?))"
        connection.execute(query, (self._flake, kept))
        oldest = texts.moment(self._clock() - KEEP_TOLD)
        connection.execute("DELETE FROM outbox WHERE ended IS NOT NULL AND ended < ?", (oldest,))

    # -- the outbox

    def waiting(self) -> tuple[Letter, ...]:
        """What is not sent yet, the oldest first."""
        return self._read(lambda connection: self._letters(connection, (LetterState.WAITING,)))

    def unsettled(self) -> bool:
        """Whether something is on its way; or was, when its sender was killed."""
        return bool(self._read(lambda connection: self._letters(connection, (LetterState.SENDING,))))

    def next_try(self) -> datetime | None:
        """When something is to be sent next; None: nothing waits."""
        return min((letter.due for letter in self.waiting()), default=None)

    def mark_sending(self, ids: Iterable[str]) -> None:
        """Remember that these are on their way from now on."""
        self._set(ids, LetterState.SENDING)

    def mark_sent(self, ids: Iterable[str]) -> None:
        self._set(ids, LetterState.SENT, ended=True)

    def settle(self, gone: Collection[str]) -> int:
        """Of what was on its way when its sender was killed: what had gone out (`gone`) may have arrived, and is
        not sent again; the rest is. To be called with nobody sending. Returns how many may have arrived."""

        def update(connection: sqlite3.Connection) -> int:
            found = [one.id for one in self._letters(connection, (LetterState.SENDING,))]
            now = texts.moment(self._clock())
            _write_state(connection, [one for one in found if one in gone], LetterState.UNKNOWN, now)
            _write_state(connection, [one for one in found if one not in gone], LetterState.WAITING, None)
            return sum(one in gone for one in found)

        return self._write(update)

    def fail(self, letters: Sequence[Letter], error: str) -> None:
        """These could not be sent: they are tried again after a pause, or given up after a day of that."""
        now = self._clock()

        def update(connection: sqlite3.Connection) -> None:
            for one in letters:
                codec.insert(
                    connection,
                    "outbox",
                    rows.letter_columns(self._flake, _failed(one, error, now)),
                    replacing="id",
                )

        self._write(update)

    def deliveries(self, targets: Sequence[str]) -> tuple[Delivery, ...]:
        """How it stands with each of these targets."""
        letters = self._read(lambda connection: self._letters(connection, tuple(LetterState)))
        return tuple(
            _delivery(name, [one for one in letters if one.target == texts.storable(name)]) for name in targets
        )

    def _letters(self, connection: sqlite3.Connection, states: Sequence[LetterState]) -> tuple[Letter, ...]:
        query = f"""
            SELECT * FROM outbox WHERE flake = ? AND state IN ({", ".join("?" * len(states))})
            ORDER BY created, id
        """  # noqa: S608 -- placeholders
        return tuple(map(rows.letter, connection.execute(query, (self._flake, *states)).fetchall()))

    def _set(self, ids: Iterable[str], state: LetterState, *, ended: bool = False) -> None:
        moment = texts.moment(self._clock()) if ended else None
        self._write(lambda connection: _write_state(connection, ids, state, moment))


def _write_state(
    connection: sqlite3.Connection, ids: Iterable[str], state: LetterState, ended: str | None
) -> None:
    connection.executemany(
        "UPDATE outbox SET state = ?, ended = ? WHERE id = ?", [(state, ended, one) for one in ids]
    )


def _failed(letter: Letter, error: str, now: datetime) -> Letter:
    attempts, tried = letter.attempts + 1, min(letter.tried or now, now)
    tried_for_long = now - tried >= TRIED_FOR and attempts >= TRIES
    return replace(
        letter,
        attempts=attempts,
        tried=tried,
        due=now + pause(attempts),
        state=LetterState.GIVEN_UP if tried_for_long else LetterState.WAITING,
        error=error,
        ended=now if tried_for_long else None,
    )


def _delivery(name: str, letters: Sequence[Letter]) -> Delivery:
    open_ = [one for one in letters if one.state not in _OVER]
    tried = [one for one in letters if one.error and one.state is not LetterState.SENT]
    through = max((one.ended for one in letters if one.state is LetterState.SENT and one.ended), default=None)
    lost = [
        one.state for one in letters if one.ended and one.state in _OVER and (not through or one.ended > through)
    ]
    return Delivery(
        name,
        len(open_),
        min((one.created for one in open_), default=None),
        min((one.due for one in open_), default=None),
        tried[-1].error if tried else "",
        lost.count(LetterState.GIVEN_UP),
        lost.count(LetterState.UNKNOWN),
    )
