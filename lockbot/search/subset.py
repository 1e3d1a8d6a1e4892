"""The largest set of units, each at its tip, with which the whole fleet is good.

All together first. On red, one broken host is searched alone for the smallest change that breaks it (a
transition between a good and a bad set is halved, the inputs that its error names first); that becomes a
clause. The largest set that no clause forbids is judged next: on the hosts that were ever broken, then whole.

Why it is right. (1) A set is accepted only when it was judged whole itself. (2) Every clause was seen: the host
is bad with exactly `moved`, and not with one unit less. (3) Where more change never mends a host, a clause holds
for every larger set, so the largest set that no clause forbids is at least as large as the largest good one, and
the first that passes is a largest good one. (4) Where more change can mend (units that work only together), a
clause may claim too much. So the accepted set is tried with each dropped unit, then with pairs and with all of
them, on the host that speaks against them; a good answer narrows the clause to "unless that one moves, too", and
the search goes on. Hence no dropped unit could be added alone to what is returned, in any world, and a pair that
works only together is found beside bad ones, also where they mask it.

What is not promised. The largest set is NP-hard to know: the logic is exact up to `conflicts.LEAVES` branches, and
rounds and pairs are limited. Brute force keeps more in a few of a thousand worlds in which couplings overlap or
chain: three that need each other torn apart by a bad one, two couples that share an input, or x that needs an
accepted y and breaks together with an accepted z (it is left out and z could have been). Such are rare, nothing
bad is taken in them, and a group in the configuration settles them. Answers that are missing at random may cost an
input its move until the next run. That everything can't be judged is the trial's to notice: it should raise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from lockbot.search.conflicts import Clause, Unit, Units, in_order, largest, point_of
from lockbot.search.interface import Level, Looking, Memory, Passed, Point, State

HINTS = 2
"""How often in a row an error's word is taken for where to look, before halving."""
SKIPS = 2
"""How often another split is tried when one can't be judged."""
PAIRS = 60
"""How many pairs of dropped units are tried at most: every pair of 11."""


class Subset:
    """The search and what it has learnt: `best` is good as a whole at any time, also when the budget ends it."""

    def __init__(self, memory: Memory, units: Sequence[Unit]) -> None:
        self.memory = memory
        self.units: Units = frozenset(units)
        self.best: Units = frozenset()
        self.clauses: list[Clause] = []
        self.doubtful: dict[str, None] = {}
        """Hosts that were ever not good, in the order of their discovery."""
        self._last: str | None = None
        self._sets: dict[Point, Units] = {}

    def run(self) -> None:
        for _ in range(8 * len(self.units) + 16):
            units = largest(self.units, self.clauses)
            if len(units) <= len(self.best):
                return
            broken = self._broken(units)
            if broken is not None:
                self._last = broken
                self._learn(broken, units)
                continue
            self.best = units
            self.memory.watch(Passed(dict(sorted(point_of(units)))))
            if not self._second_thoughts():
                return

    def _broken(self, units: Units) -> str | None:
        """A host that is not good with these: the one looked at last, else one ever broken, else any."""
        point = point_of(units)
        for hosts in ([] if self._last is None else [self._last], list(self.doubtful)):
            states = self.memory.ask(point, hosts, Level.BUILD)
            for host in hosts:
                if states[host] is not State.GOOD:
                    return host
        broken = self.memory.whole(point)
        self.doubtful.update(dict.fromkeys(broken))
        return broken[0] if broken else None

    def blamed(self, host: str) -> frozenset[Unit]:
        """The units of which it was seen that the host is bad with them, and good with all the same but them."""
        good = {self._units(point) for point in self.memory.known(host, Level.BUILD, State.GOOD)}
        good.add(frozenset())
        bad = (self._units(point) for point in self.memory.known(host, Level.BUILD, State.BAD))
        return frozenset(unit for units in bad for unit in units if units - {unit} in good)

    # -- learning from one broken host ---------------------------------------------------------------------

    def _learn(self, host: str, units: Units) -> None:
        clause = self._explain(host, units)
        self.clauses.append(clause)
        self._narrow_contradicted()
        if not any(clause.forbids(units) for clause in self.clauses):
            # Contradictory in general, but this very set is not good: never proposed again.
            self.clauses.append(Clause(units, host, clause.level, self.units - units, judged=clause.judged))

    def _explain(self, host: str, broken: Units) -> Clause:
        """The smallest change that breaks a host which is good at base and not good with `broken`."""
        core: Units = frozenset()
        while True:
            below = self._good_between(host, core, broken)
            below, broken = self._edge(host, below, broken)
            core |= broken - below
            point, level = point_of(broken), self._level(host, broken)
            judged = self.memory.state(host, point, level) is State.BAD
            state = self.memory.ask(point_of(core), [host], level)[host]
            if state is not State.GOOD:
                core = self._smallest(host, core, level)
                return Clause(core, host, level, judged=judged and not (state is State.UNKNOWN and len(core) > 1))

    def _smallest(self, host: str, core: Units, level: Level) -> Units:
        """Without what the host is broken without: there may be some where more change can mend."""
        for unit in in_order(core):
            less = core - {unit}
            if less and self.memory.ask(point_of(less), [host], level)[host] is State.BAD:
                return self._smallest(host, less, level)
        return core

    def _edge(self, host: str, below: Units, above: Units) -> tuple[Units, Units]:
        """Narrow `below` (good) and `above` (not good) until one unit lies between."""
        hints, skips, asked = HINTS, SKIPS, 0
        skipped: set[Units] = set()
        about = math.ceil(math.log2(max(2, len(above - below)))) + 1
        while len(above - below) > 1:
            middle, hinted = self._between(host, below, above, hints, skipped)
            hints -= hinted
            asked += 1
            names = tuple(name for unit in in_order(above - below) for name in unit.inputs)
            self.memory.watch(Looking(host, names, asked, max(about, asked)))
            level = self._level(host, above)
            state = self.memory.ask(point_of(middle), [host], level)[host]
            at_hand = self.memory.state(host, point_of(above), level)
            if state is State.GOOD:
                below = middle
            elif state is State.BAD or at_hand is State.UNKNOWN or skips == 0:
                above = middle
            else:
                skipped.add(middle)
                skips -= 1
        return below, above

    def _between(
        self, host: str, below: Units, above: Units, hints: int, skipped: set[Units]
    ) -> tuple[Units, bool]:
        """A set between the two to ask about, and whether it is a hint's: everything but the suspect."""
        gap = in_order(above - below)
        named = self.memory.suspects(host, point_of(above))
        suspects = [unit for name in named for unit in gap if name in unit.inputs]
        if hints:
            for unit in suspects:
                if above - {unit} not in skipped:
                    return above - {unit}, True
        gap.sort(key=lambda unit: unit in suspects)
        half = len(gap) // 2
        for shift in range(len(gap) - 1):
            middle = below | frozenset(gap[: (half - 1 + shift) % (len(gap) - 1) + 1])
            if middle not in skipped:
                return middle, False
        return below | frozenset(gap[:half]), False

    def _level(self, host: str, units: Units) -> Level:
        return self.memory.level(host, point_of(units))

    def _good_between(self, host: str, low: Units, high: Units) -> Units:
        """The largest set known to be good for a host that holds `low` and lies within `high`."""
        level = self._level(host, high)
        known = (self._units(point) for point in self.memory.known(host, level, State.GOOD))
        return max((units for units in known if low <= units < high), key=_size, default=low)

    def _units(self, point: Point) -> Units:
        """The units that are at their tips at a point."""
        known = self._sets.get(point)
        if known is None:
            known = self._sets[point] = frozenset(unit for unit in self.units if unit.moves <= point)
        return known

    # -- doubting what was learnt --------------------------------------------------------------------------

    def _second_thoughts(self) -> bool:
        """Try the dropped ones on top of the best, on the hosts that speak against them; did anything change?"""
        dropped = in_order(self.units - self.best)
        for unit in dropped:
            self._confirm(frozenset({unit}))
        for host, more in self._combinations(dropped):
            self._confirm(more)
            # Something accepted may be what is bad with both: then they are good without it.
            clauses = [clause for clause in self.clauses if clause.host == host and clause.forbids(more)]
            for level in dict.fromkeys(clause.level for clause in clauses):
                self.memory.ask(point_of(more), [host], level)
        return self._narrow_contradicted()

    def _confirm(self, more: Units) -> None:
        """Ask the hosts that speak against adding these, until one that is not good is found."""
        units = self.best | more
        against = dict.fromkeys((clause.host, clause.level) for clause in self.clauses if clause.forbids(units))
        for host, level in against:
            if self.memory.ask(point_of(units), [host], level)[host] is not State.GOOD:
                return

    def _combinations(self, dropped: Sequence[Unit]) -> list[tuple[str, Units]]:
        """Dropped units that may work together, and the host to ask: those that it speaks against, and those
        that are not bad by themselves. All of them, then pairs."""
        together: dict[tuple[str, Units], None] = {}
        alone = {unit for clause in self.clauses if len(clause.moved) == 1 for unit in clause.moved}
        for host in self.doubtful:
            against: Units = frozenset().union(*(clause.moved for clause in self.clauses if clause.host == host))
            here = [unit for unit in dropped if unit in against or unit not in alone]
            if len(here) > 2 and against.intersection(here):
                together[host, frozenset(here)] = None
            for pair in combinations(here, 2):
                if against.intersection(pair):
                    together[host, frozenset(pair)] = None
        return list(together)[:PAIRS]

    def _narrow_contradicted(self) -> bool:
        """Replace every clause that a known good point contradicts by one that does not claim so much."""
        changed = False
        while True:
            narrowed = [self._narrowed(clause) for clause in self.clauses]
            if narrowed == self.clauses:
                return changed
            self.clauses, changed = narrowed, True

    def _narrowed(self, clause: Clause) -> Clause:
        known = (self._units(point) for point in self.memory.known(clause.host, clause.level, State.GOOD))
        good = next((units for units in known if clause.forbids(units)), None)
        if good is None:
            return clause
        bad = clause.moved
        for state in (State.BAD, State.UNKNOWN):
            for point in self.memory.known(clause.host, clause.level, state):
                units = self._units(point)
                if bad < units < good:
                    bad = units
        while len(good - bad) > 1:
            gap = in_order(good - bad)
            middle = bad | frozenset(gap[: len(gap) // 2])
            state_there = self.memory.ask(point_of(middle), [clause.host], clause.level)[clause.host]
            if state_there is State.GOOD:
                good = middle
            else:
                bad = middle
        return Clause(clause.moved, clause.host, clause.level, clause.unmoved | (good - bad), judged=clause.judged)


def _size(units: Units) -> int:
    return len(units)
