"""Keeping results from garbage collection: those of the base and of the last commits that were accepted.

One directory of links for each run that published, in its flake's directory; the oldest go. It must not know what
the results are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lockbot import files
from lockbot.nix.command import Nix
from lockbot.state import digest

_RUN = re.compile(r"\d{8}-\d{6}-")
"""How a run's id begins, and no flake's directory."""


def keep(nix: Nix, directory: Path, flake: str, name: str, outputs: Sequence[str], *, newest: int) -> None:
    """Root these outputs under `name` and let all but the flake's `newest` go, whatever a clock that was set back
    says of these.

    Outputs that the store does not have (an unchanged host that was never built here) are left out.
    """
    invalid = nix.invalid(outputs) if outputs else frozenset()
    valid = sorted(set(outputs) - invalid)
    place = directory / digest(flake) / name
    files.directory(place.parent)
    files.directory(place)
    if valid:
        nix.root(valid, place / "result")
    # By when they were made: two runs of one second have names that do not tell which was first.
    others = (entry for entry in place.parent.iterdir() if _is_directory(entry) and entry.name != name)
    own = [*sorted(others, key=lambda entry: (entry.stat().st_mtime_ns, entry.name)), place]
    # An older lockbot kept the runs of all flakes side by side in `directory`. Whoever's they are, they count as
    # older than any of ours: each run that publishes takes the place of one.
    older = sorted(entry for entry in directory.iterdir() if _is_directory(entry) and _RUN.match(entry.name))
    kept = older + own
    for old in kept[: max(len(kept) - newest, 0)]:
        files.remove_tree(old)


def _is_directory(entry: Path) -> bool:
    return entry.is_dir() and not entry.is_symlink()
