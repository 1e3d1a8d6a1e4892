"""`lockbot requests`: the pull requests that there are, and how each stands; by choice it asks the forge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lockbot.app import App, Place
from lockbot.commands.pull_requests.publishing import publisher, wanted
from lockbot.commands.pull_requests.telling import request_document, waits_for
from lockbot.errors import BusyError, UsageError
from lockbot.git.sync import sync
from lockbot.history.store import History
from lockbot.model import PullRequest, PullRequestState, RequestDone
from lockbot.report import words
from lockbot.report.document import Document
from lockbot.report.escape import name, plain
from lockbot.report.styled_lines import Line, Style, line
from lockbot.state import ERRAND, LOCK, RunLock


@dataclass(frozen=True)
class Requests:
    """What there is, the newest first. `notes`: what a look at the forge found, in sentences; `landed`: the commit
    that the branch was moved to by that."""

    requests: tuple[PullRequest, ...]
    notes: tuple[str, ...] = ()
    landed: str | None = None
    done: tuple[RequestDone, ...] = ()


def listed(app: App, *, every: bool) -> Requests:
    """As they are remembered: those that are open or, with `every`, all."""
    place = app.place()
    with app.history(place) as history:
        return Requests(_wanted(history.pull_requests(place.flake).all(), every=every))


def settle(app: App, *, every: bool) -> Requests:
    """Look how they stand, land what may be landed, and tidy up behind those that are over."""
    if not wanted(app):
        raise UsageError(
            "lockbot pushes what it has judged: it opens no pull requests", 'publish.mode = "request" lets it'
        )
    place = app.place()
    with app.history(place) as history:
        if all(one.tidied for one in history.pull_requests(place.flake).all()):
            return Requests(_wanted(history.pull_requests(place.flake).all(), every=every))
        try:
            return _settle(app, place, history, every=every)
        except BusyError:
            note = "a run is at work on this repository: it looks after pull requests itself"
            return Requests(_wanted(history.pull_requests(place.flake).all(), every=every), (note,))


def _settle(app: App, place: Place, history: History, *, every: bool) -> Requests:
    lock = RunLock(place.directory / LOCK, ERRAND, app.clock, cancel=app.cancel, progress=app.progress)
    with lock:
        clone = app.clone(place)
        base = sync(clone, place.source)
        publishing = publisher(app, place, clone, history)
        if (refusal := publishing.refusal(base)) is not None:
            raise refusal
        found = publishing.look_after(base)
        requests = _wanted(history.pull_requests(place.flake).all(), every=every)
        told = (f"{one.branch}: {one.step}{f' ({one.text})' if one.text else ''}" for one in found.done)
        return Requests(requests, (*told, *found.notes), found.landed, found.done)


def _wanted(requests: Sequence[PullRequest], *, every: bool) -> tuple[PullRequest, ...]:
    return tuple(one for one in reversed(requests) if every or one.state.active)


# -- telling ------------------------------------------------------------------------------------------------------

_STYLE = {
    PullRequestState.OPEN: Style.GOOD,
    PullRequestState.LANDED: Style.GOOD,
    PullRequestState.PENDING: Style.WARN,
}


def lines(found: Requests) -> tuple[Line, ...]:
    return tuple(_all(found))


def _all(found: Requests) -> Iterator[Line]:
    for note in found.notes:
        yield line((plain(note), Style.WARN))
    if found.notes:
        yield line()
    if not found.requests:
        yield line("No pull request is open.")
    for one in found.requests:
        yield from _lines(one)


def _lines(one: PullRequest) -> Iterator[Line]:
    named = plain(one.label, 120)
    inputs = ", ".join(map(name, one.inputs))
    yield line(
        f"{named}  ", (str(one.state), _STYLE.get(one.state, Style.PLAIN)), f"  {inputs} → {plain(one.base, 60)}"
    )
    when = f"{one.changed:%Y-%m-%d %H:%M} UTC"
    yield line((f"    {words.short(one.commit)}, judged by run {plain(one.run, 40)}, {when}", Style.QUIET))
    if one.url:
        yield line((f"    {plain(one.url, 300)}", Style.QUIET))
    if one.state.active:
        yield line((f"    {waits_for(one)}", Style.WARN if one.left_alone or one.waits else Style.PLAIN))


def document(found: Requests) -> Document:
    return {
        "pull_requests": [request_document(one) for one in found.requests],
        "notes": list(found.notes),
        "landed": found.landed,
    }
