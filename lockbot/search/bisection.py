"""The newest good revision of one input, on top of what is accepted already, and the commit that broke each host.

Revisions are numbered from the oldest; LOCKED (-1) is where the input stands, and good. Between a good and a bad
revision the next one asked about halves not their number but the chance: a break is as likely among the newest
few as among all before them, so recent ones are found as by a gallop and old ones as by halving, in about
log2(K) + 1 probes either way.

Why it is right. A revision is taken only when the whole fleet was judged with it, whatever was assumed on the
way; the hosts that break there join those looked at, and the search goes on below. What can't be judged is
stepped over. Where breakage comes and goes, a logarithm of probes can't promise the newest good one: some looks
are spent on newer ones, and the newest that was found good is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from lockbot.search.cache import ResponseCache
from lockbot.search.interface import (
    Culprit,
    FrozenSelection,
    Level,
    Looking,
    Passed,
    RevisionRange,
    State,
    thawed,
)

LOCKED = -1
ALLOWANCE = 3
"""How many questions more than log2(K) may be spent, where the input broke once."""
RECENT = 0.4
"""How much of the chance is given to "the fewer commits ago, the likelier"; the rest is spread evenly."""
SKIPS = 8
"""How many revisions that can't be judged are stepped over between one good and one bad."""
_STEPS_ASIDE = (1 / 2, 1 / 4, 3 / 4, 1 / 8, 7 / 8, 3 / 8, 5 / 8)
"""Where to go on beside what can't be judged: far off, for such revisions come in runs."""


class Bisection:
    """Bisects one input's revisions, on top of `accepted` (which leaves it locked). `taken`, a revision's number,
    is good as a whole at any time."""

    def __init__(
        self,
        responses: ResponseCache,
        accepted: FrozenSelection,
        input: str,
        candidates: RevisionRange,
        hosts: Sequence[str],
    ) -> None:
        """`hosts` were broken by the tip, the last of `candidates`; the first, on top of `accepted`."""
        self.responses = responses
        self.accepted = accepted
        self.input = input
        self.revisions = candidates.revisions
        self.taken = LOCKED
        self.hosts = list(hosts)
        self._complete = candidates.complete
        self._tip = len(self.revisions) - 1
        self._questions = 0
        self._asked = {LOCKED, self._tip}
        self._levels = {host: responses.level(host, self.selection(self._tip)) for host in hosts}

    def selection(self, index: int) -> FrozenSelection:
        """What is judged with the input at that revision."""
        return self.accepted if index == LOCKED else self.accepted | {(self.input, self.revisions[index])}

    def find_newest_good(self) -> None:
        """Take the newest good revision below the tip, as if everything broke once."""
        self._take_newest_good(self.hosts[0], LOCKED, self._tip)

    def look_above(self, looks: int) -> None:
        """Ask about revisions newer than the one taken, in case the breakage was mended for a while.

        At most `looks`, and no more than leave the whole within log2(K) + 3 questions.
        """
        host = self.hosts[0]
        allowed = math.ceil(math.log2(len(self.revisions))) + ALLOWANCE
        for _ in range(min(looks, allowed - self._questions)):
            gap = self._widest_gap(host)
            if gap is None:
                return
            low, high = gap
            middle = (low + high) // 2
            if self._ask(host, middle) is State.GOOD:
                self._take_newest_good(host, middle, high)

    def culprits(self) -> tuple[Culprit, ...]:
        """Between which revisions each host broke, as far as it was asked."""
        found: dict[tuple[int, int], list[str]] = {}
        for host in self.hosts:
            bad = [index for index in self._known(host, State.BAD) if index > self.taken]
            if bad:
                low = max(index for index in self._known(host, State.GOOD) if index < min(bad))
                found.setdefault((low, min(bad)), []).append(host)
        return tuple(
            Culprit(
                tuple(sorted(hosts)),
                None if low == LOCKED else self.revisions[low],
                self.revisions[high],
                exact=self._complete and high - low == 1,
            )
            for (low, high), hosts in sorted(found.items(), reverse=True)
        )

    def find_first_bad(self) -> None:
        """Find the first bad revision of each host: most often it is the one that broke another."""
        seen: dict[int, None] = {}
        for host in self.hosts:
            self._ask(host, self._tip)
            for index in seen:
                if self.taken < index < self._tip and self._ask(host, index) is State.BAD:
                    self._ask(host, index - 1)
            bad = [index for index in self._known(host, State.BAD) if index > self.taken]
            if bad:
                low = max(index for index in self._known(host, State.GOOD) if index < min(bad))
                seen[self._bisect(host, low, min(bad))[1]] = None

    # -- moving --------------------------------------------------------------------------------------------

    def _take_newest_good(self, host: str, floor: int, roof: int) -> None:
        """Judge whole the newest good one between; where another host breaks, go on below with that one."""
        while roof > self.taken:
            index, _ = self._bisect(host, floor, roof)
            if index <= self.taken:
                return
            broken = self._broken(index)
            if broken is None:
                self.taken = index
                self.responses.watch(Passed(thawed(self.selection(index))))
                return
            host, roof, floor = broken, index, self.taken

    def _broken(self, index: int) -> str | None:
        """A host that is not good at this revision: those known to break first, then the whole fleet."""
        self._questions += 1
        selection = self.selection(index)
        states = self.responses.ask(selection, self.hosts, Level.BUILD)
        broken = [host for host in self.hosts if states[host] is not State.GOOD] or self.responses.whole(selection)
        for host in broken:
            if host not in self.hosts:
                self.hosts.append(host)
            if states.get(host) is not State.UNKNOWN:  # else it stays what it was
                self._levels[host] = self.responses.level(host, selection)
        return broken[0] if broken else None

    def _bisect(self, host: str, low: int, high: int) -> tuple[int, int]:
        """Narrow `low` (good) and `high` (not good) until nothing between can be judged."""
        top, asked = high, 0
        about = math.ceil(math.log2(max(2, high - low))) + 1
        skipped: set[int] = set()
        while True:
            known_good = [index for index in self._known(host, State.GOOD) if low < index < high]
            low = max(known_good, default=low)
            high = min((index for index in self._known(host, State.BAD) if low < index < high), default=high)
            index = None if len(skipped) >= SKIPS else _next(low, high, top, skipped, asked_aside=len(skipped))
            if index is None:
                return low, high
            asked += 1
            self.responses.watch(Looking(host, (self.input,), asked, max(about, asked), revisions=True))
            match self._ask(host, index):
                case State.GOOD:
                    low = index
                case State.BAD:
                    high = index
                case State.UNKNOWN:
                    skipped.add(index)

    def _ask(self, host: str, index: int) -> State:
        self._questions += index not in self._asked
        self._asked.add(index)
        return self.responses.ask(self.selection(index), [host], self._levels[host])[host]

    def _known(self, host: str, state: State) -> list[int]:
        level = self._levels[host]
        return [
            index
            for index in sorted(self._asked)
            if self.responses.state(host, self.selection(index), level) is state
        ]

    def _widest_gap(self, host: str) -> tuple[int, int] | None:
        """The two neighbouring bad revisions above the one taken with the most unasked ones between."""
        bad = [index for index in self._known(host, State.BAD) if index > self.taken]
        gaps = [(high - low, low, high) for low, high in pairwise(bad) if high - low > 1]
        if not gaps:
            return None
        _, low, high = max(gaps)
        return low, high


def _next(low: int, high: int, top: int, skipped: set[int], *, asked_aside: int) -> int | None:
    """The revision that halves the chance of where the first bad one is, in (low, high]; None: nothing is left.

    `top` is where the search began, from which "recent" is counted.
    """
    open_ = [index for index in range(low + 1, high) if index not in skipped]
    if not open_:
        return None
    weights = _weights(low, high, top)
    share = _STEPS_ASIDE[asked_aside % len(_STEPS_ASIDE)]
    goal, total = share * sum(weights), 0.0
    best, distance = open_[0], math.inf
    for index, weight in zip(range(low + 1, high), weights, strict=False):
        total += weight
        if index not in skipped and abs(total - goal) < distance:
            best, distance = index, abs(total - goal)
    return best


def _weights(low: int, high: int, top: int) -> list[float]:
    """The chance that a revision is the first bad one, for each in (low, high], not normalised."""
    count = top - LOCKED
    harmonic = math.log(count) + 0.58 if count else 1.0
    return [
        RECENT / (harmonic * (top - index + 1)) + (1 - RECENT) / max(1, count)
        for index in range(low + 1, high + 1)
    ]
