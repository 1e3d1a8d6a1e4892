"""A year of nights in an hour: does what lockbot keeps stay bounded, do its services stay small, does it heal?

    python -m benchmarks.soak [--nights 365] [--seconds 3600] [--seed 1] [--samples FILE] [--plot FILE]

One daemon and one page live through all of it, with a clock that is ahead of the machine's. Each night something
changes, and in every third one fault happens. Prints a table; exit code 1: something is not flat, or broke. Who
may mount (root) has the state on a small disk of its own, which is full at times; else that fault is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from benchmarks.soak import verdict
from benchmarks.soak.nights import Soak
from tests import nixes

_OWN = "LOCKBOT_SOAK_MOUNTS"


def main() -> int:
    options = _options()
    if options.read is not None:
        return _tell(json.loads(options.read.read_text()), options.plot)
    if _OWN not in os.environ and subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0:
        # What is mounted goes with the process, however that ends.
        words = [sys.executable, "-m", "benchmarks.soak", *sys.argv[1:]]
        os.execvpe("unshare", ["unshare", "--mount", *words], os.environ | {_OWN: "1"})  # noqa: S606 -- wanted
    installed = nixes.discover()
    if not installed:
        sys.exit("there is no Nix: run make nix-versions")
    with tempfile.TemporaryDirectory(prefix="lockbot-soak-", ignore_cleanup_errors=True) as place:
        told = _soak(Path(place), installed[-1], options)
    if options.samples is not None:
        options.samples.write_text(json.dumps(told))
    return _tell(told, options.plot)


def _soak(directory: Path, installed: nixes.Installed, options: argparse.Namespace) -> dict[str, object]:
    state = directory / "state"
    state.mkdir(mode=0o700)
    if _OWN in os.environ:
        size = "size=192m,mode=700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(state)], check=True)
    try:
        return _nights(directory, installed, options)
    finally:
        if _OWN in os.environ:
            subprocess.run(["umount", "--lazy", str(state)], check=False)


_NOT_KEPT = shutil.ignore_patterns("nix", "notify")
"""The store, for its size, and a socket, which nobody can copy."""


def _nights(directory: Path, installed: nixes.Installed, options: argparse.Namespace) -> dict[str, object]:
    begun = time.monotonic()
    chance = random.Random(options.seed)  # noqa: S311 -- a seed tells what happens, and nothing is secret
    with Soak(directory, installed, chance) as soak:
        for night in range(1, options.nights + 1):
            if time.monotonic() - begun > options.seconds:
                sys.stderr.write(f"the time is over after {night - 1} nights\n")
                break
            soak.night(night)
            if options.keep is not None and not soak.is_whole:
                shutil.copytree(directory, options.keep, symlinks=True, ignore=_NOT_KEPT)
                sys.stderr.write(f"what there was is in {options.keep}\n")
                break
            if options.samples is not None:
                options.samples.write_text(json.dumps(soak.told()))
        soak.end()
        return {**soak.told(), "seconds": time.monotonic() - begun, "nix": str(installed), "seed": options.seed}


def _tell(told: Mapping[str, object], plot: Path | None) -> int:
    samples, problems, faults = told["samples"], told["problems"], told["faults"]
    assert isinstance(samples, list) and isinstance(problems, list) and isinstance(faults, list)
    verdicts = verdict.judge(samples)
    sys.stdout.write(f"{len(samples) - 1} nights in {float(str(told.get('seconds', 0))) / 60:.0f} minutes\n\n")
    sys.stdout.write(verdict.table(verdicts) + "\n\n")
    counted = ", ".join(f"{name}: {number}" for name, number in sorted(Counter(faults).items()))
    sys.stdout.write(f"faults: {counted or 'none'}\n")
    outcomes = told["outcomes"]
    assert isinstance(outcomes, list)
    counted = ", ".join(f"{name}: {number}" for name, number in sorted(Counter(map(str, outcomes)).items()))
    sys.stdout.write(f"how the nights' runs ended: {counted}\n")
    for problem in problems:
        sys.stdout.write(f"PROBLEM: {problem}\n")
    if plot is not None:
        from benchmarks.soak.plot import draw

        plot.write_text(draw(samples))
    return 1 if problems or any(one.flat is False for one in verdicts) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    add = parser.add_argument
    add("--nights", type=int, default=365)
    add("--seconds", type=float, default=3600, help="no night begins after so long")
    add("--seed", type=int, default=1)
    add("--keep", type=Path, metavar="DIR", help="end when a promise is broken, and keep there all that there is")
    add("--samples", type=Path, metavar="FILE", help="write what was measured there, each night, as JSON")
    add("--read", type=Path, metavar="FILE", help="run nothing: judge what such a file says")
    add("--plot", type=Path, metavar="FILE", help="draw it there, as SVG")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
