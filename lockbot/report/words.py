"""How lockbot puts things to people: revisions, dates, ages, numbers, kinds of failure.

Plain English from single values. Escapes nothing: who shows the words does that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import assert_never

from lockbot.model import (
    Failure,
    FailureKind,
    Heard,
    HoldEnd,
    HostStatus,
    Locked,
    UntilIn,
    UntilMerged,
    UntilVersion,
)
from lockbot.model.host import written

_DERIVATION = re.compile(r"(?:.*/)?[0-9a-z]{32}-(.+?)(?:\.drv)?", re.DOTALL)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

MINUTE, HOUR, DAY = 60, 3600, 86400


def short(revision: str | None) -> str:
    """`33ddeb9` for a commit, `sha256-LSrxrQH` for the hash of a content."""
    if not revision:
        return "unknown"
    if _COMMIT.fullmatch(revision):
        return revision[:7]
    return revision[:14]


def step(old: Locked | None, new: Locked | None) -> tuple[str, str]:
    """`33ddeb9 (2026-08-09)` and where it went, with as many digits as tell the two apart."""
    was, now = state(old), state(new)
    if was != now or old is None or new is None or old.revision == new.revision:
        return was, now
    first, second = old.revision, new.revision
    digits = next((at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), len(first)) + 1
    return was.replace(short(first), first[:digits], 1), now.replace(short(second), second[:digits], 1)


def date(seconds: int | None) -> str:
    """`2026-08-14` (UTC, as Nix prints it) for seconds since 1970; empty when there is none, or no such year."""
    if seconds is None:
        return ""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return ""


def iso_seconds(since_1970: int | None) -> str | None:
    """`2026-08-14T05:00:00Z`; None for a time that no calendar has."""
    if since_1970 is None:
        return None
    try:
        return iso_time(datetime.fromtimestamp(since_1970, UTC))
    except (OverflowError, ValueError, OSError):
        return None


def iso_time(moment: datetime | None) -> str | None:
    """`2026-08-14T05:00:00Z`; a moment without a zone is taken as UTC."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def state(locked: Locked | None) -> str:
    """`33ddeb9 (2026-08-09)`."""
    if locked is None:
        return "unknown"
    when = date(locked.last_modified)
    return short(locked.revision) + (f" ({when})" if when else "")


def count(number: int, noun: str) -> str:
    """`1 host`, `2 hosts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Sequence[str]) -> str:
    """`web`, `web and db`, `a, b, c, d, e and 3 more`; `hosts` for none."""
    shown = [*names[:5], *([f"{len(names) - 5} more"] if len(names) > 5 else [])]
    if len(shown) < 2:
        return "".join(shown) or "hosts"
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def age(seconds: float) -> str:
    """A length of time in its one most telling unit: `3 days`, `5 months`, `2 hours`."""
    seconds = max(seconds, 0)
    for unit, noun, until in (
        (MINUTE, "minute", HOUR),
        (HOUR, "hour", 2 * DAY),
        (DAY, "day", 60 * DAY),
        (30.44 * DAY, "month", 730 * DAY),
    ):
        if seconds < until:
            whole = int(seconds // unit)
            return count(whole, noun) if whole else "less than a minute"
    return count(int(seconds // (365.25 * DAY)), "year")


def ago(then: datetime, now: datetime) -> str:
    """`3 days ago`."""
    return f"{age((now - then).total_seconds())} ago"


def end(ends: HoldEnd) -> str:
    """Until when an input is held: `https://github.com/o/r/pull/1 is merged`."""
    match ends:
        case UntilMerged(url):
            return f"{url} is merged"
        case UntilIn(branch, commit):
            return f"{branch} has {short(commit)}"
        case UntilVersion(package, version):
            return f"{written(package)} is at {version} or newer"
        case _:
            assert_never(ends)


def heard(answer: Heard | None, now: datetime) -> str:
    """What was heard of that, behind `end`: `; asked 2 hours ago: it is still open`."""
    if answer is None:
        return "; nobody was asked yet"
    told = f"; asked {ago(answer.asked, now)}: {answer.answer or 'no answer came'}"
    if answer.answered is None:
        return f"{told}; there was no answer yet"
    lost = (answer.asked - answer.answered).total_seconds()
    return f"{told}; there was an answer last {ago(answer.answered, now)}" if lost > 0 else told


def derivation(path: str) -> str:
    """`hello-2.12` for `/nix/store/…-hello-2.12.drv`."""
    match = _DERIVATION.fullmatch(path)
    return match[1] if match else path


def status(value: HostStatus) -> str:
    match value:
        case HostStatus.BUILT | HostStatus.UNCHANGED | HostStatus.FAILED:
            return value.value
        case HostStatus.EVALUATED:
            return "evaluated only"
        case HostStatus.NEW_AND_BROKEN:
            return "new, and broken without this update, too"
        case HostStatus.BROKEN_BEFORE:
            return "broken before this update, not caused by it"
        case HostStatus.NOT_BUILDABLE_HERE:
            return "evaluated only, not buildable here"
        case HostStatus.UNJUDGED:
            return "could not be judged"


_FAILURES = {
    FailureKind.EVALUATION: "evaluation failed",
    FailureKind.ASSERTION: "assertion failed",
    FailureKind.BUILD: "build failed",
    FailureKind.DEPENDENCY: "dependency failed",
    FailureKind.HASH_MISMATCH: "hash mismatch",
    FailureKind.GONE: "no longer in the flake",
    FailureKind.REFUSED: "refused by settings",
    FailureKind.INCOMPLETE: "source not complete",
    FailureKind.SOURCE: "source could not be fetched",
    FailureKind.TIMEOUT: "timed out",
    FailureKind.KILLED: "killed by a signal",
    FailureKind.MEMORY: "out of memory",
    FailureKind.PLATFORM: "needs another platform",
    FailureKind.COLLECTED: "derivation was garbage-collected",
    FailureKind.LOCK_FILE: "lock file is not usable",
    FailureKind.DISK_FULL: "disk full",
    FailureKind.DAEMON: "Nix daemon not reachable",
    FailureKind.BUILDER_HOST: "builder host not reachable",
    FailureKind.NETWORK: "network failed",
    FailureKind.AUTH: "access refused",
    FailureKind.NOT_FOUND: "not found",
    FailureKind.UNKNOWN: "failed",
}


def failure(kind: FailureKind) -> str:
    """`build failed`, `hash mismatch`."""
    return _FAILURES[kind]


def failed(failure_: Failure) -> str:
    """`timed out: after 2 hours`."""
    return f"{failure(failure_.kind)}: {failure_.message[:300]}"
