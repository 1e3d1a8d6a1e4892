"""How long each part of a run took, as one bar. Parts differ by their ground, and have their words beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite

from markupsafe import Markup

from lockbot.process import duration
from lockbot.web.pictures.drawing import NOTHING, picture, rectangle

_WIDTH, _HEIGHT = 720, 24
_KINDS = ("bar", "bar busy", "bar good", "bar warn")
"""In turn: no two that stand beside each other are alike."""


def phases(seconds: Mapping[str, float | None]) -> Markup:
    """`seconds` by the phase's name, in order. Nothing, where it took no time."""
    told = {name: spent for name, spent in seconds.items() if spent is not None and isfinite(spent) and spent > 0}
    if not told:
        return NOTHING
    said = ", ".join(f"{name} {duration(spent)}" for name, spent in told.items())
    return picture("chart phases", (_WIDTH, _HEIGHT), ("How long it took", said), _parts(told))


def _parts(seconds: Mapping[str, float]) -> Iterator[Markup]:
    total, at = sum(seconds.values()), 0.0
    for place, (name, spent) in enumerate(seconds.items()):
        left, right = min(at / total * _WIDTH, _WIDTH - 1), (at + spent) / total * _WIDTH
        at += spent
        title = f"{name}: {duration(spent)}"
        yield rectangle(_KINDS[place % len(_KINDS)], (left, 2, max(right - left - 1, 0.5), _HEIGHT - 4), title)
