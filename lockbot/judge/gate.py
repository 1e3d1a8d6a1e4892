"""What one host's two answers say about a change, and whether a change may be published. Pure.

Each host is judged without the update (before) and with it:

    before \\ with it    good     bad        unjudged
    good                for      blames     blocks
    bad                 for      nothing    blocks
    unjudged            for      blocks *   nothing
    not there           for      blames     blocks

    * blames, where it could be evaluated before and can't be now.

A host that the change leaves alone (the same derivation) says nothing. A change is published only when no host
blames or blocks it, and at least one says "for" it; or when it is known to leave every host alone.

`blames` is the only word that puts a failure on an input: it was good without, and is bad with it. `blocks` keeps
a change out and accuses nobody. Where every host that a change reaches says nothing (broken before and after, or
unjudged on both sides), nothing speaks for it, and it is held.

With the gate `all-green` a host must be good whatever it was before: what would say nothing, blocks. Only one that
nothing here can build, before as after, says nothing still: it is evaluated, and could never be green.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import assert_never

from lockbot.model import Answer, FailureKind, Gate, HostBuild, HostStatus, Judgement


class Vote(StrEnum):
    """What one host says about a change."""

    FOR = "for"
    NOTHING = "nothing"
    BLOCKS = "blocks"
    """Not to be published; nobody's fault is shown."""
    BLAMES = "blames"
    """Not to be published: the change breaks it."""


def must_be_good(gate: Gate) -> bool:
    """Whether a host must be good whatever it was before: one that was broken blocks, and what is unchanged is
    built to see it. The one place where gates differ for a single host."""
    match gate:
        case Gate.NO_REGRESSION:
            return False
        case Gate.ALL_GREEN:
            return True
        case _:
            assert_never(gate)


def vote(before: Judgement | None, now: Judgement, gate: Gate, *, changed: bool = True) -> Vote:
    """`before` None: the host is new. `changed` False: it is the same derivation before and now."""
    said = Vote.NOTHING if not changed else _vote(before, now)
    if must_be_good(gate) and said is Vote.NOTHING and now.answer is not Answer.GOOD:
        return Vote.NOTHING if _never_buildable(before, now) else Vote.BLOCKS
    return said


def _vote(before: Judgement | None, now: Judgement) -> Vote:
    match now.answer:
        case Answer.GOOD:
            return Vote.FOR
        case Answer.BAD:
            if before is None or before.answer is Answer.GOOD:
                return Vote.BLAMES
            if before.answer is Answer.BAD:
                return Vote.NOTHING
            return Vote.BLAMES if before.evaluated and not now.evaluated else Vote.BLOCKS
        case Answer.UNJUDGED:
            return Vote.NOTHING if before is not None and before.answer is Answer.UNJUDGED else Vote.BLOCKS
        case _:
            assert_never(now.answer)


def _never_buildable(before: Judgement | None, now: Judgement) -> bool:
    return before is not None and before.evidence == now.evidence == FailureKind.PLATFORM


def of(build: HostBuild, gate: Gate) -> Vote:
    """What a judged host says. Raises AssertionError for one that was not judged (`here` is None)."""
    assert build.here is not None, f"{build.host.name} was not judged"
    return vote(build.base, build.here, gate, changed=build.status is not HostStatus.UNCHANGED)


def blocking(builds: Iterable[HostBuild], gate: Gate) -> tuple[HostBuild, ...]:
    """The hosts that keep a change from being published."""
    return tuple(build for build in builds if of(build, gate) in (Vote.BLOCKS, Vote.BLAMES))


def publishable(builds: Iterable[HostBuild], gate: Gate) -> bool:
    """Whether all of them together let a change pass."""
    votes = [(of(build, gate), build.status is not HostStatus.UNCHANGED) for build in builds]
    if any(said in (Vote.BLOCKS, Vote.BLAMES) for said, _ in votes):
        return False
    return any(said is Vote.FOR for said, _ in votes) or not any(changed for _, changed in votes)
