"""Whether a flake.lock is what its flake.nix asks for, nothing lacking or superfluous. Nix itself is the judge.

It must not know which commit the flake is of, nor what was claimed of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lockbot.errors import DeadlineExceeded, LockbotError
from lockbot.lock import unmovable
from lockbot.lock.ahead.lookout import Lookout
from lockbot.model import ChangeKind, Failure, FailureKind, InputChange, Locked
from lockbot.nix import failure
from lockbot.nix.command import Nix
from lockbot.nix.lockfile import EMPTY, LOCK_NAME, LockFile, diff
from lockbot.nix.lockfile.jsontext import Json
from lockbot.process import Deadline


@dataclass(frozen=True)
class LockAnswer:
    """The lock; what of it is not as flake.nix asks, in sentences; or why Nix could not lock the flake."""

    lock: LockFile
    problems: tuple[str, ...] = ()
    failure: Failure | None = None


def compare_with_flake(nix: Nix, flake: Path, timeout: float, lookout: Lookout) -> LockAnswer:
    """Have Nix lock the flake in this directory, with nothing moved, and compare. Its flake.lock may be rewritten.
    What `lookout` does not let be fetched is not.

    Raises LockFileError for a lock that can't be read.
    """
    lock = LockFile.read(flake / LOCK_NAME)
    idle = [f"nothing leads to its node {label}" for label in _unreachable(flake / LOCK_NAME, lock)]
    if not (flake / "flake.nix").is_file():
        return LockAnswer(lock, (f"there is no flake.nix beside where {LOCK_NAME} would be",))
    try:
        if (problem := lookout.ahead(flake, lock, (), {}).problem) is not None:
            return LockAnswer(lock, failure=Failure(problem.kind, problem.message))
    except LockbotError as error:
        nix.cancel.check()
        return LockAnswer(lock, failure=Failure(FailureKind.REFUSED, error.message))
    try:
        finished = nix.lock(flake, Deadline(timeout, "locking the flake"))
    except DeadlineExceeded as error:
        nix.cancel.check()  # the run's own deadline is another matter
        return LockAnswer(lock, failure=Failure(FailureKind.TIMEOUT, error.message))
    if finished.code != 0:
        return LockAnswer(lock, failure=Failure(failure.classify(finished.stderr), unmovable.explained(finished)))
    return LockAnswer(lock, (*_differences(lock, LockFile.read(flake / LOCK_NAME)), *idle))


def _unreachable(path: Path, lock: LockFile) -> list[str]:
    """The labels of nodes to which no input leads. Nix reads over them."""
    document = Json.parse(path.read_text().removeprefix("\ufeff")).value if lock != EMPTY else None
    nodes = document.get("nodes") if isinstance(document, dict) else None
    return sorted(nodes.keys() - lock.graph.by_label.keys()) if isinstance(nodes, dict) else []


def _differences(lock: LockFile, asked: LockFile) -> Iterator[str]:
    changes = diff(lock, asked)
    for change in changes:
        yield _told(change)
    told = {change.input for change in changes}
    for path in lock.paths():
        one, other = lock.node(path), asked.node(path)
        if path not in told and one is not None and other is not None and one.flake != other.flake:
            yield f"{path} is locked as {_kind(one.flake)}, and flake.nix asks for {_kind(other.flake)}"
    for path in sorted(lock.unlocked):
        yield f"{path} is locked at no commit: nobody else can fetch what it names"


def _kind(flake: bool) -> str:
    return "a flake" if flake else "no flake (`flake = false`)"


def _told(change: InputChange) -> str:
    was, now = _edge(change.old_follows, change.old), _edge(change.new_follows, change.new)
    match change.kind:
        case ChangeKind.ADDED:
            return f"it lacks {change.input}, which is asked for as {now}"
        case ChangeKind.REMOVED:
            return f"it has {change.input}, which nothing asks for"
        case ChangeKind.UPDATED if was == now:
            return f"Nix locks {change.input} otherwise than it is locked"
        case ChangeKind.UPDATED | ChangeKind.REFOLLOWED:
            return f"{change.input} is locked as {was}, and asked for as {now}"


def _edge(follows: str | None, locked: Locked | None) -> str:
    if follows is not None:
        return f"following {follows or 'the flake itself'}"
    return locked.original if locked is not None else "nothing"
