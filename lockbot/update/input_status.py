"""What one attempt saw of each input, as the ledger remembers it, and where each is said to stay.

Pure. It must not know how a run publishes, nor what the ledger makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lockbot.history.input_states import Observation, StateWord
from lockbot.lock.propose import Proposal
from lockbot.lock.unmovable import FETCH_FAILED
from lockbot.model import CulpritCommit, Held
from lockbot.policy.decisions import HoldReason
from lockbot.policy.result import PolicyResult
from lockbot.update.explanation import Explanation


def at_final_revision(
    held: Sequence[Held], selection: Mapping[str, str], before: Mapping[str, str | None]
) -> tuple[Held, ...]:
    """Inputs that are kept back, each with the revision at which it is once `selection` is published: one that
    may not go to its tip may have gone elsewhere."""
    return tuple(
        replace(item, revision=selection.get(item.input) or before.get(item.input) or item.revision)
        for item in held
    )


@dataclass(frozen=True)
class InputStatuses:
    """What this attempt saw of each input, to be remembered."""

    proposal: Proposal
    result: PolicyResult
    held: tuple[Held, ...]
    pinned: frozenset[str] = frozenset()
    """Inputs that went where the user said: their upstream was not asked where its branch is."""

    def observations(self, selection: Mapping[str, str], told: Sequence[Explanation]) -> tuple[Observation, ...]:
        """How inputs stand when `selection` were published."""
        kept = {item.input: item for item in self.held}
        bad = {item.input: (item, one.bad.get(item.input)) for one in told for item in one.held}
        names = dict.fromkeys([*self.proposal.asked, *kept, *selection, *bad])
        return tuple(self._observation(name, selection.get(name), kept.get(name), bad.get(name)) for name in names)

    def _observation(
        self,
        name: str,
        picked: str | None,
        kept: Held | None,
        found: tuple[Held, CulpritCommit | None] | None,
    ) -> Observation:
        before = self.proposal.before.get(name)
        seen = Observation(
            input=name,
            state=StateWord.CURRENT,
            locked=picked or before,
            asked=name in self.proposal.asked and name not in self.pinned,
            next_try=self.result.until.get(name),
            waiting_for_cache=name in self.result.waiting_for_cache,
        )
        if found is not None:
            item, bad = found
            good = picked or before
            return replace(
                seen,
                state=_state(item),
                reason=item.reason,
                detail=item.detail,
                last_good=good,
                culprit=bad,
            )
        if kept is not None:
            kept_as = replace(seen, state=_state(kept), reason=kept.reason, detail=kept.detail)
            return replace(kept_as, last_good=seen.locked, culprit=kept.culprit) if kept.culprit else kept_as
        return seen


def _state(held: Held) -> StateWord:
    match held.reason:
        case HoldReason.AGE:
            return StateWord.WAITING_FOR_AGE
        case HoldReason.CACHE:
            return StateWord.WAITING_FOR_CACHE
        case _:
            return StateWord.UNREACHABLE if held.reason == FETCH_FAILED else StateWord.HELD
