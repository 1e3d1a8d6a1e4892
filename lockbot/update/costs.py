"""What a candidate would have compiled here, and whether its inputs' rules let that be.

One rule for a tip and for whatever the search tries: an input is weighed by what it would have compiled by itself,
and by what only comes of moving it together with others. It is asked before anything of that is built. It must not
know how the search goes on, nor how a cost is decided on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from lockbot.errors import LockbotError
from lockbot.judge.verdict import MayBuild, TooCostly
from lockbot.lock.selected import SelectedLocks
from lockbot.model import Locked
from lockbot.policy.decisions import Allow, Decision, Hold
from lockbot.policy.engine import PolicyEngine
from lockbot.policy.result import PolicyResult
from lockbot.report import words
from lockbot.search.interface import FrozenSelection, SearchResult, Selection
from lockbot.update.candidate_commit import CandidateBuilder


class CompileCosts:
    """`locked` is where each input is; `free` ones go where the user said, whatever it costs."""

    def __init__(
        self,
        builder: CandidateBuilder,
        locks: SelectedLocks,
        engine: PolicyEngine,
        locked: Mapping[str, Locked],
        free: Collection[str],
    ) -> None:
        self._builder = builder
        self._locks = locks
        self._engine = engine
        self._locked = locked
        self._free = free
        self._known: dict[FrozenSelection, frozenset[str]] = {}
        self._warnings: dict[FrozenSelection, list[str]] = {}
        self.refused: dict[tuple[str, str], Hold] = {}
        """Input and revision → why that was not built."""

    def hold_back(self, result: PolicyResult) -> None:
        """Hold the inputs that would have too much compiled where they may go: by themselves, then together."""
        for name in [name for name in result.targets if self._weighs(name)]:
            selection = {name: result.targets[name]}
            decision = self._decisions(selection, self._would_build(selection))[name]
            if isinstance(decision, Hold):
                result.hold(name, self._locked.get(name), decision)
            elif isinstance(decision, Allow):
                result.warnings.extend(decision.warnings)
        weighed = [name for name in result.targets if self._weighs(name)]
        if weighed and len(result.targets) > 1 and self._too_costly(result.targets):
            self._hold_back_together(result, weighed)

    def _hold_back_together(self, result: PolicyResult, weighed: Sequence[str]) -> None:
        """One more at a time: of those that would have too much compiled only together, the last stays."""
        kept = {name: revision for name, revision in result.targets.items() if name not in weighed}
        for name in weighed:
            kept[name] = result.targets[name]
            held = self._too_costly(kept)
            for one, decision in held.items():
                result.wait_for_cache(one, decision)
            for one in [name] if name in held else held:
                result.hold(one, self._locked.get(one), held[one])
                del kept[one]

    def may_build(self, selection: Selection) -> MayBuild | None:
        """Asked, before anything is built, whether hosts may be built with this selection; None: they may."""
        if not any(self._weighs(name) for name in selection):
            return None

        def ask(drvs: Collection[str]) -> None:
            decisions = self._decisions(selection, self._builder.missing(drvs))
            held = {name: decision for name, decision in decisions.items() if isinstance(decision, Hold)}
            if held:
                self.refused |= {(name, selection[name]): decision for name, decision in held.items()}
                raise TooCostly("; ".join(f"{name}: {decision.detail}" for name, decision in held.items()))
            warnings = [text for one in decisions.values() if isinstance(one, Allow) for text in one.warnings]
            # One host by one, then all.
            self._warnings.setdefault(frozenset(selection.items()), []).extend(warnings)

        return ask

    def note_waits(self, found: SearchResult, result: PolicyResult) -> tuple[str, ...]:
        """Sentences about what was compiled after all, and about what was not tried; of that, it is noted in
        `result` until when the inputs wait for it."""
        told = list(self._warnings.get(frozenset(found.selection.items()), []))
        for name in (name for finding in found.findings for name in finding.inputs):
            refused = {revision: hold for (one, revision), hold in self.refused.items() if one == name}
            refused.pop(found.selection.get(name, ""), None)  # too costly beside another, and not as it was taken
            for hold in refused.values():
                result.wait_for_cache(name, hold)
            older = [revision for revision in refused if revision != result.targets[name]]
            if older:
                more = f" and {words.count(len(older) - 1, 'other revision')}" if len(older) > 1 else ""
                told.append(f"{name} was not tried at {words.short(older[0])}{more}: {refused[older[0]].detail}")
        return tuple(told)

    # -- weighing -----------------------------------------------------------------------------------------

    def _weighs(self, name: str) -> bool:
        return name not in self._free and self._engine.weighs_cost(name)

    def _too_costly(self, selection: Selection) -> dict[str, Hold]:
        decisions = self._decisions(selection, self._would_build(selection))
        return {name: decision for name, decision in decisions.items() if isinstance(decision, Hold)}

    def _decisions(self, selection: Selection, wanted: frozenset[str]) -> dict[str, Decision]:
        """What the rules of each weighed input say, when hosts would have these derivations built."""
        return {name: self._decide(name, selection, wanted) for name in selection if self._weighs(name)}

    def _decide(self, name: str, selection: Selection, wanted: frozenset[str]) -> Decision:
        decision = self._engine.cost(self._locked.get(name), name, selection[name], wanted)
        if isinstance(decision, Allow) or len(selection) == 1:
            return decision
        alone = {one: self._would_build({one: revision}) for one, revision in selection.items()}
        decision = self._engine.cost(self._locked.get(name), name, selection[name], alone[name])
        if not isinstance(decision, Allow):
            return decision
        only_together = wanted.difference(*alone.values())
        return self._engine.cost(self._locked.get(name), name, selection[name], only_together)

    def _would_build(self, selection: Selection) -> frozenset[str]:
        """What the whole fleet would have built; nothing where there is no such lock: judging it will tell."""
        key = frozenset(selection.items())
        if key not in self._known:
            try:
                self._known[key] = self._builder.would_build(self._locks.make(selection))
            except LockbotError:
                self._builder.cancel.check()
                self._known[key] = frozenset()
        return self._known[key]
