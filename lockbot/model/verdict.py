"""What became of the hosts at one commit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lockbot.model.change import InputChange
from lockbot.model.failure import Answer, Failure
from lockbot.model.host import Host


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
    NEW_AND_BROKEN = "new-and-broken"
    """It fails, without the update, too, and no earlier run has seen it."""
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
    """At this commit; None: not known (a record that an older lockbot made)."""
    base: Judgement | None = None
    """Without the update; None: not known, or the host was not there."""
    names_commit: bool = False
    """Its derivation depends on the commit's own name: with another message it would be another."""
    warnings: tuple[str, ...] | None = None
    """What its evaluation warned of; None: that is not known."""


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
