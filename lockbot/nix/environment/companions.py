"""Programs that serve a confined Nix from outside: started when they are needed, there until lockbot ends."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lockbot.nix.environment.directories import directory_of_sockets, remove
from lockbot.process import begin

_PATIENCE = 20.0
"""Seconds that one gets to be there, and to end by itself."""


class _Running(set[subprocess.Popen[bytes]]):
    """As long as lockbot does."""


_running = _Running()


def started(
    command: Callable[[Path], Sequence[str]],
    environ: Mapping[str, str],
    name: str,
    is_there: Callable[[Path], bool],
) -> Path | None:
    """The address of a program that is started for this process: a socket of this name, in a directory of its own.

    `command` and `is_there` get that address. It ends when its standard input does, or is killed. None: it ended,
    or did not get there in time. Raises OSError where it can't be started.
    """
    directory = directory_of_sockets(environ)
    weakref.finalize(_running, remove, directory, os.getpid())
    address = directory / name
    program = begin(lambda marked: quietly(command(address), {**environ, **marked}, stdin=subprocess.PIPE))
    _running.add(program)
    weakref.finalize(_running, _end, program, os.getpid())
    end = time.monotonic() + _PATIENCE
    while not is_there(address):
        if program.poll() is not None or time.monotonic() > end:
            return None
        time.sleep(0.005)
    return address


def quietly(
    argv: Sequence[str], environ: Mapping[str, str], stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a program that nobody listens to."""
    nothing = subprocess.DEVNULL
    return subprocess.Popen(
        argv, env=dict(environ), stdin=stdin, stdout=nothing, stderr=nothing, cwd="/", start_new_session=True
    )


def waited(program: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Its exit code; None: it took longer, and is killed."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return program.wait(seconds)
    program.kill()
    program.wait()
    return None


def _end(program: subprocess.Popen[bytes], pid: int) -> None:
    if pid == os.getpid():  # not a process that was forked from it
        assert program.stdin is not None
        program.stdin.close()
        waited(program, 1.0)
