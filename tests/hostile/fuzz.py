"""Every property with new examples, turn by turn, until the time is up: `make fuzz ARGS='--seconds 600'`.

Prints how many examples each surface was tried with, how long that took and the most memory that was held, and
what broke, with the smallest example of it. Exits with 1 where something did.
"""

from __future__ import annotations

import argparse
import importlib
import random
import resource
import secrets
import sys
import time
import traceback
from collections import defaultdict
from pathlib import Path

import click

from tests.hostile.properties import EVERY, Property

AT_ONCE = 100
"""Examples before the next property's turn."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="for how long (default: 600)")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="the same examples as that time")
    parser.add_argument("--only", default="", help="the properties whose surface or name has this in it")
    told = parser.parse_args()
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"tests.hostile.{file.stem}")
    chosen = [one for one in EVERY if told.only in f"{one.surface}: {one.name}"]
    click.echo(f"{len(chosen)} properties, {told.seconds:.0f} seconds, --seed {told.seed}")
    return run(chosen, told.seconds, random.Random(told.seed))  # noqa: S311 -- no secret: the same again on demand


def run(chosen: list[Property], seconds: float, chance: random.Random) -> int:
    """A property that broke is not tried again."""
    end = time.monotonic() + seconds
    spent: dict[str, float] = defaultdict(float)
    broken: list[Property] = []
    while (turn := [one for one in chosen if one not in broken]) and time.monotonic() < end:
        for one in turn:
            start = time.monotonic()
            if start >= end:
                break
            try:
                one.run(AT_ONCE, chance)
            except Exception:  # noqa: BLE001 -- whatever it is, it is told, and the others go on
                broken.append(one)
                told = "\n".join(line[:500] for line in traceback.format_exc().splitlines())
                click.echo(f"\n{one.surface}: {one.name}\n{told}")
            spent[one.surface] += time.monotonic() - start
    report(chosen, spent, broken)
    return 1 if broken else 0


def report(chosen: list[Property], spent: dict[str, float], broken: list[Property]) -> None:
    click.echo(f"{'surface':28} {'properties':>10} {'examples':>10} {'seconds':>8} {'broken':>7}")
    for surface in dict.fromkeys(one.surface for one in chosen):
        own = [one for one in chosen if one.surface == surface]
        bad = sum(one in broken for one in own)
        click.echo(f"{surface:28} {len(own):10} {sum(one.tried for one in own):10} {spent[surface]:8.0f} {bad:7}")
    click.echo(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
