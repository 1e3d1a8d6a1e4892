"""How it is shown: lines for people, and the object of `--json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import assert_never

from lockbot.commands.pull_requests.telling import request_document, request_sentence
from lockbot.commands.status.delivery import delivery_document, delivery_words
from lockbot.commands.status.rows import Row, Status, answer
from lockbot.daemon.memory import Service
from lockbot.history.input_states import InputState, StateWord, UserHold
from lockbot.model import CulpritCommit, HoldEnd, UntilIn, UntilMerged, UntilVersion
from lockbot.model.host import written
from lockbot.policy.rules import PolicyAction
from lockbot.report import words
from lockbot.report.document import Document, culprit
from lockbot.report.escape import name as shown
from lockbot.report.escape import plain
from lockbot.report.styled_lines import Line, Style, line
from lockbot.report.table import table


def lines(status: Status, width: int | None) -> tuple[Line, ...]:
    """Alarms, the table, and of each input that is kept back what is known about that."""
    shown_alarms = alarm_lines(status) if status.alarms else ()
    notes = [line((f"note: {note}", Style.WARN)) for note in status.notes]
    notes += [line((f"note: {told}", Style.WARN)) for told in delivery_words(status.deliveries)]
    notes = [*_service_lines(status), *notes]
    if not status.rows:
        return (*shown_alarms, *notes, line("flake.lock has no inputs that could be updated"))
    header = ["input", "revision", "behind", "state", "since", "next try"]
    rows = table(header, [_cells(row, status.now) for row in status.rows], width=width)
    details = [one for row in status.rows for one in _details(row, status.now)]
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
    for request in status.requests:
        yield line(request_sentence(request))
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
    requested = row.word is StateWord.REQUESTED
    since = _since(row)
    return [
        row.input,
        words.state(row.locked),
        _behind(row.behind),
        f"in pull request {plain(row.request.label, 60)}" if requested and row.request else row.word,
        words.ago(since, now) if since is not None else "",
        _next_try(row, now),
    ]


def _since(row: Row) -> datetime | None:
    if row.hold is not None:
        return row.hold.since
    if row.request is not None and row.word is StateWord.REQUESTED:
        return row.request.opened
    return row.state.since if row.state is not None else None


def _behind(seconds: float | None) -> str:
    if seconds is None:
        return "not known"
    return words.age(seconds) if seconds else "no"


def _next_try(row: Row, now: datetime) -> str:
    state = row.state
    if row.hold is not None:
        return _hold_ends(row.hold)
    if row.word is StateWord.REQUESTED:
        return "when it lands"
    if row.accepted is None and state is not None and state.state is StateWord.HELD:
        match answer(state, row.rules):
            case PolicyAction.HOLD:
                return "when accepted"
            case PolicyAction.REFUSE:
                return "when the configuration allows it"
    if state is not None and state.next_try is not None and state.next_try > now:
        return f"{state.next_try:%Y-%m-%d %H:%M} UTC"
    return "next run"


def _hold_ends(hold: UserHold) -> str:
    match hold.ends:
        case None:
            return f"{hold.until:%Y-%m-%d %H:%M} UTC" if hold.until is not None else "when released"
        case UntilMerged():
            return "when merged"
        case UntilIn(branch):
            return f"when in {branch}"
        case UntilVersion(_, version):
            return f"when at {version}"
        case _:
            assert_never(hold.ends)


def _details(row: Row, now: datetime) -> Iterator[Line]:
    state = row.state
    told = [
        row.hold and hold_words(row.hold),
        row.hold and row.hold.ends and f"until {words.end(row.hold.ends)}{words.heard(row.hold.heard, now)}",
        state and state.detail if row.hold is None else None,
        row.word is StateWord.MOVED and f"moved since the last run, which left it at {_left_at(state)}",
        state and state.unreachable_since and f"not reached since {state.unreachable_since:%Y-%m-%d %H:%M} UTC",
        row.request and row.word is not StateWord.REQUESTED and _asked(row),
        row.closed and f"pull request {plain(row.closed.label, 120)} with its newest revision was closed",
        row.accepted and "its next move is accepted" + _to(row.accepted.revision),
        state and state.last_good and f"last good: {words.short(state.last_good)}",
        *(_bad_words(state.culprit) if state and state.culprit else ()),
    ]
    found = [one for one in told if one]
    if found:
        yield line()
        yield line((shown(row.input), Style.TITLE))
        for text in found:
            yield from (line(f"  {one}") for one in text.splitlines())


def _asked(row: Row) -> str:
    """Of an input that is kept back, or was moved by another hand: a pull request from before is there still."""
    move = row.request.move_of(row.input) if row.request is not None else None
    assert row.request is not None
    return f"pull request {plain(row.request.label, 120)} asks for {words.short(move.new if move else None)}"


def _left_at(state: InputState | None) -> str:
    return words.short(state.locked if state is not None else None)


def _to(revision: str | None) -> str:
    return f", if it is to {words.short(revision)}" if revision is not None else ""


def hold_words(hold: UserHold) -> str:
    """That it is held, since when and why."""
    at = f" at {words.short(hold.at)}" if hold.at is not None else ""
    return f"held by you{at} since {hold.since:%Y-%m-%d}: {hold.why}"


def _bad_words(bad: CulpritCommit) -> Iterator[str]:
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
        "notifications": [delivery_document(one) for one in status.deliveries],
        "pull_requests": [request_document(one) for one in status.requests],
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
    state, hold, bad = row.state, row.hold, row.state.culprit if row.state else None
    behind = row.behind
    return {
        "input": row.input,
        "revision": row.locked.revision or None if row.locked is not None else None,
        "newest_seen": row.newest.revision if row.newest else None,
        "behind_days": round(behind / words.DAY, 2) if behind is not None else None,
        "state": row.word,
        "reason": row.reason or None,
        "detail": hold.why if hold else (state.detail or None if state else None),
        "since": _iso(_since(row)),
        "pull_request": row.request.number if row.request is not None else None,
        "closed_pull_request": row.closed.number if row.closed is not None else None,
        "held_by_user": hold_document(hold),
        "accepted": {"revision": row.accepted.revision} if row.accepted else None,
        "last_attempt": _iso(state.last_attempt if state else None),
        "last_success": _iso(state.last_success if state else None),
        "unreachable_since": _iso(state.unreachable_since if state else None),
        "last_good": state.last_good if state else None,
        "first_bad": _bad_document(bad) if bad else None,
        "culprit": culprit(bad) if row.word is StateWord.HELD and row.hold is None else None,
        "next_try": _iso(state.next_try if state and state.next_try and state.next_try > now else None),
    }


def hold_document(hold: UserHold | None) -> Document | None:
    """A hold of the user's: until when and why, what ends it, and what was heard of that."""
    if hold is None:
        return None
    heard = hold.heard
    return {
        "until": _iso(hold.until),
        "at": hold.at,
        "why": hold.why,
        "ends": _end_document(hold.ends) if hold.ends is not None else None,
        "asked": _iso(heard.asked if heard is not None else None),
        "answered": _iso(heard.answered if heard is not None else None),
        "answer": heard.answer or None if heard is not None else None,
    }


def _end_document(ends: HoldEnd) -> Document:
    match ends:
        case UntilMerged(url):
            return {"merged": url}
        case UntilIn(branch, commit):
            return {"branch": branch, "commit": commit}
        case UntilVersion(package, version):
            return {"package": written(package), "version": version}
        case _:
            assert_never(ends)


def _bad_document(bad: CulpritCommit) -> Document:
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
