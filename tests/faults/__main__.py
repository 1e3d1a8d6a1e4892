"""Inject every fault, and print what became of it: the table of docs/reliability.md.

    make faults                             all of them, in parallel on the processors that there are
    make faults ARGS='--only kill/37'       one, or one kind (`--only kill`), once more
    make faults ARGS='--share 0.1'          a tenth of each kind

Ends with 1 where lockbot did not survive one, and says how to have it again.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import click

from tests import nixes
from tests.faults import shim
from tests.faults.kinds import Kind
from tests.faults.table import KINDS
from tests.faults.worker import BY_NAME, Ended, begin, injected, measured

_CHUNK = 10
"""Faults that one world meets: a new one costs as much as two."""


_Chunk = tuple[str, list[tuple[int, str]]]
"""A kind, and which of its places, each with its words."""


@dataclass
class _Row:
    kind: Kind
    places: int = 0
    ended: list[Ended] = field(default_factory=list)
    seconds: float = 0
    without: str | None = None


def main() -> None:
    options = _options()
    rows = {kind.name: _Row(kind, without=kind.unless()) for kind in KINDS}
    wanted, place = options.only.partition("/")[::2] if options.only else ("", "")
    kinds = [row.kind for row in rows.values() if row.without is None and wanted in ("", row.kind.name)]
    if not kinds:
        sys.exit(f"there is no such kind of fault: {', '.join(BY_NAME)}")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lockbot-faults-", dir=_quick_directory()) as directory:
        _prepare(Path(directory))
        with ProcessPoolExecutor(options.jobs, get_context("spawn"), begin, (directory,)) as pool:
            _measure(pool, kinds, rows)
            chunks = _chunks(kinds, options.share, int(place or 0))
            _inject(pool, chunks, rows, begun + 60 * options.minutes)
    failed = [one for row in rows.values() for one in row.ended if one.trouble]
    for one in failed:
        click.echo(f"not survived: {one.label}\nonce more: make faults ARGS='--only {one.id}'", err=True)
    click.echo(
        _table([row for row in rows.values() if row.kind in kinds or row.without], time.monotonic() - begun)
    )
    sys.exit(1 if failed else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", metavar="KIND[/NUMBER]", help=f"some of: {', '.join(BY_NAME)}")
    parser.add_argument("--share", type=float, default=1.0, help="of each kind (default: all that it takes)")
    parser.add_argument("--minutes", type=float, default=60, help="begin nothing more after these")
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1, help="at the same time")
    options: argparse.Namespace = parser.parse_args()
    return options


def _quick_directory() -> str | None:
    """Memory, where there is some: what is measured here is no disk."""
    place = Path("/dev/shm")  # noqa: S108
    return str(place) if place.is_dir() and os.access(place, os.W_OK) else None


def _prepare(directory: Path) -> None:
    if shim.no_compiler() is None:
        os.environ["LD_PRELOAD"] = str(shim.compiled(directory))  # for workers, and the processes that they fork


# -- of them all ---------------------------------------------------------------------------------------------


def _measure(pool: ProcessPoolExecutor, kinds: Sequence[Kind], rows: dict[str, _Row]) -> None:
    for each in as_completed([pool.submit(measured, kind.name) for kind in kinds]):
        name, places, seconds = each.result()
        rows[name].places, rows[name].seconds = len(places), seconds
        _LABELS[name] = places
        click.echo(f"{name}: {len(places)} places", err=True)


_LABELS: dict[str, list[str]] = {}


def _chunks(kinds: Sequence[Kind], share: float, only: int) -> list[_Chunk]:
    """Which places of which kind, together: of every kind some, then of every kind some more."""
    found: list[tuple[float, str, list[tuple[int, str]]]] = []
    for kind in kinds:
        labels = _LABELS[kind.name]
        most = min(round(min(kind.most, len(labels)) * share) or 1, len(labels))
        places = [only] if only else kind.chosen(labels, most)
        numbered = [(place, labels[place - 1]) for place in places]
        number = -(-len(numbered) // _CHUNK)
        # each has some of the early places and some of the late ones
        found += [(at / number, kind.name, numbered[at::number]) for at in range(number)]
    return [(name, places) for _, name, places in sorted(found, key=lambda one: one[0])]


def _inject(pool: ProcessPoolExecutor, chunks: Sequence[_Chunk], rows: dict[str, _Row], until: float) -> None:
    """`until`: what is not begun by then is left out."""
    futures = [pool.submit(injected, *chunk) for chunk in chunks]
    for done, future in enumerate(as_completed(futures), 1):
        if time.monotonic() > until:
            for one in futures:
                one.cancel()
        if future.cancelled():
            continue
        name, ended, seconds = future.result()
        rows[name].ended += ended
        rows[name].seconds += seconds
        bad = [one.id for one in ended if one.trouble]
        for each in ended:
            if each.trouble:
                click.echo(f"\n{each.id}: {each.label}\n{each.trouble}", err=True)
        said = f"NOT SURVIVED: {', '.join(bad)}" if bad else "survived"
        click.echo(f"{done}/{len(futures)} {name}: {len(ended)} {said}", err=True)


def _table(rows: Sequence[_Row], seconds: float) -> str:
    lines = ["| Fault | Injected | Survived | Checked beside the invariants | Seconds |", "|---|--:|--:|---|--:|"]
    for row in rows:
        if row.without is not None:
            lines.append(f"| {row.kind.title} | not tested: {row.without} | | | |")
            continue
        number = len(row.ended)
        of = "" if number == row.places else f" of {row.places}"
        survived = sum(not one.trouble for one in row.ended)
        lines.append(f"| {row.kind.title} | {number}{of} | {survived} | {row.kind.checked} | {row.seconds:.0f} |")
    every = [one for row in rows for one in row.ended]
    lines.append(f"| together | {len(every)} | {sum(not one.trouble for one in every)} | | {seconds:.0f} |")
    return "\n".join([*lines, "", _machine(seconds)])


def _machine(seconds: float) -> str:
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    return (
        f"{time.strftime('%Y-%m-%d')}, {seconds / 60:.1f} minutes on {os.cpu_count()} processors; "
        f"{nixes.discover()[-1]}, git {git}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"Linux {platform.release()}."
    )


if __name__ == "__main__":
    main()
