"""How a child is ended, with all that it has started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

from lockbot.process.table import descendants, process_start

GRACE = (2.0, 2.0)
"""Seconds after SIGINT, then after SIGTERM, before SIGKILL. A pure Nix evaluation ignores the first two."""


def end_group(process: subprocess.Popen[bytes], grace: tuple[float, float] = GRACE) -> None:
    """End a child, its group and what they started: SIGINT, SIGTERM, SIGKILL. Returns when they are gone."""
    family = descendants(process.pid)
    for number, patience in ((signal.SIGINT, grace[0]), (signal.SIGTERM, grace[1])):
        if process.poll() is not None:
            break
        signal_group(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    family |= descendants(process.pid)
    signal_group(process.pid, signal.SIGKILL)
    process.wait()
    for pid, started in family:
        if process_start(pid) == started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def kill(pid: int) -> None:
    """End one process of ours at once."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
