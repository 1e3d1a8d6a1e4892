"""What stands: hosts that are broken, inputs that are held, silence, failed runs. Pure: facts → conditions.

What could not be found out is neither: see `endings`, which leaves as it was told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from lockbot.history.input_states import InputState, StateWord
from lockbot.model import (
    Answer,
    Condition,
    CulpritCommit,
    HostBuild,
    HostStatus,
    Locked,
    NoticeKind,
    Outcome,
    Run,
)
from lockbot.report import words
from lockbot.report.escape import name as shown
from lockbot.report.terminal import headline

RUNS = "runs"
"""The subject of what is about no input and no host."""
HOLD_OF, JUDGING = "the hold of ", "judging "
"""What the subject of something silent begins with, where it is not the input itself."""
IN_VAIN = frozenset({Outcome.FAILED, Outcome.STALE, Outcome.UNJUDGED})
"""Outcomes that somebody should hear of. An interrupted run was ended by somebody who knows."""


@dataclass(frozen=True)
class InputFact:
    """How one input stands. `newest` is the tip that was seen last; `held`: by the user."""

    name: str
    state: InputState | None = None
    locked: Locked | None = None
    newest: str | None = None
    held: bool = False
    request: str = ""
    """The pull request that asks to take its newest revision, as one calls it."""

    @property
    def breaks(self) -> bool:
        """Whether it is kept back because hosts would break."""
        state = self.state
        held = state is not None and state.state is StateWord.HELD and not self.held
        return held and state is not None and state.reason.startswith("breaks")


@dataclass(frozen=True)
class Facts:
    """What is known of a flake. `judged`: its newest run that judged all hosts; `ended`: its newest one that has
    an outcome; `alarms`: what `lockbot status` raises, and the runs that did not take place; `hangs`: what to say
    of a run that does not end; `blind`: the lock can't be read, and nothing is known of inputs."""

    now: datetime
    inputs: tuple[InputFact, ...] = ()
    judged: Run | None = None
    ended: Run | None = None
    alarms: tuple[Condition, ...] = ()
    hangs: str = ""
    blind: bool = False


def of_input(name: str) -> str:
    return f"input {name}"


def of_host(name: str) -> str:
    return f"host {name}"


def standing(facts: Facts) -> tuple[Condition, ...]:
    """All conditions that stand; each kind and subject once."""
    found: dict[tuple[NoticeKind, str], Condition] = {}
    for one in (*_inputs(facts), *_hosts(facts), *facts.alarms, *_runs(facts)):
        found.setdefault((one.kind, one.subject), one)
    return tuple(found.values())


# -- inputs


def _inputs(facts: Facts) -> Iterator[Condition]:
    for fact in facts.inputs:
        if fact.breaks and fact.state is not None:
            yield _breaking(fact, fact.state, facts.judged)


def _breaking(fact: InputFact, state: InputState, judged: Run | None) -> Condition:
    hosts = state.culprit.hosts if state.culprit is not None else ()
    which = words.listed([shown(host) for host in hosts])
    return Condition(
        NoticeKind.BROKE,
        of_input(fact.name),
        f"{shown(fact.name)} is held back: its update breaks {which}",
        "\n".join(_breakage(fact, state)),
        inputs=(fact.name,),
        hosts=hosts,
        run=judged.id if judged is not None else None,
        since=state.since,
    )


def _breakage(fact: InputFact, state: InputState) -> Iterator[str]:
    """From which revision to which, and what is known of the commit that broke it."""
    if fact.locked is not None:
        upstream = f"; upstream is at {words.short(fact.newest)}" if fact.newest else ""
        yield f"{shown(fact.name)} stays at {words.state(fact.locked)}{upstream}."
    if state.detail:
        yield f"{shown(fact.name)} {state.detail}"
    if state.culprit is not None:
        yield from _culprit(state.culprit)


def _culprit(bad: CulpritCommit) -> Iterator[str]:
    if bad.exact and bad.subject.strip():
        who = f" by {bad.author}" if bad.author else ""
        when = f", {words.date(bad.date)}" if words.date(bad.date) else ""
        yield f"First bad commit: {words.short(bad.revision)} “{bad.subject.strip()}”{who}{when}"
    if bad.link:
        yield bad.link


# -- hosts


def _hosts(facts: Facts) -> Iterator[Condition]:
    run = facts.judged
    for build in run.hosts if run is not None else ():
        if run is not None and host_answer(run, build) is Answer.BAD:
            yield Condition(
                NoticeKind.BROKE,
                of_host(build.host.name),
                f"{shown(build.host.name)} {_how(run, build)}",
                _why(build),
                hosts=(build.host.name,),
                run=run.id,
            )


def host_answer(run: Run, build: HostBuild) -> Answer:
    """How a host is on the branch after a run; one that only an update breaks is told with the input that is held
    for it, or, where none is, by itself."""
    if build.status is HostStatus.FAILED and run.commit is None and not _blamed(run):
        return Answer.BAD
    branch = build.here if run.commit is not None else build.base
    if branch is not None:
        return branch.answer
    return _BY_STATUS.get(build.status, Answer.UNJUDGED)


_BY_STATUS = {HostStatus.BROKEN_BEFORE: Answer.BAD, HostStatus.NEW_AND_BROKEN: Answer.BAD}
"""Where a record does not say more."""


def _blamed(run: Run) -> bool:
    return any(held.reason.startswith("breaks") for held in run.held)


def _how(run: Run, build: HostBuild) -> str:
    if build.status is HostStatus.FAILED and run.commit is None:
        return "no longer builds with the update"
    if build.status is HostStatus.NEW_AND_BROKEN:
        return "is new, and does not build"
    return "does not build, with or without an update"


def _why(build: HostBuild) -> str:
    why = build.failure
    if why is None:
        return ""
    culprit = f" ({words.derivation(why.culprit)})" if why.culprit else ""
    return "\n".join([words.failed(why) + culprit, *why.tail[-_TAIL:]])


_TAIL = 5
"""Lines of a log; the rest is `lockbot show --log`."""


# -- runs


def _runs(facts: Facts) -> Iterator[Condition]:
    run = facts.ended
    if facts.hangs:
        yield Condition(NoticeKind.FAILED, RUNS, facts.hangs)
    elif run is not None and run.outcome in IN_VAIN:
        title, _ = headline(run)
        more = (run.error or "").strip().splitlines()[1:]
        yield Condition(
            NoticeKind.FAILED,
            RUNS,
            title,
            "\n".join([*more, run.hint or ""]).strip(),
            run=run.id,
            since=run.started,
        )
