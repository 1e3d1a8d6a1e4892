"""What moving inputs comes to: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from lockbot.lock.ahead.lookout import Unfetched
from lockbot.lock.lockable import Unlockable
from lockbot.model import Held, InputChange, Locked
from lockbot.nix import lockfile
from lockbot.nix.lockfile import LockFile
from lockbot.search.interface import RevisionRange


@dataclass(frozen=True)
class Limits:
    """`timeout` in seconds for one call of Nix; `delay` seconds before the first of `retries`, then doubled."""

    timeout: float
    retries: int = 3
    delay: float = 5.0


@dataclass(frozen=True)
class Lock:
    """A flake.lock that could be published: its content, and what it changes."""

    content: bytes
    changes: tuple[InputChange, ...]


class RevisionSource(Protocol):
    """Where an input's history can be asked for."""

    def between(self, name: str, locked: Locked, target: str) -> RevisionRange:
        """What an input can be moved to, from where it is locked up to a target."""
        ...


@dataclass(frozen=True)
class Proposal:
    """What moving the inputs came to. No changes: the working tree is as it was."""

    changes: tuple[InputChange, ...]
    held: tuple[Held, ...]
    notes: tuple[str, ...]
    base: bytes | None = None
    """The content of flake.lock before; None: there was none."""
    content: bytes = b""
    """The content of flake.lock with the changes; empty without any."""
    unlockable: tuple[Unlockable, ...] = ()
    """Inputs whose tip can't be locked; those of which an older revision can be are there."""
    unfetched: Mapping[str, Unfetched] = field(default_factory=dict)
    """Inputs that stay where they are, for the sake of what their tips would bring along."""
    tips: Mapping[str, Locked] = field(default_factory=dict)
    """Where each input that moved is now, by the name it was asked for by (`a`, or a nested `a/b`)."""
    asked: Mapping[str, Locked] = field(default_factory=dict)
    """Where each input is now whose upstream was really asked, and answered."""
    locked_before: Mapping[str, Locked] = field(default_factory=dict)
    """Where each of the named inputs was."""
    paths: tuple[str, ...] = ()
    """Every input path of the flake."""

    @property
    def stuck(self) -> dict[str, tuple[Locked, Locked]]:
        """Inputs whose tip can't be locked: where each was, and the tip."""
        return {one.input: (self.locked_before[one.input], one.tip) for one in self.unlockable}

    @property
    def before(self) -> dict[str, str | None]:
        """The revision at which each input was locked."""
        return {name: locked.revision or None for name, locked in self.locked_before.items()}

    @cached_property
    def old(self) -> LockFile:
        """The lock before."""
        return LockFile.parse(self.base.decode(errors="replace")) if self.base is not None else lockfile.EMPTY
