"""Which inputs can move, and how far, when not all of them can: the search, by strategy.

Asks a `Trial`; knows nothing of Nix, git, or how a question is decided. `subset` finds the largest set of units at
their tips, `newest` moves each of the others as far as it goes; here they are put together, and told.

What holds whatever the trial answers, and wherever the budget ends: every picks that is returned or watched as
`Passed` was judged whole and good; later ones contain no unit or revision that was not. A host that could not be
judged is neither blamed on anyone nor published.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from lockbot.search.bisection import LOCKED, Ladder
from lockbot.search.conflicts import Clause, Unit, in_order, point_of
from lockbot.search.interface import (
    BudgetSpent,
    Culprit,
    Finding,
    Found,
    Level,
    Memory,
    Passed,
    Picks,
    Point,
    Reason,
    State,
    Trial,
    Watch,
    unwatched,
)
from lockbot.search.subset import Subset

LOOKS = 3
"""How many revisions newer than the first good one found are asked about, per input at most."""


class Strategy(StrEnum):
    TOGETHER = "together"
    """All or nothing."""
    EACH = "each"
    """As `best`, but in steps of one unit, each judged whole."""
    BEST = "best"


def search(
    trial: Trial,
    tips: Picks,
    *,
    groups: Sequence[frozenset[str]] = (),
    strategy: Strategy = Strategy.BEST,
    looks: int = LOOKS,
    watch: Watch = unwatched,
) -> Found:
    """The best that passes of `tips` (every input that may move, and to what; the order says whom to prefer).

    Inputs of one group move together or not at all. `watch` hears of every whole verdict that could be published;
    `looks` is what may be spent, per input, on revisions newer than the first good one.
    """
    found = _Search(Memory(trial, watch), units_of(tips, groups), looks)
    return found.together() if strategy is Strategy.TOGETHER else found.best(each=strategy is Strategy.EACH)


def units_of(tips: Picks, groups: Sequence[frozenset[str]]) -> tuple[Unit, ...]:
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
        Unit(number, frozenset((name, tips[name]) for name in group)) for number, group in enumerate(ordered)
    )


@dataclass
class _Search:
    memory: Memory
    units: Sequence[Unit]
    looks: int
    accepted: Point = frozenset()
    """The best so far: judged whole, and good."""
    subset: Subset = field(init=False)
    ladders: dict[Unit, Ladder] = field(default_factory=dict)
    hosts: dict[Unit, list[str]] = field(default_factory=dict)
    """What is not good with a unit at its tip on top of what is accepted."""
    sought: set[Unit] = field(default_factory=set)
    """Those of which it is known how far they can move, as far as that is ever looked for."""

    def __post_init__(self) -> None:
        self.subset = Subset(self.memory, self.units)

    def together(self) -> Found:
        everything = point_of(frozenset(self.units))
        broken: tuple[str, ...] = ()
        reason = Reason.BUDGET
        with contextlib.suppress(BudgetSpent):
            broken = self.memory.whole(everything)
            reason = Reason.STRATEGY
            if not broken:
                self._accept(everything)
        findings = [Finding(unit.inputs, reason, broken) for unit in self.units if not unit.moves <= self.accepted]
        steps = (_picks(self.accepted),) if self.accepted else ()
        complete = reason is not Reason.BUDGET
        findings = [replace(finding, ended=not complete) for finding in findings]
        return Found(_picks(self.accepted), steps, tuple(findings), complete)

    def best(self, *, each: bool) -> Found:
        steps: list[Point] = []
        complete = False
        try:
            self.subset.run()
            self.accepted = point_of(self.subset.best)
            self._move_others()
            self._narrow()
            if each:
                for step in self._steps():
                    steps.append(step)  # one by one: those before the budget's end stand
            complete = True
        except BudgetSpent:
            self.accepted = self.accepted or point_of(self.subset.best)
        if self.accepted not in steps:
            steps.append(self.accepted)
        return Found(
            _picks(self.accepted),
            tuple(_picks(step) for step in steps if step),
            tuple(self._finding(unit) for unit in in_order(self._behind())),
            complete,
        )

    def _accept(self, point: Point) -> None:
        self.accepted = point
        self.memory.watch(Passed(_picks(point)))

    def _behind(self) -> list[Unit]:
        return [unit for unit in self.units if not unit.moves <= self.accepted]

    # -- moving what is not at its tip as far as it goes ---------------------------------------------------

    def _move_others(self) -> None:
        for unit in self._behind():
            if not self._take(unit):
                self._climb(unit)
        for unit in self._behind():  # what another's move made possible
            self._take(unit)

    def _take(self, unit: Unit) -> bool:
        """Does it pass at its tip on top of what is accepted? Notes the hosts that it breaks."""
        point = self._without(unit) | unit.moves
        blamed = [host for host in self.subset.doubtful if unit in self.subset.blamed(host)]
        suspicious = dict.fromkeys(
            (*self.hosts.get(unit, ()), *(clause.host for clause in self._against(unit)), *blamed)
        )
        first = next((host for host in suspicious if self._refuses(host, point)), None)
        if first is None:
            broken = list(self._refusing(point, self.subset.doubtful) or self.memory.whole(point))
            if not broken:
                self._accept(point)
                return True
        else:
            broken = [first, *blamed]
        if unit not in self.hosts:
            unexplained = [host for host in self.subset.doubtful if not self.subset.blamed(host)]
            broken += self._refusing(point, unexplained)
        self.subset.doubtful.update(dict.fromkeys(broken))
        self.hosts[unit] = list(dict.fromkeys((*broken, *self.hosts.get(unit, ()))))
        return False

    def _refuses(self, host: str, point: Point) -> bool:
        return bool(self._refusing(point, [host]))

    def _refusing(self, point: Point, hosts: Iterable[str]) -> tuple[str, ...]:
        states = self.memory.ask(point, hosts, Level.BUILD)
        return tuple(host for host, state in states.items() if state is not State.GOOD)

    def _climb(self, unit: Unit) -> None:
        name = unit.inputs[0]
        revisions = self.memory.trial.revisions(name) if len(unit.inputs) == 1 else ()
        if not revisions:
            self.sought.add(unit)
            return
        revisions = (*revisions[:-1], dict(unit.moves)[name])
        ladder = Ladder(self.memory, self._without(unit), name, revisions, self.hosts[unit])
        self.ladders[unit] = ladder
        try:
            ladder.climb()
            self.sought.add(unit)
            ladder.look(self.looks)
        finally:
            if ladder.landed != LOCKED:
                self.accepted = ladder.point(ladder.landed)

    def _without(self, unit: Unit) -> Point:
        return frozenset((name, revision) for name, revision in self.accepted if name not in unit.inputs)

    def _narrow(self) -> None:
        for unit in self._behind():
            self._look_beneath(unit)
            if unit in self.ladders:
                self.ladders[unit].narrow()

    def _look_beneath(self, unit: Unit) -> None:
        """A host that fails to evaluate with two together may, by the fault of one alone, not build either."""
        for clause in self._against(unit)[:1]:
            if clause.level is Level.EVALUATION and len(clause.moved) > 1 and not clause.unmoved:
                alone = Clause(frozenset({unit}), clause.host, Level.BUILD)
                if self.memory.ask(unit.moves, [clause.host], Level.BUILD)[clause.host] is State.BAD:
                    self.subset.clauses.append(alone)

    # -- telling -------------------------------------------------------------------------------------------

    def _steps(self) -> Iterator[Point]:
        """The accepted, unit by unit; what is red in between goes in one step with the next."""
        step: Point = frozenset()
        for unit in self.units:
            moved = frozenset(move for move in self.accepted if move[0] in unit.inputs)
            step |= moved
            if moved and not self.memory.whole(step):
                yield step

    def _finding(self, unit: Unit) -> Finding:
        clauses = self._against(unit)
        return Finding(
            unit.inputs,
            self._reason(unit, clauses),
            tuple(sorted(set(self._broken_by(unit, clauses)))),
            _names(other for clause in clauses[:1] for other in (clause.moved | clause.unmoved) - {unit}),
            dict(self.accepted).get(unit.inputs[0]),
            self._culprits(unit),
            ended=unit not in self.sought,
        )

    def _culprits(self, unit: Unit) -> tuple[Culprit, ...]:
        ladder = self.ladders.get(unit)
        return ladder.culprits() if ladder is not None else ()

    def _broken_by(self, unit: Unit, clauses: Sequence[Clause]) -> list[str]:
        """The hosts that a unit breaks, as far as that was seen, without those that it only broke beside another
        that was not taken; where none was, those that could not be judged with it."""
        ladder = self.ladders.get(unit)
        if ladder is None:
            hosts, tip = self.hosts.get(unit), self._without(unit) | unit.moves
        else:
            hosts, tip = ladder.hosts, ladder.accepted | unit.moves
        hosts = hosts or [clause.host for clause in clauses]
        states = {host: self.memory.state(host, tip, Level.BUILD) for host in hosts}
        states |= {host: State.BAD for culprit in self._culprits(unit) for host in culprit.hosts}
        bad = [host for host in hosts if states[host] is State.BAD]
        return bad or [host for host in hosts if states[host] is not State.GOOD] or list(hosts)

    def _against(self, unit: Unit) -> list[Clause]:
        """What forbids a unit on top of the accepted ones; where its blame is its own, that first."""
        taken = frozenset(other for other in self.units if other.moves <= self.accepted) | {unit}
        against = [clause for clause in self.subset.clauses if unit in clause.moved and clause.forbids(taken)]
        return sorted(against, key=lambda clause: (not clause.judged, len(clause.moved) + len(clause.unmoved)))

    def _reason(self, unit: Unit, clauses: Sequence[Clause]) -> Reason:
        if not clauses:
            return self._reason_by_hosts(unit)
        clause = clauses[0]
        if not clause.judged:  # at its tip; one of its other revisions may have been
            return Reason.BREAKS if self._culprits(unit) else Reason.UNJUDGED
        if clause.unmoved:
            return Reason.NEEDS
        return Reason.BREAKS_TOGETHER if len(clause.moved) > 1 else Reason.BREAKS

    def _reason_by_hosts(self, unit: Unit) -> Reason:
        """No clause: it was only tried on top of what is accepted."""
        if unit not in self.hosts:
            return Reason.BUDGET
        point = self._without(unit) | unit.moves
        states = [self.memory.state(host, point, Level.BUILD) for host in self.hosts[unit]]
        return Reason.BREAKS if State.BAD in states or self._culprits(unit) else Reason.UNJUDGED


def _names(units: Iterable[Unit]) -> tuple[str, ...]:
    return tuple(name for unit in in_order(set(units)) for name in unit.inputs)


def _picks(point: Point) -> Mapping[str, str]:
    return dict(sorted(point))
