"""Who ends the children of a lockbot that was killed: it can't do so itself any more.

A shell waits, for next to nothing, until lockbot is gone. If lockbot has not said that all is well, the shell
becomes a Python that ends every process that lockbot has started, and what those have started. It knows them by a
variable in their environment; what has thrown that away (Nix's builders) descends from one that has it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import signal
import sys
import threading
import time
from pathlib import Path

VARIABLE = "STARTED_BY_LOCKBOT"
"""In the environment of all that lockbot starts."""
_WAIT = 'cd /; read -r said || exec "$0" -I -S "$@"'
_SETTLED = 3
"""So many looks in a row must find nobody: what is ended may have been starting something."""

_lock = threading.Lock()
_name: str | None = None
_pid: int | None = None
_watcher: int | None = None


def name() -> str:
    """This lockbot's mark, for the environment of what it starts. The first call starts who watches."""
    global _name, _pid, _watcher  # one for the whole process, whoever runs in it
    with _lock:
        if _name is None or _pid != os.getpid():
            _name, _pid = f"{os.getpid()}-{secrets.token_hex(8)}", os.getpid()
            _watcher = _watch(_name)
        return _name


def pid() -> int | None:
    """Who watches over this process's children: a child itself, for which nobody waits."""
    return _watcher if _pid == os.getpid() else None


def _watch(mark: str) -> int | None:
    reader, writer = os.pipe()
    try:
        argv = ["/bin/sh", "-c", _WAIT, sys.executable, __file__, mark]
        nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
        started = os.posix_spawn(
            argv[0], argv, {}, file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0), *nothing], setsid=True
        )
    except OSError:
        os.close(writer)  # no shell, or no process to be had: then nobody watches, and all else goes on
        return None
    finally:
        os.close(reader)
    atexit.register(_all_is_well, writer, os.getpid())
    return started


def _all_is_well(writer: int, pid: int) -> None:
    if pid == os.getpid():
        with contextlib.suppress(OSError):
            os.write(writer, b"\n")


# -- what becomes of the shell: imports nothing of lockbot's ----------------------------------------------------


def end_all(mark: str) -> None:
    """End whoever has the mark, and what descends from it."""
    wanted = f"{VARIABLE}={mark}".encode()
    known: set[tuple[int, str]] = set()
    quiet = 0
    while quiet < _SETTLED:
        known |= _family(wanted, known)
        alive = [pid for pid, started in known if _start(pid) == started]
        for pid in alive:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        quiet = 0 if alive else quiet + 1
        time.sleep(0.02)


def _family(wanted: bytes, known: set[tuple[int, str]]) -> set[tuple[int, str]]:
    parents: dict[int, int] = {}
    starts: dict[int, str] = {}
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        pid, fields = int(entry.name), _fields(int(entry.name))
        if not fields or fields[0] == "Z":
            continue
        parents[pid], starts[pid] = int(fields[1]), fields[19]
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.add(pid)
    found |= {pid for pid, started in known if starts.get(pid) == started}  # else the number is another's by now
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found and pid not in found}
        found |= more
        grown = bool(more)
    return {(pid, starts[pid]) for pid in found if pid in starts}


def _start(pid: int) -> str | None:
    fields = _fields(pid)
    return fields[19] if fields and fields[0] != "Z" else None


def _fields(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes().decode(errors="replace")
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()


if __name__ == "__main__":
    end_all(sys.argv[1])
