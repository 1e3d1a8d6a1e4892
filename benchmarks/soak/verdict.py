"""Whether a series is flat: by what it grows in half a year, going by all of it but its beginning. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HALF_A_YEAR = 182
RETENTION = 30
"""Nights after which what is kept for a time has begun to go."""
SETTLED = 2 * RETENTION
"""Nights after which nothing grows any more by what is merely kept. What goes up and down by chance does so within
weeks: of fewer nights than there are, a line follows that."""

Series = Mapping[int, float]
"""Night → value; of some series there is one for a night in seven."""


@dataclass(frozen=True)
class Bound:
    """By how much it may grow in half a year: `most`, and a part of its mean besides, where chance has a say."""

    most: float
    part: float = 0.0


BOUNDS: Mapping[str, Bound] = {
    "daemon: resident MiB": Bound(4),
    "daemon: descriptors": Bound(0.5),
    "daemon: threads": Bound(0.5),
    "daemon: children": Bound(0.5),
    "page: resident MiB": Bound(8),
    "page: descriptors": Bound(0.5),
    "page: threads": Bound(0.5),
    "page: children": Bound(0.5),
    "upstreams KiB": Bound(64, 0.25),
    "caches of upstreams": Bound(1, 0.25),
    "lock files": Bound(1, 0.25),
    "worktrees": Bound(0.5),
    "flakes with roots": Bound(0.5, 0.25),
    "runs with roots": Bound(1, 0.25),
    "other files of the repository": Bound(1, 0.25),
    "refs of the clone": Bound(1, 0.25),
    "loose objects of the clone": Bound(2000),
    "packs of the clone": Bound(40),
    "logs KiB": Bound(64, 0.25),
    "directories of logs": Bound(4, 0.1),
    "history KiB": Bound(128, 0.25),
    "rows of the history": Bound(50, 0.25),
    "nix-data KiB": Bound(4),
    "temporary files": Bound(0.5),
    "store paths after a collection": Bound(10, 0.25),
}
ROWS = "rows: "
_OF_A_TABLE = Bound(3, 0.25)


@dataclass(frozen=True)
class Verdict:
    name: str
    first: float
    settled: float
    """When what is kept for a time has begun to go."""
    last: float
    slope: float
    """By the night, since it has settled."""
    flat: bool | None
    """None: it is not judged."""


def judge(samples: Sequence[Mapping[str, float]]) -> list[Verdict]:
    """`samples`: of each night, the first included. Tables of the history only where they are not flat."""
    found = []
    for name in dict.fromkeys(name for one in samples for name in one):
        series = {night: one[name] for night, one in enumerate(samples) if name in one}
        verdict = _judge(name, series, len(samples))
        if not name.startswith(ROWS) or verdict.flat is False:
            found.append(verdict)
    return found


def _judge(name: str, series: Series, nights: int) -> Verdict:
    rest = {night: value for night, value in series.items() if night >= min(SETTLED, nights / 2)}
    slope = slope_of(rest)
    bound = _OF_A_TABLE if name.startswith(ROWS) else BOUNDS.get(name)
    flat = None
    if bound is not None:
        mean = sum(rest.values()) / max(len(rest), 1)
        flat = slope * HALF_A_YEAR <= bound.most + bound.part * mean
    first, last = min(series), max(series)
    settled = min(series, key=lambda night: abs(night - RETENTION))
    return Verdict(name, series[first], series[settled], series[last], slope, flat)


def slope_of(series: Series) -> float:
    """Of the straight line that is nearest by least squares; 0 of less than two values."""
    if len(series) < 2:
        return 0.0
    x, y = sum(series) / len(series), sum(series.values()) / len(series)
    spread = sum((night - x) ** 2 for night in series)
    return sum((night - x) * (value - y) for night, value in series.items()) / spread


def table(verdicts: Sequence[Verdict]) -> str:
    """As Markdown."""
    rows = [("series", "at start", "at 30 nights", "at the end", "per 100 nights", "flat")]
    rows += [
        (
            one.name,
            _figure(one.first),
            _figure(one.settled),
            _figure(one.last),
            f"{one.slope * 100:+.2f}",
            {True: "yes", False: "**no**", None: "not judged"}[one.flat],
        )
        for one in verdicts
    ]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---|---:|---:|---:|---:|---|", *lines[1:]])


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 1000 else f"{value:.1f}"
