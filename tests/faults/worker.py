"""One of the processes of `make faults`: it has a place and a Nix of its own, and injects what it is told to."""

from __future__ import annotations

import shutil
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import nixes
from tests.faults.ground import Ground
from tests.faults.kinds import Case, Kind
from tests.faults.table import KINDS

BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Ended:
    """What became of one fault; `trouble` is empty where lockbot survived it."""

    id: str
    label: str
    trouble: str


_place = Path()


def begin(directory: str) -> None:
    global _place  # of this process
    _place = Path(tempfile.mkdtemp(dir=directory))


def measured(name: str) -> tuple[str, list[str], float]:
    """Where faults of a kind can be injected."""
    begun = time.monotonic()
    kind = BY_NAME[name]
    with _World(kind) as ground:
        return name, list(kind.places(ground)), time.monotonic() - begun


def injected(name: str, places: Sequence[tuple[int, str]]) -> tuple[str, list[Ended], float]:
    """One fault after another in the same world; in a new one, after one that was not survived."""
    begun = time.monotonic()
    kind, left, ended = BY_NAME[name], list(places), list[Ended]()
    while left:
        before = len(ended)
        try:
            with _World(kind) as ground:
                while left and not (ended[before:] and ended[-1].trouble):
                    case = kind.case(*left.pop(0))
                    ended.append(Ended(case.id, case.label, _trouble(kind, ground, case)))
        except Exception:  # noqa: BLE001 -- the other kinds go on
            if len(ended) == before:  # there is no such world to be had
                case = kind.case(*left.pop(0))
                ended.append(Ended(case.id, case.label, traceback.format_exc(limit=-3)))
    return name, ended, time.monotonic() - begun


def _trouble(kind: Kind, ground: Ground, case: Case) -> str:
    try:
        kind.inject(ground, case)
    except Exception:  # noqa: BLE001 -- whatever it is, it was not survived
        return traceback.format_exc(limit=-4)
    return ""


class _World:
    """A new world for a kind of fault, and its end."""

    def __init__(self, kind: Kind) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"{kind.name}-", dir=_place))
        (self.directory / "world").mkdir()
        nix = nixes.prepare(nixes.discover()[-1], self.directory / "nix")
        self.made = kind.ground(nix, self.directory / "world")

    def __enter__(self) -> Ground:
        return self.made.__enter__()

    def __exit__(self, *error: object) -> None:
        self.made.__exit__(None, None, None)
        shutil.rmtree(self.directory, ignore_errors=True)
