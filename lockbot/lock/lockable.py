"""An input whose tip can't be locked: what is in the way, and the newest revision that can be.

The same search as for a broken host, with one thing to be good or bad: the lock. It must not know how a lock is
made, nor hosts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from lockbot.model import Locked
from lockbot.search.interface import BudgetSpent, Culprit, Response, RevisionRange, Selection
from lockbot.search.strategies import search

TRIES = 24
"""How many revisions are tried, each fetched by Nix."""
_LOCK = frozenset({"flake.lock"})


class Lockable(StrEnum):
    """What became of trying to lock a revision."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Unlockable:
    """An input whose tip can't be locked. `why`: Nix's words; `revision`: the newest that can be, if one can.

    `culprit`: from which revision on none can be, where that is nothing that may pass by itself.
    """

    input: str
    tip: Locked
    why: str
    reason: str
    """`model.Held.reason`"""
    revision: str | None = None
    culprit: Culprit | None = None


def newest_lockable(
    input: str, tip: str, candidates: RevisionRange, attempt: Callable[[str], Lockable]
) -> tuple[str | None, Culprit | None]:
    """The newest revision that can be locked below a tip that can't, and from which on none can be.

    `candidates`: what lies between the locked one and the tip.
    """
    revisions = candidates.revisions
    if len(revisions) < 2:
        return None, Culprit((), None, tip, exact=candidates.complete) if revisions else None
    upto_tip = replace(candidates, revisions=(*revisions[:-1], tip))
    found = search(_LockOracle(input, upto_tip, attempt), {input: tip})
    culprits = [replace(culprit, hosts=()) for finding in found.findings for culprit in finding.culprits]
    return found.selection.get(input), culprits[0] if culprits else None


class _LockOracle:
    """Its one host is the lock."""

    def __init__(self, input: str, candidates: RevisionRange, attempt: Callable[[str], Lockable]) -> None:
        self._input = input
        self._candidates = candidates
        self._attempt = attempt
        self._known = {candidates.revisions[-1]: Lockable.NO}

    def probe(self, selection: Selection, hosts: frozenset[str] | None) -> Response:
        del hosts  # there is only the lock
        revision = selection[self._input]
        if revision not in self._known:
            if len(self._known) > TRIES:
                raise BudgetSpent
            self._known[revision] = self._attempt(revision)
        match self._known[revision]:
            case Lockable.YES:
                return Response()
            case Lockable.NO:
                return Response(red=_LOCK, at_evaluation=_LOCK)
            case Lockable.UNKNOWN:
                return Response(unknown=_LOCK)

    def evaluate(self, selection: Selection, hosts: frozenset[str]) -> Response:
        return self.probe(selection, hosts)

    def revisions(self, input: str) -> RevisionRange:
        del input  # there is only one
        return self._candidates
