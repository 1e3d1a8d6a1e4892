"""What `lockbot status` asks for and prints: the ledger, as people read it.

Waits for no run and asks no upstream: it reads what was recorded, and the lock as it lies in the repository.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from lockbot.app import App
from lockbot.commands.committed import committed_lock, input_names, standing, uncommitted
from lockbot.daemon import memory
from lockbot.daemon.memory import Pause, Service
from lockbot.history.ledger import Ledger
from lockbot.history.summaries import RunSummary
from lockbot.history.unjudged import NIGHTS, Unjudged
from lockbot.history.values import Acceptance, InputState, SeenTip, StateWord, UserHold
from lockbot.model import BadRevision, Locked
from lockbot.policy.decisions import HoldReason
from lockbot.policy.rules import InputRules, PolicyAction
from lockbot.report import words
from lockbot.report.document import Document, culprit
from lockbot.report.escape import name as shown
from lockbot.report.escape import plain
from lockbot.report.lines import Line, Style, line
from lockbot.report.table import table


@dataclass(frozen=True)
class Row:
    """One input. `hold` is an active one of the user's; `newest` the tip that was seen last."""

    input: str
    rules: InputRules
    locked: Locked | None = None
    state: InputState | None = None
    hold: UserHold | None = None
    accepted: Acceptance | None = None
    newest: SeenTip | None = None

    @property
    def word(self) -> StateWord:
        if self.hold is not None:
            return StateWord.HELD
        return self.state.state if self.state is not None else StateWord.NEVER

    @property
    def reason(self) -> str:
        """A word for machines; empty: nothing is the matter."""
        if self.hold is not None:
            return HoldReason.USER
        return self.state.reason if self.state is not None else ""

    @property
    def behind(self) -> float | None:
        """Seconds from the locked revision to the newest tip that was seen; None: not known."""
        locked, newest = self.locked, self.newest
        if locked is None or newest is None:
            return None
        if newest.revision == locked.revision:
            return 0.0
        if locked.last_modified is None:
            return None
        committed = newest.committed if newest.committed is not None else newest.first_seen.timestamp()
        return max(committed - locked.last_modified, 0.0)


@dataclass(frozen=True)
class Status:
    """`alarms` are for somebody to act upon, `notes` for reading; both are sentences."""

    now: datetime
    rows: tuple[Row, ...]
    alarms: tuple[str, ...]
    notes: tuple[str, ...] = ()
    service: Service | None = None
    """The daemon, where one lives."""
    pause: Pause | None = None
    last: RunSummary | None = None
    """The newest run of this flake."""
    unjudged: tuple[Unjudged, ...] = ()
    """Hosts and inputs that the newest runs could not judge."""


def look(app: App) -> Status:
    """How every input stands. Raises UsageError where there is no repository, LockFileError for a broken lock."""
    place = app.place()
    lock = committed_lock(app, place)
    book = app.settings.policy_rules()
    now = app.clock()
    with app.history(place) as past:
        last = past.runs(place.flake, limit=1)
        unjudged = past.unjudged(place.flake)
        ledger = past.ledger(place.flake)
        states, holds, accepted = standing(ledger, lock), ledger.holds(), ledger.accepted()
        names = [name for name, root in lock.root_inputs.items() if root.updatable]
        names += sorted(name for name in {*states, *holds} - set(names) if lock.input(name) is not None)
        rows = tuple(
            Row(
                name,
                book.of(name),
                locked := lock.locked(name),
                states.get(name),
                _active(holds.get(name), now),
                _unused(accepted.get(name), locked),
                _newest(ledger, name, locked),
            )
            for name in names
        )
    held = {row.input for row in rows if row.state is not None and row.state.state is StateWord.HELD}
    unjudged = tuple(one for one in unjudged if one.kind != "input" or one.name in held)
    unknown = [f"a hold is on {shown(name)}, which is no input" for name in holds if lock.input(name) is None]
    notes = (*past.notes, *uncommitted(app, place, lock), *book.unmatched(input_names(lock)), *unknown)
    state = app.settings.state.directory
    return Status(
        now,
        rows,
        (*alarms(rows, now, state), *unjudged_alarms(unjudged)),
        notes,
        memory.read_service(state),
        memory.paused(state),
        last[0] if last else None,
        unjudged,
    )


def _active(hold: UserHold | None, now: datetime) -> UserHold | None:
    return hold if hold is not None and hold.active(now) else None


def _newest(ledger: Ledger, input: str, locked: Locked | None) -> SeenTip | None:
    tips = ledger.tips(input, locked.original, limit=1) if locked is not None else ()
    return tips[0] if tips else None


def _unused(acceptance: Acceptance | None, locked: Locked | None) -> Acceptance | None:
    """An acceptance that still holds: the input has not moved since, by anybody's hand."""
    return acceptance if acceptance and locked and acceptance.locked == locked.revision else None


def alarms(rows: Sequence[Row], now: datetime, directory: Path) -> Iterator[str]:
    """What somebody has to look at: inputs that are not looked after, or kept back for too long."""
    if rows and all(row.state is None for row in rows):
        yield f"no run is recorded in {directory}: does `lockbot update` run, and with this state directory?"
    for row in rows:
        if row.hold is not None or row.state is None:
            continue  # as the user wants it; or new since the last run
        why = _neglected(row, row.state, now) or _stuck(row, row.state, now)
        if why is not None:
            yield f"{shown(row.input)}: {why}"


def unjudged_alarms(found: Sequence[Unjudged]) -> Iterator[str]:
    """What went unjudged for so many nights that somebody should look."""
    for one in found:
        if one.nights >= NIGHTS:
            yield f"{shown(one.name)}: could not be judged for {one.nights} nights running: {one.why}"


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


_KEYS = {
    HoldReason.BACKWARDS: "backwards",
    HoldReason.ORIGIN: "origin",
    HoldReason.NEW_INPUT: "new_input",
    HoldReason.NEW_PATH: "new_path",
}


def policy_key(state: InputState) -> str | None:
    """The key of the configuration that keeps an input back."""
    return _KEYS.get(HoldReason(state.reason)) if state.reason in frozenset(HoldReason) else None


def answer(state: InputState, rules: InputRules) -> PolicyAction | None:
    """What the configuration says to that, as long as the input is kept back."""
    key = policy_key(state)
    return None if key is None or state.stuck_since is None else getattr(rules, key)


# -- how it is shown --------------------------------------------------------------------------------------------


def lines(status: Status, width: int | None) -> tuple[Line, ...]:
    """Alarms, the table, and of each input that is kept back what is known about that."""
    shown_alarms = alarm_lines(status) if status.alarms else ()
    notes = [line((f"note: {note}", Style.WARN)) for note in status.notes]
    notes = [*_service_lines(status), *notes]
    if not status.rows:
        return (*shown_alarms, *notes, line("flake.lock has no inputs that could be updated"))
    header = ["input", "revision", "behind", "state", "since", "next try"]
    rows = table(header, [_cells(row, status.now) for row in status.rows], width=width)
    details = [one for row in status.rows for one in _details(row)]
    return (*shown_alarms, *notes, *([line()] if shown_alarms or notes else []), *rows, *details)


def _service_lines(status: Status) -> Iterator[Line]:
    """What the daemon does now, what comes next, and what the last run came to."""
    service, pause, last = status.service, status.pause, status.last
    if pause is not None:
        since = f" since {pause.since:%Y-%m-%d %H:%M} UTC" if pause.since is not None else ""
        yield line((f"paused{since}: {plain(pause.why)} (`lockbot resume` ends it)", Style.WARN))
    if service is not None:
        if service.running or service.waiting:
            yield line(f"now: {plain(service.status)}")
        for name in service.waiting:
            yield line(f"waiting: {shown(name)}")
        for name, moment in service.next.items():
            yield line(f"next: {shown(name)} at {plain(_clock(moment))}")
    if last is not None:
        outcome = last.outcome if last.outcome is not None else "unfinished"
        yield line(f"last: {last.id}, {outcome}, {words.ago(last.started, status.now)}")


def _clock(moment: str) -> str:
    return moment[:16].replace("T", " ") + " UTC"


def alarm_lines(status: Status) -> tuple[Line, ...]:
    """What `status --check` prints."""
    if not status.alarms:
        return (line((f"no alarm: {words.count(len(status.rows), 'input')} looked after", Style.GOOD)),)
    return tuple(line((f"ALARM {alarm}", Style.BAD)) for alarm in status.alarms)


def _cells(row: Row, now: datetime) -> list[str]:
    since = row.hold.since if row.hold is not None else row.state.since if row.state is not None else None
    return [
        row.input,
        words.state(row.locked),
        _behind(row.behind),
        row.word,
        words.ago(since, now) if since is not None else "",
        _next_try(row, now),
    ]


def _behind(seconds: float | None) -> str:
    if seconds is None:
        return "not known"
    return words.age(seconds) if seconds else "no"


def _next_try(row: Row, now: datetime) -> str:
    state = row.state
    if row.hold is not None:
        return f"{row.hold.until:%Y-%m-%d %H:%M} UTC" if row.hold.until is not None else "when released"
    if row.accepted is None and state is not None and state.state is StateWord.HELD:
        match answer(state, row.rules):
            case PolicyAction.HOLD:
                return "when accepted"
            case PolicyAction.REFUSE:
                return "when the configuration allows it"
    if state is not None and state.next_try is not None and state.next_try > now:
        return f"{state.next_try:%Y-%m-%d %H:%M} UTC"
    return "next run"


def _details(row: Row) -> Iterator[Line]:
    state = row.state
    told = [
        row.hold and _hold_words(row.hold),
        state and state.detail if row.hold is None else None,
        row.word is StateWord.MOVED and f"moved since the last run, which left it at {_left_at(state)}",
        state and state.unreachable_since and f"not reached since {state.unreachable_since:%Y-%m-%d %H:%M} UTC",
        row.accepted and "its next move is accepted" + _to(row.accepted.revision),
        state and state.last_good and f"last good: {words.short(state.last_good)}",
        *(_bad_words(state.first_bad) if state and state.first_bad else ()),
    ]
    found = [one for one in told if one]
    if found:
        yield line()
        yield line((shown(row.input), Style.TITLE))
        for text in found:
            yield from (line(f"  {one}") for one in text.splitlines())


def _left_at(state: InputState | None) -> str:
    return words.short(state.locked if state is not None else None)


def _to(revision: str | None) -> str:
    return f", if it is to {words.short(revision)}" if revision is not None else ""


def _hold_words(hold: UserHold) -> str:
    at = f" at {words.short(hold.at)}" if hold.at is not None else ""
    return f"held by you{at} since {hold.since:%Y-%m-%d}: {hold.why}"


def _bad_words(bad: BadRevision) -> Iterator[str]:
    what = f"first bad: {words.short(bad.revision)}"
    if not bad.exact:
        after = f"after {words.short(bad.after)}, " if bad.after else ""
        what = f"bad: somewhere {after}up to {words.short(bad.revision)}"
    when = f", {words.date(bad.date)}" if words.date(bad.date) else ""
    who = f" by {bad.author}{when}" if bad.author else when
    yield what + (f" “{bad.subject.strip()}”" if bad.subject.strip() else "") + who
    if bad.hosts:
        yield f"  breaks {', '.join(map(shown, bad.hosts))}"
    if bad.link:
        yield f"  {bad.link}"


def document(status: Status) -> Document:
    """The object of `lockbot status --json`. Names and meanings here only ever grow."""
    return {
        "alarms": list(status.alarms),
        "notes": list(status.notes),
        "daemon": _service_document(status.service),
        "paused": {"since": _iso(status.pause.since), "why": status.pause.why} if status.pause else None,
        "last_run": status.last.id if status.last is not None else None,
        "unjudged": [{**asdict(host), "since": _iso(host.since)} for host in status.unjudged],
        "inputs": [_row_document(row, status.now) for row in status.rows],
    }


def _service_document(service: Service | None) -> Document | None:
    if service is None:
        return None
    return {
        "pid": service.pid,
        "status": service.status,
        "running": service.running,
        "waiting": list(service.waiting),
        "next": service.next,
    }


def _row_document(row: Row, now: datetime) -> Document:
    state, hold, bad = row.state, row.hold, row.state.first_bad if row.state else None
    behind = row.behind
    return {
        "input": row.input,
        "revision": row.locked.revision or None if row.locked is not None else None,
        "newest_seen": row.newest.revision if row.newest else None,
        "behind_days": round(behind / words.DAY, 2) if behind is not None else None,
        "state": row.word,
        "reason": row.reason or None,
        "detail": hold.why if hold else (state.detail or None if state else None),
        "since": _iso(hold.since if hold else state.since if state else None),
        "held_by_user": {"until": _iso(hold.until), "at": hold.at, "why": hold.why} if hold else None,
        "accepted": {"revision": row.accepted.revision} if row.accepted else None,
        "last_attempt": _iso(state.last_attempt if state else None),
        "last_success": _iso(state.last_success if state else None),
        "unreachable_since": _iso(state.unreachable_since if state else None),
        "last_good": state.last_good if state else None,
        "first_bad": _bad_document(bad) if bad else None,
        "culprit": culprit(bad) if row.word is StateWord.HELD and row.hold is None else None,
        "next_try": _iso(state.next_try if state and state.next_try and state.next_try > now else None),
    }


def _bad_document(bad: BadRevision) -> Document:
    return {
        "revision": bad.revision,
        "exact": bad.exact,
        "after": bad.after,
        "subject": bad.subject,
        "author": bad.author,
        "date": words.date(bad.date) or None,
        "link": bad.link,
        "hosts": list(bad.hosts),
    }


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time is not None else None
