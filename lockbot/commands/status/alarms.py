"""What somebody has to look at: inputs that are not looked after, or kept back for too long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from lockbot.commands.pull_requests.telling import waits_for
from lockbot.commands.status.rows import Row
from lockbot.history.input_states import InputState, StateWord, UserHold
from lockbot.history.summaries.unjudged import NIGHTS, Unjudged
from lockbot.model import NoticeKind, PullRequest
from lockbot.notify.conditions import HOLD_OF, JUDGING
from lockbot.report import words
from lockbot.report.escape import name as shown
from lockbot.report.escape import plain


@dataclass(frozen=True)
class Alarm:
    """Something that somebody has to look at, since when. `about` is `input` or `host`, `name` which one."""

    kind: NoticeKind
    about: str
    name: str
    why: str
    since: datetime | None = None
    part: str = ""
    """What of it this is about, where there is more than one thing that can fall silent."""

    @property
    def sentence(self) -> str:
        return f"{shown(self.name)}: {self.why}"


def alarms(rows: Sequence[Row], now: datetime, directory: Path) -> Iterator[str]:
    """What somebody has to look at: inputs that are not looked after, or kept back for too long."""
    if rows and all(row.state is None for row in rows):
        yield f"no run is recorded in {directory}: does `lockbot update` run, and with this state directory?"
    for row in rows:
        yield from (alarm.sentence for alarm in list(of_input(row, now))[:1])


UNANSWERED = timedelta(days=7)
"""For so long it may fail to ask whether a hold has ended, before somebody has to look."""


def _unanswered(hold: UserHold) -> str | None:
    if hold.ends is None or hold.heard is None:
        return None
    answered = hold.heard.answered or hold.since
    # What was not asked for so long is another matter: no run, no daemon.
    if hold.heard.asked - answered <= UNANSWERED:
        return None
    what, since = words.end(hold.ends), f"{answered:%Y-%m-%d}"
    return f"it is held until {what}, which could not be asked since {since}: {hold.heard.answer}"


def unjudged_alarms(found: Sequence[Unjudged]) -> Iterator[str]:
    """What went unjudged for so many nights that somebody should look."""
    return (alarm.sentence for alarm in of_unjudged(found))


def of_input(row: Row, now: datetime) -> Iterator[Alarm]:
    """What there is to say of one input, the most important first."""
    if row.hold is not None and (why := _unanswered(row.hold)) is not None:
        yield Alarm(NoticeKind.SILENT, "input", row.input, why, part=HOLD_OF)
    if row.hold is not None or row.state is None:
        return  # as the user wants it; or new since the last run
    if (why := _neglected(row, row.state, now)) is not None:
        since = row.state.last_success or row.state.noticed
        yield Alarm(NoticeKind.SILENT, "input", row.input, why, since)
    if (why := _stuck(row, row.state, now)) is not None:
        yield Alarm(NoticeKind.HELD, "input", row.input, why, row.state.stuck_since)
    elif row.request is not None and (why := _untaken(row, row.request, now)) is not None:
        yield Alarm(NoticeKind.HELD, "input", row.input, why, row.request.opened)


def of_unjudged(found: Sequence[Unjudged]) -> Iterator[Alarm]:
    for one in found:
        if one.nights >= NIGHTS:
            why = f"could not be judged for {one.nights} nights running: {one.why}"
            yield Alarm(NoticeKind.SILENT, one.kind, one.name, why, one.since, part=JUDGING)


def _neglected(row: Row, state: InputState, now: datetime) -> str | None:
    asked = state.last_success
    if (now - (asked or state.noticed)).total_seconds() <= row.rules.stale_after:
        return None
    reached = f"upstream was last reached {words.ago(asked, now)}" if asked else "upstream was never reached"
    return reached + (f": {state.detail}" if state.detail else "")


def _stuck(row: Row, state: InputState, now: datetime) -> str | None:
    rules = row.rules
    if state.stuck_since is None:
        return None
    seconds = (now - state.stuck_since).total_seconds()
    # What waits as long as it was told to is no reason for alarm.
    if seconds <= max(rules.stale_after, rules.minimum_age, rules.wait_for_cache):
        return None
    return f"kept back for {words.age(seconds)}" + (f": {state.detail}" if state.detail else "")


def _untaken(row: Row, request: PullRequest, now: datetime) -> str | None:
    """Nothing is broken, and yet the input grows old. A request keeps its age when it is updated."""
    seconds = (now - request.opened).total_seconds()
    if row.word is not StateWord.REQUESTED or seconds <= row.rules.stale_after:
        return None
    return f"in pull request {plain(request.label, 120)} for {words.age(seconds)}: {waits_for(request)}"
