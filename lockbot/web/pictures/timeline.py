"""Runs by day, as bars: how many ended how. The better it is, the wider the bar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import accumulate

from markupsafe import Markup

from lockbot.model import Outcome
from lockbot.report import words
from lockbot.web.pictures import scales
from lockbot.web.pictures.drawing import lines, picture, rectangle, text

_DAY, _HEIGHT, _LEFT, _TOP, _BOTTOM = 12, 120, 36, 8, 20
_GOOD, _SO_SO, _BAD = 1.0, 0.7, 0.4
_SHAPES: Mapping[str, tuple[str, float]] = {
    Outcome.UNCHANGED: ("bar", _GOOD),
    Outcome.PUBLISHED: ("bar good", _GOOD),
    Outcome.REQUESTED: ("bar good", _GOOD),
    Outcome.PARTLY_PUBLISHED: ("bar warn", _SO_SO),
    Outcome.STALE: ("bar warn", _SO_SO),
    Outcome.UNJUDGED: ("bar warn", _SO_SO),
    Outcome.INTERRUPTED: ("bar warn", _SO_SO),
    Outcome.REJECTED: ("bar bad", _BAD),
    Outcome.FAILED: ("bar bad", _BAD),
}
"""From the bottom up. What is not among them (a run that has not ended) is at the top."""
_OTHER = ("bar busy", _SO_SO)


def timeline(days: Sequence[Mapping[str, object]]) -> Markup:
    """`days`: one after the other, none left out, each `{"day": "2026-08-14", "runs": {"published": 2}}`."""
    told = [(date.fromisoformat(str(one["day"])), _counts(one["runs"])) for one in days]
    if not told:
        return Markup("")
    scale = scales.counts(max(sum(counts.values()) for _, counts in told))
    size = (_LEFT + _DAY * len(told) + 4, _HEIGHT)
    shapes = [*_axes([day for day, _ in told], scale, size[0]), *_bars(told, scale)]
    return picture("chart timeline", size, ("Runs by day", _in_words(told)), shapes)


def _counts(runs: object) -> dict[str, int]:
    """From the bottom up."""
    found = dict(runs) if isinstance(runs, Mapping) else {}
    order = list(_SHAPES)
    return dict(
        sorted(found.items(), key=lambda one: (order.index(one[0]) if one[0] in order else len(order), one[0]))
    )


def _bars(told: Sequence[tuple[date, Mapping[str, int]]], scale: scales.Scale) -> Iterator[Markup]:
    for place, (day, counts) in enumerate(told):
        ends = accumulate(counts.values())
        for (outcome, runs), end in zip(counts.items(), ends, strict=True):
            kind, width = _SHAPES.get(outcome, _OTHER)
            wide = (_DAY - 2) * width
            left = _LEFT + place * _DAY + (_DAY - wide) / 2
            top, bottom = _y(scale, end), _y(scale, end - runs)
            yield rectangle(kind, (left, top, wide, bottom - top), f"{day}: {runs} {outcome}")


def _axes(days: Sequence[date], scale: scales.Scale, width: int) -> Iterator[Markup]:
    for value, said in scale.marks:
        yield lines("axis", [[(_LEFT, _y(scale, value)), (width, _y(scale, value))]])
        yield text(_LEFT - 6, _y(scale, value) + 4, "end", said)
    for day in scales.days(days[0], days[-1]):
        yield text(_LEFT + (day - days[0]).days * _DAY, _HEIGHT - 4, "start", f"{day:%m-%d}")


def _y(scale: scales.Scale, value: float) -> float:
    return _HEIGHT - _BOTTOM - scale.part(value) * (_HEIGHT - _TOP - _BOTTOM)


def _in_words(told: Sequence[tuple[date, Mapping[str, int]]]) -> str:
    totals: dict[str, int] = {}
    for _, counts in told:
        for outcome, runs in counts.items():
            totals[outcome] = totals.get(outcome, 0) + runs
    said = ", ".join(f"{runs} {outcome}" for outcome, runs in totals.items()) or "no runs"
    return f"{said}, in {words.count(len(told), 'day')} up to {told[-1][0]}"
