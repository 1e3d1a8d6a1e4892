"""Why a host failed, and what that says about it: whether it is the flake's own fault."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """What was found out about one host at one commit."""

    GOOD = "good"
    BAD = "bad"
    """By its own fault, and there is evidence of that."""
    UNJUDGED = "unjudged"
    """Nothing could be found out: it is neither good nor bad."""


class FailureKind(StrEnum):
    """Why a host, a fetch or a build failed. Only an `own` failure says something about the flake."""

    EVALUATION = "evaluation"
    ASSERTION = "assertion"
    BUILD = "build"
    DEPENDENCY = "dependency"
    HASH_MISMATCH = "hash-mismatch"
    GONE = "gone"
    """The flake no longer has this host."""
    REFUSED = "refused"
    """The settings of this machine, or lockbot's, forbid what the evaluation or the build wants."""
    INCOMPLETE = "incomplete-source"
    """The work tree lacks what the user's has: submodules, or files that a git filter makes."""
    SOURCE = "source"
    """A fixed-output derivation could not get what it fetches, for whatever reason."""
    TIMEOUT = "timeout"
    KILLED = "killed"
    MEMORY = "out-of-memory"
    PLATFORM = "platform"
    COLLECTED = "derivation-collected"
    LOCK_FILE = "lock-file"
    DISK_FULL = "disk-full"
    DAEMON = "daemon"
    BUILDER_HOST = "builder-host"
    NETWORK = "network"
    AUTH = "auth"
    NOT_FOUND = "not-found"
    UNKNOWN = "unknown"

    @property
    def own(self) -> bool:
        """Whether it is evidence against the flake: the same would happen anywhere, at any time."""
        return self in _OWN

    @property
    def surroundings(self) -> bool:
        """Whether it is nobody's input's fault, and may pass by itself."""
        return self in _SURROUNDINGS


_OWN = frozenset(
    {
        FailureKind.EVALUATION,
        FailureKind.ASSERTION,
        FailureKind.BUILD,
        FailureKind.HASH_MISMATCH,
        FailureKind.LOCK_FILE,
        FailureKind.GONE,
    }
)
_SURROUNDINGS = frozenset(
    {
        FailureKind.DISK_FULL,
        FailureKind.DAEMON,
        FailureKind.BUILDER_HOST,
        FailureKind.NETWORK,
        FailureKind.SOURCE,
        FailureKind.AUTH,
    }
)


@dataclass(frozen=True)
class Failure:
    """Why one host failed. `culprit` is the derivation at the root of it; `tail` its last log lines."""

    kind: FailureKind
    message: str
    culprit: str | None = None
    tail: tuple[str, ...] = ()
    log: str = ""
    """The whole text that is kept with the run (build log or evaluation error)."""

    @property
    def answer(self) -> Answer:
        return Answer.BAD if self.kind.own else Answer.UNJUDGED
