"""Policy applied to a proposal: which inputs may go where, and which are kept back.

Finds out the facts that `decide` decides on. It must not know hosts or builds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from lockbot.errors import LockbotError
from lockbot.git.inputs.revisions import Relation
from lockbot.history.ledger import Ledger
from lockbot.model import ChangeKind, InputChange, Locked
from lockbot.policy import compile_cost, minimum_age, upstream_checks
from lockbot.policy.decide import decide, forced, is_wanted, why_not_fetched
from lockbot.policy.decisions import Allow, Decision, Facts, Hold, HoldReason, Move, moves
from lockbot.policy.minimum_age import Aged, FirstSeen
from lockbot.policy.result import PolicyResult
from lockbot.policy.rules import InputRules, PolicyAction, PolicyRules, RevisionKind, revisions_of
from lockbot.policy.upstream_checks import AskChecks
from lockbot.policy.upstream_log import UpstreamLog

_AT_ONCE = 4


class PolicyEngine:
    """Decides on the moves of one run. `base` is the commit of the user's flake that the run began from."""

    def __init__(
        self,
        rules: PolicyRules,
        ledger: Ledger,
        log: UpstreamLog,
        base: str,
        now: datetime,
        checks: AskChecks = upstream_checks.nobody,
        asked: Collection[tuple[str, str]] = (),
    ) -> None:
        """`asked`: to which revisions pull requests of their own ask to bring inputs."""
        self._rules = rules
        self._ledger = ledger
        self._log = log
        self._base = base
        self._now = now
        self._checks = checks
        self._asked = asked
        self._holds = ledger.holds()
        self._accepted = ledger.accepted()
        self._states = ledger.states()
        self._related: dict[tuple[str, str, str], Relation] = {}
        """Input, old and new revision → how the two are related."""

    def record_tips(self, tips: Mapping[str, Locked]) -> None:
        """Remember where upstream is: an age counts from here."""
        for name, tip in tips.items():
            if tip.revision:
                self._ledger.record_tip(name, tip.original, tip.revision, tip.last_modified)

    def permit(
        self,
        changes: Sequence[InputChange],
        tips: Mapping[str, Locked],
        pinned: frozenset[str],
        others: Mapping[str, tuple[Locked, Locked]] | None = None,
        unfetched: Mapping[str, Move] | None = None,
    ) -> PolicyResult:
        """`pinned` inputs go where the user said, whatever the policy. `others` (where each is, and its tip) are
        there already, or can't move by themselves: only where the user wants them to stay is asked. `unfetched`
        are kept back already (`why_not_fetched`), and the gravest reason is told.

        Raises LockbotError when flake.nix itself asks for something that is not allowed: without that there is
        no lock.
        """
        result = PolicyResult({name: tip.revision for name, tip in tips.items()})
        proposed = moves(changes)
        relations = self._relations(proposed, pinned)
        for move in proposed:
            owner = _owner(move.change.input, tips)
            if owner in pinned:
                continue
            self._decide(result, move, owner, relations.get(move.change.input, Relation.UNKNOWN))
        for name, move in (unfetched or {}).items():
            self._decide(result, move, name, self._relation(move.change, self._rules.of(name)))
        for name, (old, tip) in (others or {}).items():
            if name not in pinned and name not in tips and self.is_held(name) and self._is_news(name, old, tip):
                change = InputChange(name, ChangeKind.UPDATED, old=old, new=tip)
                self._decide(result, Move(change), name, Relation.UNKNOWN)
        return result

    def why_not_fetched(self, move: Move, owner: str | None, *, pinned: bool) -> str | None:
        """Why Nix may not even fetch what an input (None: what flake.nix itself asks for) would bring along."""
        name = owner or move.change.input
        facts = Facts(self._now, hold=self._holds.get(name), acceptance=self._accepted.get(name))
        return why_not_fetched(move, facts, self._rules.of(name), pinned=pinned)

    def recheck(self, changes: Sequence[InputChange], result: PolicyResult, names: frozenset[str]) -> None:
        """Look again at inputs that go elsewhere than to their tip: what they bring along is known only now."""
        for move in moves(changes):
            owner = _owner(move.change.input, result.targets)
            if owner not in names:
                continue
            decision = self._decide_again(move, owner)
            if isinstance(decision, Allow):
                result.warnings.extend(decision.warnings)
            else:
                result.hold(owner, move.change.old, decision)

    def hold_unfetched(self, moves: Mapping[str, Move], result: PolicyResult) -> None:
        """Hold inputs that can't go to a revision below their tip, for what they would bring along there."""
        for name, move in moves.items():
            decision = self._decide_again(move, name)
            if not isinstance(decision, Allow):
                result.hold(name, move.change.old, decision)

    def may_bring(self, result: PolicyResult, changes: Sequence[InputChange]) -> bool:
        """Whether inputs that are at a revision below what is permitted may bring along what they do there."""
        return all(
            isinstance(self._decide_again(move, owner), Allow)
            for move in moves(changes)
            if (owner := _owner(move.change.input, result.targets)) is not None
            and move.change.new is not None
            and move.change.new.revision != result.targets[owner]
        )

    def _decide_again(self, move: Move, owner: str) -> Decision:
        """Of a revision below the tip. Its age was looked at when it was chosen; of the user's hold it only
        matters whether it names this very revision."""
        change, rules = move.change, self._rules.of(owner)
        named = change.new is not None and self.holds_at(owner, change.new.revision)
        hold = self._holds[owner] if named else None
        relation = self._relation(change, rules)
        return decide(move, Facts(self._now, relation, hold=hold, acceptance=self._accepted.get(owner)), rules)

    def weighs_cost(self, name: str) -> bool:
        """Whether what would have to be compiled can hold an input."""
        return self._rules.of(name).weighs_cost

    def cost(self, locked: Locked | None, name: str, revision: str, wanted: Collection[str]) -> Decision:
        """Whether an input may have these derivations compiled here, for the sake of a revision."""
        accepted = self._accepted.get(name)
        if accepted is not None and accepted.covers(locked.revision or None if locked else None, revision):
            return Allow()
        state = self._states.get(name)
        since = state.cache_since if state is not None else None
        return compile_cost.weigh(sorted(wanted), self._rules.of(name), self._now, since=since)

    def is_held(self, name: str) -> bool:
        """Whether the user keeps an input back."""
        hold = self._holds.get(name)
        return hold is not None and hold.active(self._now)

    def _is_news(self, name: str, old: Locked, tip: Locked) -> bool:
        """Whether a hold on an input keeps it from its tip, or takes it elsewhere."""
        at = self._holds[name].at
        return old.revision != tip.revision or (at is not None and at != old.revision)

    def holds_at(self, name: str, revision: str) -> bool:
        """Whether the user wants an input to be at this revision."""
        hold = self._holds.get(name)
        return hold is not None and hold.active(self._now) and hold.at == revision

    def may_try(self, result: PolicyResult, name: str, revision: str) -> bool:
        """Whether the search may take an input to a revision below what is permitted."""
        new = result.checked.get(name)
        if new is None or revision == result.targets.get(name):
            return True
        return self._checks(new, revision).standing is upstream_checks.Standing.GREEN

    def _decide(self, result: PolicyResult, move: Move, owner: str | None, relation: Relation) -> None:
        name = owner or move.change.input
        rules = self._rules.of(name)
        change, hold = move.change, self._holds.get(name)
        since = self._age(name, change.new).since if change.new is not None else None
        facts = Facts(
            self._now,
            relation,
            minimum_age.young_until(change, since, self._now, rules.minimum_age),
            hold,
            self._accepted.get(name),
            own=self._is_only_own(change),
        )
        decision = decide(move, facts, rules)
        match decision:
            case Allow(warnings):
                result.warnings.extend(warnings)
                if owner == change.input and not is_wanted(change, facts):
                    self._newest_green(result, owner, change, rules)
            case _ if owner is None:
                raise LockbotError(
                    f"flake.nix asks for what the policy does not allow: {decision.detail}",
                    "change flake.nix, or `[policy]` in the configuration",
                )
            case Hold(reason=HoldReason.AGE):
                self._newest_old_enough(result, owner, change, decision)
            case Hold(reason=HoldReason.USER) if hold is not None and hold.at is not None:
                self._stay_at(result, owner, change, hold.at, decision)
            case _:
                result.hold(owner, change.old, decision)

    def _is_only_own(self, change: InputChange) -> bool:
        old, new = change.old, change.new
        if not (old and new and old.rev and new.rev) or old.rev == new.rev:
            return False
        return self._log.only_own_updates(self._base, old.rev, new.rev)

    def _stay_at(self, result: PolicyResult, name: str, change: InputChange, at: str, decision: Hold) -> None:
        """Held at a revision: that is where it goes, if it is not there, and if nothing else brings it there."""
        result.hold(name, change.old, decision)
        if change.old is not None and change.old.revision != at and (name, at) not in self._asked:
            result.targets[name] = at

    def _newest_old_enough(self, result: PolicyResult, name: str, change: InputChange, decision: Hold) -> None:
        """The newest revision that is old enough, where there is one; else it waits. And until when it waits is
        when the first of those above is old enough, which need not be the tip."""
        old, new, rules = change.old, change.new, self._rules.of(name)
        if old is None or new is None:
            result.hold(name, old, decision)
            return
        known = self._known(name, old, new, rules)
        chosen = minimum_age.newest_old_enough(known, self._now, rules.minimum_age, locked=old.revision)
        first_at = chosen.first_at
        result.hold(name, old, minimum_age.too_young(first_at, rules.minimum_age) if first_at else decision)
        if chosen.revision is not None:
            result.targets[name] = chosen.revision
            self._newest_green(result, name, change, rules)

    def _known(self, name: str, old: Locked, new: Locked, rules: InputRules) -> tuple[Aged, ...]:
        """What an input could be moved to, newest first, and since when each is out."""
        kind = revisions_of(old, rules)
        newest_first = self._log.revisions(name, old, new.revision, kind).revisions[::-1]
        return self._clock(name, new, parents=kind is RevisionKind.COMMITS).aged(newest_first)

    def _clock(self, name: str, new: Locked, *, parents: bool = False) -> FirstSeen:
        """What the ages of an input's revisions are measured by."""
        return FirstSeen(self._ledger.first_seen(name, new.original), parents)

    def _age(self, name: str, new: Locked) -> Aged:
        (aged,) = self._clock(name, new).aged((new.revision,))
        return aged

    def _newest_green(self, result: PolicyResult, name: str, change: InputChange, rules: InputRules) -> None:
        """Where upstream's own verdict is wished: the newest up to the target that passed upstream's checks."""
        old, new, target = change.old, change.new, result.targets.get(name)
        if not rules.upstream_checks or forced(change) or old is None or new is None or target is None:
            return
        if old.revision == target:
            return
        candidates = self._candidates(name, old, new, target, rules)
        choice = upstream_checks.newest_green(self._checks, change, candidates, self._now)
        result.warnings.extend(choice.warnings)
        if choice.hold is not None:
            result.hold(name, old, choice.hold)
        if choice.revision is not None:
            result.targets[name] = choice.revision
        if choice.checked:
            result.checked[name] = new

    def _candidates(self, name: str, old: Locked, new: Locked, target: str, rules: InputRules) -> Iterator[Aged]:
        """The target and what comes before it; upstream's history is only asked for when the tip won't do."""
        if target == new.revision:
            yield self._age(name, new)
        known = self._known(name, old, new, rules)
        start = [one.revision for one in known].index(target)
        for one in known[start + (target == new.revision) :]:
            if minimum_age.old_enough(one, self._now, rules.minimum_age):
                yield one

    def _relations(self, moves: Sequence[Move], pinned: frozenset[str]) -> dict[str, Relation]:
        """How each new revision stands to the old one; asked of several upstreams at a time."""

        def ask(change: InputChange) -> Relation:
            return self._relation(change, self._rules.of(change.input))

        asked = [move.change for move in moves if move.change.input not in pinned]
        with ThreadPoolExecutor(_AT_ONCE) as executor:
            return dict(zip((change.input for change in asked), executor.map(ask, asked), strict=True))

    def _relation(self, change: InputChange, rules: InputRules) -> Relation:
        """How the new revision stands to the old one, where that matters."""
        old, new = change.old, change.new
        if rules.backwards is PolicyAction.ALLOW:
            return Relation.UNKNOWN
        if old is None or new is None or old.revision == new.revision:
            return Relation.SAME
        key = change.input, old.revision, new.revision
        if key not in self._related:
            self._related[key] = self._log.relation(old, new)
        return self._related[key]


def _owner(path: str, names: Mapping[str, object]) -> str | None:
    """The input that was asked to move and under which this path lies."""
    parts = path.split("/")
    candidates = ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in candidates if name in names), None)
