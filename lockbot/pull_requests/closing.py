"""Closing requests that a run has made pointless, and tidying up behind those that are over."""

from __future__ import annotations

from dataclasses import replace

from lockbot.forge.responses import RequestState
from lockbot.git.sync import Base
from lockbot.model import PullRequest, PullRequestState, RequestDone, RequestStep, Run
from lockbot.nix.lockfile import LOCK_NAME, LockFile, LockFileError
from lockbot.pull_requests.branches import Branches
from lockbot.pull_requests.standing import Sight, Standing, standing_of
from lockbot.pull_requests.wording import news
from lockbot.pull_requests.work import Work

_ASKING = frozenset({RequestStep.OPENED, RequestStep.UPDATED, RequestStep.UNCHANGED, RequestStep.LANDED})


def close_pointless(work: Work, base: Base, run: Run, flake_dir: str) -> None:
    """Those whose inputs another request of this run has, the user holds, or the base has moved by itself."""
    branches = work.branches(base)
    asking = [one for one in run.requests if one.step in _ASKING]
    touched = {one.branch for one in run.requests}
    for request in work.kept.all(branches.base):
        if not request.state.active or request.branch in touched:
            continue
        state, why = _pointless(work, request, asking, base, flake_dir)
        if state is None:
            continue
        with work.noting(f"{request.label} could not be closed"):
            sight = work.sight(request, branches, base)
            if standing_of(request, sight)[0] is Standing.OURS:
                request = work.end(request, state, why)
                tidy(work, request, sight, branches)
                work.tell(request, RequestStep.CLOSED, why)


def _pointless(
    work: Work, request: PullRequest, asking: list[RequestDone], base: Base, flake_dir: str
) -> tuple[PullRequestState | None, str]:
    inputs = {move.input for move in request.moves}
    if inputs and inputs <= {name for one in asking for name in one.inputs}:
        by = [one for one in asking if inputs & set(one.inputs)]
        told = ", ".join(one.label for one in by)
        return PullRequestState.OVERTAKEN, news.overtaken(told)
    if held := work.held(request):
        return PullRequestState.HELD, news.held(held)
    if request.moves and _moved_elsewhere(work, request, base, flake_dir):
        return PullRequestState.EMPTY, news.empty(request.base, [move.input for move in request.moves])
    return None, ""


def _moved_elsewhere(work: Work, request: PullRequest, base: Base, flake_dir: str) -> bool:
    """Whether the base branch has none of its inputs where the request would move it from."""
    path = f"{flake_dir}/{LOCK_NAME}" if flake_dir else LOCK_NAME
    content = work.clone.read_file(base.commit, path)
    if content is None:
        return False
    try:
        lock = LockFile.parse(content.decode(errors="replace"))
    except LockFileError:
        return False
    now = {move.input: lock.locked(move.input) for move in request.moves}
    return all(
        (at.revision if (at := now[move.input]) is not None else None) != move.old for move in request.moves
    )


def tidy(work: Work, request: PullRequest, sight: Sight, branches: Branches) -> None:
    """Of one that is over: close what is open still, and remove its branch, unless somebody else has pushed to it.

    Raises NoResponse, RemoteError: the next run goes on.
    """
    seen = sight.seen
    is_open = seen is not None and seen.state is RequestState.OPEN
    untouched = sight.tip is None or sight.tip in request.ours
    if is_open and untouched and request.state.ours_to_close and work.writes:
        assert seen is not None and work.site is not None
        request = work.save(work.comment(request, seen))
        work.site.close(seen)
        is_open = False
    if is_open and untouched and not work.writes:
        work.notes.append(f"{request.label} is pointless by now: close it at {request.url or 'its forge'}")
    if sight.tip is not None and untouched and not is_open:
        branches.remove(request, sight.tip)
    work.clone.forget_request(request.id)
    work.save(replace(request, tidied=True))
