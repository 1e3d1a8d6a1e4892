"""Whether a branch of an input's repository contains a commit.

A forge says so at once, of however large a repository. Where none can be asked, or it knows neither, the input's
own history tells, of which commits are fetched, and no files.
"""

from __future__ import annotations

from dataclasses import replace

from lockbot import state
from lockbot.commands.holds.tools import Tools
from lockbot.errors import LockbotError
from lockbot.forge.place import Place, place_of
from lockbot.forge.responses import NotThere
from lockbot.git.inputs.revisions import Relation, open_upstream
from lockbot.git.inputs.upstream import Origin, Tip, ask_tips
from lockbot.model import FailureKind, Locked
from lockbot.policy.origin import origin_of
from lockbot.report import words

_CONTAINED = frozenset({Relation.SAME, Relation.FORWARD})
_BRANCH = "refs/heads/"


def branch_contains(tools: Tools, locked: Locked, branch: str, commit: str) -> bool:
    """The same of a branch by its name."""
    return contains(tools, locked, _BRANCH + branch, commit)


def contains(tools: Tools, locked: Locked, ref: str, commit: str) -> bool:
    """Whether what the ref leads to contains the commit. Raises NotThere where the repository has no such ref or
    commit, or the input no history; LockbotError where nobody can say."""
    place = place_of(locked, tools.accounts)
    if place is not None:
        found = _ask_forge(tools, place, ref, commit)
        if found is not None:
            return found
    origin = origin_of(locked.original)
    if origin is None:
        raise NotThere("it comes from no git repository, and has no history")
    return _history_contains(tools, locked, replace(origin, ref=ref, pinned=None), commit)


def _ask_forge(tools: Tools, place: Place, ref: str, commit: str) -> bool | None:
    """None: the history is to tell, as where the API wants a token and git gets in by a key."""
    name = ref.removeprefix(_BRANCH).removeprefix("refs/tags/")
    try:
        return tools.repositories.contains(place, name, commit)
    except NotThere:
        return None


def tip_of(tools: Tools, origin: Origin) -> str:
    """Where the origin's branch is now. Raises NotThere where it has none of that name, LockbotError where it does
    not answer."""
    tip = ask_tips(tools.git, {"": origin}, tools.deadline)[""]
    if tip.revision is None:
        raise _problem(tip)
    return tip.revision


def _problem(tip: Tip) -> LockbotError:
    why = tip.problem or "upstream does not answer"
    return NotThere(why) if tip.failure is FailureKind.NOT_FOUND else LockbotError(why)


def _history_contains(tools: Tools, locked: Locked, origin: Origin, commit: str) -> bool:
    tip = tip_of(tools, origin)
    with open_upstream(
        tools.place.directory / state.UPSTREAMS,
        origin,
        environ=tools.app.access(tools.place),
        cancel=tools.cancel,
        timeout=max(tools.deadline.left, 0.1),
    ) as upstream:
        found = upstream.standing(commit, tip, since=locked.last_modified)
    if found.gone:
        raise NotThere(f"upstream has no commit {words.short(commit)}")
    if found.relation is Relation.UNKNOWN:
        raise LockbotError("upstream's history could not be read far enough back")
    return found.relation in _CONTAINED
