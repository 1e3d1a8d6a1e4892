"""The first bad one of a line, and the smallest bad part of a change: over worlds made at random."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from lockbot.search.first_bad import Question, Span, find_first_bad, smallest_bad
from lockbot.search.interface import State
from tests.search.worlds import seeded

GOOD, BAD, UNKNOWN = State.GOOD, State.BAD, State.UNKNOWN


@dataclass
class Line:
    """What each commit is (None: it can't be told), and how each thing is; everything that was asked."""

    kinds: Sequence[str | None]
    states: Mapping[str, State]
    asked: list[Question] = field(default_factory=list)
    looks: list[Sequence[int]] = field(default_factory=list)

    def look(self, indexes: Sequence[int]) -> dict[int, str]:
        self.looks.append(indexes)
        return {index: kind for index in indexes if (kind := self.kinds[index]) is not None}

    def ask(self, question: Question) -> State:
        self.asked.append(question)
        kind = self.kinds[question.index]
        assert kind is not None, "what can't be told is not asked about"
        return self.states[kind]

    def state(self, index: int) -> State:
        kind = self.kinds[index]
        return UNKNOWN if kind is None else self.states[kind]

    def find(self, at_once: int) -> Span:
        return find_first_bad(len(self.kinds) - 1, self.ask, self.look, at_once=at_once)


def line(chance: random.Random, *, lost: float = 0.0, unknown: float = 0.0) -> Line:
    """Things that stay for some commits each; from one of them on, all are bad."""
    lengths = [chance.choice((1, 1, 1, 2, 5)) for _ in range(chance.randint(2, 40))]
    names = [name for number, length in enumerate(lengths) for name in [f"d{number}"] * length]
    first = chance.randint(1, len(lengths) - 1)
    states = {f"d{number}": BAD if number >= first else GOOD for number in range(len(lengths))}
    middle = [f"d{number}" for number in range(1, len(lengths) - 1)]
    states |= {name: UNKNOWN for name in middle if chance.random() < unknown}
    ends = {0, len(names) - 1}
    kinds = [None if chance.random() < lost and index not in ends else name for index, name in enumerate(names)]
    return Line(kinds, states)


WORLDS = range(400)


@pytest.mark.parametrize("at_once", [1, 4, 32])
def test_the_first_bad_one_is_found_by_halving(at_once: int) -> None:
    for seed in WORLDS:
        world = line(seeded(seed))
        span = world.find(at_once)
        assert span.exact, seed
        assert (world.state(span.low), world.state(span.high)) == (GOOD, BAD), seed
        kinds = [world.kinds[question.index] for question in world.asked]
        assert len(kinds) == len(set(kinds)), "no thing is asked about twice"
        assert not {world.kinds[0], world.kinds[-1]} & set(kinds), "the ends are known"
        size = len(world.kinds)
        rounds = math.ceil(math.log(size, at_once + 1)) if at_once > 1 else 0
        assert len(kinds) <= math.ceil(math.log2(size)) + rounds, seed


def test_looking_at_all_of_it_saves_questions() -> None:
    for seed in WORLDS:
        world = line(seeded(seed))
        world.find(len(world.kinds))
        assert len(world.asked) <= math.ceil(math.log2(max(2, len(set(world.kinds)) - 1))), seed


@pytest.mark.parametrize("at_once", [1, 32, 1000])
def test_what_is_told_of_the_questions_left_is_about_right(at_once: int) -> None:
    """With all of it looked at there is one at most for each thing; before, each commit may be a thing."""
    for seed in WORLDS:
        world = line(seeded(seed))
        world.find(at_once)
        for left, question in enumerate(reversed(world.asked), start=1):
            assert left <= question.left + 1, seed
            things = len({*world.kinds[question.low + 1 : question.high]} - {world.kinds[question.high]})
            among = things + 1 if at_once == 1000 else question.high - question.low
            assert question.left <= math.ceil(math.log2(among)), seed
            assert world.state(question.low) is GOOD and world.state(question.high) is BAD


@pytest.mark.parametrize("at_once", [1, 2, 4, 32])
def test_it_looks_at_so_many_at_a_time_and_as_often_as_that_takes(at_once: int) -> None:
    """Spread evenly over what is left: each look leaves one of `at_once` + 1 parts."""
    for size in (2, 3, 9, 33, 34, 100):
        for first in range(1, size):
            kinds = [f"d{index}" for index in range(size)]
            world = Line(kinds, {kind: BAD if index >= first else GOOD for index, kind in enumerate(kinds)})
            assert world.find(at_once) == Span(first - 1, first)
            looked = [index for one in world.looks for index in one]
            assert len(looked) == len(set(looked)), "nothing is looked at twice"
            assert all(0 < len(one) <= at_once for one in world.looks[1:]), "the first is at both ends"
            rounds, left = 0, size - 2
            while left:
                rounds, left = rounds + 1, left // (at_once + 1)
            assert len(world.looks) <= 1 + rounds, (size, first)


def test_it_looks_at_one_at_a_time_where_nothing_else_is_said() -> None:
    world = Line(
        [f"d{index}" for index in range(9)], {f"d{index}": BAD if index > 2 else GOOD for index in range(9)}
    )
    assert find_first_bad(8, world.ask, world.look) == Span(2, 3)
    assert {len(one) for one in world.looks[1:]} == {1}


def test_where_nothing_lies_between_nobody_looks() -> None:
    world = Line(["good", "bad"], {"good": GOOD, "bad": BAD})
    assert world.find(1) == Span(0, 1)
    assert not world.looks and not world.asked


@pytest.mark.parametrize("at_once", [1, 8, 32])
def test_as_many_that_can_not_be_told_as_three_looks_see_hide_nothing(at_once: int) -> None:
    for seed in range(100):
        chance = seeded(seed)
        told = [f"d{index}" for index in range(chance.randint(2, 20))]
        first = chance.randint(1, len(told) - 1)
        kinds: list[str | None] = list(told)
        for _ in range(chance.randint(0, max(16, 3 * at_once) - 1)):
            kinds.insert(chance.choice((kinds.index(told[first]), chance.randint(1, len(kinds) - 1))), None)
        world = Line(kinds, {kind: BAD if number >= first else GOOD for number, kind in enumerate(told)})
        assert world.find(at_once) == Span(kinds.index(told[first - 1]), kinds.index(told[first])), seed


@pytest.mark.parametrize("at_once", [1, 32])
def test_only_what_could_not_be_told_is_left_between(at_once: int) -> None:
    for seed in WORLDS:
        world = line(seeded(seed), lost=0.3, unknown=0.2)
        span = world.find(at_once)
        assert (world.state(span.low), world.state(span.high)) == (GOOD, BAD), seed
        between = [world.state(index) for index in range(span.low + 1, span.high)]
        assert set(between) <= {UNKNOWN}, seed
        assert list(span.among) == [*range(span.low + 1, span.high), span.high]


def test_where_nothing_can_be_told_it_gives_up() -> None:
    kinds = ["good", *[None] * 1000, "bad"]
    world = Line(kinds, {"good": GOOD, "bad": BAD})
    assert world.find(1) == Span(0, 1001)
    assert sum(map(len, world.looks)) < 30 and not world.asked


def test_where_goodness_comes_and_goes_one_of_the_breaks_is_found() -> None:
    for seed in WORLDS:
        chance = seeded(seed)
        kinds = ["g", *(chance.choice("ghbc") for _ in range(30)), "b"]
        world = Line(kinds, {"g": GOOD, "h": GOOD, "b": BAD, "c": BAD})
        span = world.find(8)
        assert span.exact and (world.state(span.low), world.state(span.high)) == (GOOD, BAD)
        assert len(world.asked) <= 2


def subsets(parts: Sequence[str]) -> list[frozenset[str]]:
    sizes = range(len(parts) + 1)
    return [frozenset(some) for size in sizes for some in itertools.combinations(parts, size)]


PARTS = tuple("abcdefgh")


def test_the_smallest_bad_part_is_found() -> None:
    for seed in WORLDS:
        chance = seeded(seed)
        parts = PARTS[: chance.randint(1, len(PARTS))]
        conflicts = [
            frozenset(chance.sample(parts, min(len(parts), chance.choice((1, 1, 2, 3)))))
            for _ in range(chance.randint(1, 2))
        ]
        asked: list[frozenset[str]] = []

        def ask(some: frozenset[str], left: int, conflicts: object = conflicts, asked: object = asked) -> State:
            assert left > 0 and isinstance(asked, list) and isinstance(conflicts, list)
            asked.append(some)
            return BAD if any(one <= some for one in conflicts) else GOOD

        found = smallest_bad(parts, ask)
        assert found.exact
        assert frozenset(found.parts) in [one for one in conflicts if not any(o < one for o in conflicts)], seed
        assert len(asked) == len(set(asked)) and frozenset(parts) not in asked
        halving = math.ceil(math.log2(max(2, len(parts)))) + 2
        assert len(asked) <= len(found.parts) * halving, seed


def test_a_single_part_needs_no_question() -> None:
    assert smallest_bad(["a"], lambda *_: pytest.fail("asked")).parts == ("a",)


def test_what_is_found_is_bad_and_nothing_in_it_is_idle_whatever_the_world() -> None:
    """Also where more change mends what less of it breaks."""
    for seed in range(100):
        chance = seeded(seed)
        parts = PARTS[:5]
        states = {some: chance.choice((GOOD, BAD)) for some in subsets(parts)}
        states[frozenset()], states[frozenset(parts)] = GOOD, BAD
        found = smallest_bad(parts, lambda some, _, states=states: states[some])  # type: ignore[misc]  # a default binds it
        core = frozenset(found.parts)
        assert states[core] is BAD, seed
        assert all(states[core - {part}] is GOOD for part in core), seed


def test_of_parts_that_could_not_be_told_apart_none_is_blamed_for_sure() -> None:
    def ask(some: frozenset[str], _: int) -> State:
        both = len(some & {"b", "c"})
        return (GOOD, UNKNOWN, BAD)[both]

    found = smallest_bad("abcd", ask)
    assert (found.parts, found.exact) == (("b", "c"), False)


def test_who_is_blamed_for_sure_was_seen_to_be_needed_whatever_could_not_be_told() -> None:
    sure = 0
    for seed in range(600):
        chance = seeded(seed)
        parts = PARTS[: chance.randint(2, 5)]
        conflict = frozenset(chance.sample(parts, chance.randint(1, 3) if len(parts) > 2 else 1))
        states = {some: BAD if conflict <= some else GOOD for some in subsets(parts)}
        untold = {some: UNKNOWN for some in subsets(parts)[1:-1] if chance.random() < 0.2}
        told = states | untold
        found = smallest_bad(parts, lambda some, _, told=told: told[some])  # type: ignore[misc]  # a default binds it
        core = frozenset(found.parts)
        assert conflict <= core, seed
        assert found.exact == all(told[core - {part}] is GOOD for part in core), seed
        assert not found.exact or core == conflict, seed
        sure += found.exact
    assert sure > 200, "most often it can be said for sure"
