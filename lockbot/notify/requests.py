"""What is told of pull requests: that one asks to take an update, and that it has come to its branch. Pure.

That one is updated, closed or left alone is on its page, where whoever looks after it is told by the forge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lockbot.model import Notice, NoticeKind, PullRequest, PullRequestState, Run
from lockbot.notify.texts import MOST_CHANGES, reboots
from lockbot.report import grouping, words
from lockbot.report.escape import name as shown
from lockbot.report.escape import plain

MOST_TOLD = 20
"""So many are told of at once, at most: the newest."""


def kind_of(request: PullRequest) -> NoticeKind | None:
    """What there is to tell of it, as it stands; None: nothing."""
    match request.state:
        case PullRequestState.LANDED | PullRequestState.MERGED:
            return NoticeKind.PUBLISHED
        case PullRequestState.OPEN:
            return NoticeKind.REQUESTED
        case PullRequestState.PENDING if request.pushed is not None:
            return NoticeKind.REQUESTED
        case _:
            return None


def notices(due: Sequence[tuple[PullRequest, Run | None]]) -> tuple[Notice, ...]:
    """One for each, the oldest first; with the run that judged it, None where its record is gone."""
    told = ((kind_of(request), request, run) for request, run in due[-MOST_TOLD:])
    return tuple(_notice(kind, request, run) for kind, request, run in told if kind is not None)


def _notice(kind: NoticeKind, request: PullRequest, run: Run | None) -> Notice:
    body = "\n".join(_body(request, run))
    return Notice(kind, _title(request), body, request.inputs, tuple(request.hosts), request.run)


def _title(one: PullRequest) -> str:
    called, base = f"Pull request {plain(one.label, 120)}", plain(one.base, 60)
    inputs = words.listed([shown(input) for input in one.inputs])
    match one.state:
        case PullRequestState.LANDED:
            return f"{called} has landed: {base} is at {words.short(one.commit)}"
        case PullRequestState.MERGED:
            return f"{called} was merged to {base}, as another commit than the one that was judged"
        case PullRequestState.PENDING:
            return f"The branch {plain(one.branch, 120)} is pushed: open a pull request for {inputs}"
        case _:
            return f"{called} asks to take {inputs}"


def _body(request: PullRequest, run: Run | None) -> Iterator[str]:
    if request.state is PullRequestState.MERGED and request.merged_as:
        yield f"It came as {words.short(request.merged_as)}: `lockbot verify` compares the two."
    moved = list(_moved(request, run))
    yield from moved[:MOST_CHANGES]
    if len(moved) > MOST_CHANGES:
        yield f"… and {words.count(len(moved) - MOST_CHANGES, 'more input')}"
    if run is not None:
        yield from reboots(run)
        yield from [f"held back: {shown(held.input)}: {held.detail or held.reason}" for held in run.held]
    if request.url:
        yield plain(request.url, 300)


def _moved(request: PullRequest, run: Run | None) -> Iterator[str]:
    """Of a run that has opened several, what this one brings."""
    changes = {change.input: change for change in run.changes} if run is not None else {}
    for move in request.moves:
        change = changes.get(move.input)
        how = grouping.move(change) if change is not None else f"{words.short(move.old)} → {words.short(move.new)}"
        yield f"{shown(move.input)} {how}"
