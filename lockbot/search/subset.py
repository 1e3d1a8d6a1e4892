"""The largest set of groups, each at its tip, with which the whole fleet is good.

All together first. On red, one broken host is searched alone for the smallest change that breaks it (a
transition between a good and a bad set is halved, the inputs that its error names first); that becomes a
conflict. The largest set that no conflict forbids is judged next: on the hosts that were ever broken, then whole.

Why it is right. (1) A set is accepted only when it was judged whole itself. (2) Every conflict was seen: the host
is bad with exactly `moved`, and not with one group less. (3) Where more change never mends a host, a conflict
holds for every larger set, so the largest set that no conflict forbids is at least as large as the largest good
one, and the first that passes is a largest good one. (4) Where more change can mend (groups that work only
together), a conflict may claim too much. So the accepted set is tried with each dropped group, then with pairs and
with all of them, on the host that speaks against them; a good answer narrows the conflict to "unless that one
moves, too", and the search goes on. Hence no dropped group could be added alone to what is returned, in any world,
and a pair that works only together is found beside bad ones, also where they mask it.

What is not promised. The largest set is NP-hard to know: the logic is exact up to `conflicts.LEAVES` branches, and
rounds and pairs are limited. Brute force keeps more in a few of a thousand worlds in which couplings overlap or
chain: three that need each other torn apart by a bad one, two couples that share an input, or x that needs an
accepted y and breaks together with an accepted z (it is left out and z could have been). Such are rare, nothing
bad is taken in them, and a group in the configuration settles them. Responses that are missing at random may cost
an input its move until the next run. That everything can't be judged is the oracle's to notice: it should raise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from lockbot.search.cache import ResponseCache
from lockbot.search.conflicts import Conflict, UpdateGroup, UpdateGroups, in_order, largest, selection_of
from lockbot.search.interface import FrozenSelection, Level, Looking, Passed, State, thawed

HINTS = 2
"""How often in a row an error's word is taken for where to look, before halving."""
SKIPS = 2
"""How often another split is tried when one can't be judged."""
PAIRS = 60
"""How many pairs of dropped groups are tried at most: every pair of 11."""


class Subset:
    """The search and what it has learnt: `best` is good as a whole at any time, also when the budget ends it."""

    def __init__(self, responses: ResponseCache, groups: Sequence[UpdateGroup]) -> None:
        self.responses = responses
        self.groups: UpdateGroups = frozenset(groups)
        self.best: UpdateGroups = frozenset()
        self.conflicts: list[Conflict] = []
        self.doubtful: dict[str, None] = {}
        """Hosts that were ever not good, in the order of their discovery."""
        self._last: str | None = None
        self._sets: dict[FrozenSelection, UpdateGroups] = {}

    def run(self) -> None:
        for _ in range(8 * len(self.groups) + 16):
            groups = largest(self.groups, self.conflicts)
            if len(groups) <= len(self.best):
                return
            broken = self._broken(groups)
            if broken is not None:
                self._last = broken
                self._learn(broken, groups)
                continue
            self.best = groups
            self.responses.watch(Passed(thawed(selection_of(groups))))
            if not self._retry_dropped():
                return

    def _broken(self, groups: UpdateGroups) -> str | None:
        """A host that is not good with these: the one looked at last, else one ever broken, else any."""
        selection = selection_of(groups)
        for hosts in ([] if self._last is None else [self._last], list(self.doubtful)):
            states = self.responses.ask(selection, hosts, Level.BUILD)
            for host in hosts:
                if states[host] is not State.GOOD:
                    return host
        broken = self.responses.whole(selection)
        self.doubtful.update(dict.fromkeys(broken))
        return broken[0] if broken else None

    def blamed(self, host: str) -> frozenset[UpdateGroup]:
        """The groups of which it was seen that the host is bad with them, and good with all the same but them."""
        good = {self._groups(selection) for selection in self.responses.known(host, Level.BUILD, State.GOOD)}
        good.add(frozenset())
        bad = (self._groups(selection) for selection in self.responses.known(host, Level.BUILD, State.BAD))
        return frozenset(group for groups in bad for group in groups if groups - {group} in good)

    # -- learning from one broken host ---------------------------------------------------------------------

    def _learn(self, host: str, groups: UpdateGroups) -> None:
        conflict = self._explain(host, groups)
        self.conflicts.append(conflict)
        self._narrow_contradicted()
        if not any(conflict.forbids(groups) for conflict in self.conflicts):
            # Contradictory in general, but this very set is not good: never proposed again.
            self.conflicts.append(
                Conflict(groups, host, conflict.level, self.groups - groups, judged=conflict.judged)
            )

    def _explain(self, host: str, broken: UpdateGroups) -> Conflict:
        """The smallest change that breaks a host which is good at base and not good with `broken`."""
        core: UpdateGroups = frozenset()
        while True:
            below = self._good_between(host, core, broken)
            below, broken = self._bisect(host, below, broken)
            core |= broken - below
            selection, level = selection_of(broken), self._level(host, broken)
            judged = self.responses.state(host, selection, level) is State.BAD
            state = self.responses.ask(selection_of(core), [host], level)[host]
            if state is not State.GOOD:
                core = self._smallest(host, core, level)
                return Conflict(
                    core, host, level, judged=judged and not (state is State.UNKNOWN and len(core) > 1)
                )

    def _smallest(self, host: str, core: UpdateGroups, level: Level) -> UpdateGroups:
        """Without what the host is broken without: there may be some where more change can mend."""
        for group in in_order(core):
            less = core - {group}
            if self.responses.ask(selection_of(less), [host], level)[host] is State.BAD:
                return self._smallest(host, less, level)
        return core

    def _bisect(self, host: str, below: UpdateGroups, above: UpdateGroups) -> tuple[UpdateGroups, UpdateGroups]:
        """Narrow `below` (good) and `above` (not good) until one group lies between."""
        hints, skips, asked = HINTS, SKIPS, 0
        skipped: set[UpdateGroups] = set()
        about = math.ceil(math.log2(max(2, len(above - below)))) + 1
        while len(above - below) > 1:
            middle, hinted = self._between(host, below, above, hints, skipped)
            hints -= hinted
            asked += 1
            names = tuple(name for group in in_order(above - below) for name in group.inputs)
            self.responses.watch(Looking(host, names, asked, max(about, asked)))
            level = self._level(host, above)
            state = self.responses.ask(selection_of(middle), [host], level)[host]
            at_hand = self.responses.state(host, selection_of(above), level)
            if state is State.GOOD:
                below = middle
            elif state is State.BAD or at_hand is State.UNKNOWN or skips == 0:
                above = middle
            else:
                skipped.add(middle)
                skips -= 1
        return below, above

    def _between(
        self, host: str, below: UpdateGroups, above: UpdateGroups, hints: int, skipped: set[UpdateGroups]
    ) -> tuple[UpdateGroups, bool]:
        """A set between the two to ask about, and whether it is a hint's: everything but the suspect."""
        gap = in_order(above - below)
        named = self.responses.suspects(host, selection_of(above))
        suspects = [group for name in named for group in gap if name in group.inputs]
        if hints:
            for group in suspects:
                if above - {group} not in skipped:
                    return above - {group}, True
        gap.sort(key=lambda group: group in suspects)
        half = len(gap) // 2
        for shift in range(len(gap) - 1):
            middle = below | frozenset(gap[: (half - 1 + shift) % (len(gap) - 1) + 1])
            if middle not in skipped:
                return middle, False
        return below | frozenset(gap[:half]), False

    def _level(self, host: str, groups: UpdateGroups) -> Level:
        return self.responses.level(host, selection_of(groups))

    def _good_between(self, host: str, low: UpdateGroups, high: UpdateGroups) -> UpdateGroups:
        """The largest set known to be good for a host that holds `low` and lies within `high`."""
        level = self._level(host, high)
        known = (self._groups(selection) for selection in self.responses.known(host, level, State.GOOD))
        return max((groups for groups in known if low <= groups < high), key=_size, default=low)

    def _groups(self, selection: FrozenSelection) -> UpdateGroups:
        """The groups that are at their tips at a selection."""
        known = self._sets.get(selection)
        if known is None:
            known = self._sets[selection] = frozenset(group for group in self.groups if group.moves <= selection)
        return known

    # -- doubting what was learnt --------------------------------------------------------------------------

    def _retry_dropped(self) -> bool:
        """Try the dropped ones on top of the best, on the hosts that speak against them; did anything change?"""
        dropped = in_order(self.groups - self.best)
        for group in dropped:
            self._confirm(frozenset({group}))
        for host, more in self._combinations(dropped):
            self._confirm(more)
            # Something accepted may be what is bad with both: then they are good without it.
            conflicts = [
                conflict for conflict in self.conflicts if conflict.host == host and conflict.forbids(more)
            ]
            for level in dict.fromkeys(conflict.level for conflict in conflicts):
                self.responses.ask(selection_of(more), [host], level)
        return self._narrow_contradicted()

    def _confirm(self, more: UpdateGroups) -> None:
        """Ask the hosts that speak against adding these, until one that is not good is found."""
        groups = self.best | more
        against = dict.fromkeys(
            (conflict.host, conflict.level) for conflict in self.conflicts if conflict.forbids(groups)
        )
        for host, level in against:
            if self.responses.ask(selection_of(groups), [host], level)[host] is not State.GOOD:
                return

    def _combinations(self, dropped: Sequence[UpdateGroup]) -> list[tuple[str, UpdateGroups]]:
        """Dropped groups that may work together, and the host to ask: those that it speaks against, and those
        that are not bad by themselves. All of them, then pairs."""
        together: dict[tuple[str, UpdateGroups], None] = {}
        alone = {group for conflict in self.conflicts if len(conflict.moved) == 1 for group in conflict.moved}
        for host in self.doubtful:
            against: UpdateGroups = frozenset().union(
                *(conflict.moved for conflict in self.conflicts if conflict.host == host)
            )
            here = [group for group in dropped if group in against or group not in alone]
            if len(here) > 2 and against.intersection(here):
                together[host, frozenset(here)] = None
            for pair in combinations(here, 2):
                if against.intersection(pair):
                    together[host, frozenset(pair)] = None
        return list(together)[:PAIRS]

    def _narrow_contradicted(self) -> bool:
        """Replace every conflict that a known good selection contradicts by one that does not claim so much."""
        changed = False
        while True:
            narrowed = [self._narrowed(conflict) for conflict in self.conflicts]
            if narrowed == self.conflicts:
                return changed
            self.conflicts, changed = narrowed, True

    def _narrowed(self, conflict: Conflict) -> Conflict:
        known = (
            self._groups(selection)
            for selection in self.responses.known(conflict.host, conflict.level, State.GOOD)
        )
        good = next((groups for groups in known if conflict.forbids(groups)), None)
        if good is None:
            return conflict
        bad = conflict.moved
        for state in (State.BAD, State.UNKNOWN):
            for selection in self.responses.known(conflict.host, conflict.level, state):
                groups = self._groups(selection)
                if bad < groups < good:
                    bad = groups
        while len(good - bad) > 1:
            gap = in_order(good - bad)
            middle = bad | frozenset(gap[: len(gap) // 2])
            state_there = self.responses.ask(selection_of(middle), [conflict.host], conflict.level)[conflict.host]
            if state_there is State.GOOD:
                good = middle
            else:
                bad = middle
        return Conflict(
            conflict.moved, conflict.host, conflict.level, conflict.unmoved | (good - bad), judged=conflict.judged
        )


def _size(groups: UpdateGroups) -> int:
    return len(groups)
