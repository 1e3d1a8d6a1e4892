"""What the system says of processes: when one began, what descends from it, how much memory it holds."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def process_start(pid: int) -> str | None:
    """When a process began, in the kernel's clock ticks: with its id, it names the process for good."""
    fields = _stat(pid)
    return fields[19] if fields else None


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name (which may hold anything); None: no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes().decode(errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def descendants(pid: int) -> set[tuple[int, str]]:
    """The children of a process, theirs, and so on, as (process id, start): Nix's builders leave its group."""
    children: dict[int, list[tuple[int, str]]] = {}
    with contextlib.suppress(OSError):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (fields := _stat(int(entry.name))):
                children.setdefault(int(fields[1]), []).append((int(entry.name), fields[19]))
    found: set[tuple[int, str]] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child not in found:
                found.add(child)
                waiting.append(child[0])
    return found


def resident_bytes(pid: int) -> int:
    """The memory that a process holds now; 0 when it is gone or the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
