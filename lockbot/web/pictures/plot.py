"""Sizes over time: a line with a dot for each, broken where a size is not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from markupsafe import Markup

from lockbot.state import human_size
from lockbot.web.pictures import scales
from lockbot.web.pictures.drawing import NOTHING, dot, lines, picture, text

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 240, 88, 16, 12, 28
_SMALL = (120, 24)
_MARGIN = 4


@dataclass(frozen=True)
class _Point:
    """None: that is not known."""

    moment: datetime
    size: int | None
    title: str


@dataclass(frozen=True)
class _Frame:
    """Where points are drawn: x by the moment, y by the size."""

    left: float
    top: float
    right: float
    bottom: float
    first: datetime
    last: datetime
    scale: scales.Scale

    def place(self, point: _Point) -> tuple[float, float]:
        seconds = (self.last - self.first).total_seconds()
        part = (point.moment - self.first).total_seconds() / seconds if seconds > 0 else 0.5
        x = self.left + min(max(part, 0.0), 1.0) * (self.right - self.left)
        return x, self.y(point.size or 0)

    def y(self, size: float) -> float:
        return self.bottom - self.scale.part(size) * (self.bottom - self.top)


def plot(points: Sequence[Mapping[str, object]], name: str) -> Markup:
    """`points`: `{"moment": "2026-08-14T05:00:00Z", "size": 4096, "run": "2026…"}`, in any order; `name`: of what.
    Nothing, where no size is known."""
    told = _points(points)
    if (frame := _frame(told, (_LEFT, _TOP, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM))) is None:
        return NOTHING
    shapes = [*_axes(frame), lines("line", _pieces(told, frame))]
    shapes += [dot(*frame.place(one), one.title) for one in told if one.size is not None]
    return picture("chart plot", (_WIDTH, _HEIGHT), (name, _in_words(told)), shapes)


def sparkline(points: Sequence[Mapping[str, object]], name: str) -> Markup:
    """The same without axes, to stand beside a name."""
    told = _points(points)
    frame = _frame(told, (_MARGIN, _MARGIN, _SMALL[0] - _MARGIN, _SMALL[1] - _MARGIN))
    if frame is None:
        return NOTHING
    last = [one for one in told if one.size is not None][-1]
    shapes = [lines("line", _pieces(told, frame)), dot(*frame.place(last), last.title)]
    return picture("spark", _SMALL, (name, _in_words(told)), shapes)


def _points(points: Sequence[Mapping[str, object]]) -> list[_Point]:
    found = []
    for one in points:
        moment, size = datetime.fromisoformat(str(one["moment"])), one["size"]
        size = size if isinstance(size, int) else None
        title = f"{moment:%Y-%m-%d}: {human_size(size)}" if size is not None else ""
        found.append(_Point(moment, size, title))
    return sorted(found, key=lambda one: one.moment)


def _frame(points: Sequence[_Point], box: tuple[float, float, float, float]) -> _Frame | None:
    known = [one.size for one in points if one.size is not None]
    return _Frame(*box, points[0].moment, points[-1].moment, scales.sizes(known)) if known else None


def _pieces(points: Sequence[_Point], frame: _Frame) -> Iterator[list[tuple[float, float]]]:
    """Lines between points that follow each other."""
    for known, piece in groupby(points, key=lambda one: one.size is not None):
        places = [frame.place(one) for one in piece]
        if known and len(places) > 1:
            yield places


def _axes(frame: _Frame) -> Iterator[Markup]:
    for value, said in frame.scale.marks:
        yield lines("axis", [[(frame.left, frame.y(value)), (frame.right, frame.y(value))]])
        yield text(frame.left - 8, frame.y(value) + 4, "end", said)
    first, last = frame.first.date(), frame.last.date()
    for day in scales.days(first, last, most=6):
        place = _Point(datetime(day.year, day.month, day.day, tzinfo=frame.first.tzinfo), 0, "")
        yield text(frame.place(place)[0], _HEIGHT - 8, "middle", f"{day}")


def _in_words(points: Sequence[_Point]) -> str:
    known = [(one.moment, one.size) for one in points if one.size is not None]
    (first, then), (last, now) = known[0], known[-1]
    told = f"{human_size(now)} on {last:%Y-%m-%d}"
    if len(known) == 1:
        return told
    sizes = [size for _, size in known]
    between = f"between {human_size(min(sizes))} and {human_size(max(sizes))}"
    return f"from {human_size(then)} on {first:%Y-%m-%d} to {told}, {between}"
