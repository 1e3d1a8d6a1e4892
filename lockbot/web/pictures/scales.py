"""Which marks an axis has: few, at round numbers, around the values. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

_UNITS = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("bytes", 1))


@dataclass(frozen=True)
class Scale:
    """From `low` to `high`, with marks at values and their words."""

    low: float
    high: float
    marks: tuple[tuple[float, str], ...]

    def part(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def sizes(values: Sequence[int]) -> Scale:
    """Of numbers of bytes (at least one); in one unit, with as many decimals as tell the marks apart."""
    smallest, largest = min(values), max(values)
    name, unit = next(one for one in _UNITS if abs(largest) >= one[1] or one[1] == 1)
    low, high, step = _round(smallest / unit, largest / unit, 4, whole=unit == 1)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    marks = _steps(low, high, step)
    return Scale(low * unit, high * unit, tuple((mark * unit, f"{mark:.{decimals}f} {name}") for mark in marks))


def counts(largest: int) -> Scale:
    """From 0 up to a number of things, at whole numbers."""
    low, high, step = _round(0, max(largest, 1), 4, whole=True)
    return Scale(low, high, tuple((mark, f"{mark:.0f}") for mark in _steps(low, high, step)))


def _round(smallest: float, largest: float, parts: int, *, whole: bool = False) -> tuple[float, float, float]:
    """The round numbers around them, and the step between."""
    span, is_positive = largest - smallest, smallest >= 0
    if span <= abs(largest) * 1e-6:  # as good as equal: in the middle
        span = max(abs(largest) * 0.1, 1.0 if whole else 1e-3)
        smallest, largest = smallest - span / 2, largest + span / 2
    step = _nice(span / parts)
    step = max(step, 1.0) if whole else step
    low, high = math.floor(smallest / step + 1e-9) * step, math.ceil(largest / step - 1e-9) * step
    low = max(low, 0.0) if is_positive else low
    return low, max(high, low + step), step


def _nice(step: float) -> float:
    """1, 2 or 5 times a power of ten, and not less."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def _steps(low: float, high: float, step: float) -> list[float]:
    return [low + index * step for index in range(round((high - low) / step) + 1)]


def days(first: date, last: date, most: int = 8) -> list[date]:
    """Days to mark between the two: the first, and every so many weeks, or months."""
    total = (last - first).days + 1
    every = next((one for one in (1, 2, 7, 14, 28, 91, 182, 364) if total / one <= most), -(-total // most))
    return [first + timedelta(days=number) for number in range(0, total, every)]
