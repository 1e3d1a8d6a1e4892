"""The soak as a picture: a small plot for each series, all with the same nights from left to right. Pure.

It stands by itself in a page of documentation, so that it has its colours with it, for light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from benchmarks.soak.verdict import RETENTION
from lockbot.web.pictures.drawing import lines, number, text

SHOWN = (
    "daemon: resident MiB",
    "daemon: descriptors",
    "daemon: threads",
    "page: resident MiB",
    "page: descriptors",
    "page: threads",
    "all of the state KiB",
    "history KiB",
    "logs KiB",
    "clone.git KiB",
    "loose objects of the clone",
    "refs of the clone",
    "upstreams KiB",
    "caches of upstreams",
    "runs with roots",
    "rows of the history",
    "store paths after a collection",
    "worktrees",
    "temporary files",
    "daemon: children",
    "seconds a night",
)
_COLUMNS, _WIDTH, _HEIGHT = 3, 280, 112
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 26, 22
_STYLE = Markup("""
text { font: 11px system-ui, sans-serif; fill: #444 }
.name { font-weight: 600; fill: #111 }
.line { fill: none; stroke: #0b62c4; stroke-width: 1.4; stroke-linejoin: round }
.axis { fill: none; stroke: #ccc }
.early { fill: #0001 }
@media (prefers-color-scheme: dark) {
text { fill: #b5b5b5 } .name { fill: #f0f0f0 } .line { stroke: #6cb2ff }
.axis { stroke: #444 } .early { fill: #fff1 }
}
""")


def draw(samples: Sequence[Mapping[str, float]]) -> str:
    """`samples`: of each night, the first included. An SVG document."""
    names = [name for name in SHOWN if any(name in one for one in samples)]
    rows = math.ceil(len(names) / _COLUMNS)
    width, height = _COLUMNS * _WIDTH, rows * _HEIGHT + 18
    what = f"{len(samples) - 1} nights: {', '.join(names)}"
    shapes = [
        Markup('<g transform="translate({} {})">{}</g>').format(
            at % _COLUMNS * _WIDTH, at // _COLUMNS * _HEIGHT, Markup().join(_small(name, samples))
        )
        for at, name in enumerate(names)
    ]
    under = text(
        _LEFT,
        height - 6,
        "start",
        f"nights 0 to {len(samples) - 1}; grey: what is kept for {RETENTION} days still grows",
    )
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {} {}" width="{}" height="{}" '
            'aria-label="{}"><title>{}</title><style>{}</style>{}{}</svg>\n'
        ).format(width, height, width, height, what, what, _STYLE, Markup().join(shapes), under)
    )


def _small(name: str, samples: Sequence[Mapping[str, float]]) -> Iterator[Markup]:
    series = {night: one[name] for night, one in enumerate(samples) if name in one}
    top, last = _nice(max(series.values())), max(len(samples) - 1, 1)

    def place(night: float, value: float) -> tuple[float, float]:
        x = _LEFT + night / last * (_WIDTH - _LEFT - _RIGHT)
        return x, _HEIGHT - _BOTTOM - value / top * (_HEIGHT - _TOP - _BOTTOM)

    (left, bottom), (right, ceiling) = place(0, 0), place(last, top)
    early = place(min(RETENTION, last), 0)[0] - left
    yield Markup('<rect class="early" x="{}" y="{}" width="{}" height="{}"/>').format(
        *map(number, (left, ceiling, early, bottom - ceiling))
    )
    for value in (0, top):
        yield lines("axis", [[place(0, value), (right, place(0, value)[1])]])
        yield text(left - 6, place(0, value)[1] + 4, "end", f"{value:,.0f}")
    yield Markup('<text class="name" x="{}" y="16">{}</text>').format(number(left), name)
    yield lines("line", [[place(night, value) for night, value in series.items()]])


def _nice(value: float) -> float:
    """The next of 1, 2, 4, 5 and 8 times a power of ten; from 0 to there it is drawn."""
    if value <= 1:
        return 1
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 4, 5, 8, 10) if factor * power >= value)
