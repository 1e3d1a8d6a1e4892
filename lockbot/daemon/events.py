"""What comes in at the daemon's queue: from the scheduler, the children's threads and the signals."""

from __future__ import annotations

from dataclasses import dataclass

from lockbot.report.events import Record


@dataclass(frozen=True)
class Due:
    key: str


@dataclass(frozen=True)
class Said:
    key: str
    record: Record


@dataclass(frozen=True)
class Ended:
    key: str
    code: int | None
    error: str = ""


@dataclass(frozen=True)
class Reload:
    pass


@dataclass(frozen=True)
class Stop:
    signal: str


Event = Due | Said | Ended | Reload | Stop
