"""An input whose tip can't be locked: what is in the way, and the newest revision that can be.

The same search as for a broken host, with one thing to be good or bad: the lock. It must not know how a lock is
made, nor hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lockbot.model import Locked
from lockbot.search.interface import Answer, BudgetSpent, Culprit, Picks
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
    input: str, tip: str, revisions: Sequence[str], attempt: Callable[[str], Lockable]
) -> tuple[str | None, Culprit | None]:
    """The newest revision that can be locked below a tip that can't, and from which on none can be.

    `revisions`: what lies between the locked one and the tip, oldest first, the tip the last; empty: not known.
    """
    if len(revisions) < 2:
        return None, Culprit((), None, tip, 0) if revisions else None
    found = search(_Trial(input, (*revisions[:-1], tip), attempt), {input: tip})
    culprits = [replace(culprit, hosts=()) for finding in found.findings for culprit in finding.culprits]
    return found.picks.get(input), culprits[0] if culprits else None


class _Trial:
    def __init__(self, input: str, revisions: Sequence[str], attempt: Callable[[str], Lockable]) -> None:
        self._input = input
        self._revisions = revisions
        self._attempt = attempt
        self._known = {revisions[-1]: Lockable.NO}

    def probe(self, picks: Picks, hosts: frozenset[str] | None) -> Answer:
        del hosts  # there is only the lock
        revision = picks[self._input]
        if revision not in self._known:
            if len(self._known) > TRIES:
                raise BudgetSpent
            self._known[revision] = self._attempt(revision)
        match self._known[revision]:
            case Lockable.YES:
                return Answer()
            case Lockable.NO:
                return Answer(red=_LOCK, at_evaluation=_LOCK)
            case Lockable.UNKNOWN:
                return Answer(unknown=_LOCK)

    def evaluate(self, picks: Picks, hosts: frozenset[str]) -> Answer:
        return self.probe(picks, hosts)

    def revisions(self, input: str) -> Sequence[str]:
        del input  # there is only one
        return self._revisions
