"""A run as JSON: what `--json` prints, and other tools may rely on.

Names and meanings here only ever grow. Strings can always be encoded: lone surrogates are replaced.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

from lockbot.model import (
    CulpritCommit,
    Failure,
    Held,
    HostBuild,
    HostStatus,
    InputChange,
    Judgement,
    Locked,
    RequestDone,
    Run,
)
from lockbot.redact import redacted
from lockbot.report.review.document import difference_documents, upstream_documents
from lockbot.report.words import iso_seconds, iso_time

Document: TypeAlias = dict[str, object]


def run_document(run: Run) -> Document:
    """The object of `lockbot update --json` and `lockbot show --json`."""
    return _clean(
        {
            **_head(run),
            "changes": [_change(change) for change in run.changes],
            "hosts": [_host(build) for build in run.hosts],
            "held": [_held(held) for held in run.held],
            "differences": difference_documents(run.differences),
            "upstream": upstream_documents(run.upstream),
            "pull_requests": [_request(done) for done in run.requests],
            "notes": list(run.notes),
            "error": run.error,
            "hint": run.hint,
            "seconds": run.seconds,
        }
    )


def change_documents(changes: Sequence[InputChange]) -> list[Document]:
    """The list `changes` of a run, of any changes."""
    return [_clean(_change(change)) for change in changes]


def history_document(runs: Sequence[Run]) -> Document:
    """The object of `lockbot history --json`: each run in short, under `runs`."""
    return {"runs": [_clean(_short(run)) for run in runs]}


def dump(document: Document) -> str:
    """Indented JSON in ASCII, so that it can't do anything to a terminal either; no newline at its end.

    Of every document that is printed: no secret is in it.
    """
    return json.dumps(redacted(document), indent=2, allow_nan=False)


def _head(run: Run) -> Document:
    return {
        "run": run.id,
        "repository": run.repository,
        "flake": run.flake or None,
        "outcome": run.outcome,
        "branch": run.branch or None,
        "base": run.base,
        "candidate": run.candidate,
        "commit": run.commit,
        "parked": run.parked,
        "pushed": run.pushed,
        "dry_run": run.dry_run,
        "started": iso_time(run.started),
        "finished": iso_time(run.finished),
    }


def _request(done: RequestDone) -> Document:
    return {
        "step": done.step,
        "number": done.number,
        "label": done.label,
        "url": done.url,
        "branch": done.branch,
        "commit": done.commit,
        "inputs": list(done.inputs),
        "text": done.text or None,
    }


def _short(run: Run) -> Document:
    counts = {status: sum(build.status is status for build in run.hosts) for status in HostStatus}
    return {
        **_head(run),
        "changed": [change.input for change in run.changes],
        "held": [held.input for held in run.held],
        "hosts": {status: number for status, number in counts.items() if number},
        "error": run.error,
    }


def _change(change: InputChange) -> Document:
    return {
        "input": change.input,
        "kind": change.kind,
        "old": _revision(change.old),
        "new": _revision(change.new),
        "old_date": _date(change.old),
        "new_date": _date(change.new),
        "old_url": change.old.url if change.old else None,
        "new_url": change.new.url if change.new else None,
        "old_original": change.old.original if change.old else None,
        "new_original": change.new.original if change.new else None,
        "old_follows": change.old_follows,
        "new_follows": change.new_follows,
        "commits": change.commits,
    }


def _host(build: HostBuild) -> Document:
    return {
        "name": build.host.name,
        "status": build.status,
        "answer": build.here.answer if build.here else None,
        "evidence": build.here.evidence if build.here else None,
        "candidate": _judgement(build.here),
        "base": _judgement(build.base),
        "failure": build.failure.kind if build.failure else None,
        "culprit": build.failure.culprit if build.failure else None,
        "failure_detail": _failure(build.failure) if build.failure else None,
        "drv": build.drv,
        "out": build.out,
        "system": build.system,
        "kind": build.host.kind,
        "attribute": list(build.host.attribute),
        "evaluate_only": build.host.evaluate_only,
    }


def _judgement(judgement: Judgement | None) -> Document | None:
    """What is known of a host at one commit; None: it was not there, or an older lockbot did not say."""
    return {"answer": judgement.answer, "evidence": judgement.evidence} if judgement is not None else None


def culprit(bad: CulpritCommit | None) -> Document | None:
    """The upstream commit that broke hosts; `exact` False: it is this one, or one before it since `after`."""
    if bad is None:
        return None
    return {
        "revision": bad.revision,
        "subject": bad.subject or None,
        "author": bad.author or None,
        "date": iso_seconds(bad.date),
        "link": bad.link,
        "hosts": list(bad.hosts),
        "after": bad.after,
        "exact": bad.exact,
    }


def _failure(failure: Failure) -> Document:
    return {"message": failure.message, "tail": list(failure.tail)}


def _held(held: Held) -> Document:
    return {
        "input": held.input,
        "reason": held.reason,
        "revision": held.revision,
        "detail": held.detail or None,
        "culprit": culprit(held.culprit),
    }


def _revision(locked: Locked | None) -> str | None:
    """The commit, or the hash of the content where there is no commit."""
    return (locked.revision or None) if locked else None


def _date(locked: Locked | None) -> str | None:
    """ISO 8601, UTC; None for a time that no calendar has."""
    return iso_seconds(locked.last_modified) if locked is not None else None


def _clean(document: Document) -> Document:
    return cast(Document, _jsonable(document))


def _jsonable(value: object) -> object:
    """The same value, with nothing that JSON or UTF-8 has no form for."""
    match value:
        case str():
            # By way of UTF-16, where halves that belong together find each other.
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case float():
            return round(value, 3) if math.isfinite(value) else None
        case Mapping():
            return {_jsonable(key): _jsonable(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_jsonable(inner) for inner in value]
        case _:
            return value
