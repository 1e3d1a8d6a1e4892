"""What a search asks and what it answers: the words between the search and the cycle that runs it.

Only values, and the memory of what was asked. It knows nothing of Nix, git or how a question is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

Picks = Mapping[str, str]
"""Input → revision it is moved to. An input that is missing stays as it is locked."""


@dataclass(frozen=True)
class Answer:
    """What is known of the hosts that were asked about; those not named here are good."""

    red: frozenset[str] = frozenset()
    """Hosts that fail by the change's fault."""
    unknown: frozenset[str] = frozenset()
    """Hosts that could not be judged: neither good nor bad."""
    at_evaluation: frozenset[str] = frozenset()
    """Those of `red` that already fail to evaluate: `Trial.evaluate` would find them red, too."""
    suspects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Host → inputs that its error names, most likely first. Where to look first, never a verdict."""


class BudgetSpent(Exception):
    """Raised by a trial instead of answering: the best so far is the result."""


class Trial(Protocol):
    """Decides questions. Asking again costs nothing, host by host: a fleet whose every host was asked is free.

    Base is `{}`: there every host counts as good, for a host that was broken before is nobody's fault.
    """

    def probe(self, picks: Picks, hosts: frozenset[str] | None) -> Answer:
        """Evaluate and build these hosts; None: the whole fleet. Raises BudgetSpent."""
        ...

    def evaluate(self, picks: Picks, hosts: frozenset[str]) -> Answer:
        """Evaluate only, so `red` is what fails there. One that can't do less may probe. Raises BudgetSpent."""
        ...

    def revisions(self, input: str) -> Sequence[str]:
        """What an input can be moved to, oldest first, its tip last; empty where that is not known."""
        ...


class Reason(StrEnum):
    """Why a unit is not at its tip."""

    BREAKS = "breaks"
    BREAKS_TOGETHER = "breaks together with"
    NEEDS = "breaks without"
    """It works only together with others, which could not be taken."""
    UNJUDGED = "could not be judged"
    BUDGET = "budget"
    STRATEGY = "all or nothing"
    """Nobody looked: something among all that moves together is red."""

    @property
    def blames(self) -> bool:
        """Whether the unit, alone or with others, is what breaks hosts."""
        return self in (Reason.BREAKS, Reason.BREAKS_TOGETHER, Reason.NEEDS)


@dataclass(frozen=True)
class Culprit:
    """Between which revisions of an input these hosts broke."""

    hosts: tuple[str, ...]
    last_good: str | None
    """None: the locked revision."""
    first_bad: str
    between: int
    """How many revisions lie between the two, unjudged; 0: `first_bad` is the culprit."""

    @property
    def exact(self) -> bool:
        return self.between == 0


@dataclass(frozen=True)
class Finding:
    """A unit that is not at its tip, and why."""

    inputs: tuple[str, ...]
    reason: Reason
    hosts: tuple[str, ...] = ()
    """What broke, or could not be judged."""
    partners: tuple[str, ...] = ()
    """The other inputs of `breaks together with` and `breaks without`."""
    revision: str | None = None
    """Where it was moved instead: the newest revision found that passes; None: it stays as locked."""
    culprits: tuple[Culprit, ...] = ()
    """The latest first; the last is what keeps it where it is."""
    ended: bool = False
    """The budget was spent before it was known how far it can move: more might be found."""


@dataclass(frozen=True)
class Found:
    """The best that passed as a whole, and what is not in it."""

    picks: Picks
    """Judged with `hosts=None` and good everywhere; empty: nothing can be taken."""
    steps: tuple[Picks, ...]
    """What to publish in turn, each judged whole and containing the one before; the last is `picks`."""
    findings: tuple[Finding, ...]
    complete: bool
    """False: the budget ended it, and more might be found."""


@dataclass(frozen=True)
class Judging:
    """The whole fleet is about to be judged with these."""

    picks: Picks


@dataclass(frozen=True)
class Passed:
    """The whole fleet is good with these, and they are the best so far: could be published as they are."""

    picks: Picks


@dataclass(frozen=True)
class Looking:
    """One host is asked about. `inputs`: what may still be it; revisions of one input when there is one."""

    host: str
    inputs: tuple[str, ...]
    probe: int
    about: int
    """How many probes this question takes, guessed."""
    revisions: bool = False


Step = Judging | Passed | Looking
Watch = Callable[[Step], None]


def unwatched(step: Step) -> None:
    """The watch of nobody."""


class State(StrEnum):
    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


class Level(StrEnum):
    """How deep to look: a host that fails to evaluate need not be built to see it."""

    EVALUATION = "evaluation"
    BUILD = "build"


Point = frozenset[tuple[str, str]]
"""Picks as a set, to be compared and remembered."""


class Memory:
    """Asks the trial, and keeps every answer by host, level and point."""

    def __init__(self, trial: Trial, watch: Watch) -> None:
        self.trial = trial
        self.watch = watch
        self._states: dict[tuple[str, Level], dict[Point, State]] = {}
        self._wholes: dict[Point, Answer] = {}
        self._suspects: dict[tuple[str, Point], tuple[str, ...]] = {}

    def state(self, host: str, point: Point, level: Level) -> State | None:
        """What is known without asking."""
        if not point:
            return State.GOOD
        known = self._states.get((host, level), {}).get(point)
        if known is None and point in self._wholes:
            return State.GOOD  # whatever was not good is in _states
        return known

    def ask(self, point: Point, hosts: Iterable[str], level: Level) -> dict[str, State]:
        hosts = tuple(hosts)
        missing = frozenset(host for host in hosts if self.state(host, point, level) is None)
        if missing:
            picks = dict(sorted(point))
            question = self.trial.probe if level is Level.BUILD else self.trial.evaluate
            self._record(point, missing, level, question(picks, missing))
        known = {host: self.state(host, point, level) for host in hosts}
        return {host: state for host, state in known.items() if state is not None}

    def whole(self, point: Point) -> tuple[str, ...]:
        """Judge the whole fleet; the hosts that are not good, those that fail to evaluate first."""
        if not point:
            return ()
        if point not in self._wholes:
            picks = dict(sorted(point))
            self.watch(Judging(picks))
            answer = self.trial.probe(picks, None)
            self._record(point, answer.red | answer.unknown, Level.BUILD, answer)
            self._wholes[point] = answer
        answer = self._wholes[point]
        red = sorted(answer.red, key=lambda host: (host not in answer.at_evaluation, host))
        return (*red, *sorted(answer.unknown - answer.red))

    def level(self, host: str, point: Point) -> Level:
        """The cheapest level at which this host is known not to be good."""
        at_evaluation = self.state(host, point, Level.EVALUATION)
        return Level.BUILD if at_evaluation in (State.GOOD, None) else Level.EVALUATION

    def known(self, host: str, level: Level, state: State) -> Iterator[Point]:
        yield from (point for point, is_ in self._states.get((host, level), {}).items() if is_ is state)
        if state is State.GOOD:
            yield from (point for point in self._wholes if self.state(host, point, level) is State.GOOD)

    def suspects(self, host: str, point: Point) -> tuple[str, ...]:
        return self._suspects.get((host, point), ())

    def _record(self, point: Point, hosts: frozenset[str], level: Level, answer: Answer) -> None:
        for host in hosts:
            if named := answer.suspects.get(host):
                self._suspects[host, point] = tuple(named)
            if host in answer.red:
                state, evaluated = State.BAD, State.BAD if host in answer.at_evaluation else State.GOOD
            elif host in answer.unknown:
                state = evaluated = State.UNKNOWN
            else:
                state = evaluated = State.GOOD
            if level is Level.BUILD:
                self._states.setdefault((host, Level.BUILD), {})[point] = state
                self._states.setdefault((host, Level.EVALUATION), {})[point] = evaluated
            else:
                self._states.setdefault((host, Level.EVALUATION), {})[point] = state
                if state is State.BAD:  # what can't be evaluated can't be built
                    self._states.setdefault((host, Level.BUILD), {})[point] = state
