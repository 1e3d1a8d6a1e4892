"""How a pull request stands, by what is seen of it: on the remote, on the forge, on the base branch. Pure.

People come first: what somebody else has pushed, moved, closed or merged is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lockbot.forge.pull_requests.interface import RequestSeen
from lockbot.forge.responses import RequestState
from lockbot.model import PullRequest
from lockbot.pull_requests.wording import news


class Standing(StrEnum):
    OURS = "ours"
    """As lockbot left it."""
    PEOPLES = "people's"
    """Open, and somebody has changed it: it is left alone."""
    LANDED = "landed"
    MERGED = "merged"
    CLOSED = "closed"
    """By a person; also where they removed its branch."""
    NEVER_PUSHED = "never pushed"
    """Nothing of it reached the remote: lockbot was stopped before."""


@dataclass(frozen=True)
class Sight:
    """What is seen of one request. `tip`: its branch's; None: there is none. `contained`: the base branch has the
    commit. `seen`: what the forge says; None: it can't be asked, or does not know it yet. `number`: the
    request's, where that is known."""

    tip: str | None
    contained: bool
    seen: RequestSeen | None = None
    number: int | None = None


def standing_of(request: PullRequest, sight: Sight) -> tuple[Standing, str]:
    """How it stands, and of what people have done a sentence."""
    seen = sight.seen
    if sight.contained:
        return Standing.LANDED, ""
    if seen is not None and seen.state is RequestState.MERGED:
        return Standing.MERGED, ""
    if seen is not None and seen.state is RequestState.CLOSED:
        return Standing.CLOSED, news.closed()
    if sight.tip is None:
        if not request.reached:
            return Standing.NEVER_PUSHED, ""
        return Standing.CLOSED, news.branch_deleted(request.branch)
    if sight.tip not in request.ours:
        return Standing.PEOPLES, news.left_alone(request.branch, sight.tip)
    if seen is not None and seen.base != request.base:
        return Standing.PEOPLES, news.retargeted(request.base, seen.base)
    return Standing.OURS, ""


def refused_before(moves: frozenset[tuple[str, str | None]], closed: list[PullRequest]) -> PullRequest | None:
    """The request, closed by a person, that brought all of these inputs to these revisions; None: there is none.

    `moves`: input and new revision.
    """
    if not moves:
        return None
    return next((one for one in reversed(closed) if moves <= {(move.input, move.new) for move in one.moves}), None)
