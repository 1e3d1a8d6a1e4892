"""What happens in a run, told while it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lockbot.model.run import Phase
from lockbot.model.verdict import HostBuild


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


@dataclass(frozen=True)
class CommandSaid:
    """A line of what the user's own command prints."""

    text: str


@dataclass(frozen=True)
class HookSaid:
    """A line of what a hook prints; `hook` is its program."""

    hook: str
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
    | CommandSaid
    | HookSaid
)
Progress = Callable[[Event], None]
"""Receives events as they happen, from several threads; must return at once and never raise."""


def silent(event: Event) -> None:
    """The progress of nobody watching."""
