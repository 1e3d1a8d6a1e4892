"""Where something broke between a good and a bad end, by few questions: the first bad one of a line, and the
smallest part of a change that is bad.

Whoever answers is handed in. A question is dear (somebody's program is run), a look is cheap: it tells which ones
are the same thing, of which one answer holds for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from lockbot.search.interface import State

SKIPS = 16
"""How many that can't be told are stepped over between one good and one bad, at least."""
_STEPS_ASIDE = (1 / 2, 1 / 4, 3 / 4, 1 / 8, 7 / 8, 3 / 8, 5 / 8)
"""Where to go on beside what can't be told: far off, for such ones come in runs."""


@dataclass(frozen=True)
class Span:
    """`low` is good and `high` bad. What lies between, if anything, could not be told."""

    low: int
    high: int

    @property
    def exact(self) -> bool:
        return self.high - self.low == 1

    @property
    def among(self) -> range:
        """What may be the first bad one."""
        return range(self.low + 1, self.high + 1)


@dataclass(frozen=True)
class Question:
    """Is `index` good? `low` is, `high` is not; about `left` questions are left, with this one."""

    index: int
    low: int
    high: int
    left: int


Ask = Callable[[Question], State]
Look = Callable[[Sequence[int]], Mapping[int, Hashable]]
"""What each of these is: equal ones are the same thing. What is left out can't be told."""
AskSet = Callable[[frozenset[str], int], State]
"""Is it good with these parts? About so many questions are left, with this one."""


def find_first_bad(last: int, ask: Ask, look: Look, *, at_once: int = 1) -> Span:
    """0 is good and `last` is bad: halve what lies between, looking at no more than `at_once` of it at a time.

    No question is asked of what is known to be the same as something that was asked about. Where goodness comes
    and goes, it is one of the places at which it goes.
    """
    return _Halving(last, ask, look, at_once).run()


class _Halving:
    def __init__(self, last: int, ask: Ask, look: Look, at_once: int) -> None:
        self._low, self._high = 0, last
        self._ask = ask
        self._look = look
        self._at_once = at_once
        self._skips = max(SKIPS, 3 * at_once)
        self._seen: dict[int, Hashable | None] = dict.fromkeys((0, last))
        self._states: dict[Hashable, State] = {}

    def run(self) -> Span:
        if self._high - self._low > 1:
            self._see([self._low, self._high])
            for end, state in ((self._low, State.GOOD), (self._high, State.BAD)):
                if (kind := self._seen[end]) is not None:
                    self._states[kind] = state
        while True:
            self._settle()
            unseen = [index for index in self._between() if index not in self._seen]
            skipped = sum(index in self._seen for index in self._between())
            if not unseen or skipped >= self._skips:
                return Span(self._low, self._high)
            self._see(_spread(unseen, self._at_once, skipped))

    def _between(self) -> range:
        return range(self._low + 1, self._high)

    def _see(self, indexes: Sequence[int]) -> None:
        found = self._look(indexes)
        self._seen.update({index: found.get(index) for index in indexes})

    def _settle(self) -> None:
        """Ask until nothing that was looked at, between the two ends, can still be told."""
        skipped = 0
        while True:
            self._take_known()
            open_ = self._open()
            if not open_:
                return
            index = open_[int(_STEPS_ASIDE[skipped % len(_STEPS_ASIDE)] * len(open_))]
            state = self._ask(Question(index, self._low, self._high, self._left(len(open_))))
            self._states[self._seen[index]] = state
            skipped = skipped + 1 if state is State.UNKNOWN else 0

    def _open(self) -> list[int]:
        """One of each thing between the ends that nothing is known of."""
        first: dict[Hashable, int] = {}
        for index in self._between():
            kind = self._seen.get(index)
            if kind is not None and kind not in self._states:
                first.setdefault(kind, index)
        return list(first.values())

    def _take_known(self) -> None:
        for index in self._between():
            if index >= self._high:
                return
            match self._states.get(self._seen.get(index)):
                case State.GOOD:
                    self._low = index
                case State.BAD:
                    self._high = index
                case _:
                    pass

    def _left(self, things: int) -> int:
        is_whole = all(index in self._seen for index in self._between())
        return math.ceil(math.log2(things + 1 if is_whole else self._high - self._low))


def _spread(unseen: Sequence[int], most: int, skipped: int) -> list[int]:
    """At most so many, at equal distances; a single one in the middle, or aside when that could not be told."""
    if len(unseen) <= most:
        return list(unseen)
    if most == 1:
        return [unseen[int(_STEPS_ASIDE[skipped % len(_STEPS_ASIDE)] * len(unseen))]]
    return [unseen[len(unseen) * number // (most + 1)] for number in range(1, most + 1)]


@dataclass(frozen=True)
class Culprits:
    """The smallest set that is bad. Not `exact`: for want of answers, some may have nothing to do with it."""

    parts: tuple[str, ...]
    exact: bool


def smallest_bad(parts: Sequence[str], ask: AskSet) -> Culprits:
    """All `parts` together are bad, none of them is good: which are needed for that?

    Halves what may still be it until one part makes the difference, and begins anew on top of that where it is not
    bad by itself.
    """
    return _Smallest(parts, ask).run()


class _Smallest:
    def __init__(self, parts: Sequence[str], ask: AskSet) -> None:
        self._parts = tuple(parts)
        self._ask = ask
        self._states: dict[frozenset[str], State] = {
            frozenset(): State.GOOD,
            frozenset(parts): State.BAD,
        }

    def run(self) -> Culprits:
        core: frozenset[str] = frozenset()
        above = frozenset(self._parts)
        while core != above:
            core, above = self._with_another(core, above)
            if self._state(core, 1) is State.BAD:
                break
        needed = self._needed(core)
        exact = all(self._states[needed - {part}] is State.GOOD for part in needed)
        return Culprits(tuple(part for part in self._parts if part in needed), exact)

    def _with_another(self, core: frozenset[str], above: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
        """The core with the part that makes what is `above` it bad, and the smaller bad set that showed it."""
        gap = [part for part in self._parts if part in above - core]
        sets = [core | frozenset(gap[:length]) for length in range(len(gap) + 1)]
        span = find_first_bad(
            len(gap),
            lambda question: self._state(sets[question.index], question.left),
            lambda indexes: {index: index for index in indexes},
        )
        return core | frozenset(gap[span.low : span.high]), sets[span.high]

    def _needed(self, core: frozenset[str]) -> frozenset[str]:
        """Without what it is bad without: there may be some where more change can mend."""
        for part in sorted(core):
            less = core - {part}
            if self._state(less, len(core)) is State.BAD:
                return self._needed(less)
        return core

    def _state(self, some: frozenset[str], left: int) -> State:
        if some not in self._states:
            self._states[some] = self._ask(some, left)
        return self._states[some]
