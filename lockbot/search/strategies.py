"""Which inputs can move, and how far, when not all of them can: the search, by strategy.

Asks an `Oracle`; knows nothing of Nix, git, or how a question is decided. `subset` finds the largest set of groups
at their tips, `bisection` moves each of the others as far as it goes; here they are put together, and told.

What holds whatever the oracle answers, and wherever the budget ends: every selection that is returned or watched
as `Passed` was judged whole and good; later ones contain no group or revision that was not. A host that could not
be judged is neither blamed on anyone nor published.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from lockbot.search.bisection import LOCKED, Bisection
from lockbot.search.cache import ResponseCache
from lockbot.search.conflicts import Conflict, UpdateGroup, in_order, selection_of
from lockbot.search.interface import (
    BudgetSpent,
    Culprit,
    Finding,
    FindingReason,
    FrozenSelection,
    Level,
    Oracle,
    Passed,
    RevisionRange,
    SearchResult,
    Selection,
    State,
    Watch,
    thawed,
    unwatched,
)
from lockbot.search.subset import Subset

LOOKS = 3
"""How many revisions newer than the first good one found are asked about, per input at most."""


class Strategy(StrEnum):
    TOGETHER = "together"
    """All or nothing."""
    EACH = "each"
    """As `best`, but in steps of one group, each judged whole."""
    BEST = "best"


def search(
    oracle: Oracle,
    tips: Selection,
    *,
    groups: Sequence[frozenset[str]] = (),
    strategy: Strategy = Strategy.BEST,
    looks: int = LOOKS,
    watch: Watch = unwatched,
) -> SearchResult:
    """The best that passes of `tips` (every input that may move, and to what; the order says whom to prefer).

    Inputs of one group move together or not at all. `watch` hears of every whole verdict that could be published;
    `looks` is what may be spent, per input, on revisions newer than the first good one.
    """
    found = _Search(ResponseCache(oracle, watch), groups_of(tips, groups), looks)
    return found.together() if strategy is Strategy.TOGETHER else found.best(each=strategy is Strategy.EACH)


def groups_of(tips: Selection, groups: Sequence[frozenset[str]]) -> tuple[UpdateGroup, ...]:
    """What moves together, in the order of the tips. Groups that share an input are one."""
    merged: list[frozenset[str]] = []
    for group in (*groups, *(frozenset({name}) for name in tips)):
        inputs = group & tips.keys()
        meeting = [other for other in merged if other & inputs]
        merged = [other for other in merged if other not in meeting]
        merged.append(inputs.union(*meeting))
    place = {name: number for number, name in enumerate(tips)}
    ordered = sorted((group for group in merged if group), key=lambda group: min(place[name] for name in group))
    return tuple(
        UpdateGroup(number, frozenset((name, tips[name]) for name in group))
        for number, group in enumerate(ordered)
    )


@dataclass
class _Search:
    responses: ResponseCache
    groups: Sequence[UpdateGroup]
    looks: int
    accepted: FrozenSelection = frozenset()
    """The best so far: judged whole, and good."""
    subset: Subset = field(init=False)
    bisections: dict[UpdateGroup, Bisection] = field(default_factory=dict)
    hosts: dict[UpdateGroup, list[str]] = field(default_factory=dict)
    """What is not good with a group at its tip on top of what is accepted."""
    sought: set[UpdateGroup] = field(default_factory=set)
    """Those of which it is known how far they can move, as far as that is ever looked for."""

    def __post_init__(self) -> None:
        self.subset = Subset(self.responses, self.groups)

    def together(self) -> SearchResult:
        everything = selection_of(frozenset(self.groups))
        broken: tuple[str, ...] = ()
        reason = FindingReason.BUDGET
        with contextlib.suppress(BudgetSpent):
            broken = self.responses.whole(everything)
            reason = FindingReason.STRATEGY
            if not broken:
                self._accept(everything)
        findings = [
            Finding(group.inputs, reason, broken) for group in self.groups if not group.moves <= self.accepted
        ]
        steps = (thawed(self.accepted),) if self.accepted else ()
        complete = reason is not FindingReason.BUDGET
        findings = [replace(finding, ended=not complete) for finding in findings]
        return SearchResult(thawed(self.accepted), steps, tuple(findings), complete)

    def best(self, *, each: bool) -> SearchResult:
        steps: list[FrozenSelection] = []
        complete = False
        try:
            self.subset.run()
            self.accepted = selection_of(self.subset.best)
            self._move_others()
            self._find_first_bad()
            if each:
                for step in self._steps():
                    steps.append(step)  # one by one: those before the budget's end stand
            complete = True
        except BudgetSpent:
            self.accepted = self.accepted or selection_of(self.subset.best)
        if self.accepted not in steps:
            steps.append(self.accepted)
        return SearchResult(
            thawed(self.accepted),
            tuple(thawed(step) for step in steps if step),
            tuple(self._finding(group) for group in in_order(self._behind())),
            complete,
        )

    def _accept(self, selection: FrozenSelection) -> None:
        self.accepted = selection
        self.responses.watch(Passed(thawed(selection)))

    def _behind(self) -> list[UpdateGroup]:
        return [group for group in self.groups if not group.moves <= self.accepted]

    # -- moving what is not at its tip as far as it goes ---------------------------------------------------

    def _move_others(self) -> None:
        for group in self._behind():
            if not self._try_tip(group):
                self._bisect_revisions(group)
        for group in self._behind():  # what another's move made possible
            self._try_tip(group)

    def _try_tip(self, group: UpdateGroup) -> bool:
        """Does it pass at its tip on top of what is accepted? Notes the hosts that it breaks."""
        selection = self._without(group) | group.moves
        blamed = [host for host in self.subset.doubtful if group in self.subset.blamed(host)]
        suspicious = dict.fromkeys(
            (*self.hosts.get(group, ()), *(conflict.host for conflict in self._conflicts_with(group)), *blamed)
        )
        first = next((host for host in suspicious if self._refuses(host, selection)), None)
        if first is None:
            broken = list(self._refusing(selection, self.subset.doubtful) or self.responses.whole(selection))
            if not broken:
                self._accept(selection)
                return True
        else:
            broken = [first, *blamed]
        if group not in self.hosts:
            unexplained = [host for host in self.subset.doubtful if not self.subset.blamed(host)]
            broken += self._refusing(selection, unexplained)
        self.subset.doubtful.update(dict.fromkeys(broken))
        self.hosts[group] = list(dict.fromkeys((*broken, *self.hosts.get(group, ()))))
        return False

    def _refuses(self, host: str, selection: FrozenSelection) -> bool:
        return bool(self._refusing(selection, [host]))

    def _refusing(self, selection: FrozenSelection, hosts: Iterable[str]) -> tuple[str, ...]:
        states = self.responses.ask(selection, hosts, Level.BUILD)
        return tuple(host for host, state in states.items() if state is not State.GOOD)

    def _bisect_revisions(self, group: UpdateGroup) -> None:
        name = group.inputs[0]
        known = self.responses.oracle.revisions(name) if len(group.inputs) == 1 else RevisionRange()
        if not known.revisions:
            self.sought.add(group)
            return
        candidates = replace(known, revisions=(*known.revisions[:-1], dict(group.moves)[name]))
        bisection = Bisection(self.responses, self._without(group), name, candidates, self.hosts[group])
        self.bisections[group] = bisection
        try:
            bisection.find_newest_good()
            self.sought.add(group)
            bisection.look_above(self.looks)
        finally:
            if bisection.taken != LOCKED:
                self.accepted = bisection.selection(bisection.taken)

    def _without(self, group: UpdateGroup) -> FrozenSelection:
        return frozenset((name, revision) for name, revision in self.accepted if name not in group.inputs)

    def _find_first_bad(self) -> None:
        for group in self._behind():
            self._find_own_fault(group)
            if group in self.bisections:
                self.bisections[group].find_first_bad()

    def _find_own_fault(self, group: UpdateGroup) -> None:
        """A host that fails to evaluate with two together may, by the fault of one alone, not build either."""
        for conflict in self._conflicts_with(group)[:1]:
            if conflict.level is Level.EVALUATION and len(conflict.moved) > 1 and not conflict.unmoved:
                alone = Conflict(frozenset({group}), conflict.host, Level.BUILD)
                if self.responses.ask(group.moves, [conflict.host], Level.BUILD)[conflict.host] is State.BAD:
                    self.subset.conflicts.append(alone)

    # -- telling -------------------------------------------------------------------------------------------

    def _steps(self) -> Iterator[FrozenSelection]:
        """The accepted, group by group; what is red in between goes in one step with the next."""
        step: FrozenSelection = frozenset()
        for group in self.groups:
            moved = frozenset(move for move in self.accepted if move[0] in group.inputs)
            step |= moved
            if moved and not self.responses.whole(step):
                yield step

    def _finding(self, group: UpdateGroup) -> Finding:
        conflicts = self._conflicts_with(group)
        states = self._at_tip(group, conflicts)
        return Finding(
            group.inputs,
            self._reason(group, conflicts, states),
            tuple(sorted(set(_broken(states, conflicts)))),
            _names(other for conflict in conflicts[:1] for other in (conflict.moved | conflict.unmoved) - {group}),
            dict(self.accepted).get(group.inputs[0]),
            self._culprits(group),
            ended=group not in self.sought,
        )

    def _culprits(self, group: UpdateGroup) -> tuple[Culprit, ...]:
        bisection = self.bisections.get(group)
        return bisection.culprits() if bisection is not None else ()

    def _at_tip(self, group: UpdateGroup, conflicts: Sequence[Conflict]) -> dict[str, State | None]:
        """What the hosts that speak against a group are with it, as far as that was seen: at its tip, without what
        it was only tried beside and was not taken, or at one of its other revisions."""
        bisection = self.bisections.get(group)
        if bisection is None:
            hosts, tip = self.hosts.get(group), self._without(group) | group.moves
        else:
            hosts, tip = bisection.hosts, bisection.accepted | group.moves
        hosts = hosts or [conflict.host for conflict in conflicts]
        states = {host: self.responses.state(host, tip, Level.BUILD) for host in hosts}
        return states | {host: State.BAD for culprit in self._culprits(group) for host in culprit.hosts}

    def _conflicts_with(self, group: UpdateGroup) -> list[Conflict]:
        """What forbids a group on top of the accepted ones; where its blame is its own, that first."""
        taken = frozenset(other for other in self.groups if other.moves <= self.accepted) | {group}
        against = [
            conflict for conflict in self.subset.conflicts if group in conflict.moved and conflict.forbids(taken)
        ]
        return sorted(
            against, key=lambda conflict: (not conflict.judged, len(conflict.moved) + len(conflict.unmoved))
        )

    def _reason(
        self, group: UpdateGroup, conflicts: Sequence[Conflict], states: Mapping[str, State | None]
    ) -> FindingReason:
        if not conflicts and group not in self.hosts:
            return FindingReason.BUDGET
        if not conflicts or not conflicts[0].judged:  # it was only tried on top of what is accepted
            return FindingReason.BREAKS if State.BAD in states.values() else FindingReason.UNJUDGED
        if conflicts[0].unmoved:
            return FindingReason.NEEDS
        return FindingReason.BREAKS_TOGETHER if len(conflicts[0].moved) > 1 else FindingReason.BREAKS


def _broken(states: Mapping[str, State | None], conflicts: Sequence[Conflict]) -> list[str]:
    """The hosts that are bad with a group, else those that were when it was searched; where none was, those that
    could not be judged with it."""
    bad = [host for host, state in states.items() if state is State.BAD]
    seen = [conflict.host for conflict in conflicts if conflict.judged]
    return bad or seen or [host for host, state in states.items() if state is not State.GOOD] or list(states)


def _names(groups: Iterable[UpdateGroup]) -> tuple[str, ...]:
    return tuple(name for group in in_order(set(groups)) for name in group.inputs)
