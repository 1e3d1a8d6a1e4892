"""What is known of a flake, for those who are told: from the history, the committed lock and the schedule."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from lockbot import state
from lockbot.app import App, Place
from lockbot.commands import status
from lockbot.commands.committed import branch_tip, committed_lock
from lockbot.commands.status.alarms import Alarm, of_input, of_unjudged
from lockbot.daemon import memory
from lockbot.daemon.plan import scheduled, timetables
from lockbot.errors import Cancelled, LockbotError, UsageError
from lockbot.history.input_states import StateWord
from lockbot.history.notices.runs import newest_ended, newest_judged
from lockbot.history.notices.values import Looked
from lockbot.history.store import History
from lockbot.history.summaries.runs import RunSummary
from lockbot.model import KILLED, Condition, NoticeKind, Outcome
from lockbot.notify.conditions import RUNS, Facts, InputFact, of_host
from lockbot.notify.conditions import of_input as of
from lockbot.report import words
from lockbot.report.escape import name as shown


def gather(app: App, place: Place, past: History) -> Facts:
    """Raises LockbotError. A lock that can't be read is no reason to keep silent: the run that failed for it is
    to be told of."""
    known, now = _lock_is_known(app, place), app.clock()
    rows, alarms = _inputs(app) if known else ((), ())
    runs = past.runs(place.flake, limit=_NEWEST)
    last = runs[0] if runs else None
    looked = past.notices(place.flake).known().looked
    return Facts(
        now,
        tuple(map(_input, rows)),
        past.ask(lambda connection: newest_judged(connection, place.flake, now)),
        past.ask(lambda connection: newest_ended(connection, place.flake, now)),
        (*map(_condition, alarms), *_silence(app, last, looked, now)),
        _hanging(app, last, now) or _killed(place, [one for one in runs if not one.dry_run]),
        blind=not known,
    )


def _lock_is_known(app: App, place: Place) -> bool:
    """Whether there is a branch, with a lock that makes sense where it has one."""
    try:
        if branch_tip(app, place)[1] is None:
            return False
        committed_lock(app, place)
    except Cancelled:
        raise
    except LockbotError:
        return False
    return True


def _inputs(app: App) -> tuple[Sequence[status.Row], Sequence[Alarm]]:
    found = status.look(app)
    return found.rows, tuple(_alarms(found))


def _input(row: status.Row) -> InputFact:
    newest = row.newest.revision if row.newest is not None else None
    request = row.request.label if row.request is not None and row.word is StateWord.REQUESTED else ""
    return InputFact(row.input, row.state, row.locked, newest, row.hold is not None, request)


def _alarms(found: status.Status) -> Iterator[Alarm]:
    for row in found.rows:
        yield from of_input(row, found.now)
    yield from of_unjudged(found.unjudged)


def _condition(alarm: Alarm) -> Condition:
    """What can't be judged and what can't be reached are two things, and each ends by itself."""
    named = of_host(alarm.name) if alarm.about == "host" else of(alarm.name)
    what, _, why = alarm.why.partition(": ")
    return Condition(
        alarm.kind,
        alarm.part + named,
        f"{shown(alarm.name)}: {what}",
        why,
        inputs=(alarm.name,) if alarm.about == "input" else (),
        hosts=(alarm.name,) if alarm.about == "host" else (),
        since=alarm.since,
    )


# -- runs that do not take place


def _silence(app: App, newest: RunSummary | None, looked: Looked | None, now: datetime) -> Iterator[Condition]:
    """Where a schedule exists: it has come round twice, and no run was begun."""
    last = newest.started if newest is not None else looked.first if looked is not None else None
    if last is None or not scheduled(app.settings):
        return
    with contextlib.suppress(UsageError):  # a time zone that can't be told: the daemon says so
        missed = min(one.next(one.next(last)) for one in timetables(app.settings))
        late = timedelta(seconds=app.settings.run.deadline + app.settings.schedule.random_delay)
        if now > missed + late:
            pause = memory.paused(app.settings.state.directory)
            yield Condition(
                NoticeKind.SILENT,
                RUNS,
                f"No run has begun for {words.age((now - last).total_seconds())}",
                f"The daemon is paused: {pause.why}" if pause is not None else "Does the daemon live?",
                since=last,
            )


def _hanging(app: App, last: RunSummary | None, now: datetime) -> str:
    if last is None or last.outcome is not None or last.dry_run:
        return ""
    if now - last.started <= timedelta(seconds=app.settings.run.deadline):
        return ""
    return f"Run {last.id} began {words.ago(last.started, now)} and has not ended: it hangs, or was killed"


_NEWEST = 10
"""Runs that are looked at, for those among them that changed something."""


def _killed(place: Place, runs: Sequence[RunSummary]) -> str:
    """Of two in a row, none of which could say so: of one, a restarted machine may be the reason, and the next run
    makes up for it."""
    ended = [one for one in runs if one.outcome is not None]
    died = [one.outcome is Outcome.INTERRUPTED and one.error == KILLED for one in ended[:2]]
    if runs and runs[0].outcome is None and died and died[0] and not state.is_held(place.directory / state.LOCK):
        died = [True, True]
    return "Runs are killed before they can end: has the machine too little memory?" if died == [True] * 2 else ""
