"""Looking what has changed, and writing down what is to be told. Cheap: sends nothing, and imports no Apprise."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lockbot import oserrors, state
from lockbot.app import App, Place
from lockbot.commands.notify import facts as known_facts
from lockbot.config import Settings
from lockbot.config.sections.telling import NotifyTarget
from lockbot.config.types import timing
from lockbot.daemon.plan import zone
from lockbot.errors import BusyError, Cancelled, DeadlineExceeded, LockbotError
from lockbot.history.notices.runs import published_since, run_of
from lockbot.history.notices.values import Decision, Known, Letter, Looked
from lockbot.history.store import History
from lockbot.history.texts import storable
from lockbot.model import Notice, NoticeKind, Outcome, PullRequest, Run
from lockbot.notify import changes, conditions, endings, texts
from lockbot.notify.changes import Changes, Target
from lockbot.notify.conditions import Facts
from lockbot.notify.kinds import HookEvent
from lockbot.notify.requests import kind_of, notices
from lockbot.process import CancelToken, Deadline
from lockbot.schedule import Timetable
from lockbot.state import RunLock

WAIT = 20.0
"""Seconds that another one who looks, or sends, is waited for."""


@dataclass(frozen=True)
class Found:
    """What a look came to: the news, and the messages that were written for it. `notes`: why there was none."""

    news: tuple[Notice, ...] = ()
    letters: tuple[Letter, ...] = ()
    notes: tuple[str, ...] = ()


def look(app: App, place: Place, past: History) -> Found:
    """Compare what was told with how things stand, and write what is to be told into the outbox: all of it, once,
    however many look at the same time. Raises LockbotError."""
    if not anybody(app.settings):
        return Found()
    with taking_turns(app, place.directory / state.LOOKING):
        facts = known_facts.gather(app, place, past)
        kept = past.notices(place.flake)
        before = kept.known()
        requests = past.pull_requests(place.flake).all()
        due = _due(past, before, requests)
        told = _told(before, requests, due)
        published = [*_published(past, place, before.looked, facts, requests), *_asked(before.looked, due)]
        to_whom = targets(app.settings)
        found: list[Changes] = []

        def decision(known: Known) -> Decision:
            ending = partial(endings.ending, facts)
            found.append(changes.compare(known, conditions.standing(facts), ending, facts.now))
            looked = _looked(known.looked, facts)
            return changes.decide(known, found[-1], published, to_whom, looked, new_reference, told)

        decided = kept.decide(decision)
    return Found((*found[-1].news, *published), decided.letters)


def anybody(settings: Settings) -> bool:
    """Whether there is anybody who wants to hear of anything."""
    return bool(settings.notify) or any(hook.event is HookEvent.ALARM for hook in settings.hook)


def look_after(app: App, run: Run | None = None) -> Found:
    """Look, when a run (or something else) is over and recorded: what goes wrong in that is a note, and changes
    nothing of it."""
    nothing = run is not None and (run.dry_run or run.outcome is Outcome.INTERRUPTED)
    if nothing or not anybody(app.settings):
        return Found()  # it says nothing of how things stand, or nobody would listen
    try:
        with oserrors.explaining():
            place = app.place()
            with app.history(place) as past:
                return look(app, place, past)
    except Cancelled:
        return Found()
    except LockbotError as error:
        return Found(notes=(f"nobody was told of this run: {error.message}",))


def targets(settings: Settings) -> tuple[Target, ...]:
    return tuple(_target(settings, one) for one in settings.notify)


def _target(settings: Settings, one: NotifyTarget) -> Target:
    digest = Timetable(timing(one.digest), zone(settings)) if one.digest is not None else None
    return Target(one.name, one.address, frozenset(one.events), one.inputs, one.hosts, digest)


def new_reference() -> str:
    """Letters and digits, by which a message is known on its way."""
    return secrets.token_hex(5)


@contextlib.contextmanager
def taking_turns(app: App, path: Path, seconds: float = WAIT) -> Iterator[None]:
    """Nobody else does the same meanwhile. Raises BusyError where another one takes too long."""
    with CancelToken(Deadline(seconds, "waiting"), app.cancel) as patience, contextlib.ExitStack() as stack:
        try:
            stack.enter_context(RunLock(path, "notify", app.clock, cancel=patience, wait=True))
        except DeadlineExceeded:
            app.cancel.check()
            raise BusyError(f"another lockbot has held {path} for {seconds:.0f} seconds", "is it stuck?") from None
        yield


def _published(
    past: History, place: Place, before: Looked | None, facts: Facts, requests: Sequence[PullRequest]
) -> Sequence[Notice]:
    """Of runs since the last look; without one, of none. What has ended after the facts were gathered is for the
    next look, which begins there. What a pull request has brought is told of that, whenever it lands."""
    if before is None or facts.ended is None:
        return ()
    until = (facts.ended.started, facts.ended.id)
    found = past.ask(lambda connection: published_since(connection, place.flake, before))
    asked = {one.run for one in requests}
    return [texts.published(run) for run in found if (run.started, run.id) <= until and run.id not in asked]


_Due = Sequence[tuple[PullRequest, Run | None]]


def _due(past: History, before: Known, requests: Sequence[PullRequest]) -> _Due:
    """Those of which there is something to tell that was not told, each with the run that judged it. Not while
    that run is at work: what it opens may land in a moment."""
    wanted = [one for one in requests if kind_of(one) not in (None, before.requests.get(storable(one.id)))]
    runs = (past.ask(partial(run_of, id=one.run)) for one in wanted)
    return [(one, run) for one, run in zip(wanted, runs, strict=True) if run is None or run.outcome is not None]


def _told(before: Known, requests: Sequence[PullRequest], due: _Due) -> dict[str, NoticeKind]:
    """What was told of each pull request that is remembered, after this look."""
    known = {storable(one.id) for one in requests}
    told = {id: kind for id, kind in before.requests.items() if id in known}
    return told | {storable(one.id): kind for one, _ in due if (kind := kind_of(one)) is not None}


def _asked(looked: Looked | None, due: _Due) -> Sequence[Notice]:
    return notices(due) if looked is not None else ()


def _looked(before: Looked | None, facts: Facts) -> Looked:
    first = before.first if before is not None else facts.now
    run = facts.ended
    if run is None:
        return Looked(first, facts.now)
    return Looked(first, facts.now, run.started, run.id)
