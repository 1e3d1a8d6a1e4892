"""What a bisection tried, and what it found: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lockbot.model import CulpritCommit, InputChange


class Result(StrEnum):
    """What one run of the command says, or that it says nothing."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Limit:
    """Seconds that one run of the command may take; None: as long as it likes. One that takes longer says nothing,
    unless that is what is looked for (`is_bad`)."""

    seconds: float | None = None
    is_bad: bool = False

    @property
    def result(self) -> Result:
        """Of a run that took longer."""
        return Result.BAD if self.is_bad else Result.SKIPPED


@dataclass(frozen=True)
class Ended:
    """How a run of the command ended. `limit`: it was ended after so many seconds."""

    result: Result
    why: str
    limit: float | None = None


@dataclass(frozen=True)
class Source:
    """What is tried: a commit of the flake; or, with a `lock`, that commit's files with these inputs moved.

    `revision` is what is evaluated: for a lock, a commit of lockbot's own that holds it.
    """

    commit: str
    revision: str
    lock: Mapping[str, str] | None = field(default=None, hash=False)

    @classmethod
    def of(cls, commit: str) -> Source:
        return cls(commit, commit)


@dataclass(frozen=True)
class Trial:
    """What came of one. `why`: how the command ended, or why it was not run."""

    source: Source
    toplevel: str | None
    result: Result
    why: str
    known: bool = False
    """From an earlier run of the same bisection."""


class Blame(StrEnum):
    """What of a commit made the difference."""

    LOCK = "lock"
    FILES = "files"
    UNKNOWN = "unknown"
    """It changes flake.lock and other files, and which of them it is could not be told."""


@dataclass(frozen=True)
class BadCommit:
    """The first commit of the flake with which the command fails."""

    commit: str
    parent: str
    subject: str
    date: int
    """Seconds since 1970."""
    changes_more: bool
    """Other files than flake.lock."""


@dataclass(frozen=True)
class BadInput:
    """The input that made the difference. `together_with`: inputs that had to move, too.

    Not `exact`: some of these may have nothing to do with it.
    """

    change: InputChange
    together_with: tuple[InputChange, ...] = ()
    exact: bool = True


@dataclass(frozen=True)
class Bisected:
    """What was found. `first_bad` None: nothing, and `reason` says why; else it says what was not looked into."""

    host: str
    command: tuple[str, ...]
    first_bad: BadCommit | None = None
    among: tuple[str, ...] = ()
    """The commits that it is one of, the oldest first, where `first_bad` is not it for sure."""
    blame: Blame | None = None
    input: BadInput | None = None
    upstream: CulpritCommit | None = None
    reason: str = ""
    tried: tuple[Trial, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether all that is named is it for sure."""
        sure_input = self.input is None or self.input.exact
        sure_upstream = self.upstream is None or self.upstream.exact
        is_sure = self.blame is not Blame.UNKNOWN and sure_input and sure_upstream
        return self.first_bad is not None and not self.among and is_sure
