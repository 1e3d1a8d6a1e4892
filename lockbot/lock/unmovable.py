"""Why an input can't be moved, in words: for `model.Held`, and for the errors that end a proposal. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lockbot.errors import LockbotError, SurroundingsError
from lockbot.model import FailureKind, Held
from lockbot.nix import failure
from lockbot.nix.lockfile import LockFile
from lockbot.process import Finished

FETCH_FAILED, UNLOCKED, CANNOT_LOCK = "fetch-failed", "unlocked", "cannot-be-locked"
"""Why an input is held that can't be moved: `model.Held.reason`."""
NOT_ALLOWED = "not-allowed"
"""Why a named revision is not locked: for what it would bring along. Told as an error, never as `Held`."""
_NO_COMMIT = "has changes that are not committed, or no commit at all, and no lock can name that: commit there"


@dataclass(frozen=True)
class Problem:
    kind: FailureKind
    message: str
    reason: str = FETCH_FAILED


def uncommitted(where: str) -> Problem:
    return Problem(FailureKind.SOURCE, f"{where} {_NO_COMMIT}", UNLOCKED)


def cannot_lock(path: str, lock: LockFile) -> LockbotError:
    """An input of flake.nix itself, without which there is no lock."""
    return LockbotError(f"cannot lock {path}: {source(lock, path)} {_NO_COMMIT}")


def source(lock: LockFile, path: str) -> str:
    node = lock.node(path)
    return str(node.locked) if node is not None else path


def explained(finished: Finished, path: str = "") -> str:
    """`path`: the input that it is about, where Nix does not say so."""
    place = failure.where(finished.stderr)
    if path and not f"{place},".startswith(f"{path},"):
        place = ", ".join(filter(None, [path, place]))
    said = failure.explain(finished.stderr) or f"nix ended with code {finished.code}"
    return f"{said} (in {place})" if place else said


def no_lock(finished: Finished) -> LockbotError:
    """The flake can't be locked though nothing is moved: by its own fault, or by the surroundings'."""
    words = f"cannot lock the flake: {explained(finished)}"
    if failure.classify(finished.stderr).surroundings:
        return SurroundingsError(words, "nothing was changed; the next run tries again")
    return finished.error(words, "does `nix flake metadata` work there? See flake.nix and flake.lock")


def unseen(problem: Problem) -> LockbotError:
    """The flake can't be locked though nothing is moved: what it asks for can't even be looked at."""
    words = f"cannot lock the flake: {problem.message}"
    if problem.kind.surroundings:
        return SurroundingsError(words, "nothing was changed; the next run tries again")
    return LockbotError(words, "does `nix flake metadata` work there? See flake.nix and flake.lock")


def nothing_fetched(held: Sequence[Held]) -> LockbotError:
    return SurroundingsError(
        "no input could be fetched: " + "; ".join(f"{item.input}: {item.detail}" for item in held[:3]),
        "is the network up? The lock is as it was, and the next run tries again",
    )
