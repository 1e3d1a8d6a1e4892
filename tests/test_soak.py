"""The soak (`benchmarks.soak`) can tell what grows from what does not, and lockbot sees its clock."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from benchmarks.soak import verdict
from benchmarks.soak.clock import sitecustomize
from benchmarks.soak.plot import draw

_NIGHTS = 200
_DAY = 86400


def flat(name: str, value: Callable[[int], float], nights: int = _NIGHTS) -> bool | None:
    samples = [{name: value(night)} for night in range(nights + 1)]
    return {one.name: one.flat for one in verdict.judge(samples)}.get(name)


def test_what_grows_by_one_in_a_month_is_not_flat() -> None:
    assert flat("daemon: descriptors", lambda night: 3 + night // 30) is False
    assert flat("caches of upstreams", lambda night: 3 + night // 12) is False
    assert flat("worktrees", lambda night: night // 60) is False


def test_what_goes_up_and_down_or_grew_before_retention_set_in_is_flat() -> None:
    assert flat("daemon: descriptors", lambda night: 3 + night % 2)
    assert flat("caches of upstreams", lambda night: 4 + night % 3)
    assert flat("rows of the history", lambda night: min(night, verdict.RETENTION) * 40)


@pytest.mark.parametrize("until", range(300, 365, 5))
def test_what_goes_up_and_down_within_weeks_is_flat_wherever_a_year_ends(until: int) -> None:
    """Where the last half began in a trough and ends on a crest, its own line goes up."""
    assert flat("caches of upstreams", lambda night: 3 + 2 * math.sin(night / 14), until)
    assert flat("caches of upstreams", lambda night: 3 + 2 * math.sin(night / 14) + night / 45, until) is False


def test_a_table_is_told_of_where_it_grows() -> None:
    assert flat("rows: tips", lambda night: 100.0 + night % 3) is None
    assert flat("rows: tips", lambda night: 100.0 + night) is False


def test_what_has_no_bound_is_not_judged() -> None:
    assert flat("clone.git KiB", lambda night: 10.0 * night) is None


def test_a_series_that_has_a_value_each_week() -> None:
    samples = [{"store paths after a collection": float(night)} if night % 7 == 0 else {} for night in range(100)]
    (found,) = verdict.judge(samples)
    assert found.slope == pytest.approx(1)
    assert (found.first, found.settled, found.last) == (0, 28, 98)
    assert "**no**" in verdict.table([found])
    assert draw(samples).count("<path") == 3, "two axes and a line"


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """A hundred days ahead since an hour ago, ten before that."""
    path = tmp_path / "clock"
    rows = [(0.0, 10.0 * _DAY), (time.time() - 3600, 100.0 * _DAY)]
    path.write_bytes(b"".join(sitecustomize.ROW.pack(*row) for row in rows))
    return path


def test_programs_see_the_clock_and_files_are_as_old_as_it_says(clock: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.touch()
    moment = time.time() - 2 * _DAY
    os.utime(old, (moment, moment))
    program = """
import json, os, pathlib, sys, time
from datetime import UTC, datetime
now, old = datetime.now(UTC), pathlib.Path(sys.argv[1])
pathlib.Path(sys.argv[2]).touch()
print(json.dumps([now.isoformat(), type(now).__name__, time.time(), time.monotonic(),
    old.lstat().st_mtime, os.stat(sys.argv[2]).st_mtime_ns]))
"""
    place = Path(sitecustomize.__file__).parent
    begun = time.time()
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, old, tmp_path / "new"],
        env={"PYTHONPATH": str(place), "SOAK_CLOCK": str(clock), "PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    )
    now, kind, seconds, monotonic, before, written = json.loads(done.stdout)
    assert kind == "datetime"
    ahead, whole = 100 * _DAY, 1.0  # a file's time is the kernel's, by its ticks
    assert begun <= datetime.fromisoformat(now).timestamp() - ahead <= seconds - ahead <= time.time()
    assert monotonic <= time.monotonic()
    assert before == pytest.approx(moment + 10 * _DAY)
    assert begun - whole <= written / 10**9 - ahead <= time.time()
