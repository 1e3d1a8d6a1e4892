"""Conditions and letters as rows, and back. Knows the tables' columns; not when or why something is stored."""

from __future__ import annotations

import json
import sqlite3

from lockbot.history import codec, damage, texts
from lockbot.history.notices.values import Known, Letter, LetterState, Looked, key
from lockbot.history.rows import Row
from lockbot.model import Condition, Notice, NoticeKind


@damage.reading("a condition")
def condition(row: Row) -> Condition:
    return Condition(
        kind=codec.word(NoticeKind, row["kind"]),
        subject=row["subject"],
        title=row["title"],
        body=row["body"],
        inputs=tuple(json.loads(row["inputs"])),
        hosts=tuple(json.loads(row["hosts"])),
        run=row["run"],
        since=damage.moment(row["since"]),
    )


def condition_columns(flake: str, one: Condition) -> dict[str, codec.Value]:
    assert one.since is not None
    return {
        "flake": flake,
        "kind": one.kind,
        "subject": one.subject,
        "since": texts.moment(one.since),
        "title": one.title,
        "body": one.body,
        "inputs": texts.strings(one.inputs),
        "hosts": texts.strings(one.hosts),
        "run": one.run,
    }


@damage.reading("when somebody looked")
def looked(row: Row) -> Looked:
    first, moment = damage.moment(row["first"]), damage.moment(row["moment"])
    return Looked(first, moment, damage.moment_or_none(row["started"]), row["run"])


def looked_columns(flake: str, one: Looked) -> dict[str, codec.Value]:
    return {
        "flake": flake,
        "first": texts.moment(one.first),
        "moment": texts.moment(one.moment),
        "started": None if one.started is None else texts.moment(one.started),
        "run": texts.optional(one.run),
    }


@damage.reading("who was told")
def target(row: Row) -> str:
    return damage.text(row["target"])


@damage.reading("what was told of a pull request")
def told_request(row: Row) -> tuple[str, NoticeKind]:
    return damage.text(row["id"]), codec.word(NoticeKind, row["kind"])


@damage.reading("a message")
def letter(row: Row) -> Letter:
    notice = Notice(
        codec.word(NoticeKind, row["kind"]),
        row["title"],
        row["body"],
        tuple(json.loads(row["inputs"])),
        tuple(json.loads(row["hosts"])),
        row["run"],
    )
    return Letter(
        id=row["id"],
        target=row["target"],
        notice=notice,
        created=damage.moment(row["created"]),
        due=damage.moment(row["due"]),
        state=codec.word(LetterState, row["state"]),
        attempts=row["attempts"],
        tried=damage.moment_or_none(row["tried"]),
        error=row["error"] or "",
        ended=damage.moment_or_none(row["ended"]),
    )


def letter_columns(flake: str, one: Letter) -> dict[str, codec.Value]:
    told = one.notice
    return {
        "id": one.id,
        "flake": flake,
        "target": texts.storable(one.target),
        "kind": told.kind,
        "title": texts.prose(told.title),
        "body": texts.prose(told.body),
        "inputs": texts.strings(map(texts.storable, told.inputs)),
        "hosts": texts.strings(map(texts.storable, told.hosts)),
        "run": texts.optional(told.run),
        "created": texts.moment(one.created),
        "due": texts.moment(one.due),
        "tried": None if one.tried is None else texts.moment(one.tried),
        "attempts": one.attempts,
        "state": one.state,
        "error": texts.prose(one.error) or None,
        "ended": None if one.ended is None else texts.moment(one.ended),
    }


def storable(one: Condition) -> Condition:
    """As it is read back: else what is kept would never be what stands."""
    return Condition(
        one.kind,
        texts.storable(one.subject),
        texts.prose(one.title),
        texts.prose(one.body),
        tuple(map(texts.storable, one.inputs)),
        tuple(map(texts.storable, one.hosts)),
        texts.optional(one.run),
        one.since,
    )


def known(connection: sqlite3.Connection, flake: str) -> Known:
    conditions = [condition(row) for row in connection.execute(_CONDITIONS, (flake,)).fetchall()]
    found = [looked(row) for row in connection.execute("SELECT * FROM looked WHERE flake = ?", (flake,))]
    targets = [target(row) for row in connection.execute("SELECT * FROM told_targets WHERE flake = ?", (flake,))]
    query = "SELECT * FROM told_requests WHERE flake = ?"
    requests = dict(told_request(row) for row in connection.execute(query, (flake,)).fetchall())
    by_key = {key(one): one for one in conditions}
    return Known(by_key, found[0] if found else None, frozenset(targets), requests)


_CONDITIONS = "SELECT * FROM conditions WHERE flake = ? ORDER BY kind, subject"
