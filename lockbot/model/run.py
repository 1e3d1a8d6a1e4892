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
    unbuildable: bool = False
    """Nothing here can build it, as the configuration says: it is evaluated, and never counts as judged good."""


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


@dataclass(frozen=True)
class Judgement:
    """What is known of one host at one commit. `evidence` is one word: what makes it good (`built`, `present`,
    `evaluated`), or the kind of the failure."""

    answer: Answer
    evidence: str
    evaluated: bool = True
    """Whether it has a derivation: its evaluation at least was good."""


class HostStatus(StrEnum):
    BUILT = "built"
    UNCHANGED = "unchanged"
    EVALUATED = "evaluated"
    FAILED = "failed"
    BROKEN_BEFORE = "broken-before"
    NOT_BUILDABLE_HERE = "not-buildable-here"
    UNJUDGED = "unjudged"


@dataclass(frozen=True)
class HostBuild:
    """What was found out about one host at one commit, and what it was like at the base."""

    host: Host
    status: HostStatus
    drv: str | None = None
    out: str | None = None
    system: str | None = None
    failure: Failure | None = None
    here: Judgement | None = None
    """At this commit; None: not known (a record that an older lockbot made, or a prediction)."""
    base: Judgement | None = None
    """Without the update; None: not known, or the host was not there."""


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


@dataclass(frozen=True)
class BadRevision:
    """The first upstream revision with which hosts break; `after` is the newest that is known to be good.

    `exact` False: the search ended before, and the breakage lies somewhere after `after`, up to `revision`.
    """

    revision: str
    subject: str = ""
    author: str = ""
    date: int | None = None
    """Seconds since 1970."""
    link: str | None = None
    hosts: tuple[str, ...] = ()
    after: str | None = None
    exact: bool = True


@dataclass(frozen=True)
class Held:
    """An input that was kept back. `reason` is a word for machines, `detail` a sentence for people."""

    input: str
    reason: str
    detail: str = ""
    revision: str | None = None
    """The revision that it stays at."""
    culprit: BadRevision | None = None
    """What it is held for, where an upstream commit (or a span of them) was found to break hosts."""


class Outcome(StrEnum):
    UNCHANGED = "unchanged"
    PUBLISHED = "published"
    PARTLY_PUBLISHED = "partly published"
    REJECTED = "rejected"
    UNJUDGED = "unjudged"
    """Nothing could be found out about the update, so nothing was published and nobody is blamed."""
    STALE = "stale"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def exit_code(self) -> int:
        match self:
            case Outcome.UNCHANGED | Outcome.PUBLISHED | Outcome.PARTLY_PUBLISHED:
                return 0
            case Outcome.REJECTED | Outcome.UNJUDGED | Outcome.STALE:
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
    flake: str = ""
    """Which flake it is about: the repository, its branch and the flake's directory (`app.Place.flake`)."""


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
