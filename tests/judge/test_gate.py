"""The gate's table, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product

import pytest

from lockbot.judge import gate
from lockbot.judge.gate import Vote
from lockbot.model import (
    Answer,
    Failure,
    FailureKind,
    Gate,
    Host,
    HostBuild,
    HostStatus,
    Judgement,
)

GOOD, BAD, UNJUDGED = Answer.GOOD, Answer.BAD, Answer.UNJUDGED
FOR, NOTHING, BLOCKS, BLAMES = Vote.FOR, Vote.NOTHING, Vote.BLOCKS, Vote.BLAMES

TABLE: Mapping[tuple[Answer | None, Answer], Vote] = {
    (GOOD, GOOD): FOR,
    (GOOD, BAD): BLAMES,
    (GOOD, UNJUDGED): BLOCKS,
    (BAD, GOOD): FOR,
    (BAD, BAD): NOTHING,
    (BAD, UNJUDGED): BLOCKS,
    (UNJUDGED, GOOD): FOR,
    (UNJUDGED, BAD): BLOCKS,
    (UNJUDGED, UNJUDGED): NOTHING,
    (None, GOOD): FOR,
    (None, BAD): BLAMES,
    (None, UNJUDGED): BLOCKS,
}
_EVIDENCE = {GOOD: "built", BAD: "build", UNJUDGED: "timeout"}


def judgement(answer: Answer, *, evaluated: bool = True) -> Judgement:
    return Judgement(answer, _EVIDENCE[answer], evaluated)


@pytest.mark.parametrize(("before", "now"), TABLE)
def test_every_cell(before: Answer | None, now: Answer) -> None:
    was = judgement(before) if before is not None else None
    said = TABLE[before, now]
    assert gate.vote(was, judgement(now), Gate.NO_REGRESSION) is said
    green = BLOCKS if said is NOTHING else said
    assert gate.vote(was, judgement(now), Gate.ALL_GREEN) is green


@pytest.mark.parametrize("answer", Answer)
def test_a_host_that_is_left_alone_says_nothing(answer: Answer) -> None:
    same = judgement(answer)
    assert gate.vote(same, same, Gate.NO_REGRESSION, changed=False) is NOTHING
    green = NOTHING if answer is GOOD else BLOCKS
    assert gate.vote(same, same, Gate.ALL_GREEN, changed=False) is green


def test_what_evaluated_before_and_does_not_now_is_broken_by_the_change() -> None:
    before = judgement(UNJUDGED)
    assert gate.vote(before, judgement(BAD, evaluated=False), Gate.NO_REGRESSION) is BLAMES
    never = judgement(UNJUDGED, evaluated=False)
    assert gate.vote(never, judgement(BAD, evaluated=False), Gate.NO_REGRESSION) is BLOCKS


def test_what_nothing_here_can_build_is_never_asked_to_be_green() -> None:
    other = Judgement(UNJUDGED, FailureKind.PLATFORM)
    assert gate.vote(other, other, Gate.ALL_GREEN) is NOTHING
    assert gate.vote(judgement(GOOD), other, Gate.ALL_GREEN) is BLOCKS


def build_of(
    name: str, before: Answer | None, now: Answer, *, changed: bool = True, drv: str | None = None
) -> HostBuild:
    status = HostStatus.UNCHANGED
    if changed and now is BAD:
        status = HostStatus.BROKEN_BEFORE if before is BAD else HostStatus.FAILED
    elif changed:
        status = HostStatus.BUILT if now is GOOD else HostStatus.UNJUDGED
    failure = None if now is GOOD else Failure(FailureKind(_EVIDENCE[now]), "as told")
    was = judgement(before) if before is not None else None
    return HostBuild(Host(name, (name,)), status, drv, None, None, failure, judgement(now), was)


@pytest.mark.parametrize(("cells"), [*combinations(TABLE, 2), *((cell,) for cell in TABLE)])
def test_a_fleet_passes_when_none_blocks_and_one_speaks(cells: Sequence[tuple[Answer | None, Answer]]) -> None:
    builds = [build_of(str(number), *cell) for number, cell in enumerate(cells)]
    votes = {TABLE[cell] for cell in cells}
    assert gate.publishable(builds, Gate.NO_REGRESSION) == (not votes & {BLOCKS, BLAMES} and FOR in votes)
    assert gate.publishable([], Gate.NO_REGRESSION), "what changes no host may be published"
    assert gate.publishable([build_of("x", BAD, BAD, changed=False)], Gate.NO_REGRESSION)


def test_no_cell_is_left_out() -> None:
    assert set(TABLE) == set(product((*Answer, None), Answer))


@pytest.mark.parametrize("gate_", Gate)
def test_each_gate_says_whether_a_host_must_be_good(gate_: Gate) -> None:
    before, now = judgement(BAD), judgement(BAD)
    assert gate.vote(before, now, gate_) is (BLOCKS if gate.must_be_good(gate_) else NOTHING)


def test_a_gate_that_nobody_has_decided_on_acts_as_no_other() -> None:
    with pytest.raises(AssertionError):
        gate.must_be_good("majority-green")  # type: ignore[arg-type]  # what a third gate would be, forgotten here
