"""Many starts at once: one of them runs, and the others wait, or say who is at it."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from tests.faults.ground import Ground
from tests.faults.kinds import Case, Kind, plain
from tests.update.world import Result, finish

STARTS = 10
_PLACES = (
    "ten at once, some of which wait",
    "ten that wait for each other",
    "ten that wait, and whoever runs is killed",
)


def _start(ground: Ground, case: Case) -> None:
    world = ground.world
    ground.moves()
    waiting = 3 if case.place == 1 else STARTS
    before = len(world.runs())
    starts = [world.start(*(["--wait"] if at < waiting else [])) for at in range(STARTS)]
    killed = 0
    if case.label.endswith("killed"):
        killed = _kill_the_first(ground, before, {one.pid for one in starts})
    with ThreadPoolExecutor(STARTS) as pool:
        ended: list[Result] = list(pool.map(finish, starts))
    ground.met(*ended)
    outcomes = [one.document.get("outcome", "busy") for one in ended if one.code != -signal.SIGKILL]
    assert len(outcomes) == STARTS - bool(killed), outcomes
    assert outcomes.count("partly published") == 1, outcomes
    assert {*outcomes} <= {"partly published", "rejected", "busy"}, outcomes
    assert "busy" not in (one.document.get("outcome", "busy") for one in ended[:waiting] if one.code >= 0), (
        outcomes
    )
    for one in ended:
        assert one.document or one.code < 0 or (one.code == 3 and "held by pid" in one.stderr), one.stderr
    ground.lands()


def _kill_the_first(ground: Ground, before: int, pids: set[int]) -> int:
    """Whoever has begun a run; its number."""
    end = time.monotonic() + 60
    while len(ground.world.runs()) == before:
        assert time.monotonic() < end, "nobody began"
        time.sleep(0.02)
    pid = int(json.loads((ground.world.place / "lock").read_text())["pid"])
    assert pid in pids, (pid, pids)
    os.kill(pid, signal.SIGKILL)
    return pid


KINDS = (
    Kind("starts", f"{STARTS} starts at once", "one run at a time, one landing", plain(),
         lambda _: _PLACES, _start),
)  # fmt: skip
