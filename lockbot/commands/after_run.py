"""What follows a run: whoever wants to hear of it is told that it begins, how it ended, or why there was none.

Nothing of it changes the run, nor the command's exit code; trouble is a note. The run is over and recorded by
then, and the repository's lock is free: a hook may call lockbot.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from lockbot.app import App, cancelled_by_signals
from lockbot.commands.notify import hooks, look_after
from lockbot.config import Settings
from lockbot.errors import BusyError, Cancelled, LockbotError
from lockbot.history.notices.runs import run_of
from lockbot.model import Note, PullRequestState, RequestDone, RequestStep, Run
from lockbot.notify.kinds import Hook, HookEvent
from lockbot.notify.ping_requests import Signal
from lockbot.notify.pings import RunPings, signal_of
from lockbot.report.document import Document, run_document


@dataclass(frozen=True)
class Followers:
    """Those who are told of one run, at its beginning and at its end."""

    pings: RunPings
    hooks: tuple[Hook, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Followers:
        return cls(RunPings(settings.ping.target()), hooks.hooks_of(settings))

    @contextlib.contextmanager
    def hearing_refusals(self, app: App) -> Iterator[None]:
        """Of a run that could not begin. That another is at work is no such thing: that one will be heard of."""
        try:
            yield
        except (BusyError, Cancelled):
            raise
        except LockbotError as error:
            with cancelled_by_signals() as cancel:  # the App's own token may be past its deadline
                _refused(replace(app, cancel=cancel), error, self)
            raise


NOBODY = Followers(RunPings(None))


def after_run(app: App, run: Run, followers: Followers) -> None:
    """Tell how a run ended. `app` is the one for afterwards, which no deadline of the run's ends."""
    if run.dry_run:
        return
    followers.pings.end(run)
    document = hook_document(run, run.error, run.hint)
    problems = [
        *_told_of_landings(app, followers.hooks, run.requests, run.id),
        *(
            problem
            for event in events_of(run)
            for problem in hooks.run_those_of(app, followers.hooks, event, document)
        ),
    ]
    found = look_after(app, run)
    problems += [*found.notes, *hooks.run_those_of_alarms(app, found.news)]
    problems += followers.pings.problems(app.cancel)
    _note(app, problems)
    with contextlib.suppress(LockbotError):  # it has been told
        _record(app, run, problems)


def after_requests(app: App, done: Sequence[RequestDone]) -> None:
    """Tell what has become of pull requests when no run was about it."""
    if all(one.step is RequestStep.UNCHANGED for one in done):
        return
    problems = _told_of_landings(app, hooks.hooks_of(app.settings), done, None)
    found = look_after(app)
    _note(app, [*problems, *found.notes, *hooks.run_those_of_alarms(app, found.news)])


def _told_of_landings(app: App, wanted: Sequence[Hook], done: Sequence[RequestDone], run: str | None) -> list[str]:
    """Of those requests that have landed now, and whose commit another run than this had judged: that one has
    published by it."""
    landed = {one.commit for one in done if one.step is RequestStep.LANDED}
    if not landed or not any(hook.event is HookEvent.PUBLISHED for hook in wanted):
        return []
    try:
        found = _judged_by(app, landed)
    except LockbotError as error:
        return [f"no hook was run for a pull request that has landed: {error.message}"]
    return [
        problem
        for one in found
        if one.id != run
        for problem in hooks.run_those_of(app, wanted, HookEvent.PUBLISHED, hook_document(one, None, None))
    ]


def _judged_by(app: App, commits: Collection[str | None]) -> list[Run]:
    place = app.place()
    with app.history(place) as past:
        found = [
            past.ask(partial(run_of, id=one.run))
            for one in past.pull_requests(place.flake).all()
            if one.state is PullRequestState.LANDED and one.commit in commits
        ]
    return [one for one in found if one is not None]


def events_of(run: Run) -> tuple[HookEvent, ...]:
    """What hooks are run for after a run. One whose commit was pushed, and that then failed, is both."""
    happened = {
        HookEvent.PUBLISHED: run.commit is not None,
        HookEvent.FAILED: signal_of(run.outcome) is Signal.FAILURE,
    }
    return tuple(event for event, has in happened.items() if has)


def hook_document(run: Run | None, error: str | None, hint: str | None) -> Document:
    """What hooks get, beside the event."""
    return {"run": run_document(run) if run is not None else None, "error": error, "hint": hint or None}


def _refused(app: App, error: LockbotError, followers: Followers) -> None:
    followers.pings.refuse(error)
    document = hook_document(None, error.message, error.hint)
    problems = hooks.run_those_of(app, followers.hooks, HookEvent.FAILED, document)
    _note(app, [*problems, *followers.pings.problems(app.cancel)])


def _note(app: App, problems: list[str]) -> None:
    for problem in problems:
        app.progress(Note(problem))


def _record(app: App, run: Run, problems: list[str]) -> None:
    if problems:
        with app.history() as past:
            past.add_notes(run.id, problems)
