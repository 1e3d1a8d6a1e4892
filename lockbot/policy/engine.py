"""Policy applied to a proposal: which inputs may go where, and which are kept back.

Finds out the facts that `policy` decides on. It must not know hosts or builds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lockbot.errors import LockbotError
from lockbot.history.ledger import Ledger
from lockbot.model import ChangeKind, Held, InputChange, Locked
from lockbot.policy import decide, minimum_age, upstream_checks
from lockbot.policy.decide import Allow, Facts, Hold, HoldReason, Move, Refuse, Relation
from lockbot.policy.rules import InputRules, PolicyAction, PolicyRules, revisions_of
from lockbot.policy.upstream_log import UpstreamLog
from lockbot.report import words

_AT_ONCE = 4


@dataclass
class PolicyResult:
    """What may be tried: input → revision; and what may not, with the reason."""

    targets: dict[str, str] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)
    loud: list[str] = field(default_factory=list)
    """Sentences for the commit's reader."""
    until: dict[str, datetime] = field(default_factory=dict)
    """When a held input may move by itself."""
    waiting_for_cache: set[str] = field(default_factory=set)
    """Inputs that wait for a cache, whatever else holds them."""
    checked: dict[str, Locked] = field(default_factory=dict)
    """Inputs (as locked at their tip) of which only what is green upstream may be tried."""

    def hold(self, name: str, locked: Locked | None, decision: Hold | Refuse) -> None:
        self.targets.pop(name, None)
        revision = locked.revision or None if locked is not None else None
        self.held.append(Held(name, decision.reason, decision.detail, revision))
        if isinstance(decision, Hold) and decision.until is not None:
            self.until[name] = decision.until

    def wait_for_cache(self, name: str, decision: Hold) -> None:
        """A revision that the input could have gone to instead waits: it is tried again then."""
        self.waiting_for_cache.add(name)
        times = [time for time in (decision.until, self.until.get(name)) if time is not None]
        if times:
            self.until[name] = min(times)

    def hold_groups(
        self,
        groups: Sequence[frozenset[str]],
        kept: Collection[str],
        free: Collection[str],
        before: Mapping[str, Locked],
    ) -> None:
        """Of inputs that move as one or not at all, none moves while one is kept back (here, or in `kept`), but
        `free` ones, which the user wants to move."""
        held = {item.input: self.until.get(item.input) for item in self.held} | dict.fromkeys(kept)
        waiting = True
        while waiting:  # groups may share inputs
            waiting = False
            for group in groups:
                back = sorted(name for name in group & held.keys() if name not in self.targets)
                for name in [name for name in self.targets if back and name in group and name not in free]:
                    detail = f"moves together with {words.listed(back)}, and that is kept back"
                    self.hold(name, before.get(name), Hold(HoldReason.GROUP, detail, held[back[0]]))
                    held[name] = None
                    waiting = True


def _never(_old: str, _new: str) -> bool:
    return False


class PolicyEngine:
    """Decides on the moves of one run."""

    def __init__(
        self,
        rules: PolicyRules,
        ledger: Ledger,
        histories: UpstreamLog,
        now: datetime,
        checks: upstream_checks.Ask = upstream_checks.nobody,
        is_own: Callable[[str, str], bool] = _never,
    ) -> None:
        """`is_own(old, new)`: whether what lies between two commits are updates that lockbot itself made here."""
        self._rules = rules
        self._ledger = ledger
        self._histories = histories
        self._now = now
        self._checks = checks
        self._is_own = is_own
        self._holds = ledger.holds()
        self._accepted = ledger.accepted()
        self._states = ledger.states()
        self._related: dict[tuple[str, str, str], Relation] = {}
        """Input, old and new revision → how the two are related."""

    def see(self, tips: Mapping[str, Locked]) -> None:
        """Remember where upstream is: an age counts from here."""
        for name, tip in tips.items():
            if tip.revision:
                self._ledger.see(name, tip.original, tip.revision, tip.last_modified)

    def permit(
        self,
        changes: Sequence[InputChange],
        tips: Mapping[str, Locked],
        pinned: frozenset[str],
        others: Mapping[str, tuple[Locked, Locked]] | None = None,
    ) -> PolicyResult:
        """`pinned` inputs go where the user said, whatever the policy. `others` (where each is, and its tip) are
        there already, or can't move by themselves: only where the user wants them to stay is asked.

        Raises LockbotError when flake.nix itself asks for something that is not allowed: without that there is
        no lock.
        """
        permits = PolicyResult({name: tip.revision for name, tip in tips.items()})
        moves = decide.moves(changes)
        relations = self._relations(moves, pinned)
        for move in moves:
            owner = _owner(move.change.input, tips)
            if owner in pinned:
                continue
            self._decide(permits, move, owner, relations.get(move.change.input, Relation.UNKNOWN))
        for name, (old, tip) in (others or {}).items():
            if name not in pinned and name not in tips and self.is_held(name) and self._is_news(name, old, tip):
                change = InputChange(name, ChangeKind.UPDATED, old=old, new=tip)
                self._decide(permits, Move(change), name, Relation.UNKNOWN)
        return permits

    def recheck(self, changes: Sequence[InputChange], permits: PolicyResult, names: frozenset[str]) -> None:
        """Look again at inputs that go elsewhere than to their tip: what they bring along is known only now."""
        for move in decide.moves(changes):
            owner = _owner(move.change.input, permits.targets)
            if owner not in names:
                continue
            decision = self._decide_again(move, owner)
            if isinstance(decision, Allow):
                permits.loud.extend(decision.loud)
            else:
                permits.hold(owner, move.change.old, decision)

    def may_bring(self, permits: PolicyResult, changes: Sequence[InputChange]) -> bool:
        """Whether inputs that are at a revision below what is permitted may bring along what they do there."""
        return all(
            isinstance(self._decide_again(move, owner), Allow)
            for move in decide.moves(changes)
            if (owner := _owner(move.change.input, permits.targets)) is not None
            and move.change.new is not None
            and move.change.new.revision != permits.targets[owner]
        )

    def _decide_again(self, move: Move, owner: str) -> decide.Decision:
        """Its age was looked at when it was chosen; and the user's hold, which may name this very revision."""
        change = move.change
        named = change.new is not None and self.holds_at(owner, change.new.revision)
        hold = self._holds[owner] if named else None
        rules = self._rules.of(owner)
        facts = Facts(self._now, self._relation(change, rules), _LONG_AGO, hold, self._accepted.get(owner))
        return decide.decide(move, facts, rules)

    def weighs_cost(self, name: str) -> bool:
        """Whether what would have to be compiled can hold an input."""
        return self._rules.of(name).weighs_cost

    def cost(self, locked: Locked | None, name: str, revision: str, wanted: Collection[str]) -> decide.Decision:
        """Whether an input may have these derivations compiled here, for the sake of a revision."""
        accepted = self._accepted.get(name)
        if accepted is not None and accepted.covers(locked.revision or None if locked else None, revision):
            return Allow()
        state = self._states.get(name)
        since = state.cache_since if state is not None else None
        return decide.cost(sorted(wanted), self._rules.of(name), self._now, since=since)

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

    def may_try(self, permits: PolicyResult, name: str, revision: str) -> bool:
        """Whether the search may take an input to a revision below what is permitted."""
        new = permits.checked.get(name)
        if new is None or revision == permits.targets.get(name):
            return True
        return self._checks(new, revision).standing is upstream_checks.Standing.GREEN

    def _decide(self, permits: PolicyResult, move: Move, owner: str | None, relation: Relation) -> None:
        name = owner or move.change.input
        rules = self._rules.of(name)
        new = move.change.new
        hold = self._holds.get(name)
        facts = Facts(
            self._now,
            relation,
            self._first_seen(name, new) if new is not None else None,
            hold,
            self._accepted.get(name),
            own=self._is_only_own(move.change),
        )
        decision = decide.decide(move, facts, rules)
        match decision:
            case Allow(loud):
                permits.loud.extend(loud)
                if owner == move.change.input and not decide.is_wanted(move.change, facts):
                    self._green(permits, owner, move.change, rules)
            case _ if owner is None:
                raise LockbotError(
                    f"flake.nix asks for what the policy does not allow: {decision.detail}",
                    "change flake.nix, or `[policy]` in the configuration",
                )
            case Hold(reason=HoldReason.AGE):
                self._older(permits, owner, move.change, rules, decision)
            case Hold(reason=HoldReason.USER) if hold is not None and hold.at is not None:
                self._stay_at(permits, owner, move.change, hold.at, decision)
            case _:
                permits.hold(owner, move.change.old, decision)

    def _is_only_own(self, change: InputChange) -> bool:
        old, new = change.old, change.new
        return bool(old and new and old.rev and new.rev and old.rev != new.rev and self._is_own(old.rev, new.rev))

    def _stay_at(self, permits: PolicyResult, name: str, change: InputChange, at: str, decision: Hold) -> None:
        """Held at a revision: that is where it goes, if it is not there."""
        permits.hold(name, change.old, decision)
        if change.old is not None and change.old.revision != at:
            permits.targets[name] = at

    def _older(
        self, permits: PolicyResult, name: str, change: InputChange, rules: InputRules, decision: Hold
    ) -> None:
        """The newest revision that is old enough, where there is one; else it waits."""
        old, new = change.old, change.new
        permits.hold(name, old, decision)
        if old is None or new is None:
            return
        known = self._known(name, old, new, rules)
        ripe = minimum_age.newest_old_enough(known, self._now, rules.minimum_age, locked=old.revision)
        if ripe.revision is not None:
            permits.targets[name] = ripe.revision
            self._green(permits, name, change, rules)

    def _known(self, name: str, old: Locked, new: Locked, rules: InputRules) -> list[minimum_age.Sighted]:
        """What an input could be moved to, newest first."""
        kind = revisions_of(old, rules)
        newest_first = tuple(reversed(self._histories.revisions(name, old, new.revision, kind).revisions))
        seen = self._ledger.first_seen(name, new.original)
        if kind is kind.TIPS:
            return [minimum_age.Sighted(revision, seen.get(revision)) for revision in newest_first]
        return list(minimum_age.sighted(newest_first, seen))

    def _green(self, permits: PolicyResult, name: str, change: InputChange, rules: InputRules) -> None:
        """Where upstream's own verdict is wished: the newest up to the target that passed upstream's checks."""
        old, new, target = change.old, change.new, permits.targets.get(name)
        if not rules.upstream_checks or decide.forced(change) or old is None or new is None or target is None:
            return
        if old.revision == target:
            return
        candidates = self._candidates(name, old, new, target, rules)
        choice = upstream_checks.newest_green(self._checks, change, candidates, self._now)
        permits.loud.extend(choice.loud)
        if choice.hold is not None:
            permits.hold(name, old, choice.hold)
        if choice.revision is not None:
            permits.targets[name] = choice.revision
        if choice.checked:
            permits.checked[name] = new

    def _candidates(
        self, name: str, old: Locked, new: Locked, target: str, rules: InputRules
    ) -> Iterator[minimum_age.Sighted]:
        """The target and what comes before it; upstream's history is only asked for when the tip won't do."""
        if target == new.revision:
            yield minimum_age.Sighted(target, self._first_seen(name, new))
        known = self._known(name, old, new, rules)
        start = [one.revision for one in known].index(target)
        for one in known[start + (target == new.revision) :]:
            if minimum_age.old_enough(one, self._now, rules.minimum_age):
                yield one

    def _first_seen(self, name: str, new: Locked) -> datetime | None:
        return self._ledger.first_seen(name, new.original).get(new.revision)

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
            self._related[key] = Relation(self._histories.relation(old, new).value)
        return self._related[key]


_LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)


def _owner(path: str, names: Mapping[str, object]) -> str | None:
    """The input that was asked to move and under which this path lies."""
    parts = path.split("/")
    candidates = ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in candidates if name in names), None)
