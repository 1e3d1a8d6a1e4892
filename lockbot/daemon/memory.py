"""What lies in a state directory for the daemon and about it. Light: `lockbot status` reads it, too.

schedule.json   when each task was done last; a damaged file is as good as none
daemon.json     what the daemon is doing, while it lives
paused          why nothing is begun, and since when
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lockbot import files
from lockbot.process import process_start

SCHEDULE, DAEMON, PAUSED = "schedule.json", "daemon.json", "paused"


@dataclass(frozen=True)
class Done:
    """When a task was begun last. `lost`: how often in a row a run of it did not live to its end."""

    last: datetime
    lost: int = 0


def read_done(state: Path) -> dict[str, Done]:
    found = _read(state / SCHEDULE)
    done: dict[str, Done] = {}
    for key, value in found.items():
        with contextlib.suppress(TypeError, ValueError, KeyError, OverflowError):
            last = datetime.fromisoformat(value["last"])
            if last.tzinfo is not None:
                done[key] = Done(last, int(value["lost"]))
    return done


def write_done(state: Path, done: Mapping[str, Done]) -> None:
    """Raises OSError."""
    _write(state / SCHEDULE, {key: {"last": one.last.isoformat(), "lost": one.lost} for key, one in done.items()})


@dataclass(frozen=True)
class Service:
    """What a living daemon says about itself. Times are ISO 8601."""

    pid: int
    start: str | None
    """The kernel's, which names the process for good."""
    status: str
    running: dict[str, str | None] = field(default_factory=dict)
    """Task → its run."""
    waiting: tuple[str, ...] = ()
    next: dict[str, str] = field(default_factory=dict)
    """Task → when."""


def read_service(state: Path) -> Service | None:
    """None: no daemon lives that uses this state directory."""
    told = _read(state / DAEMON)
    try:
        found = Service(
            int(told["pid"]),
            told["start"],
            str(told["status"]),
            {str(task): None if run is None else str(run) for task, run in dict(told["running"]).items()},
            tuple(map(str, told["waiting"])),
            {str(task): str(moment) for task, moment in dict(told["next"]).items()},
        )
        return found if process_start(found.pid) == found.start is not None else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def write_service(state: Path, service: Service) -> None:
    """Also where the disk is full: what stands there may be over. Raises OSError."""
    place, data = state / DAEMON, json.dumps(asdict(service)).encode()
    try:
        files.replace(place, data)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        files.overwrite(place, data)


def forget_service(state: Path) -> None:
    with contextlib.suppress(OSError):
        files.remove(state / DAEMON)


@dataclass(frozen=True)
class Pause:
    since: datetime | None
    why: str


def paused(state: Path) -> Pause | None:
    """A file that can't be understood pauses, too: somebody meant to."""
    if not os.path.lexists(state / PAUSED):
        return None
    found = _read(state / PAUSED)
    try:
        since = datetime.fromisoformat(found["since"])
        return Pause(since if since.tzinfo is not None else None, str(found["why"]))
    except (KeyError, TypeError, ValueError):
        return Pause(None, "")


def pause(state: Path, why: str, now: datetime) -> None:
    """Raises OSError."""
    _write(state / PAUSED, {"since": now.isoformat(timespec="seconds"), "why": why})


def resume(state: Path) -> bool:
    """Whether it was paused. Raises OSError, NotOurs."""
    files.check_file(state / PAUSED)
    try:
        (state / PAUSED).unlink()
    except FileNotFoundError:
        return False
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(files.read(path, 1024 * 1024))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, value: object) -> None:
    files.replace(path, json.dumps(value).encode(), durable=True)
