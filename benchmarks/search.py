"""What the search costs on imaginary fleets, beside the naive ways, and against its bounds. No Nix is needed.

    python -m benchmarks.search [WORLDS]

`naive` takes all and then, on red, one input after another on top of what passed. Exit code 1: a bound is broken.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from tests.search.costs import MARGIN, ROWS, anywhere, cost, history, most_steps, recent, steps_to_newest
from tests.search.worlds import seeded


def aligned(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )


def main() -> int:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    broken: list[str] = []
    lines = [
        ("fleet", "probes", "evaluations", "bound", "builds", "bound", "kept", "naive: ev.", "builds", "ratio")
    ]
    for row in ROWS:
        ours, naive = cost(row, worlds), cost(row, max(20, worlds // 10), naive=True)
        if ours.evaluations > MARGIN * row.evaluations or ours.builds > MARGIN * row.builds:
            broken.append(row.name)
        lines.append(
            (
                row.name,
                f"{ours.probes:.1f}",
                f"{ours.evaluations:.2f}",
                f"{MARGIN * row.evaluations:.2f}",
                f"{ours.builds:.2f}",
                f"{MARGIN * row.builds:.2f}",
                f"{ours.kept:.1f}",
                f"{naive.evaluations:.1f}",
                f"{naive.builds:.1f}",
                f"{ours.evaluations / naive.evaluations:.2f}",
            )
        )
    sys.stdout.write(aligned(lines) + "\n\n")
    more: list[tuple[str, ...]] = [("newest good among K", "where", "probes", "without looks", "bound")]
    for count in (10, 30, 100, 300, 1000):
        for where, place in (("anywhere", anywhere), ("recent", recent)):
            chance = seeded(count, where)
            made = [history(chance, count, place(chance, count)) for _ in range(worlds)]
            probes = statistics.fmean(steps_to_newest(world) for world in made)
            plain = statistics.fmean(steps_to_newest(world, looks=0) for world in made)
            bound = most_steps(count)
            if probes > bound:
                broken.append(f"K = {count}, {where}")
            more.append((str(count), where, f"{probes:.1f}", f"{plain:.1f}", str(bound)))
    sys.stdout.write(aligned(more) + "\n")
    for name in broken:
        sys.stdout.write(f"over its bound: {name}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
