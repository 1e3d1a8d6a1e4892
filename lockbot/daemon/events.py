"""What comes in at the daemon's queue: from the scheduler, the children's threads and the signals."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType

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
class Beaten:
    """A heartbeat was sent by the one of this number; `problem`: why it did not arrive."""

    number: int
    problem: str | None


@dataclass(frozen=True)
class Errand:
    """What one child does beside runs. `seconds`: how long it may; `requests`: it looks after pull requests."""

    seconds: float
    requests: bool = False


@dataclass(frozen=True)
class Tell:
    """Look what is to be told of a configuration's flake, and send it."""

    config: Path


@dataclass(frozen=True)
class Told:
    """That is done; `next`: when something is to be sent again; `notes`: what is to be known of it."""

    config: Path
    next: datetime | None = None
    error: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reload:
    pass


@dataclass(frozen=True)
class Stop:
    signal: str


Event = Due | Said | Ended | Beaten | Tell | Told | Reload | Stop


@contextlib.contextmanager
def signals(put: Callable[[Event], None]) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP become events, as long as the context lasts."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the shape that signal wants
        put(Stop(signal.Signals(number).name))

    def reload(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the same
        put(Reload())

    wanted = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
