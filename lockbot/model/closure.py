"""What a store path needs at run time: its closure, with what is known of each path in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StorePath:
    """One path of a closure. `nar_size` in bytes.

    `pname`, `version` and `output` are the derivation's own, where that is known; `name` is what stands behind the
    hash in the path (`openssl-3.0.13-bin`). `pname` has what tells packages apart: `python3.12-requests`. With a
    `pname` and no `version`, it is known to have none.
    """

    path: str
    name: str
    nar_size: int
    references: frozenset[str] = frozenset()
    pname: str | None = None
    version: str | None = None
    output: str | None = None
    """`out`, `man`, `dev` …; None: not known."""
    deriver: str | None = None
    """The derivation that it was made by, as the store has it, which need not hold that one any more."""


@dataclass(frozen=True)
class Closure:
    """All that `root` needs, itself included, by path."""

    root: str
    paths: Mapping[str, StorePath]

    @property
    def nar_size(self) -> int:
        return sum(path.nar_size for path in self.paths.values())


def split_name(name: str) -> tuple[str, str]:
    """Package and version by Nix's rule (`builtins.parseDrvName`): the version, empty where there is none, begins
    behind the first dash that no letter follows."""
    found = re.search("-(?=[^A-Za-z])", name)
    return (name[: found.start()], name[found.end() :]) if found else (name, "")
