"""What a store path needs at run time: its closure, with what is known of each path in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StorePath:
    """One path of a closure. `nar_size` in bytes.

    `pname`, `version` and `output` are the derivation's own, where that is known; `name` is what stands behind the
    hash in the path (`openssl-3.0.13-bin`).
    """

    path: str
    name: str
    nar_size: int
    references: frozenset[str] = frozenset()
    pname: str | None = None
    version: str | None = None
    output: str | None = None
    """`out`, `man`, `dev` …; None: not known."""


@dataclass(frozen=True)
class Closure:
    """All that `root` needs, itself included, by path."""

    root: str
    paths: Mapping[str, StorePath]

    @property
    def nar_size(self) -> int:
        return sum(path.nar_size for path in self.paths.values())
