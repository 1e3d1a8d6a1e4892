"""Looking after requests that are there: how each stands, what of it is unfinished, whether it may land."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from lockbot.errors import LockbotError
from lockbot.forge.pull_requests.interface import RequestSeen
from lockbot.forge.responses import RequestState
from lockbot.git.sync import Base
from lockbot.model import Outcome, PullRequest, PullRequestState, RequestStep, Run
from lockbot.pull_requests.branches import Branches
from lockbot.pull_requests.closing import tidy
from lockbot.pull_requests.landing import land, landed
from lockbot.pull_requests.standing import Sight, Standing, standing_of
from lockbot.pull_requests.wording import news
from lockbot.pull_requests.work import Work


def look_after_all(work: Work, base: Base) -> str | None:
    """The commit that the base branch was moved to, if any request landed."""
    branches, commit = work.branches(base), None
    every = work.kept.all(branches.base)
    for request in every:
        if request.tidied:
            continue
        with work.noting(f"{request.label} could not be looked after"):
            if request.state is PullRequestState.CLOSED:
                _see_whether_reopened(work, request, branches, every)
            elif not request.state.active:
                tidy(work, request, work.sight(request, branches, base), branches)
            else:
                commit = _look_after(work, request, branches, base, landed=commit is not None) or commit
    return commit


def _see_whether_reopened(
    work: Work, request: PullRequest, branches: Branches, every: Sequence[PullRequest]
) -> None:
    """Somebody who closed it may think better of it. That is looked for a while, unless another took its place."""
    newer = any(one.branch == request.branch and one.opened > request.opened for one in every)
    if newer or not work.writes or work.clock() - request.changed > REOPENED_WITHIN:
        work.save(replace(request, tidied=True))
        return
    seen = work.site.look(request) if work.site is not None else None
    if seen is not None and seen.state is RequestState.OPEN and branches.tip(request) in request.ours:
        work.save(replace(request, state=PullRequestState.OPEN, changed=work.clock()))


REOPENED_WITHIN = timedelta(days=14)


def _look_after(work: Work, request: PullRequest, branches: Branches, base: Base, *, landed: bool) -> str | None:
    sight = work.sight(request, branches, base)
    request, standing = settle(work, request, sight)
    if standing is not Standing.OURS:
        return None
    request, seen = finish(work, request, sight, branches)
    if request.pushed != request.commit:  # somebody else has pushed to it just now
        return None
    if landed:  # the base has moved by that: the next look finds out about this one
        return None
    result = land(work, request, base, seen)
    if result.commit is not None:
        record_landing(work, result.request)
    return result.commit


def settle(work: Work, request: PullRequest, sight: Sight) -> tuple[PullRequest, Standing]:
    """Take to record how a request stands. What people have done to it is told, on the request, too."""
    standing, what = standing_of(request, sight)
    request = _known_by(request, sight)
    match standing:
        case Standing.OURS:
            if request.left_alone:
                request = work.save(replace(request, left_alone=""))
        case Standing.PEOPLES:
            request = leave_alone(work, request, sight, what)
        case Standing.LANDED:
            record_landing(work, landed(work, request, sight.seen))
        case Standing.MERGED:
            merged_as = sight.seen.merged_as if sight.seen is not None else None
            told = news.merged_as(request.commit, merged_as)
            request = work.end(replace(request, merged_as=merged_as), PullRequestState.MERGED, told)
            work.tell(request, RequestStep.MERGED, _merged(request))
        case Standing.CLOSED:
            request = work.end(request, PullRequestState.CLOSED, what)
            work.tell(request, RequestStep.CLOSED, what)
        case Standing.NEVER_PUSHED:
            work.kept.forget(request.id)
    return request, standing


def _known_by(request: PullRequest, sight: Sight) -> PullRequest:
    """A request that a person, or a lockbot that was stopped, has opened."""
    if sight.number in (None, request.number):
        return request
    url = sight.seen.url if sight.seen is not None else request.url
    return replace(request.known_as(sight.number, url), state=PullRequestState.OPEN)


def leave_alone(work: Work, request: PullRequest, sight: Sight, what: str) -> PullRequest:
    """Somebody has changed it: nothing of it is touched but its comment, once."""
    request = work.save(replace(work.news(request, what), left_alone=what))
    work.tell(request, RequestStep.LEFT_ALONE, what)
    with work.noting(f"{request.label} is left alone, and its comment could not be written"):
        return work.save(work.comment(request, sight.seen))
    return request


def _merged(request: PullRequest) -> str:
    return (
        f"as {request.merged_as}: `lockbot verify` compares it with what was judged" if request.merged_as else ""
    )


def finish(
    work: Work, request: PullRequest, sight: Sight, branches: Branches
) -> tuple[PullRequest, RequestSeen | None]:
    """Do what was left undone, by an outage or a kill: the push, what it says, its comment. Raises NoResponse."""
    if sight.tip != request.commit:
        done = branches.push(request, sight.tip)
        if done.moved:
            return request, sight.seen
        request = replace(request, number=done.number or request.number, url=done.page or request.url)
    if request.pushed != request.commit:
        request = work.save(replace(request, pushed=request.commit))
    return write(work, request, sight.seen)


def write(work: Work, request: PullRequest, seen: RequestSeen | None) -> tuple[PullRequest, RequestSeen | None]:
    """Have the forge say what the request is to say, where it can be told. Raises NoResponse."""
    if work.site is None or not work.site.writes:
        return request, seen
    request, seen = work.site.write(request, seen)
    request = work.save(request)
    with work.noting(f"{request.label} is open, and was not labelled or assigned"):
        request = work.save(work.site.file(request))
    with work.noting(f"{request.label} is open, and its comment could not be written"):
        request = work.save(work.site.comment(request, seen))
    return request, seen


def record_landing(work: Work, request: PullRequest) -> None:
    """The run that judged it has published it, too."""
    try:
        run = work.history.get(request.run)
    except LockbotError:  # it was long ago
        return
    if run.commit == request.commit or run.outcome is None:
        return
    others = [one for one in work.kept.all(request.base) if one.run == run.id and one.id != request.id]
    whole = not run.held and not any(one.state.active for one in others)
    work.history.save(_published(run, request, Outcome.PUBLISHED if whole else Outcome.PARTLY_PUBLISHED))


def _published(run: Run, request: PullRequest, outcome: Outcome) -> Run:
    return replace(
        run,
        commit=request.commit,
        pushed=True,
        outcome=outcome,
        error=None,
        hint=None,
        notes=(*run.notes, f"its pull request {request.label} has landed"),
    )
