"""What a search asks and what comes of it: the interface between the search and whoever runs it.

Only values, and the one Protocol that is to be implemented: `Oracle`. Nothing here knows of Nix, git or how a
question is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

Selection = Mapping[str, str]
"""Input → revision it is moved to. An input that is missing stays as it is locked."""

FrozenSelection = frozenset[tuple[str, str]]
"""A selection as a set, to be compared and remembered."""


def thawed(selection: FrozenSelection) -> Selection:
    """The same as a mapping, by the inputs' names."""
    return dict(sorted(selection))


@dataclass(frozen=True)
class RevisionRange:
    """What an input could be moved to, oldest first, the target the last; empty where that is not known."""

    revisions: tuple[str, ...] = ()
    complete: bool = False
    """Whether they are all that there are after the locked one: between two of them lies no other."""


@dataclass(frozen=True)
class Response:
    """What is known of the hosts that were asked about; those not named here are good."""

    red: frozenset[str] = frozenset()
    """Hosts that fail by the change's fault."""
    unknown: frozenset[str] = frozenset()
    """Hosts that could not be judged: neither good nor bad."""
    at_evaluation: frozenset[str] = frozenset()
    """Those of `red` that already fail to evaluate: `Oracle.evaluate` would find them red, too."""
    suspects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Host → inputs that its error names, most likely first. Where to look first, never a verdict."""


class BudgetSpent(Exception):
    """Raised by an oracle instead of answering: the best so far is the result."""


class Oracle(Protocol):
    """A test oracle: tells which hosts are good with a selection. Asking again costs nothing, host by host: a
    fleet whose every host was asked is free.

    Base is `{}`: there every host counts as good, for a host that was broken before is nobody's fault.
    """

    def probe(self, selection: Selection, hosts: frozenset[str] | None) -> Response:
        """Evaluate and build these hosts; None: the whole fleet. Raises BudgetSpent."""
        ...

    def evaluate(self, selection: Selection, hosts: frozenset[str]) -> Response:
        """Evaluate only, so `red` is what fails there. One that can't do less may probe. Raises BudgetSpent."""
        ...

    def revisions(self, input: str) -> RevisionRange:
        """What an input can be moved to, up to its tip."""
        ...


class FindingReason(StrEnum):
    """Why an update group is not at its tip."""

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
        """Whether the group, alone or with others, is what breaks hosts."""
        return self in (FindingReason.BREAKS, FindingReason.BREAKS_TOGETHER, FindingReason.NEEDS)


@dataclass(frozen=True)
class Culprit:
    """Between which revisions of an input these hosts broke."""

    hosts: tuple[str, ...]
    last_good: str | None
    """None: the locked revision."""
    first_bad: str
    exact: bool
    """Whether `first_bad` is the culprit for sure: no other revision lies between the two."""


@dataclass(frozen=True)
class Finding:
    """An update group that is not at its tip, and why."""

    inputs: tuple[str, ...]
    reason: FindingReason
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
class SearchResult:
    """The best that passed as a whole, and what is not in it."""

    selection: Selection
    """Judged with `hosts=None` and good everywhere; empty: nothing can be taken."""
    steps: tuple[Selection, ...]
    """What to publish in turn, each judged whole and containing the one before; the last is `selection`."""
    findings: tuple[Finding, ...]
    complete: bool
    """False: the budget ended it, and more might be found."""


@dataclass(frozen=True)
class Judging:
    """The whole fleet is about to be judged with this selection."""

    selection: Selection


@dataclass(frozen=True)
class Passed:
    """The whole fleet is good with this selection, the best so far: it could be published as it is."""

    selection: Selection


@dataclass(frozen=True)
class Looking:
    """One host is asked about. `inputs`: what may still be it; revisions of one input when there is one."""

    host: str
    inputs: tuple[str, ...]
    probe: int
    about: int
    """How many probes this question takes, guessed."""
    revisions: bool = False


SearchEvent = Judging | Passed | Looking
Watch = Callable[[SearchEvent], None]


def unwatched(event: SearchEvent) -> None:
    """The watch of nobody."""


class State(StrEnum):
    """What is known of one host at one selection."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


class Level(StrEnum):
    """How deep to look: a host that fails to evaluate need not be built to see it."""

    EVALUATION = "evaluation"
    BUILD = "build"
