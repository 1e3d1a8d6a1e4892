"""Which judged commit another commit was made of: merged, squashed or rebased, by a forge or by people.

By what lockbot's history remembers; without that, by a merged commit's own message, which may be anybody's. It
must not know what follows from it, and fetches nothing: a commit that is gone is told as such.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lockbot.errors import UsageError
from lockbot.git.clone import Clone
from lockbot.git.commits.described import Commit, describe, differing
from lockbot.git.commits.named import commits_between
from lockbot.history.store import History
from lockbot.model import RequestStep, Run
from lockbot.report.trailers import Trailers, parse_trailers
from lockbot.review.claims import Judged

_MADE = frozenset({RequestStep.OPENED, RequestStep.UPDATED, RequestStep.WAITING})
"""What a run tells of requests whose commits it judged itself."""


@dataclass(frozen=True)
class _Lead:
    """What points to a judged commit. `trailers`: of the message that does."""

    trailers: Trailers
    judged: tuple[Judged, ...]


def judged_for(clone: Clone, history: History, flake: str, about: Commit) -> Judged | None:
    """The judged commit that this one was made of; None: it was made of none, or is itself one that was judged.

    Of several that one run has judged, the one whose files it has or, where there is none, whose message it has.
    """
    lead = _remembered(history, flake, about) or _merged(clone, history, flake, about)
    if lead is None:
        lead = _said(clone, history, flake, about)
    return _closest(clone, about, lead) if lead is not None else None


def claims_of(clone: Clone, judged: Judged | None) -> Trailers:
    """What the judged commit's message says; nothing where it is not there."""
    if judged is None or judged.differing is None:
        return Trailers()
    return parse_trailers(describe(clone, judged.commit).message)


# -- what points to it -----------------------------------------------------------------------------------------


def _remembered(history: History, flake: str, about: Commit) -> _Lead | None:
    """A pull request that was merged as this commit."""
    made = [one for one in history.pull_requests(flake).all() if one.merged_as == about.id != one.commit]
    return _Lead(Trailers(), tuple(Judged(one.commit, one.run) for one in made)) if made else None


def _merged(clone: Clone, history: History, flake: str, about: Commit) -> _Lead | None:
    """A commit of lockbot's that this one merges into its first parent."""
    for parent in about.parents[1:]:
        trailers = parse_trailers(describe(clone, parent).message)
        if trailers.run is not None:
            known = tuple(_judged_in(clone, history, flake, trailers.run))
            return _Lead(trailers, known or (Judged(parent, trailers.run, remembered=False),))
    return None


def _said(clone: Clone, history: History, flake: str, about: Commit) -> _Lead | None:
    """A run that the commit's own message names, and that has judged another commit."""
    trailers = parse_trailers(about.message)
    known = tuple(_judged_in(clone, history, flake, trailers.run)) if trailers.run is not None else ()
    # An earlier one of a series is contained in the last.
    own = any(clone.has(one.commit) and clone.is_ancestor(about.id, one.commit) for one in known)
    return _Lead(trailers, known) if known and not own else None


def _judged_in(clone: Clone, history: History, flake: str, name: str) -> Iterator[Judged]:
    """The commits that a run has judged, the last one last; none where nothing is remembered of it."""
    run = _run(history, name)
    found = [one.commit for one in history.pull_requests(flake).all() if one.run == name]
    if run is not None:
        found += [one.commit for one in run.requests if one.step in _MADE and one.commit is not None]
        found += _series(clone, run)
    for commit in dict.fromkeys(found):
        yield Judged(commit, name)


def _run(history: History, name: str) -> Run | None:
    try:
        run = history.get(name)
    except UsageError:
        return None
    return run if run.id == name else None  # it takes the beginning of a name for the whole


def _series(clone: Clone, run: Run) -> Iterator[str]:
    for commit in filter(None, (run.candidate, run.commit)):
        if run.base is not None and clone.has(run.base) and clone.has(commit):
            yield from commits_between(clone, run.base, commit)
        else:
            yield commit


# -- which of them, and how they differ ------------------------------------------------------------------------


def _closest(clone: Clone, about: Commit, lead: _Lead) -> Judged:
    looked_at = [_compared(clone, about, one) for one in lead.judged]
    same = [one for one in looked_at if one.differing == ()]
    gone = [one for one in looked_at if one.differing is None]
    alike = [one for one in looked_at if _says_the_same(clone, one, lead.trailers)]
    return _last(same, gone, alike, looked_at)


def _last(*choices: Sequence[Judged]) -> Judged:
    return next(some[-1] for some in choices if some)


def _compared(clone: Clone, about: Commit, one: Judged) -> Judged:
    if not clone.has(one.commit):
        return one
    parent = describe(clone, one.commit).parent
    return Judged(one.commit, one.run, differing(clone, one.commit, about.id), parent, one.remembered)


def _says_the_same(clone: Clone, one: Judged, trailers: Trailers) -> bool:
    return claims_of(clone, one).inputs == trailers.inputs
