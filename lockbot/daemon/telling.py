"""What the daemon does now and next, in words for systemd's STATUS= and `lockbot status`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from lockbot.daemon.children import Child
from lockbot.daemon.plan import Task


def doing(refused: str, running: Sequence[Child], following: str, *, paused: bool) -> str:
    """`web: building linux-6.12, 2 of 9 hosts done`; at rest `next: main at 04:00`."""
    parts = [refused] if refused else []
    parts += [f"{child.task.label}: {child.doing.words}" for child in running]
    if paused:
        parts.append("paused")
    elif not running:
        parts.append(f"next: {following}")
    return "; ".join(parts)


def coming(tasks: Sequence[tuple[Task, datetime]], now: datetime) -> str:
    """The first of them (they come by time), with the day where that is not today."""
    if not tasks:
        return "nothing"
    task, moment = tasks[0]
    zone = task.timetable.zone
    shown = moment.astimezone(zone)
    today = shown.date() == now.astimezone(zone).date()
    return f"{task.label} at {shown:{'%H:%M' if today else '%Y-%m-%d %H:%M'}}"
