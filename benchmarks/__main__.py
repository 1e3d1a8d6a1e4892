"""Print how lockbot fares beside what one would do without it. Asserts nothing: on a shared machine only ratios
within one run mean anything.

`make bench` runs it; its targets stand beside the figures; README.md says how to read them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import click

from benchmarks import commands, table
from benchmarks.contenders import CONTENDERS
from benchmarks.measure import Measured
from benchmarks.worlds import Size, World
from tests import nixes


def main() -> None:
    options = _options()
    installed = _which(options.nix)
    size = Size(options.hosts, options.inputs, options.cost, options.seconds)
    click.echo(f"{installed}; {size.hosts} hosts, {size.inputs} inputs, median of {options.rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="lockbot-bench-") as place:
        directory = Path(place)
        if options.only != "commands":
            click.echo(table.cycles(size, _cycles(directory, installed, size, options.rounds, options.contenders)))
        if options.only != "cycles":
            click.echo(table.commands(commands.measure_all(directory / "commands", installed, options.rounds)))


def _cycles(
    directory: Path, installed: nixes.Installed, size: Size, rounds: int, names: list[str]
) -> dict[str, list[Measured]]:
    """Round by round, so that whatever else the machine does hits all contenders alike. The first warms up."""
    worlds = {name: World.create(directory / f"world{n}", installed, size) for n, name in enumerate(names)}
    found: dict[str, list[Measured]] = defaultdict(list)
    for number in range(rounds + 1):
        for name, world in worlds.items():
            world.move_inputs()
            measured = CONTENDERS[name](world)
            click.echo(f"  round {number}: {name}: {measured.wall:.2f} s", err=True)
            if number:
                found[name].append(measured)
    return found


def _which(version: str | None) -> nixes.Installed:
    found = nixes.discover()
    chosen = [one for one in found if version is None or one.version.startswith(version)]
    if not chosen:
        sys.exit(
            f"there is no such Nix; there are: {', '.join(map(str, found)) or 'none (run make nix-versions)'}"
        )
    return chosen[-1]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--hosts", type=int, default=20)
    add("--inputs", type=int, default=10)
    add("--rounds", type=int, default=3)
    add("--nix", metavar="VERSION", help="which of the versions that the tests use (default: the newest)")
    add("--cost", type=int, default=1_500_000, help="turns of a loop in each host's evaluation")
    add("--seconds", type=float, default=0.2, help="how long each host's build sleeps")
    add("--only", choices=["cycles", "commands"])
    add(
        "--contenders",
        nargs="+",
        choices=list(CONTENDERS),
        default=list(CONTENDERS),
        metavar="NAME",
        help=f"some of: {', '.join(CONTENDERS)}",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
