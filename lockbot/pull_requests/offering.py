"""Offering what was judged: one branch and one request for each group of inputs, opened once and then updated."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from lockbot.errors import Cancelled, DeadlineExceeded, LockbotError
from lockbot.git.commits.signatures import is_allowed
from lockbot.model import (
    Landing,
    Move,
    PullRequest,
    PullRequestState,
    RequestStep,
    Text,
)
from lockbot.pull_requests.branches import Branches, known_tips
from lockbot.pull_requests.landing import land
from lockbot.pull_requests.looking_after import leave_alone, settle, write
from lockbot.pull_requests.names import branch_of, group_key
from lockbot.pull_requests.settings import HELD, PUSHED, USUAL_LIMITS, Way
from lockbot.pull_requests.standing import Sight, Standing, refused_before
from lockbot.pull_requests.wording import news
from lockbot.pull_requests.wording.body import body
from lockbot.pull_requests.wording.texts import title
from lockbot.pull_requests.work import Work
from lockbot.update.context import Offer, Offered


def offer(work: Work, offered: Offer) -> Offered:
    """What became of it, but for what is told: `work` has that. Raises what ends the whole run; all else that goes
    wrong is in what is returned, and the next run goes on."""
    try:
        return _offer(work, offered)
    except (Cancelled, DeadlineExceeded):
        raise
    except LockbotError as error:
        work.clone.cancel.check()
        work.silent(error)
        return Offered(trouble=error)
    finally:
        work.take_notes()


def _offer(work: Work, offered: Offer) -> Offered:
    branches = work.branches(offered.base)
    wanted = _wanted(work, offered, branches)
    earlier = work.kept.all(branches.base)
    found = _active(work, offered, branches, [one for one in earlier if one.group == wanted.group])
    if isinstance(found, Offered):
        return found
    request, sight = found
    if request is None:
        return _open(work, offered, branches, wanted, earlier)
    return _update(work, offered, branches, request, wanted, sight)


def _wanted(work: Work, offered: Offer, branches: Branches) -> PullRequest:
    """The request as it would be if there were none yet."""
    run, group, now = offered.run, group_key(offered.inputs), work.clock()
    statuses = {build.host.name: str(build.status) for build in run.hosts}
    request = PullRequest(
        id=f"{run.id}-{hashlib.sha256(group.encode()).hexdigest()[:8]}",
        flake=run.flake,
        base=branches.base,
        group=group,
        branch=branch_of(work.settings.prefix, branches.base, offered.flake_dir, group),
        run=run.id,
        commit=offered.commit,
        parent=offered.base.commit,
        opened=now,
        changed=now,
        moves=tuple(map(Move.of, run.changes)),
        hosts=statuses,
    )
    return replace(request, text=_text(work, offered, draft=work.settings.holds(statuses)))


def _text(work: Work, offered: Offer, *, draft: bool) -> Text:
    limits = work.site.limits if work.site is not None else USUAL_LIMITS
    subject = work.clone.git.ask("show", "-s", "--format=%s", offered.commit, "--")
    room = min(limits.body, PUSHED) if work.way is Way.PUSH_OPTIONS else limits.body
    told = body(
        offered.run,
        offered.commit,
        room,
        landing=work.settings.landing,
        by_forge=work.settings.auto_merge,
    )
    return Text(title(subject, limits.title), told, draft)


def _active(
    work: Work, offered: Offer, branches: Branches, of_group: list[PullRequest]
) -> tuple[PullRequest | None, Sight] | Offered:
    """The group's request that may be changed, and how it is seen; None: there is none. Or it is people's."""
    for request in of_group:
        if not request.state.active:
            continue
        sight = work.sight(request, branches, offered.base)
        request, standing = settle(work, request, sight)
        if standing is Standing.PEOPLES:
            return Offered()
        if standing is Standing.OURS:
            return request, sight
    return None, Sight(None, contained=False)


def _open(
    work: Work, offered: Offer, branches: Branches, wanted: PullRequest, earlier: tuple[PullRequest, ...]
) -> Offered:
    closed = [one for one in earlier if one.state is PullRequestState.CLOSED]
    moves = frozenset((move.input, move.new) for move in wanted.moves)
    if (before := refused_before(moves, closed)) is not None:
        text = f"{before.label} was closed with these revisions: none is opened until there are newer ones"
        work.tell(replace(wanted, number=before.number, url=before.url), RequestStep.REFUSED, text)
        return Offered()
    tip = branches.tip(wanted)
    if tip is not None and tip not in known_tips(earlier, wanted.branch) and not branches.is_lockbots(wanted, tip):
        text = (
            f"the branch {wanted.branch} is there already, and somebody else's: delete it, or set publish.branches"
        )
        work.tell(wanted, RequestStep.LEFT_ALONE, text)
        return Offered()
    seen = work.site.look(wanted) if work.site is not None and tip is not None else None
    # Where lockbot has left the branch is known from now on, whatever becomes of the push.
    wanted = replace(wanted, pushed=tip)
    return _publish(work, offered, branches, wanted, Sight(tip, False, seen), RequestStep.OPENED)


def _update(
    work: Work, offered: Offer, branches: Branches, request: PullRequest, wanted: PullRequest, sight: Sight
) -> Offered:
    same = request.parent == wanted.parent and _held(request) == _held(wanted)
    if same and _same_files(work, request.commit, wanted.commit) and is_allowed(work.clone, request.commit):
        # It was judged, and is what this run would propose: another commit would only start its checks anew.
        kept = replace(request, text=replace(request.text, draft=_draft(work, request, wanted, sight)))
        return _publish(work, offered, branches, kept, sight, RequestStep.UNCHANGED)
    newer = replace(
        wanted,
        id=request.id,
        opened=request.opened,
        state=request.state,
        pushed=sight.tip,
        number=request.number,
        url=request.url,
        text=replace(wanted.text, written=request.text.written, draft=_draft(work, request, wanted, sight)),
        comment=request.comment,
        filed=request.filed,
    )
    moved = news.between(request.moves, wanted.moves)
    if request.parent == wanted.parent:
        newer = work.news(newer, news.replaced(wanted.commit, moved))
    else:
        newer = work.news(newer, news.judged_anew(wanted.base, wanted.commit, moved))
    return _publish(work, offered, branches, newer, sight, RequestStep.UPDATED)


def _held(request: PullRequest) -> frozenset[str]:
    """The hosts that it is held back for: what its commit says of them, too."""
    return frozenset(host for host, status in request.hosts.items() if status in HELD)


def _draft(work: Work, request: PullRequest, wanted: PullRequest, sight: Sight) -> bool:
    """As lockbot would have it, unless a person has said otherwise: tonight, or in an earlier night."""
    now = sight.seen.wording.draft if sight.seen is not None else request.text.draft
    return now if now != work.settings.holds(request.hosts) else wanted.text.draft


def _same_files(work: Work, one: str, other: str) -> bool:
    if not (work.clone.has(one) and work.clone.has(other)):
        return False
    trees = [work.clone.git.ask("rev-parse", f"{commit}^{{tree}}") for commit in (one, other)]
    return trees[0] == trees[1]


def _publish(
    work: Work, offered: Offer, branches: Branches, request: PullRequest, sight: Sight, step: RequestStep
) -> Offered:
    work.save(request)  # before anything is pushed: the next start finds out what became of it
    if sight.tip != request.commit:
        done = branches.push(request, sight.tip)
        if done.moved:
            leave_alone(work, request, sight, f"somebody else has pushed to {request.branch} just now")
            return Offered()
        request = replace(request, number=request.number or done.number, url=done.page or request.url)
    request = work.save(replace(request, pushed=request.commit))
    request, seen = write(work, request, sight.seen)
    if not work.writes and request.number is not None:
        request = work.save(replace(request, state=PullRequestState.OPEN))
    work.tell(request, *_told(work, request, step))
    if work.settings.landing is not Landing.AT_ONCE:
        return Offered()
    result = land(work, request, offered.base, seen)
    return Offered(landed=result.commit, moved=result.moved)


def _told(work: Work, request: PullRequest, step: RequestStep) -> tuple[RequestStep, str]:
    if request.state is PullRequestState.OPEN:
        return step, ""
    page = request.url or (work.site.page_to_open(request) if work.site is not None else "")
    return RequestStep.WAITING, f"the branch {request.branch} is pushed; open a request for it: {page}".rstrip(
        ": "
    )
