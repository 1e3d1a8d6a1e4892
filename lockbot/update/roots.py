"""Keeping results from garbage collection: those of the base and of the last commits that were accepted.

One directory of links for each run that published; the oldest go. It must not know what the results are.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lockbot.nix.command import Nix


def keep(nix: Nix, directory: Path, name: str, outputs: Sequence[str], *, newest: int) -> None:
    """Root these outputs under `name` (names sort by age) and let all but the `newest` go.

    Outputs that the store does not have (an unchanged host that was never built here) are left out.
    """
    invalid = nix.invalid(outputs) if outputs else frozenset()
    valid = sorted(set(outputs) - invalid)
    place = directory / name
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if valid:
        nix.root(valid, place / "result")
    for old in sorted(entry for entry in directory.iterdir() if entry.is_dir())[:-newest]:
        shutil.rmtree(old, ignore_errors=True)
