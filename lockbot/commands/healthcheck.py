"""`lockbot healthcheck`: is the flake kept up to date? One line and an exit code for a monitor.

Judges by what is on record, and by whether the daemon lives where one is expected. Asks no upstream, runs no Nix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from lockbot import oserrors
from lockbot.app import App
from lockbot.commands import status as standing
from lockbot.config import Settings
from lockbot.daemon import memory
from lockbot.daemon.plan import scheduled
from lockbot.errors import Cancelled, LockbotError, UsageError
from lockbot.history.summaries.totals import Totals
from lockbot.report import words
from lockbot.report.styled_lines import Line, Style, line


@dataclass(frozen=True)
class Limits:
    """`max_age` is in seconds, `in_vain` the number of runs in a row that is too many."""

    max_age: float = 2 * words.DAY
    in_vain: int = 3


@dataclass(frozen=True)
class Health:
    """`problems` are for somebody to act upon; `text` says how things are when there are none."""

    text: str
    problems: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        return 1 if self.problems else 0


def look(app: App, limits: Limits) -> Health:
    """Raises UsageError for a configuration that is wrong; whatever else can't be looked at is a problem."""
    try:
        with oserrors.explaining():
            place = app.place()
            with app.history(place) as past:
                totals = past.totals(place.flake)
            found = standing.look(app)
    except (Cancelled, UsageError):
        raise
    except LockbotError as error:
        return Health("", (error.message,))
    now = app.clock()
    known = any(row.state is not None for row in found.rows)  # else the alarm is that there was no run at all
    problems = (
        *_daemon(app.settings),
        *_runs(totals, now, limits, app.settings),
        *(found.alarms if known else ()),
    )
    return Health(_fine(totals, found, now), problems)


def _daemon(settings: Settings) -> Iterator[str]:
    directory = settings.state.directory
    if scheduled(settings) and memory.read_service(directory) is None:
        yield f"no daemon is at work in {directory}, though the configuration has a schedule"


_CLOCKS_DIFFER = timedelta(hours=1)


def _runs(totals: Totals, now: datetime, limits: Limits, settings: Settings) -> Iterator[str]:
    latest, ended = totals.latest, totals.ended
    if latest is None:
        yield f"no run is recorded in {settings.state.directory}"
        return
    deadline = timedelta(seconds=settings.run.deadline)
    if latest.started - now > _CLOCKS_DIFFER:
        yield f"the last run is dated {latest.started:%Y-%m-%d %H:%M} UTC, which is yet to come: a clock is wrong"
    elif latest.outcome is None and now - latest.started > deadline:
        yield f"run {latest.id} began {words.ago(latest.started, now)} and has not ended: it hangs, or was killed"
    elif (now - latest.started).total_seconds() > limits.max_age:
        paused = memory.paused(settings.state.directory)
        why = f"; the daemon is paused: {paused.why}" if paused else ""
        limit = words.age(limits.max_age)
        yield f"the last run was {words.ago(latest.started, now)}, and {limit} is the limit{why}"
    if totals.in_vain >= limits.in_vain and ended is not None:
        why = f": {ended.error}" if ended.error else ""
        yield f"the last {words.count(totals.in_vain, 'run')} came to nothing, the newest {ended.outcome}{why}"


def _fine(totals: Totals, found: standing.Status, now: datetime) -> str:
    parts, paused = [f"{words.count(len(found.rows), 'input')} looked after"], found.pause
    if totals.latest is not None and totals.latest.outcome is None:
        parts.append(f"a run began {words.ago(totals.latest.started, now)}")
    if totals.ended is not None:
        parts.append(f"the last one ended {words.ago(totals.ended.finished or now, now)}: {totals.ended.outcome}")
    if found.requests:
        parts.append(f"{words.count(len(found.requests), 'pull request')} open")
    if paused is not None:
        parts.append(f"the daemon is paused: {paused.why}")
    return ", ".join(parts)


def told(health: Health) -> Line:
    """One line, whatever the texts hold."""
    if health.problems:
        return line(
            ("lockbot: PROBLEM: " + "; ".join(" ".join(one.split()) for one in health.problems), Style.BAD)
        )
    return line(("lockbot: ok: " + health.text, Style.GOOD))
