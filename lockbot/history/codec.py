"""The model's values as rows, and back. Knows the tables' columns; not when or why something is stored.

Every function runs inside the caller's transaction. What comes from outside is made storable here, and nothing of
it raises: SQLite takes no lone surrogates and no integer above 64 bits, prose has no natural end, and no secret is
kept.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from lockbot.history import damage
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
    Run,
)
from lockbot.redact import redact, without_secrets

PROSE_CHARACTERS = 64 * 1024
"""How much of one message, note or log line is kept: its beginning and its end. Whole logs are files."""
LARGEST_INTEGER = 2**63 - 1
CHILDREN = ("changes", "hosts", "held", "notes", "phases")

_LOCKED = ("type", "url", "original", "rev", "ref", "nar_hash", "last_modified")
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*")
_Word = TypeVar("_Word", bound=StrEnum)
Value = str | int | float | None


def storable(text: str) -> str:
    """The text without secrets, each lone surrogate (a byte that was no UTF-8) written out as `\\udcff`."""
    return redact(text).encode(errors="backslashreplace").decode()


def origin(url: str) -> str:
    """Storable, and the same whoever may ask there: a rotated token makes no other source."""
    return storable(without_secrets(url))


def prose(text: str) -> str:
    """Storable, and without its middle when it is longer than PROSE_CHARACTERS. What it gave, it leaves alone."""
    text = storable(text)
    if len(text) <= PROSE_CHARACTERS:
        return text
    half = PROSE_CHARACTERS // 2 - 32  # room for the line in between
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def moment(time: datetime) -> str:
    """UTC in ISO 8601, always with microseconds: text order is time order."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def attribute_path(attribute: Sequence[str]) -> str:
    """`nixosConfigurations."a.b".config`: as Nix writes it, so that no two paths look the same."""
    parts = map(storable, attribute)
    return ".".join(part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False) for part in parts)


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


@damage.reading("a run")
def read_run(connection: sqlite3.Connection, row: sqlite3.Row) -> Run:
    """A row of `runs`, with everything that belongs to it."""

    def children(table: str) -> list[sqlite3.Row]:
        query = f"SELECT * FROM {table} WHERE run = ? ORDER BY position"  # noqa: S608 -- our own table names
        return connection.execute(query, (row["id"],)).fetchall()

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
        changes=tuple(map(_change, children("changes"))),
        hosts=tuple(read_build(connection, host) for host in children("hosts")),
        held=tuple(map(_held, children("held"))),
        notes=tuple(note["text"] for note in children("notes")),
        error=row["error"],
        hint=row["hint"],
        seconds={phase["phase"]: phase["seconds"] for phase in children("phases")},
        flake=row["flake"] or "",
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
        **_judgement_columns("", build.here),
    }


@damage.reading("a host")
def read_build(connection: sqlite3.Connection, row: sqlite3.Row) -> HostBuild:
    """A row of `hosts` or `baselines`; the latter do not say what a host was like before."""
    host = Host(
        name=row["name"],
        attribute=tuple(json.loads(row["attribute"])),
        kind=word(HostKind, row["kind"]),
        evaluate_only=bool(row["evaluate_only"]),
    )
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


def _change(row: sqlite3.Row) -> InputChange:
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


def optional(text: str | None) -> str | None:
    """Storable, or nothing."""
    return None if text is None else storable(text)


def _store_path(path: str | None) -> str | None:
    """Nothing for one that can't be kept as it is: what is made of a URL may be called by its query."""
    return path if path is not None and storable(path) == path else None


def integer(number: int | None) -> int | None:
    """Within SQLite's 64 bits: a lock file may claim any date."""
    return None if number is None else max(-LARGEST_INTEGER, min(number, LARGEST_INTEGER))


def strings(texts: Iterable[str]) -> str:
    """A JSON array."""
    return json.dumps(list(texts), ensure_ascii=False)
