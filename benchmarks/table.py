"""Figures beside their targets, as text. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measure import Measured
from benchmarks.worlds import Size

NAIVE, ONE, LOCKBOT = "naive script", "one nix build", "lockbot update"


@dataclass(frozen=True)
class Figure:
    """One command's seconds beside its target's."""

    name: str
    seconds: float
    target: float
    beside: str = ""


def median(found: Sequence[Measured], pick: Callable[[Measured], float]) -> float:
    return statistics.median(map(pick, found))


def cycles(size: Size, found: Mapping[str, Sequence[Measured]]) -> str:
    rows: list[tuple[str, ...]] = [
        ("", "wall s", "of naive", "of one build", "peak MiB", "largest MiB", "own CPU s", "own wall s")
    ]
    wall = {name: median(measured, lambda one: one.wall) for name, measured in found.items()}
    for name, measured in found.items():
        ours = name.startswith("lockbot")
        rows.append(
            (
                name,
                f"{wall[name]:.2f}",
                f"{wall[name] / wall[NAIVE]:.2f}" if NAIVE in wall else "",
                f"{wall[name] / wall[ONE]:.2f}" if ONE in wall else "",
                f"{median(measured, lambda one: one.peak) / 2**20:.0f}",
                f"{median(measured, lambda one: one.largest) / 2**20:.0f}",
                f"{median(measured, lambda one: one.cpu):.2f}" if ours else "",
                f"{median(measured, lambda one: one.alone):.2f}" if ours else "",
            )
        )
        if name == LOCKBOT:
            rows.append(("  target, at most", *_targets(size)))
    return _aligned(rows)


def _targets(size: Size) -> tuple[str, ...]:
    own = f"{0.5 + 0.005 * size.hosts:.2f}"
    naive = "0.42" if size.hosts < 50 else "0.27"
    return "", naive, "0.35" if size.hosts >= 50 else "", "", "600", own, own


def commands(figures: Sequence[Figure]) -> str:
    rows: list[tuple[str, ...]] = [("", "wall s", "target, at most", "")]
    rows += [(one.name, f"{one.seconds:.3f}", f"{one.target:.3f}", one.beside) for one in figures]
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [
            first.ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)),
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n" + "\n".join(lines)
