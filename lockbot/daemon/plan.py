"""What the daemon is to do: from configuration files to tasks with timetables. Nothing is run here."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from lockbot import oserrors
from lockbot.config import Settings, load
from lockbot.config.sections import Mode
from lockbot.config.types import timing
from lockbot.daemon.events import Errand
from lockbot.errors import LockbotError, UsageError
from lockbot.notify.kinds import HookEvent
from lockbot.notify.ping_requests import Heartbeat
from lockbot.redact import redact
from lockbot.schedule import Quiet, Timetable, spread
from lockbot.surroundings import absolute


@dataclass(frozen=True)
class Task:
    """One schedule of one configuration file: all its inputs, or those of one group."""

    label: str
    """What people know it by: `main`, `main/daily`."""
    config: Path
    group: str | None
    apart: tuple[str, ...]
    """Groups that have schedules of their own, and are left out."""
    timetable: Timetable
    deadline: float
    """Seconds that a run may take, with the hooks after it."""
    state: Path

    @property
    def key(self) -> str:
        return f"{self.config}#{self.group}" if self.group is not None else str(self.config)


@dataclass(frozen=True)
class Plan:
    tasks: tuple[Task, ...]
    max_runs: int
    heartbeats: tuple[Heartbeat, ...] = ()
    errands: Mapping[Path, Errand] = field(default_factory=dict)
    """What is done beside the runs of each configuration."""

    @property
    def states(self) -> tuple[Path, ...]:
        """The state directories."""
        return tuple(dict.fromkeys(task.state for task in self.tasks))


def read(paths: Sequence[Path], environ: Mapping[str, str]) -> Plan:
    """Files, and directories of *.toml. Raises UsageError: every file's mistakes, or no schedule at all."""
    found = configurations(paths, environ)
    _refuse(
        f"{path}: there is no schedule: write `when` in [schedule], or a group's `schedule`"
        for path, settings in found.items()
        if not scheduled(settings)
    )
    names = labels(found)
    tasks = tuple(task for path, settings in found.items() for task in _tasks(path, settings, names[path]))
    errands = {path: errand(settings) for path, settings in found.items()}
    max_runs = min(settings.daemon.max_runs for settings in found.values())
    return Plan(tasks, max_runs, _heartbeats(found.values()), errands)


def configurations(
    paths: Sequence[Path], environ: Mapping[str, str], *, secrets: bool = True
) -> dict[Path, Settings]:
    """Files, and directories of *.toml, each loaded (`config.load`). Raises UsageError: every file's mistakes."""
    wrong: list[str] = []
    found: dict[Path, Settings] = {}
    with oserrors.explaining():
        found_files = _files(paths)
    for path in found_files:
        try:
            found[path] = load(path, environ, secrets=secrets)
        except LockbotError as error:
            wrong.append(error.message)
    _refuse(wrong)
    return found


def _refuse(mistakes: Iterable[str]) -> None:
    if wrong := list(mistakes):
        raise UsageError("\n".join(wrong), "docs/configuration.md explains every key")


def errand(settings: Settings) -> Errand:
    """It has limits of its own; where it hangs, this one ends it."""
    hooks = sum(hook.timeout for hook in settings.hook if hook.event is HookEvent.ALARM)
    seconds = _NOTIFY + settings.run.fetch_timeout + hooks
    return Errand(seconds, settings.publish.mode is Mode.REQUEST)


_NOTIFY = 300.0


def _heartbeats(found: Iterable[Settings]) -> tuple[Heartbeat, ...]:
    """One for each address, as often as whoever wants it most often says."""
    wanted = [one for settings in found if (one := settings.ping.heartbeat()) is not None]
    return tuple({one.target: one for one in sorted(wanted, key=lambda one: -one.every)}.values())


def scheduled(settings: Settings) -> bool:
    """Whether the configuration is meant for the daemon."""
    return settings.schedule.when is not None or any(group.schedule is not None for group in settings.group)


def _files(paths: Sequence[Path]) -> list[Path]:
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(one for one in path.glob("*.toml") if not one.name.startswith("."))
            if not inside:
                raise UsageError(f"there is no configuration in {path}: no file *.toml")
            found |= dict.fromkeys(absolute(one) for one in inside)
        else:
            found[absolute(path)] = None
    return list(found)


def labels(found: Mapping[Path, Settings]) -> dict[Path, str]:
    """What people know each by: the repository's name; the file's where two share one, and all of its path where
    they share that, too."""
    names = {path: _name(path, settings) for path, settings in found.items()}
    for other in ({path: path.stem for path in found}, {path: str(path) for path in found}):
        common = Counter(names.values())
        names = {path: name if common[name] == 1 else other[path] for path, name in names.items()}
    return names


def _name(path: Path, settings: Settings) -> str:
    place = settings.repository.url or str(settings.repository.path or path.parent)
    return redact(place).rstrip("/").removesuffix("/.git").removesuffix(".git").rpartition("/")[2] or path.stem


def next_run(settings: Settings, now: datetime) -> datetime | None:
    """When the schedule's next run of everything is due, `random_delay` left out; None: nothing tells."""
    if settings.schedule.when is None:
        return None
    try:
        return replace(_timetable(settings, settings.schedule.when, ""), delay=0.0).next(now).astimezone(UTC)
    except UsageError:
        return None


def timetables(settings: Settings) -> list[Timetable]:
    """Of all schedules, `random_delay` left out. Raises UsageError where the time zone can't be told."""
    whens = [settings.schedule.when, *(group.schedule for group in settings.group)]
    return [replace(_timetable(settings, when, ""), delay=0.0) for when in whens if when is not None]


def _tasks(path: Path, settings: Settings, label: str) -> Iterator[Task]:
    own = {group.name: group.schedule for group in settings.group if group.schedule is not None}
    whens: list[tuple[str | None, str]] = list(own.items())
    if settings.schedule.when is not None:
        whens.append((None, settings.schedule.when))
    for group, when in whens:
        yield Task(
            label if group is None else f"{label}/{group}",
            path,
            group,
            tuple(own) if group is None else (),
            _timetable(settings, when, f"{_machine()} {path} {group}"),
            settings.run.deadline + sum(hook.timeout for hook in settings.hook),
            settings.state.directory,
        )


def _timetable(settings: Settings, when: str, seed: str) -> Timetable:
    schedule = settings.schedule
    quiet = Quiet.parse(schedule.quiet_hours) if schedule.quiet_hours is not None else None
    return Timetable(timing(when), zone(settings), spread(schedule.random_delay, seed), quiet)


def zone(settings: Settings) -> tzinfo:
    """Of the schedule's times. Raises UsageError where the machine's can't be told."""
    configured = settings.schedule.time_zone
    return ZoneInfo(configured) if configured is not None else local_zone()


def local_zone() -> tzinfo:
    """The machine's. Raises UsageError where it can't be told."""
    import tzlocal

    try:
        return tzlocal.get_localzone()
    except Exception as error:  # its own, zoneinfo's, and warnings that are made errors
        raise UsageError(
            f"this machine's time zone can't be told: {error}", "write it to schedule.time_zone"
        ) from error


def _machine() -> str:
    """What stays the same for this machine, and is another for others."""
    try:
        return Path("/etc/machine-id").read_text().strip() or socket.gethostname()
    except OSError:
        return os.uname().nodename
