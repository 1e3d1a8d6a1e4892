"""Which processes have to do with a directory, whoever their parent is by now. It must not know lockbot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


def naming(place: Path) -> set[tuple[int, str]]:
    """Those whose environment names something below a directory: their numbers, and their command lines."""
    wanted = f"{place}/".encode()
    found = set()
    for pid in _numbers():
        try:
            if wanted in Path(f"/proc/{pid}/environ").read_bytes() and (words := command(pid)):
                found.add((pid, words))
        except OSError:
            continue  # it ended meanwhile, or is another user's
    return found


def command(pid: int) -> str:
    """Empty for a zombie, which is over."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def children(pid: int | str = "self") -> set[int]:
    """Of a process; of this one."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found.update(map(int, (task / "children").read_text().split()))
    return found


def _numbers() -> Iterator[int]:
    # Not by glob("[0-9]*/environ"): it raises where a process ends between being listed and being looked at.
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
