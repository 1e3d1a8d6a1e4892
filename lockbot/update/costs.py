"""What a candidate would have compiled here, and whether its inputs' rules let that be.

One rule for a tip and for whatever the search tries: an input is weighed by what it would have compiled by itself,
and by what only comes of moving it together with others. It is asked before anything of that is built. It must not
know how the search goes on, nor how a cost is decided on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from lockbot.errors import LockbotError
from lockbot.judge.verdict import MayBuild, TooCostly
from lockbot.lock.chosen import SelectedLocks
from lockbot.model import Locked
from lockbot.policy.decide import Allow, Decision, Hold
from lockbot.policy.engine import PolicyEngine, PolicyResult
from lockbot.report import words
from lockbot.search.interface import SearchResult, Selection
from lockbot.update.candidates import CandidateBuilder


class CompileCosts:
    """`locked` is where each input is; `free` ones go where the user said, whatever it costs."""

    def __init__(
        self,
        builder: CandidateBuilder,
        locks: SelectedLocks,
        keeper: PolicyEngine,
        locked: Mapping[str, Locked],
        free: Collection[str],
        check: Callable[[], None],
    ) -> None:
        """`check` raises when the run is cancelled."""
        self._builder = builder
        self._locks = locks
        self._keeper = keeper
        self._locked = locked
        self._free = free
        self._check = check
        self._known: dict[frozenset[tuple[str, str]], frozenset[str]] = {}
        self._loud: dict[frozenset[tuple[str, str]], list[str]] = {}
        self._refused: dict[tuple[str, str], Hold] = {}
        """Input and revision → why that was not built."""

    def hold_back(self, permits: PolicyResult) -> None:
        """Hold the inputs that would have too much compiled where they may go: by themselves, then together."""
        for name in [name for name in permits.targets if self._weighs(name)]:
            selection = {name: permits.targets[name]}
            decision = self._decisions(selection, self._would_build(selection))[name]
            if isinstance(decision, Hold):
                permits.hold(name, self._locked.get(name), decision)
            elif isinstance(decision, Allow):
                permits.loud.extend(decision.loud)
        weighed = [name for name in permits.targets if self._weighs(name)]
        if weighed and len(permits.targets) > 1 and self._too_costly(permits.targets):
            self._hold_back_together(permits, weighed)

    def _hold_back_together(self, permits: PolicyResult, weighed: Sequence[str]) -> None:
        """One more at a time: of those that would have too much compiled only together, the last stays."""
        kept = {name: revision for name, revision in permits.targets.items() if name not in weighed}
        for name in weighed:
            kept[name] = permits.targets[name]
            held = self._too_costly(kept)
            for one, decision in held.items():
                permits.wait_for_cache(one, decision)
            for one in [name] if name in held else held:
                permits.hold(one, self._locked.get(one), held[one])
                del kept[one]

    def may_build(self, selection: Selection) -> MayBuild | None:
        """Who is asked, before anything is built, whether hosts may be built with these picks; None: they may."""
        if not any(self._weighs(name) for name in selection):
            return None

        def ask(drvs: Collection[str]) -> None:
            decisions = self._decisions(selection, self._builder.missing(drvs))
            held = {name: decision for name, decision in decisions.items() if isinstance(decision, Hold)}
            if held:
                self._refused |= {(name, selection[name]): decision for name, decision in held.items()}
                raise TooCostly("; ".join(f"{name}: {decision.detail}" for name, decision in held.items()))
            loud = [text for one in decisions.values() if isinstance(one, Allow) for text in one.loud]
            self._loud.setdefault(frozenset(selection.items()), []).extend(loud)  # one host by one, then all

        return ask

    def refusal(self, name: str, revision: str) -> Hold | None:
        """Why a revision was not built, if it was not."""
        return self._refused.get((name, revision))

    def explain(self, found: SearchResult, permits: PolicyResult) -> tuple[str, ...]:
        """Sentences about what was compiled after all, and about what was not tried; of that, it is noted in
        `permits` until when the inputs wait for it."""
        told = list(self._loud.get(frozenset(found.selection.items()), []))
        for name in (name for finding in found.findings for name in finding.inputs):
            refused = {revision: hold for (one, revision), hold in self._refused.items() if one == name}
            refused.pop(found.selection.get(name, ""), None)  # too costly beside another, and not as it was taken
            for hold in refused.values():
                permits.wait_for_cache(name, hold)
            older = [revision for revision in refused if revision != permits.targets[name]]
            if older:
                more = f" and {words.count(len(older) - 1, 'other revision')}" if len(older) > 1 else ""
                told.append(f"{name} was not tried at {words.short(older[0])}{more}: {refused[older[0]].detail}")
        return tuple(told)

    # -- weighing -----------------------------------------------------------------------------------------

    def _weighs(self, name: str) -> bool:
        return name not in self._free and self._keeper.weighs_cost(name)

    def _too_costly(self, selection: Selection) -> dict[str, Hold]:
        decisions = self._decisions(selection, self._would_build(selection))
        return {name: decision for name, decision in decisions.items() if isinstance(decision, Hold)}

    def _decisions(self, selection: Selection, wanted: frozenset[str]) -> dict[str, Decision]:
        """What the rules of each weighed input say, when hosts would have these derivations built."""
        return {name: self._decide(name, selection, wanted) for name in selection if self._weighs(name)}

    def _decide(self, name: str, selection: Selection, wanted: frozenset[str]) -> Decision:
        decision = self._keeper.cost(self._locked.get(name), name, selection[name], wanted)
        if isinstance(decision, Allow) or len(selection) == 1:
            return decision
        alone = {one: self._would_build({one: revision}) for one, revision in selection.items()}
        decision = self._keeper.cost(self._locked.get(name), name, selection[name], alone[name])
        if not isinstance(decision, Allow):
            return decision
        only_together = wanted.difference(*alone.values())
        return self._keeper.cost(self._locked.get(name), name, selection[name], only_together)

    def _would_build(self, selection: Selection) -> frozenset[str]:
        """What the whole fleet would have built; nothing where there is no such lock: judging it will tell."""
        key = frozenset(selection.items())
        if key not in self._known:
            try:
                self._known[key] = self._builder.would_build(self._locks.make(selection))
            except LockbotError:
                self._check()
                self._known[key] = frozenset()
        return self._known[key]
