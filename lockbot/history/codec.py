"""The model's values as rows, and back. Knows the tables' columns; not when or why something is stored.

Every function runs inside the caller's transaction. What comes from outside is made storable here, and nothing of
it raises: SQLite takes no lone surrogates and no integer above 64 bits, prose has no natural end, and no secret is
kept.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from lockbot.history import damage
from lockbot.history.reviews import read_review, write_review
from lockbot.history.texts import integer, moment, optional, prose, storable, strings
from lockbot.model import (
    Answer,
    ChangeKind,
    CulpritCommit,
    Failure,
    FailureKind,
    Held,
    Host,
    HostBuild,
    HostKind,
    HostStatus,
    InputChange,
    Judgement,
    Locked,
    Outcome,
    Phase,
    RequestDone,
    RequestStep,
    Run,
)

CHILDREN = ("changes", "hosts", "held", "notes", "phases")

_LOCKED = ("type", "url", "original", "rev", "ref", "nar_hash", "last_modified")
_Word = TypeVar("_Word", bound=StrEnum)
Value = str | int | float | None


def write_run(connection: sqlite3.Connection, run: Run) -> None:
    """Insert or rewrite a whole run; what marks its progress (`phase`, `publishing`) stays."""
    columns: dict[str, Value] = {
        "id": storable(run.id),
        "repository": storable(run.repository),
        "flake": storable(run.flake) or None,
        "started": moment(run.started),
        "finished": moment(run.finished) if run.finished else None,
        "outcome": run.outcome,
        "branch": storable(run.branch),
        "base": optional(run.base),
        "candidate": optional(run.candidate),
        "published": optional(run.commit),
        "parked": optional(run.parked),
        "pushed": run.pushed,
        "dry_run": run.dry_run,
        "error": None if run.error is None else prose(run.error),
        "hint": None if run.hint is None else prose(run.hint),
        "requests": _done_text(run.requests),
    }
    identity = str(columns["id"])
    insert(connection, "runs", columns, replacing="id")
    for table in CHILDREN:
        connection.execute(f"DELETE FROM {table} WHERE run = ?", (identity,))  # noqa: S608 -- our own table names
    rows: dict[str, Iterable[dict[str, Value]]] = {
        "changes": map(_change_columns, run.changes),
        "hosts": (
            build_columns(connection, build) | _judgement_columns("base_", build.base) for build in run.hosts
        ),
        "held": map(_held_columns, run.held),
        "notes": ({"text": prose(note)} for note in run.notes),
        "phases": ({"phase": storable(name), "seconds": value} for name, value in run.seconds.items()),
    }
    for table in CHILDREN:
        for position, row in enumerate(rows[table]):
            insert(connection, table, {"run": identity, "position": position, **row})
    write_review(connection, run)


def write_more_notes(connection: sqlite3.Connection, run: str, notes: Sequence[str]) -> None:
    query = "SELECT coalesce(max(position) + 1, 0) FROM notes WHERE run = ?"
    first: int = connection.execute(query, (run,)).fetchone()[0]
    for position, note in enumerate(notes, first):
        insert(connection, "notes", {"run": run, "position": position, "text": prose(note)})


@damage.reading("a run")
def read_run(connection: sqlite3.Connection, row: sqlite3.Row) -> Run:
    """A row of `runs`, with everything that belongs to it."""

    def children(table: str) -> list[sqlite3.Row]:
        query = f"SELECT * FROM {table} WHERE run = ? ORDER BY position"  # noqa: S608 -- our own table names
        return connection.execute(query, (row["id"],)).fetchall()

    differences, upstream = read_review(connection, row["id"])
    return Run(
        id=row["id"],
        repository=row["repository"],
        started=damage.moment(row["started"]),
        outcome=None if row["outcome"] is None else word(Outcome, row["outcome"]),
        finished=damage.moment_or_none(row["finished"]),
        branch=row["branch"],
        base=row["base"],
        candidate=row["candidate"],
        commit=row["published"],
        parked=row["parked"],
        pushed=bool(row["pushed"]),
        dry_run=bool(row["dry_run"]),
        changes=tuple(map(read_change, children("changes"))),
        hosts=tuple(read_build(connection, host) for host in children("hosts")),
        held=tuple(map(_held, children("held"))),
        notes=tuple(note["text"] for note in children("notes")),
        error=row["error"],
        hint=row["hint"],
        seconds={phase["phase"]: phase["seconds"] for phase in children("phases")},
        differences=differences,
        upstream=upstream,
        flake=row["flake"] or "",
        requests=read_done(row["requests"]),
    )


@damage.reading("how far a run had come")
def read_marks(row: sqlite3.Row) -> tuple[Phase | None, str | None]:
    """Of a row of `runs`: the run's last phase, and the commit that it was about to publish."""
    publishing = row["publishing"]
    if not isinstance(publishing, str | None):
        raise TypeError(f"{publishing!r} is no commit")
    return None if row["phase"] is None else word(Phase, row["phase"]), publishing


def write_baseline(
    connection: sqlite3.Connection, key: tuple[str, str, str], build: HostBuild, now: datetime
) -> None:
    """Remember one host, in place of what was known. (REPLACE would not fire the delete trigger.)

    `key` is the flake, the context and the commit, storable already.
    """
    columns = build_columns(connection, build)
    one = "flake = ? AND context = ? AND revision = ? AND attribute = ?"
    connection.execute(f"DELETE FROM baselines WHERE {one}", (*key, columns["attribute"]))  # noqa: S608 -- values are bound
    names = ("flake", "context", "revision")
    insert(connection, "baselines", {**dict(zip(names, key, strict=True)), "recorded": moment(now), **columns})


def build_columns(connection: sqlite3.Connection, build: HostBuild) -> dict[str, Value]:
    """The columns that `hosts` and `baselines` share; the failure, if any, is stored on the way."""
    return {
        "name": storable(build.host.name),
        "attribute": strings(map(storable, build.host.attribute)),
        "kind": build.host.kind,
        "evaluate_only": build.host.evaluate_only,
        "status": build.status,
        "drv": _store_path(build.drv),
        "out": _store_path(build.out),
        "system": optional(build.system),
        "failure": None if build.failure is None else write_failure(connection, build.failure),
        "warnings": None if build.warnings is None else strings(map(prose, build.warnings)),
        **_judgement_columns("", build.here),
    }


@damage.reading("a host")
def read_host(row: sqlite3.Row) -> Host:
    return Host(
        name=row["name"],
        attribute=tuple(json.loads(row["attribute"])),
        kind=word(HostKind, row["kind"]),
        evaluate_only=bool(row["evaluate_only"]),
    )


@damage.reading("a host")
def read_build(connection: sqlite3.Connection, row: sqlite3.Row) -> HostBuild:
    """A row of `hosts` or `baselines`; the latter do not say what a host was like before."""
    host = read_host(row)
    failure = None if row["failure"] is None else read_failure(connection, row["failure"])
    base = _judgement(row, "base_") if "base_answer" in row.keys() else None  # noqa: SIM118 -- of a row, `in` means its values
    return HostBuild(
        host=host,
        status=word(HostStatus, row["status"]),
        drv=row["drv"],
        out=row["out"],
        system=row["system"],
        failure=failure,
        here=_judgement(row, ""),
        base=base,
        warnings=None if row["warnings"] is None else tuple(json.loads(row["warnings"])),
    )


def _judgement_columns(side: str, judgement: Judgement | None) -> dict[str, Value]:
    if judgement is None:
        return {}
    return {
        f"{side}answer": judgement.answer,
        f"{side}evidence": storable(judgement.evidence),
        f"{side}evaluated": judgement.evaluated,
    }


def _judgement(row: sqlite3.Row, side: str) -> Judgement | None:
    if row[f"{side}answer"] is None:
        return None
    answer = word(Answer, row[f"{side}answer"])
    return Judgement(answer, row[f"{side}evidence"], bool(row[f"{side}evaluated"]))


def word(kind: type[_Word], text: str) -> _Word:
    """A stored word as its enum. Raises Damaged for one that there is not: whoever adds one adds a migration, too,
    by which an older lockbot knows that the database is not its own."""
    try:
        return kind(text)
    except ValueError:
        raise damage.Damaged(f"{text!r} is no {kind.__name__}") from None


def insert(
    connection: sqlite3.Connection, table: str, row: dict[str, Value], *, replacing: str | None = None
) -> int:
    """Add a row. With `replacing`, an existing row of that key has these columns rewritten, and no others."""
    statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"  # noqa: S608 -- names are ours, values are bound
    if replacing is not None:
        rewritten = ", ".join(f"{column} = excluded.{column}" for column in row if column != replacing)
        statement += f" ON CONFLICT ({replacing}) DO UPDATE SET {rewritten}"
    return connection.execute(statement, tuple(row.values())).lastrowid or 0


def write_failure(connection: sqlite3.Connection, failure: Failure) -> int:
    """Store a failure; its number."""
    row: dict[str, Value] = {
        "kind": failure.kind,
        "message": prose(failure.message),
        "culprit": optional(failure.culprit),
        "tail": strings(map(prose, failure.tail)),
        "log": prose(failure.log),
    }
    return insert(connection, "failures", row)


@damage.reading("a failure")
def read_failure(connection: sqlite3.Connection, identity: int) -> Failure:
    """A failure by its number."""
    row = connection.execute("SELECT * FROM failures WHERE id = ?", (identity,)).fetchone()
    kind = word(FailureKind, row["kind"])
    return Failure(kind, row["message"], row["culprit"], tuple(json.loads(row["tail"])), row["log"])


def _change_columns(change: InputChange) -> dict[str, Value]:
    return {
        "input": storable(change.input),
        "kind": change.kind,
        **_locked_columns("old", change.old),
        **_locked_columns("new", change.new),
        "old_follows": optional(change.old_follows),
        "new_follows": optional(change.new_follows),
        "commits": integer(change.commits),
    }


def read_change(row: sqlite3.Row) -> InputChange:
    """A row of `changes`."""
    return InputChange(
        input=row["input"],
        kind=word(ChangeKind, row["kind"]),
        old=_locked(row, "old"),
        new=_locked(row, "new"),
        old_follows=row["old_follows"],
        new_follows=row["new_follows"],
        commits=row["commits"],
    )


def _locked_columns(side: str, locked: Locked | None) -> dict[str, Value]:
    if locked is None:
        return {}
    texts = {f"{side}_{name}": optional(getattr(locked, name)) for name in _LOCKED if name != "last_modified"}
    return {**texts, f"{side}_last_modified": integer(locked.last_modified)}


def _locked(row: sqlite3.Row, side: str) -> Locked | None:
    return None if row[f"{side}_type"] is None else Locked(**{name: row[f"{side}_{name}"] for name in _LOCKED})


def _held_columns(held: Held) -> dict[str, Value]:
    return {
        "input": storable(held.input),
        "reason": storable(held.reason),
        "detail": prose(held.detail),
        "revision": optional(held.revision),
        "culprit": None if held.culprit is None else _culprit_text(held.culprit),
    }


def _held(row: sqlite3.Row) -> Held:
    culprit = None if row["culprit"] is None else _culprit(row["culprit"])
    return Held(row["input"], row["reason"], row["detail"], row["revision"], culprit)


def _culprit_text(bad: CulpritCommit) -> str:
    bounded = replace(
        bad,
        revision=storable(bad.revision),
        subject=prose(bad.subject),
        author=prose(bad.author),
        date=integer(bad.date),
        link=optional(bad.link),
        hosts=tuple(map(storable, bad.hosts)),
        after=optional(bad.after),
    )
    return json.dumps(asdict(bounded), ensure_ascii=False)


def _culprit(text: str) -> CulpritCommit:
    told = json.loads(text)
    return CulpritCommit(**{**told, "hosts": tuple(told["hosts"])})


def _store_path(path: str | None) -> str | None:
    """Nothing for one that can't be kept as it is: what is made of a URL may be called by its query."""
    return path if path is not None and storable(path) == path else None


def _done_text(done: Iterable[RequestDone]) -> str | None:
    told = [
        [one.step, one.branch, one.commit, one.number, one.url, list(one.inputs), prose(one.text)] for one in done
    ]
    return storable(json.dumps(told, ensure_ascii=False)) if told else None


def read_done(text: str | None) -> tuple[RequestDone, ...]:
    if text is None:
        return ()
    return tuple(
        RequestDone(word(RequestStep, step), branch, commit, number, url, tuple(inputs), said)
        for step, branch, commit, number, url, inputs, said in json.loads(text)
    )
