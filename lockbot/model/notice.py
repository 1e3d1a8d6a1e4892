"""What people are told of: something has changed, or a time is over. Never the same thing twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class NoticeKind(StrEnum):
    BROKE = "broke"
    """A host no longer builds, or an input's update breaks some."""
    RECOVERED = "recovered"
    """What was told of as broke, held, silent or failed is over."""
    HELD = "held-too-long"
    SILENT = "silent-too-long"
    """Nothing is heard: of an upstream, of a host, of runs."""
    PUBLISHED = "published"
    REQUESTED = "requested"
    """A pull request asks to take an update."""
    FAILED = "failed"
    """A run did not get to its end, where the one before it did."""


@dataclass(frozen=True)
class Condition:
    """Something that stands for a while, and is told when it begins and when it ends. `kind` and `subject` name
    it: the same ones are the same condition, whatever its texts are."""

    kind: NoticeKind
    subject: str
    """An input, a host or a part of lockbot, with its kind in front: `input nixpkgs`, `host web`, `runs`."""
    title: str
    """One line."""
    body: str = ""
    inputs: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    run: str | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Notice:
    """One thing to tell: `title` in one line, `body` in some more. Anybody may have written parts of them: escape
    them wherever they are shown."""

    kind: NoticeKind
    title: str
    body: str = ""
    inputs: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    run: str | None = None
    over: NoticeKind | None = None
    """Of one that tells of a recovery: from what."""
