"""The ledger's values as rows, and back. Knows the tables' columns; not when or why something is stored."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

from lockbot.history import codec, damage, texts
from lockbot.history.input_states import Acceptance, InputState, Remembered, SeenTip, StateWord, UserHold
from lockbot.model import CulpritCommit, Heard, HoldEnd, UntilIn, UntilMerged, UntilVersion

Row = sqlite3.Row | Mapping[str, Any]
"""A row, or what can be read of one by the names of columns."""


@damage.reading("a derivation")
def remembered(connection: sqlite3.Connection, row: Row) -> Remembered:
    failure = None if row["failure"] is None else codec.read_failure(connection, row["failure"])
    return Remembered(row["drv"], damage.moment(row["recorded"]), failure, bool(row["flaky"]))


@damage.reading("a tip")
def tip(row: Row) -> SeenTip:
    first, last = (damage.moment(row[name]) for name in ("first_seen", "last_seen"))
    return SeenTip(row["source"], row["revision"], first, last, row["committed"])


@damage.reading("a hold")
def hold(row: Row) -> UserHold:
    return UserHold(
        row["input"],
        row["why"],
        damage.moment(row["since"]),
        damage.moment_or_none(row["until"]),
        row["at_revision"],
        None if row["ends"] is None else _ends(json.loads(row["ends"])),
        None if row["asked"] is None else _heard(row),
    )


def _ends(told: dict[str, Any]) -> HoldEnd:
    match told:
        case {"merged": url, **rest} if not rest:
            return UntilMerged(url)
        case {"branch": branch, "commit": commit, **rest} if not rest:
            return UntilIn(branch, commit)
        case {"package": list(package), "version": version, **rest} if not rest:
            return UntilVersion(tuple(package), version)
    raise ValueError("it ends with what nobody knows")


def _heard(row: Row) -> Heard:
    answered = damage.moment_or_none(row["answered"])
    return Heard(damage.moment(row["asked"]), row["answer"] or "", answered, row["looked_at"])


def hold_columns(flake: str, hold: UserHold) -> dict[str, codec.Value]:
    return {
        "flake": flake,
        "input": texts.storable(hold.input),
        "why": texts.prose(hold.why),
        "since": texts.moment(hold.since),
        "until": moment(hold.until),
        "at_revision": texts.optional(hold.at),
        "ends": None if hold.ends is None else ends_text(hold.ends),
        **(heard_columns(hold.heard) if hold.heard is not None else {}),
    }


def heard_columns(heard: Heard) -> dict[str, codec.Value]:
    return {
        "asked": texts.moment(heard.asked),
        "answer": texts.prose(heard.answer),
        "answered": moment(heard.answered),
        "looked_at": texts.optional(heard.revision),
    }


def ends_text(ends: HoldEnd) -> str:
    """The same value gives the same text: it tells a hold from one in its place."""
    match ends:
        case UntilMerged(url):
            told: dict[str, object] = {"merged": texts.storable(url)}
        case UntilIn(branch, commit):
            told = {"branch": texts.storable(branch), "commit": texts.storable(commit)}
        case UntilVersion(package, version):
            told = {"package": [*map(texts.storable, package)], "version": texts.storable(version)}
        case _:
            assert_never(ends)
    return json.dumps(told, ensure_ascii=False)


@damage.reading("an acceptance")
def acceptance(row: Row) -> Acceptance:
    return Acceptance(row["input"], damage.moment(row["since"]), row["locked"], row["revision"])


@dataclass(frozen=True)
class Seen:
    """Up to which commit somebody has looked, and when they said so."""

    revision: str
    moment: datetime


@damage.reading("what was looked at")
def seen(row: Row) -> Seen:
    return Seen(row["revision"], damage.moment(row["moment"]))


_TIMES = (
    "since",
    "stuck_since",
    "cache_since",
    "last_attempt",
    "last_success",
    "unreachable_since",
    "next_try",
)


@damage.reading("an input's state")
def state(row: Row) -> InputState:
    return InputState(
        input=row["input"],
        noticed=damage.moment(row["noticed"]),
        state=codec.word(StateWord, row["state"]),
        reason=row["reason"],
        detail=row["detail"],
        last_good=row["last_good"],
        locked=row["locked"],
        culprit=None if row["bad_revision"] is None else _bad(row),
        **{name: damage.moment_or_none(row[name]) for name in _TIMES},
    )


def _bad(row: Row) -> CulpritCommit:
    return CulpritCommit(
        revision=row["bad_revision"],
        subject=row["bad_subject"],
        author=row["bad_author"],
        date=row["bad_date"],
        link=row["bad_link"],
        hosts=tuple(json.loads(row["bad_hosts"])),
        after=row["bad_after"],
        exact=bool(row["bad_exact"]),
    )


def state_columns(flake: str, state: InputState) -> dict[str, codec.Value]:
    return {
        "flake": flake,
        "input": texts.storable(state.input),
        "noticed": texts.moment(state.noticed),
        "state": state.state,
        "reason": texts.storable(state.reason),
        "detail": texts.prose(state.detail),
        "last_good": texts.optional(state.last_good),
        "locked": texts.optional(state.locked),
        **{name: moment(getattr(state, name)) for name in _TIMES},
        **(_bad_columns(state.culprit) if state.culprit is not None else {}),
    }


def _bad_columns(bad: CulpritCommit) -> dict[str, codec.Value]:
    return {
        "bad_revision": texts.storable(bad.revision),
        "bad_subject": texts.prose(bad.subject),
        "bad_author": texts.prose(bad.author),
        "bad_date": texts.integer(bad.date),
        "bad_link": texts.optional(bad.link),
        "bad_hosts": texts.strings(map(texts.storable, bad.hosts)),
        "bad_after": texts.optional(bad.after),
        "bad_exact": bad.exact,
    }


def moment(time: datetime | None) -> str | None:
    return None if time is None else texts.moment(time)
