"""A run's values in the order that people read them: changes by family, hosts by status, failures by cause.

Used by every report, so that all tell the same story. Escapes nothing and lays nothing out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lockbot.model import ChangeKind, FailureKind, Host, HostBuild, HostStatus, InputChange
from lockbot.redact import without_secrets
from lockbot.report import words

STATUS_ORDER = (
    HostStatus.FAILED,
    HostStatus.UNJUDGED,
    HostStatus.BUILT,
    HostStatus.UNCHANGED,
    HostStatus.EVALUATED,
    HostStatus.NEW_AND_BROKEN,
    HostStatus.BROKEN_BEFORE,
    HostStatus.NOT_BUILDABLE_HERE,
)


@dataclass(frozen=True)
class Family:
    """A change, and the changes of that input's own inputs."""

    head: InputChange
    nested: tuple[InputChange, ...] = ()


@dataclass(frozen=True)
class Cause:
    """One thing that failed, and every host that it brought down."""

    kind: FailureKind
    culprit: str | None
    message: str
    tail: tuple[str, ...]
    hosts: tuple[Host, ...]

    @property
    def words(self) -> str:
        """`build failed: hello-2.12`."""
        said = words.failure(self.kind)
        return f"{said}: {words.derivation(self.culprit)}" if self.culprit else said


def in_order(changes: Sequence[InputChange]) -> tuple[InputChange, ...]:
    """By input path, step by step, as Nix orders them: `a/b` comes before `a-c`."""
    return tuple(sorted(changes, key=lambda change: change.input.split("/")))


def families(changes: Sequence[InputChange]) -> tuple[Family, ...]:
    """Each change under the one above it; nested ones whose root did not change stand for themselves."""
    found: list[tuple[InputChange, list[InputChange]]] = []
    for change in in_order(changes):
        if found and change.input.startswith(found[-1][0].input + "/"):
            found[-1][1].append(change)
        else:
            found.append((change, []))
    return tuple(Family(head, tuple(nested)) for head, nested in found)


def move(change: InputChange) -> str:
    """What happened to one input: `33ddeb9 (2026-08-09) → a1b2c3d (2026-08-14)`."""
    match change.kind:
        case ChangeKind.UPDATED:
            return " → ".join(words.step(change.old, change.new))
        case ChangeKind.ADDED if change.new_follows is not None:
            return f"added, follows {change.new_follows}"
        case ChangeKind.ADDED:
            return f"added at {words.state(change.new)}"
        case ChangeKind.REMOVED if change.old_follows is not None:
            return f"removed, followed {change.old_follows}"
        case ChangeKind.REMOVED:
            return f"removed, was at {words.state(change.old)}"
        case ChangeKind.REFOLLOWED if change.new_follows is None:
            return f"has its own {words.state(change.new)}, no longer follows {change.old_follows}"
        case ChangeKind.REFOLLOWED if change.old_follows is None:
            return f"follows {change.new_follows}, no longer has its own {words.state(change.old)}"
        case ChangeKind.REFOLLOWED:
            return f"follows {change.new_follows}, no longer {change.old_follows}"


def progress(change: InputChange) -> tuple[str, ...]:
    """How far an input moved, where that is known: `5 days newer`, `1234 commits`."""
    said = []
    old, new = change.old, change.new
    if change.kind is ChangeKind.UPDATED and old and new:
        if old.last_modified is not None and new.last_modified is not None:
            seconds = new.last_modified - old.last_modified
            direction = "newer" if seconds > 0 else "older"
            said.append(f"{words.age(abs(seconds))} {direction}" if seconds else "of the same time")
        if change.commits is not None:
            said.append(words.count(change.commits, "commit"))
    return tuple(said)


def moved_source(change: InputChange) -> str | None:
    """`now from github:b/x, was github:a/x`, when the flake points an input elsewhere: a reviewer must see it."""
    if change.old and change.new and without_secrets(change.old.original) != without_secrets(change.new.original):
        return f"now from {change.new.original}, was {change.old.original}"
    return None


def by_status(hosts: Sequence[HostBuild]) -> dict[HostStatus, tuple[HostBuild, ...]]:
    """The hosts under each status that occurs, by name; the bad news first."""
    ordered = sorted(hosts, key=lambda build: build.host)
    grouped = {status: tuple(b for b in ordered if b.status is status) for status in STATUS_ORDER}
    return {status: builds for status, builds in grouped.items() if builds}


def causes(hosts: Sequence[HostBuild]) -> tuple[Cause, ...]:
    """Why hosts failed: those that share a culprit (or else a message) together, the widest cause first."""
    found: dict[tuple[str, ...], list[HostBuild]] = {}
    for build in sorted(hosts, key=lambda build: build.host):
        if why := build.failure:
            key = (why.culprit,) if why.culprit else (why.kind, why.message)
            found.setdefault(key, []).append(build)
    return tuple(sorted(map(_cause, found.values()), key=lambda cause: (-len(cause.hosts), cause.hosts)))


def _cause(builds: Sequence[HostBuild]) -> Cause:
    """Told by the host that saw it nearest: to one it may be `build`, to others only `dependency`."""
    failures = [build.failure for build in builds if build.failure]
    best = min(failures, key=lambda why: (why.kind is FailureKind.DEPENDENCY, not why.tail))
    return Cause(best.kind, best.culprit, best.message, best.tail, tuple(build.host for build in builds))
