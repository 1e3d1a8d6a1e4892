"""Running one command and watching it: wall time, the memory of its whole family, its own share of the time.

Linux only: it reads /proc. It must not know what the commands are.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockbot import process

MEMORY_SECONDS = 0.1
"""Between two looks at the family's memory: each costs about a millisecond."""
ALONE_SECONDS = 0.005
"""Between two looks at whether the process has any child."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """Seconds and bytes. `cpu` is the process's own; `alone` how long it ran without any child; `peak` the sum of
    what it and all its descendants had in memory at once (shared pages count for each that maps them), `largest`
    what one of them had."""

    wall: float
    cpu: float
    alone: float
    peak: int
    largest: int
    stdout: str


def measure(argv: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, watched: bool = True) -> Measured:
    """Run it to its end. Raises AssertionError, with its last words, unless it ends with 0."""
    begun = time.monotonic()
    with (
        subprocess.Popen(
            argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as child,
        _Watch(child.pid, watched) as watch,
    ):
        errors = _Reading(child.stderr)
        output = _Reading(child.stdout)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        wall = time.monotonic() - begun
        cpu = _own_cpu(child.pid)  # a process that has ended keeps its figures until it is waited for
    if child.returncode != 0:
        raise AssertionError(f"{[str(word) for word in argv]} ended with {child.returncode}:\n{errors.text()}")
    return Measured(wall, cpu, watch.alone, watch.peak, watch.largest, output.text())


def _own_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class _Reading(threading.Thread):
    """Reads a pipe to its end, lest the child wait for a reader."""

    def __init__(self, pipe: object) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._read = b""
        self.start()

    def run(self) -> None:
        self._read = self._pipe.read()  # type: ignore[attr-defined]  # IO[bytes] of Popen, or None by its type

    def text(self) -> str:
        self.join()
        return self._read.decode(errors="replace")


class _Watch:
    def __init__(self, pid: int, watched: bool) -> None:
        self.pid = pid
        self.alone = 0.0
        self.peak = 0
        self.largest = 0
        self._over = threading.Event()
        loops = (self._memory, self._children) if watched else ()
        self._threads = [threading.Thread(target=loop, daemon=True) for loop in loops]

    def __enter__(self) -> _Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _memory(self) -> None:
        while not self._over.wait(MEMORY_SECONDS):
            family = [self.pid, *(pid for pid, _ in process.descendants(self.pid))]
            resident = [process.resident_bytes(pid) for pid in family]
            self.peak = max(self.peak, sum(resident))
            self.largest = max(self.largest, *resident)

    def _children(self) -> None:
        last = time.monotonic()
        while not self._over.wait(ALONE_SECONDS):
            now = time.monotonic()
            if not _has_child(self.pid):
                self.alone += now - last
            last = now


def _has_child(pid: int) -> bool:
    try:
        return any(list.read_bytes() for list in Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:  # a thread ended between listing and reading
        return True
