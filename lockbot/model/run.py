"""The record of one run: how it ended, what was published and what was held back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from lockbot.model.change import InputChange
from lockbot.model.difference import Difference, UpstreamChanges
from lockbot.model.pull_request import RequestDone
from lockbot.model.verdict import HostBuild


@dataclass(frozen=True)
class CulpritCommit:
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
    culprit: CulpritCommit | None = None
    """What it is held for, where an upstream commit (or a span of them) was found to break hosts."""


KILLED = "lockbot was killed"
"""The error of a run that could not say how it ended; the next one says so."""


class Outcome(StrEnum):
    UNCHANGED = "unchanged"
    PUBLISHED = "published"
    REQUESTED = "requested"
    """It was judged, and a pull request asks to take it."""
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
            case Outcome.UNCHANGED | Outcome.PUBLISHED | Outcome.PARTLY_PUBLISHED | Outcome.REQUESTED:
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
    differences: tuple[Difference, ...] = ()
    """What the update means for the hosts that it changes."""
    upstream: tuple[UpstreamChanges, ...] = ()
    """What upstream did to the inputs that moved."""
    flake: str = ""
    """Which flake it is about: the repository, its branch and the flake's directory (`app.Place.flake`)."""
    requests: tuple[RequestDone, ...] = ()
    """What it has done about pull requests."""

    @property
    def asks(self) -> bool:
        """Whether a pull request asks (or its branch waits for somebody to open one) to take what it judged."""
        return self.outcome is Outcome.REQUESTED and any(one.step.asks for one in self.requests)


class Phase(StrEnum):
    SYNC = "sync"
    PROPOSE = "propose"
    JUDGE = "judge"
    PUBLISH = "publish"
    RECORD = "record"
