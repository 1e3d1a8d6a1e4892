"""The values that flow through one update cycle. No I/O, no tools.

Words are DESIGN's: input, change, candidate, verdict, held, run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ChangeKind(StrEnum):
    ADDED = "added"
    UPDATED = "updated"
    REMOVED = "removed"
    REFOLLOWED = "re-followed"


@dataclass(frozen=True)
class Locked:
    """What the lock holds for one input. `url` and `original` are flake references as Nix prints them."""

    type: str
    url: str
    original: str
    rev: str | None = None
    ref: str | None = None
    nar_hash: str | None = None
    last_modified: int | None = None
    """Seconds since 1970, of the revision's commit; absent for some tarballs."""

    @property
    def revision(self) -> str:
        """What names this state: the commit, else the hash of the content, else nothing."""
        return self.rev or self.nar_hash or ""


@dataclass(frozen=True)
class InputChange:
    """One input, old to new. `input` is its path from the root: `nixpkgs`, `home-manager/nixpkgs`."""

    input: str
    kind: ChangeKind
    old: Locked | None = None
    new: Locked | None = None
    old_follows: str | None = None
    new_follows: str | None = None
    """The input path that this one follows (only for `re-followed`); None: it has a node of its own."""
    commits: int | None = None
    """How many upstream commits lie between, where that is known."""


class HostKind(StrEnum):
    NIXOS = "nixosConfigurations"
    DARWIN = "darwinConfigurations"
    HOME = "homeConfigurations"
    ATTRIBUTE = "attribute"


@dataclass(frozen=True, order=True)
class Host:
    """Something the flake builds. `name` is unique in a run; `attribute` leads from the flake to a derivation."""

    name: str
    attribute: tuple[str, ...]
    kind: HostKind = HostKind.NIXOS
    evaluate_only: bool = False


class FailureKind(StrEnum):
    """Why a host, a fetch or a build failed. `surroundings` are nobody's input's fault."""

    EVALUATION = "evaluation"
    ASSERTION = "assertion"
    BUILD = "build"
    DEPENDENCY = "dependency"
    HASH_MISMATCH = "hash-mismatch"
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
    def surroundings(self) -> bool:
        return self in _SURROUNDINGS


_SURROUNDINGS = frozenset(
    {
        FailureKind.DISK_FULL,
        FailureKind.DAEMON,
        FailureKind.BUILDER_HOST,
        FailureKind.NETWORK,
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


class HostStatus(StrEnum):
    BUILT = "built"
    UNCHANGED = "unchanged"
    EVALUATED = "evaluated"
    FAILED = "failed"
    BROKEN_BEFORE = "broken-before"
    NOT_BUILDABLE_HERE = "not-buildable-here"


@dataclass(frozen=True)
class HostBuild:
    """What was found out about one host at one commit."""

    host: Host
    status: HostStatus
    drv: str | None = None
    out: str | None = None
    system: str | None = None
    failure: Failure | None = None


class Gate(StrEnum):
    NO_REGRESSION = "no-regression"
    ALL_GREEN = "all-green"


@dataclass(frozen=True)
class Candidate:
    """A lock, committed on top of `base` but on no branch yet."""

    base: str
    commit: str
    changes: tuple[InputChange, ...]


@dataclass(frozen=True)
class Verdict:
    """A candidate and what became of each host at it."""

    candidate: Candidate
    builds: tuple[HostBuild, ...]

    def blocking(self, gate: Gate) -> tuple[HostBuild, ...]:
        """The hosts that keep this candidate from being published."""
        bad = {HostStatus.FAILED}
        if gate is Gate.ALL_GREEN:
            bad.add(HostStatus.BROKEN_BEFORE)
        return tuple(build for build in self.builds if build.status in bad)


@dataclass(frozen=True)
class Held:
    """An input that was kept back. `reason` is a word for machines, `detail` a sentence for people."""

    input: str
    reason: str
    detail: str = ""
    revision: str | None = None
    """The revision that it stays at."""


class Outcome(StrEnum):
    UNCHANGED = "unchanged"
    PUBLISHED = "published"
    PARTLY_PUBLISHED = "partly published"
    REJECTED = "rejected"
    STALE = "stale"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def exit_code(self) -> int:
        match self:
            case Outcome.UNCHANGED | Outcome.PUBLISHED | Outcome.PARTLY_PUBLISHED:
                return 0
            case Outcome.REJECTED | Outcome.STALE:
                return 1
            case Outcome.FAILED:
                return 3
            case Outcome.INTERRUPTED:
                return 130


@dataclass(frozen=True)
class Run:
    """The record of one cycle, as history keeps it and reports tell it."""

    id: str
    repository: str
    started: datetime
    outcome: Outcome | None = None
    """None while it runs, or when it was killed before it could say."""
    finished: datetime | None = None
    branch: str = ""
    base: str | None = None
    candidate: str | None = None
    """The commit that was judged last."""
    commit: str | None = None
    """The commit that was published; None when nothing was."""
    parked: str | None = None
    """The branch that holds the commit when the user's own branch could not be moved."""
    pushed: bool = False
    dry_run: bool = False
    changes: tuple[InputChange, ...] = ()
    hosts: tuple[HostBuild, ...] = ()
    held: tuple[Held, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences for the user: what to do by hand, what was skipped and why."""
    error: str | None = None
    hint: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by phase: sync, propose, judge, publish."""


class Phase(StrEnum):
    SYNC = "sync"
    PROPOSE = "propose"
    JUDGE = "judge"
    PUBLISH = "publish"
    RECORD = "record"


@dataclass(frozen=True)
class PhaseStarted:
    phase: Phase
    detail: str = ""
    hosts: int = 0
    """How many hosts it will decide, where that is known."""


@dataclass(frozen=True)
class HostEvaluating:
    """`at` says which commit: candidate or base."""

    host: str
    at: str = "candidate"


@dataclass(frozen=True)
class HostEvaluated:
    """Its evaluation is over, one way or the other; what it needs may still be building."""

    host: str
    at: str = "candidate"


@dataclass(frozen=True)
class HostDecided:
    """A host's status is known."""

    build: HostBuild


@dataclass(frozen=True)
class DerivationStarted:
    drv: str
    machine: str = ""
    """The remote builder; empty: this machine."""


@dataclass(frozen=True)
class DerivationStopped:
    drv: str


@dataclass(frozen=True)
class Looking:
    """The search asks a question: `what` it wants to know, what it may still be, and how far it is."""

    what: str
    inputs: tuple[str, ...]
    probe: int
    about: int


@dataclass(frozen=True)
class Retrying:
    what: str
    why: str
    seconds: float


@dataclass(frozen=True)
class Note:
    text: str


Event = (
    PhaseStarted
    | HostEvaluating
    | HostEvaluated
    | HostDecided
    | DerivationStarted
    | DerivationStopped
    | Looking
    | Retrying
    | Note
)
Progress = Callable[[Event], None]
"""Receives events as they happen, from several threads; must return at once and never raise."""


def silent(event: Event) -> None:
    """The progress of nobody watching."""
