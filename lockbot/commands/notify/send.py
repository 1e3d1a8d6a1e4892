"""`lockbot notify`: look, send what is due, and say what came of it. The only command that imports Apprise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lockbot import state
from lockbot.app import App, Place
from lockbot.commands.holds import ask_due
from lockbot.commands.notify import hooks
from lockbot.commands.notify.look import anybody, look, taking_turns, targets
from lockbot.commands.status.delivery import delivery_document, delivery_words
from lockbot.errors import BusyError, UsageError
from lockbot.history.notices.values import Delivery
from lockbot.history.store import History
from lockbot.model import Notice
from lockbot.notify.changes import Target
from lockbot.notify.delivery import Delivered, Desk, Result, deliver, settle, try_out
from lockbot.notify.postmarks import Postmarks
from lockbot.redact import redact
from lockbot.report import words
from lockbot.report.document import Document
from lockbot.report.escape import name as shown
from lockbot.report.events import Record, notified
from lockbot.report.styled_lines import Line, Style, line


@dataclass(frozen=True)
class Sent:
    """What one `lockbot notify` did. `next`: when something is to be sent, or tried again."""

    configured: bool
    """Whether there is anybody to be told."""
    news: tuple[Notice, ...] = ()
    results: tuple[Result, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    next: datetime | None = None
    notes: tuple[str, ...] = ()
    unfinished: bool = False
    """Whether a target still hangs: the process must be ended, and not wait for it."""

    @property
    def failed(self) -> bool:
        return any(result.error for result in self.results)

    @property
    def record(self) -> Record:
        """For the daemon, which starts the next one then."""
        sent = sum(result.letters for result in self.results if not result.error)
        return notified(sent, sorted({result.target for result in self.results if result.error}), self.next)


def notify(app: App) -> Sent:
    """Look what is to be told, send what is due, run the hooks for an alarm, and ask what ends the user's holds.

    Raises LockbotError.
    """
    to_whom = targets(app.settings)
    place = app.place()
    with app.history(place) as past:
        found = look(app, place, past)
        delivered, notes = _sent(app, place, past, to_whom) if to_whom else (Delivered(), ())
    problems = hooks.run_those_of_alarms(app, found.news)
    with app.history(place) as past:
        ended = ask_due(app, place, past, release=False)
        outbox = past.notices(place.flake)
        return Sent(
            anybody(app.settings),
            found.news,
            delivered.results,
            outbox.deliveries([target.name for target in to_whom]),
            outbox.next_try(),
            (*past.notes, *notes, *problems, *ended),
            delivered.unfinished,
        )


def _sent(app: App, place: Place, past: History, to_whom: Sequence[Target]) -> tuple[Delivered, tuple[str, ...]]:
    outbox = past.notices(place.flake)
    try:
        with (
            taking_turns(app, place.directory / state.SENDING),
            Postmarks(place.directory, place.flake) as postmarks,
        ):
            desk = Desk(outbox, postmarks, about(place), app.clock, lambda: app.cancel.reason is not None)
            lost = settle(outbox, postmarks)
            notes = (f"{words.count(lost, 'message')} may not have arrived: lockbot was killed",) if lost else ()
            return deliver(desk, to_whom), notes
    except BusyError as error:
        return Delivered(), (error.message,)


def about(place: Place) -> str:
    """Which flake it is, for people with several."""
    branch = f" ({place.source.branch})" if place.source.branch else ""
    return f"lockbot for {redact(place.identity).removesuffix('/.git')}{branch}"


def test(app: App, name: str | None) -> Sent:
    """Send a test message to every target, or the one of this name. Raises UsageError: there is none."""
    to_whom = targets(app.settings)
    if name is not None:
        found = tuple(target for target in to_whom if target.name == name)
        if not found:
            known = ", ".join(target.name for target in to_whom) or "none"
            raise UsageError(f"there is no [[notify]] with the name '{name}'", f"there are: {known}")
        to_whom = found
    tried = try_out(to_whom, "lockbot")
    return Sent(bool(to_whom), results=tried.results, unfinished=tried.unfinished)


NOBODY = "nobody is told: there is no [[notify]] in the configuration, and no [[hook]] for an alarm"


def lines(sent: Sent) -> tuple[Line, ...]:
    told = [_result(result) for result in sent.results]
    notes = [line((f"note: {note}", Style.WARN)) for note in sent.notes]
    if not sent.configured:
        return (*notes, line(NOBODY))
    waiting = [line(one) for one in delivery_words(sent.deliveries)]
    return (*notes, *told, *waiting) or (line("nothing to tell"),)


def _result(result: Result) -> Line:
    many = f" ({result.letters} messages)" if result.letters > 1 else ""
    if result.error:
        return line((f"{shown(result.target)}: not sent, {result.error}: {result.title}{many}", Style.BAD))
    return line((f"{shown(result.target)}: sent: {result.title}{many}", Style.GOOD))


def document(sent: Sent) -> Document:
    """The object of `lockbot notify --json`. Names and meanings here only ever grow."""
    return {
        "configured": sent.configured,
        "news": [
            {"kind": one.kind, "title": one.title, "inputs": list(one.inputs), "hosts": list(one.hosts)}
            for one in sent.news
        ],
        "messages": [
            {"target": one.target, "title": one.title, "messages": one.letters, "error": one.error or None}
            for one in sent.results
        ],
        "targets": [delivery_document(one) for one in sent.deliveries],
        "next": words.iso_time(sent.next),
        "notes": list(sent.notes),
    }
