"""kill -9: of lockbot alone, or of all that it has started, too; at random instants, and before every step."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable

from tests import processes
from tests.faults import invariants
from tests.faults.ground import Ground
from tests.faults.kinds import Case, Kind, plain
from tests.update.world import World, finish

INSTANTS = 200
_SHORTER = 0.9


def kill_all(world: World, pid: int) -> None:
    """lockbot, and everything that it has started: what systemd does at last, and the end of a container."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    while left := {number for number, _ in processes.naming(world.directory)}:
        _kill(left)


def _kill(numbers: Iterable[int]) -> None:
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    time.sleep(0.001)


def seconds_of_a_run(ground: Ground) -> float:
    ground.moves()
    begun = time.monotonic()
    ground.lands()
    return time.monotonic() - begun


def instants(number: int, seconds: float) -> list[str]:
    return [f"the {at} of {number} parts of a run of {seconds:.2f} s" for at in range(1, number + 1)]


def killed_at(
    ground: Ground, share: float, seconds: float, *, everything: bool, ready: Callable[[], None] = lambda: None
) -> None:
    """A run that is killed after a share of the seconds that one takes; sooner, where it was over before.

    `ready` is called before it starts."""
    while True:
        ground.moves()
        ready()
        process = ground.world.start()
        time.sleep(share * seconds)
        if everything:
            kill_all(ground.world, process.pid)
        else:
            process.kill()
        if finish(process).code == -signal.SIGKILL:
            return
        share *= _SHORTER


def _at_an_instant(ground: Ground, case: Case, *, everything: bool) -> None:
    seconds = float(case.label.split()[-2])
    killed_at(ground, (case.place - case.chance.random()) / INSTANTS, seconds, everything=everything)
    invariants.nothing_runs(ground.world)
    ground.met()
    ground.lands()


def _before_a_step(ground: Ground, case: Case) -> None:
    ground.moves()
    try:
        steps = ground.world.observed(case.place)
    except AssertionError:  # this run had fewer steps
        steps = ground.world.observed()
        assert len(steps) < case.place, "it was not killed"
    invariants.nothing_runs(ground.world)
    ground.met()
    ground.lands()


def _steps(ground: Ground) -> list[str]:
    ground.moves()
    return ground.world.observed()


def _instants(ground: Ground) -> list[str]:
    return instants(INSTANTS, seconds_of_a_run(ground))


KINDS = (
    Kind("kill", "kill -9 of lockbot alone, at random instants: what it started ends with it", "", plain(),
         _instants, lambda ground, case: _at_an_instant(ground, case, everything=False), most=100),
    Kind("kill-group", "kill -9 of lockbot and of all that it started, at random instants", "", plain(), _instants,
         lambda ground, case: _at_an_instant(ground, case, everything=True), most=100),
    Kind("step", "kill -9 before a step: a child about to start, a transaction about to be committed", "",
         plain(breaks=False), _steps, _before_a_step),
    Kind("step-local", "the same, with no remote", "", plain(kind="local", breaks=False), _steps, _before_a_step,
         most=12),
    Kind("step-bare", "the same, in a bare repository", "", plain(kind="bare", breaks=False), _steps,
         _before_a_step, most=12),
)  # fmt: skip
