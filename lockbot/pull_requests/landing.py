"""Landing: the base branch is moved to the very commit that was judged, by a push of lockbot's own.

Never by a forge's merge button: that makes another commit, which nobody has built.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lockbot.errors import CommandError, LockbotError
from lockbot.forge.pull_requests.interface import RequestSeen
from lockbot.forge.responses import Refused
from lockbot.git import publish
from lockbot.git.commits.signatures import SignatureError
from lockbot.git.landing import BaseMoved
from lockbot.git.publish import Moved
from lockbot.git.sync import Base
from lockbot.model import Landing, PullRequest, PullRequestState, RequestStep
from lockbot.pull_requests.wording import news
from lockbot.pull_requests.work import Work
from lockbot.report import words
from lockbot.report.escape import name as shown


@dataclass(frozen=True)
class Landed:
    """What came of it. `moved`: the base branch had moved meanwhile."""

    request: PullRequest
    commit: str | None = None
    moved: BaseMoved | None = None


def land(work: Work, request: PullRequest, base: Base, seen: RequestSeen | None) -> Landed:
    """Land a request that is as lockbot left it, if it may. Raises NoResponse, RemoteError."""
    waits = _waits(work, request, base, seen)
    if waits is not None:
        return Landed(work.save(replace(request, waits=waits)))
    try:
        published = publish.publish(work.clone, work.source, base, request.commit, run=request.run)
    except SignatureError as error:  # as of before `commit.verify` was set: the next run signs it
        return Landed(work.save(replace(request, waits=error.message)))
    except CommandError as error:
        return Landed(_refused(work, request, seen, error))
    match published:
        case BaseMoved():
            return Landed(work.save(replace(request, waits=_moved(request))), moved=published)
        case Moved() if published.pushed:
            work.notes += published.notes
            if published.trouble is not None:
                work.notes.append(published.trouble.message)
            return Landed(landed(work, request, seen), request.commit)
        case _:
            raise LockbotError(f"{request.base} was not pushed", "is repository.push on?")


def landed(work: Work, request: PullRequest, seen: RequestSeen | None) -> PullRequest:
    """The base branch has its commit, by whomever."""
    work.tell(request, RequestStep.LANDED)
    request = work.end(request, PullRequestState.LANDED, news.landed(request.base, request.commit))
    if work.writes and work.site is not None and seen is not None:
        with work.noting(f"{request.branch} has landed, and the forge could not be told"):
            work.site.landed(seen, request.commit)
    return request


def _waits(work: Work, request: PullRequest, base: Base, seen: RequestSeen | None) -> str | None:
    """What keeps it from landing; None: nothing."""
    if work.settings.landing is Landing.PEOPLE:
        return ""
    if held := work.held(request):
        return f"{words.listed([shown(name) for name in held])}: held by you; the next run leaves it out"
    if work.settings.holds(request.hosts):
        return "a host is held back: it waits for people"
    if seen is not None and seen.wording.draft:
        return "it is a draft: it waits for people"
    if not work.clone.is_ancestor(base.commit, request.commit):
        return _moved(request)
    if work.settings.landing is Landing.AT_ONCE:
        return None
    if work.site is None:
        return "there is no forge to ask for checks"
    return work.site.waits_for_checks(request) or None


def _moved(request: PullRequest) -> str:
    return f"{request.base} has moved: the next run judges it anew, on top"


def _refused(work: Work, request: PullRequest, seen: RequestSeen | None, error: CommandError) -> PullRequest:
    """The base branch may not be pushed to; by choice, the forge merges then."""
    why = (error.output.strip().splitlines() or [error.message])[0]
    waits = f"{request.base} may not be pushed to ({why})"
    if work.settings.auto_merge and work.site is not None and work.site.writes and seen is not None:
        try:
            work.site.merge_when_passed(seen, request.commit)
            waits += f": the forge merges it {_LATER}"
        except Refused as refused:  # as where no check has begun yet
            waits += f", and the forge does not take it yet to be merged {_LATER}: {refused.message}"
    else:
        waits += ": people have to merge it"
    return work.save(replace(request, waits=waits))


_LATER = "when its checks have passed, as another commit than what was judged"
