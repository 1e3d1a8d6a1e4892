"""Imaginary fleets: a host's verdict is a pure function of the revisions of the inputs that it uses.

Counts what a search costs as a real oracle would: an evaluation per host and selection, a build per derivation,
each once. Knows by brute force what the best set is. Revisions are decimal numbers; 0 is locked, `count` is the
tip.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from lockbot.search.interface import BudgetSpent, FrozenSelection, Response, RevisionRange, Selection


@dataclass(frozen=True)
class Fault:
    """On each of `hosts`: not good while every input of `within` is at a revision in one of its ranges, and not
    mended: `mended_by` says which others, moved into range, make it good."""

    within: Mapping[str, tuple[tuple[int, int], ...]]
    """Input → half-open ranges of revisions."""
    hosts: frozenset[str]
    mended_by: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    at_evaluation: bool = True
    unknown: bool = False
    """It can't be judged there, instead of being bad."""

    def shows(self, at: Mapping[str, int]) -> bool:
        return _all_in(self.within, at) and not (self.mended_by and _all_in(self.mended_by, at))


def _all_in(ranges: Mapping[str, tuple[tuple[int, int], ...]], at: Mapping[str, int]) -> bool:
    return all(any(low <= at[name] < high for low, high in spans) for name, spans in ranges.items())


FOREVER = 10**9


def broken_since(revision: int) -> tuple[tuple[int, int], ...]:
    return ((revision, FOREVER),)


def coupled(
    one: str, other: str, hosts: Iterable[str] = ("web",), *, at_evaluation: bool = True
) -> tuple[Fault, Fault]:
    """Each breaks these hosts without the other."""
    first, second, broken = {one: broken_since(1)}, {other: broken_since(1)}, frozenset(hosts)
    return Fault(first, broken, second, at_evaluation), Fault(second, broken, first, at_evaluation)


def seeded(*what: object) -> random.Random:
    """Chance that comes out the same each time."""
    return random.Random(repr(what))  # noqa: S311 -- reproducible worlds, no secret


@dataclass(frozen=True)
class World:
    uses: Mapping[str, frozenset[str]]
    """Host → inputs."""
    inputs: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Input → how many revisions there are above the locked one; 1 where it is not named."""
    hints_right: tuple[float, float] = (0.8, 0.6)
    """How often an error names its input: at evaluation, when building."""
    seed: int = 0
    blurred: float = 0.0
    """The share of hosts and selections that can't be judged, at random."""

    def count(self, name: str) -> int:
        return self.counts.get(name, 1)

    @property
    def tips(self) -> dict[str, str]:
        return {name: str(self.count(name)) for name in self.inputs}

    def showing(self, host: str, selection: Selection) -> Fault | None:
        """What is seen of a host: the first fault at evaluation, else the first that building meets."""
        at = {name: int(selection.get(name, "0")) for name in self.inputs}
        seen = [fault for fault in self.faults if host in fault.hosts and fault.shows(at)]
        seen.sort(key=lambda fault: (not fault.unknown, not fault.at_evaluation))
        if (
            not seen
            and selection
            and self.blurred
            and self.chance("blur", host, sorted(selection.items())) < self.blurred
        ):
            return Fault({}, frozenset({host}), unknown=True)
        return seen[0] if seen else None

    def good(self, selection: Selection) -> bool:
        return all(self.showing(host, selection) is None for host in self.uses)

    def chance(self, *what: object) -> float:
        """In [0, 1), always the same for the same question."""
        digest = hashlib.blake2b(repr((self.seed, *what)).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    def largest(self, groups: Sequence[frozenset[str]]) -> int:
        """Brute force: how many of these groups can be at their tips at once, the others locked."""
        for size in range(len(groups), 0, -1):
            for chosen in combinations(groups, size):
                if self.good({name: self.tips[name] for group in chosen for name in group}):
                    return size
        return 0


@dataclass
class Bench:
    """An oracle over a world, and what it cost."""

    world: World
    budget: int = FOREVER
    """Evaluations of hosts."""
    probes: list[tuple[FrozenSelection, frozenset[str] | None]] = field(default_factory=list)
    """Every question that cost something."""
    evaluated: set[tuple[str, FrozenSelection]] = field(default_factory=set)
    built: set[tuple[str, FrozenSelection]] = field(default_factory=set)
    wholes: list[Selection] = field(default_factory=list)
    asked_for_revisions: list[str] = field(default_factory=list)

    @property
    def fleet_evaluations(self) -> float:
        return len(self.evaluated) / len(self.world.uses)

    @property
    def fleet_builds(self) -> float:
        return len(self.built) / len(self.world.uses)

    def probe(self, selection: Selection, hosts: frozenset[str] | None) -> Response:
        if hosts is None:
            self.wholes.append(dict(selection))
        return self._answer(selection, hosts, building=True)

    def evaluate(self, selection: Selection, hosts: frozenset[str]) -> Response:
        return self._answer(selection, hosts, building=False)

    def revisions(self, input: str) -> RevisionRange:
        self.asked_for_revisions.append(input)
        every = tuple(str(number) for number in range(1, self.world.count(input) + 1))
        return RevisionRange(every, complete=True)

    def _answer(self, selection: Selection, hosts: frozenset[str] | None, *, building: bool) -> Response:
        asked = frozenset(self.world.uses) if hosts is None else hosts
        frozen = frozenset(selection.items())
        if len(self.evaluated | {(host, frozen) for host in asked}) > self.budget:
            raise BudgetSpent
        if any(self._costs(host, frozen, building=building) for host in asked):
            self.probes.append((frozen, hosts))
        seen = {host: self.world.showing(host, selection) for host in sorted(asked)}
        for host, fault in seen.items():
            self.evaluated.add((host, frozen))
            if building and (fault is None or not (fault.at_evaluation or fault.unknown)):
                self.built.add((host, self._derivation(host, frozen)))
        shown = {
            host: fault for host, fault in seen.items() if fault is not None and (building or fault.at_evaluation)
        }
        red = {host: fault for host, fault in shown.items() if not fault.unknown}
        return Response(
            frozenset(red),
            frozenset(shown) - red.keys(),
            frozenset(host for host, fault in red.items() if fault.at_evaluation),
            {host: self._suspects(host, fault, selection) for host, fault in red.items()},
        )

    def _costs(self, host: str, frozen: FrozenSelection, *, building: bool) -> bool:
        new = building and (host, self._derivation(host, frozen)) not in self.built
        return (host, frozen) not in self.evaluated or new

    def _derivation(self, host: str, frozen: FrozenSelection) -> FrozenSelection:
        return frozenset(move for move in frozen if move[0] in self.world.uses[host])

    def _suspects(self, host: str, fault: Fault, selection: Selection) -> tuple[str, ...]:
        """One input that the error names: often one of the culprits, else any that moved and is used."""
        world = self.world
        right = world.hints_right[0 if fault.at_evaluation else 1]
        moved = sorted(world.uses[host] & selection.keys())
        what = (host, self._derivation(host, frozenset(selection.items())))
        guilty = sorted(fault.within.keys() & set(moved))
        names = guilty if world.chance("right", sorted(what[1]), host) < right else moved
        return (names[int(world.chance("which", sorted(what[1]), host) * len(names))],) if names else ()


def groups_at_tip(groups: Sequence[frozenset[str]], tips: Selection, selection: Selection) -> int:
    return sum(all(selection.get(name) == tips[name] for name in group) for group in groups)


def all_single(inputs: Sequence[str]) -> list[frozenset[str]]:
    return [frozenset({name}) for name in inputs]
