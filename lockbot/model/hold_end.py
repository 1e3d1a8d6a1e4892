"""What ends a hold by itself, and what was heard when somebody was asked whether that has come. No I/O.

A date is no such thing: nobody need be asked (`UserHold.until`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class UntilMerged:
    """A pull request is merged, and the input's branch has what it brings. `url`: its page on a forge."""

    url: str


@dataclass(frozen=True)
class UntilIn:
    """A branch of the input's repository contains a commit (all 40 digits of it)."""

    branch: str
    commit: str


@dataclass(frozen=True)
class UntilVersion:
    """A package of the input is at this version, or at a newer one. `package`: its attribute path."""

    package: tuple[str, ...]
    version: str


HoldEnd = UntilMerged | UntilIn | UntilVersion


@dataclass(frozen=True)
class Heard:
    """What came of asking last. Anybody may have written parts of `answer`: escape it wherever it is shown."""

    asked: datetime
    answer: str = ""
    """For people; empty: who asked was stopped before there was an answer."""
    answered: datetime | None = None
    """When there was an answer last, and not only a reason why there is none; None: never."""
    revision: str | None = None
    """The input's revision that was looked at, where one was: of the same one the same is heard."""
