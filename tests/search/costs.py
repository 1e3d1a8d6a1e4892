"""The fleets that the costs of a search are measured on, the costs that were measured for its method, and how.

Costs are means over random worlds, in fleet evaluations (hosts evaluated ÷ hosts) and fleet builds.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from lockbot.search.interface import RevisionRange
from lockbot.search.strategies import LOOKS, search
from tests.search.worlds import Bench, Fault, World, broken_since, coupled, seeded

HOSTS = 20
USED = 4
"""Inputs that each host uses, beside nixpkgs."""
AT_EVALUATION = 0.7
MARGIN = 1.15
"""How far above what was measured for the method a mean may lie."""


def fleet(chance: random.Random, inputs: int) -> World:
    names = ("nixpkgs", *(f"input{number}" for number in range(1, inputs)))
    uses = {f"host{n}": frozenset({"nixpkgs", *chance.sample(names[1:], USED)}) for n in range(HOSTS)}
    return World(uses, names, seed=chance.randrange(2**32))


def users(world: World, *inputs: str) -> frozenset[str]:
    return frozenset(host for host, uses in world.uses.items() if uses.issuperset(inputs))


def with_bad(chance: random.Random, world: World, inputs: Iterable[str]) -> World:
    faults = [
        Fault({name: broken_since(1)}, users(world, name), at_evaluation=chance.random() < AT_EVALUATION)
        for name in inputs
    ]
    return replace(world, faults=(*world.faults, *faults))


def bad(chance: random.Random, inputs: int, count: int) -> World:
    world = fleet(chance, inputs)
    return with_bad(chance, world, chance.sample([name for name in world.inputs if users(world, name)], count))


def used_pair(chance: random.Random, world: World) -> tuple[str, str]:
    first, second = chance.sample(sorted(chance.choice(list(world.uses.values()))), 2)
    return first, second


def breaking_pair(chance: random.Random) -> World:
    world = fleet(chance, 30)
    pair = used_pair(chance, world)
    ranges = {name: broken_since(1) for name in pair}
    return replace(
        world, faults=(Fault(ranges, users(world, *pair), at_evaluation=chance.random() < AT_EVALUATION),)
    )


def bad_and_coupled(chance: random.Random) -> World:
    world = fleet(chance, 30)
    pair = used_pair(chance, world)
    faults = coupled(*pair, users(world, *pair), at_evaluation=chance.random() < AT_EVALUATION)
    world = replace(world, faults=faults)
    rest = [name for name in world.inputs if name not in pair and users(world, name)]
    return with_bad(chance, world, [chance.choice(rest)])


def one_by_one(world: World) -> tuple[Bench, int]:
    """All; on red each on top of what passed. What it costs, and how many it keeps."""
    bench = Bench(world)
    answer = bench.probe(world.tips, None)
    if not answer.red:
        return bench, len(world.tips)
    kept: dict[str, str] = {}
    for name, tip in world.tips.items():
        if not bench.probe({**kept, name: tip}, None).red:
            kept[name] = tip
    return bench, len(kept)


@dataclass(frozen=True)
class Row:
    name: str
    world: Callable[[random.Random], World]
    evaluations: float
    builds: float


ROWS = (
    Row("10 inputs, 1 bad", lambda chance: bad(chance, 10, 1), 2.5, 1.1),
    Row("10 inputs, 2 bad", lambda chance: bad(chance, 10, 2), 3.1, 1.4),
    Row("30 inputs, none bad", lambda chance: bad(chance, 30, 0), 1.0, 1.0),
    Row("30 inputs, 1 bad", lambda chance: bad(chance, 30, 1), 2.3, 1.1),
    Row("30 inputs, 2 bad", lambda chance: bad(chance, 30, 2), 3.2, 1.2),
    Row("30 inputs, 5 bad", lambda chance: bad(chance, 30, 5), 4.7, 1.4),
    Row("30 inputs, a pair breaks together", breaking_pair, 2.2, 1.1),
    Row("30, 1 bad, a pair works only together", bad_and_coupled, 2.4, 1.1),
)


@dataclass(frozen=True)
class Cost:
    probes: float
    evaluations: float
    builds: float
    kept: float


def cost(row: Row, worlds: int, *, naive: bool = False) -> Cost:
    """The means over so many worlds, always the same ones."""
    chance = seeded(row.name)
    seen: list[tuple[int, float, float, int]] = []
    for _ in range(worlds):
        world = row.world(chance)
        if naive:
            bench, kept = one_by_one(world)
        else:
            bench = Bench(world)
            kept = len(search(_Tips(bench), world.tips).selection)
        seen.append((len(bench.probes), bench.fleet_evaluations, bench.fleet_builds, kept))
    return Cost(*(statistics.fmean(column) for column in zip(*seen, strict=True)))


class _Tips(Bench):
    """A bench whose inputs have no history: only the best set is looked for."""

    def __init__(self, bench: Bench) -> None:
        self.__dict__ = bench.__dict__

    def revisions(self, input: str) -> RevisionRange:  # noqa: ARG002 -- the protocol's
        return RevisionRange()


# -- revisions --------------------------------------------------------------------------------------------------


def history(chance: random.Random, count: int, since: int) -> World:
    """One host and one input of so many revisions, broken since one of them."""
    fault = Fault({"nixpkgs": broken_since(since)}, frozenset({"host"}))
    return World(
        {"host": frozenset({"nixpkgs"})}, ("nixpkgs",), (fault,), {"nixpkgs": count}, seed=chance.randrange(2**32)
    )


def anywhere(chance: random.Random, count: int) -> int:
    return chance.randint(1, count)


def recent(chance: random.Random, count: int) -> int:
    """5.5 revisions ago on average, as in the issue's table."""
    ago = min(count, 1 + int(chance.expovariate(1 / 5)))
    return count + 1 - ago


def steps_to_newest(world: World, *, looks: int = LOOKS) -> int:
    """The probes that finding the newest good revision and the culprit takes, after all together was red."""
    bench = Bench(world)
    search(bench, world.tips, looks=looks)
    return len(bench.probes) - 1


def most_steps(count: int) -> int:
    """The bound on the mean of `steps_to_newest` where the input broke once."""
    return math.ceil(math.log2(count)) + 3
