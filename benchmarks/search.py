"""What the search costs on imaginary fleets, beside the naive ways, and against its bounds. No Nix is needed.

    python -m benchmarks.search [WORLDS]

Costs are means over random worlds, in fleet evaluations (hosts evaluated ÷ hosts) and fleet builds; `naive` takes
all and then, on red, one input after another on top of what passed. Exit code 1 where a bound is broken.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from lockbot.update.search import LOOKS, search
from tests.update.worlds import Bench, Fault, World, broken_since

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


def coupled(world: World, pair: tuple[str, str], *, at_evaluation: bool) -> World:
    one, other = pair
    faults = (
        Fault({one: broken_since(1)}, users(world, *pair), {other: broken_since(1)}, at_evaluation),
        Fault({other: broken_since(1)}, users(world, *pair), {one: broken_since(1)}, at_evaluation),
    )
    return replace(world, faults=(*world.faults, *faults))


def bad_and_coupled(chance: random.Random) -> World:
    world = fleet(chance, 30)
    pair = used_pair(chance, world)
    world = coupled(world, pair, at_evaluation=chance.random() < AT_EVALUATION)
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
    kept: float | None = None


ROWS = (
    Row("10 inputs, 1 bad", lambda chance: bad(chance, 10, 1), 2.5, 1.1),
    Row("10 inputs, 2 bad", lambda chance: bad(chance, 10, 2), 3.1, 1.4),
    Row("30 inputs, none bad", lambda chance: bad(chance, 30, 0), 1.0, 1.0),
    Row("30 inputs, 1 bad", lambda chance: bad(chance, 30, 1), 2.3, 1.1),
    Row("30 inputs, 2 bad", lambda chance: bad(chance, 30, 2), 3.2, 1.2),
    Row("30 inputs, 5 bad", lambda chance: bad(chance, 30, 5), 4.7, 1.4),
    Row("30 inputs, a pair breaks together", breaking_pair, 2.2, 1.1),
    Row("30, 1 bad, a pair works only together", bad_and_coupled, 2.4, 1.1, 29.0),
)


@dataclass(frozen=True)
class Cost:
    probes: float
    evaluations: float
    builds: float
    kept: float


def cost(row: Row, worlds: int, *, naive: bool = False) -> Cost:
    """The means over so many worlds, always the same ones."""
    chance = random.Random(row.name)  # noqa: S311 -- reproducible worlds, no secret
    seen: list[tuple[int, float, float, int]] = []
    for _ in range(worlds):
        world = row.world(chance)
        if naive:
            bench, kept = one_by_one(world)
        else:
            bench = Bench(world)
            kept = len(search(_Tips(bench), world.tips).picks)
        seen.append((len(bench.probes), bench.fleet_evaluations, bench.fleet_builds, kept))
    return Cost(*(statistics.fmean(column) for column in zip(*seen, strict=True)))


class _Tips(Bench):
    """A bench whose inputs have no history: only the best set is looked for."""

    def __init__(self, bench: Bench) -> None:
        self.__dict__ = bench.__dict__

    def revisions(self, input: str) -> tuple[str, ...]:  # noqa: ARG002 -- the protocol's
        return ()


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


def aligned(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )


def main() -> int:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    broken = []
    lines = [
        ("fleet", "probes", "evaluations", "bound", "builds", "bound", "kept", "naive: ev.", "builds", "ratio")
    ]
    for row in ROWS:
        ours, naive = cost(row, worlds), cost(row, max(20, worlds // 10), naive=True)
        if ours.evaluations > MARGIN * row.evaluations or ours.builds > MARGIN * row.builds:
            broken.append(row.name)
        lines.append(
            (
                row.name,
                f"{ours.probes:.1f}",
                f"{ours.evaluations:.2f}",
                f"{MARGIN * row.evaluations:.2f}",
                f"{ours.builds:.2f}",
                f"{MARGIN * row.builds:.2f}",
                f"{ours.kept:.1f}",
                f"{naive.evaluations:.1f}",
                f"{naive.builds:.1f}",
                f"{ours.evaluations / naive.evaluations:.2f}",
            )
        )
    sys.stdout.write(aligned(lines) + "\n\n")
    more: list[tuple[str, ...]] = [("newest good among K", "where", "probes", "without looks", "bound")]
    for count in (10, 30, 100, 300, 1000):
        for where, place in (("anywhere", anywhere), ("recent", recent)):
            chance = random.Random(f"{count}{where}")  # noqa: S311 -- reproducible worlds, no secret
            made = [history(chance, count, place(chance, count)) for _ in range(worlds)]
            probes = statistics.fmean(steps_to_newest(world) for world in made)
            plain = statistics.fmean(steps_to_newest(world, looks=0) for world in made)
            bound = math.ceil(math.log2(count)) + 3
            if probes > bound:
                broken.append(f"K = {count}, {where}")
            more.append((str(count), where, f"{probes:.1f}", f"{plain:.1f}", str(bound)))
    sys.stdout.write(aligned(more) + "\n")
    for name in broken:
        sys.stdout.write(f"over its bound: {name}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
