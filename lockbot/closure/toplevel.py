"""The files of a built system, read without trusting whoever built them.

A system's files are links into the store, and a build can put anything there: loops, FIFOs, links to secrets of
this machine, files without end. Only regular files of the store that the system itself lies in are read, and no
more of them than the bounds below. A link to `/nix/store/…` leads into that store wherever it is mounted here.

Must not know what any of the files means.
"""

from __future__ import annotations

import os
import re
import stat
from enum import Enum, auto
from itertools import islice
from pathlib import Path

MOST_NAMES = 20_000
"""Of one directory: a large server has a thousand units."""
MOST_BYTES = 64 * 1024 * 1024
"""Of all files of one system together: units come to a few megabytes."""
FILE_BYTES = 1024 * 1024
_STEPS = 1_000
"""Parts of a path, those of the links on the way counted: where there are more, they go in circles."""

_ABSOLUTE = re.compile(r"/(?:[^/]+/)*?([0-9a-z]{32}-[^/]+(?:/.*)?)", re.DOTALL)
_NOTHING = "/dev/null"


class FileState(Enum):
    PRESENT = auto()
    MASKED = auto()
    """A link to /dev/null, which is how systemd is told that a unit must not be."""
    MISSING = auto()

    @property
    def is_gone(self) -> bool:
        return self is not FileState.PRESENT


class Toplevel:
    """A store path. `is_incomplete` says that a bound was met: what is told of it may not be all."""

    def __init__(self, path: Path) -> None:
        real = Path(os.path.realpath(path))
        self.name = real.name
        self.is_incomplete = False
        self._store = str(real.parent)  # strings: a system's units ask for many thousands of paths
        self._directories: dict[str, tuple[str, ...] | None] = {"": (self.name,), "..": ()}
        self._left = MOST_BYTES

    def state(self, inside: str) -> FileState:
        """What is there, all links followed."""
        path = self._follow(inside)
        if path == _NOTHING:
            return FileState.MASKED
        return FileState.PRESENT if path is not None and os.path.lexists(path) else FileState.MISSING

    def is_directory(self, inside: str) -> bool:
        path = self._follow(inside)
        return path is not None and os.path.isdir(path)  # noqa: PTH112 -- thousands of files: a Path for each doubles the time

    def link(self, inside: str) -> str | None:
        """What a link says, not followed; None: it is none."""
        above, _, name = inside.rpartition("/")
        path = self._follow(above)
        return _read_link(f"{path}/{name}") if path is not None else None

    def names(self, inside: str) -> tuple[str, ...]:
        """What a directory holds, sorted; nothing where there is none."""
        path = self._follow(inside)
        if path is None:
            return ()
        try:
            with os.scandir(path) as entries:
                found = [entry.name for entry in islice(entries, MOST_NAMES + 1)]
        except OSError:
            return ()
        self.is_incomplete |= len(found) > MOST_NAMES
        return tuple(sorted(found[:MOST_NAMES]))

    def read(self, inside: str, limit: int = FILE_BYTES) -> bytes | None:
        """A file's content; None: there is none, or it is too large. `../` leads to another store path."""
        path = self._follow(inside)
        if path is None:
            return None
        if path == _NOTHING:
            return b""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                found = os.fstat(descriptor)
                return file.read(found.st_size) if self._may_read(found, limit) else None
        except OSError:
            return None

    def text(self, inside: str, limit: int = FILE_BYTES) -> str | None:
        data = self.read(inside, limit)
        return data.decode(errors="replace") if data is not None else None

    def _may_read(self, found: os.stat_result, limit: int) -> bool:
        if not stat.S_ISREG(found.st_mode):
            return False
        if found.st_size > min(limit, self._left):
            self.is_incomplete = True
            return False
        self._left -= found.st_size
        return True

    def _follow(self, inside: str) -> str | None:
        """Where it lies in the store, or /dev/null; None: nowhere, or anywhere else."""
        above, _, name = inside.rpartition("/")
        if above not in self._directories:  # asked for many files of few directories
            path = self._follow(above)
            self._directories[above] = self._parts(path) if path and path != _NOTHING else None
        directory = self._directories[above]
        return self._walk(directory, name) if directory is not None else None

    def _parts(self, path: str) -> tuple[str, ...]:
        return tuple(path.removeprefix(f"{self._store}/").split("/"))

    def _walk(self, directory: tuple[str, ...], name: str) -> str | None:
        at, left = [*directory], [name]
        for _ in range(_STEPS):
            if not left:
                return "/".join((self._store, *at)) if at else None
            part = left.pop()
            if part == "..":
                if not at:
                    return None
                at.pop()
            elif part not in ("", "."):
                target = _read_link("/".join((self._store, *at, part)))
                if target is None:
                    at.append(part)
                    continue
                if target == _NOTHING and not left:
                    return _NOTHING
                if target.startswith("/"):
                    at.clear()
                left.extend(reversed(_in_store(target)))
        return None


def _in_store(target: str) -> list[str]:
    """The parts of a link's target, from the store on where it is absolute; `..` where it is not in a store."""
    if not target.startswith("/"):
        return target.split("/")
    entry = _ABSOLUTE.fullmatch(target)
    return entry[1].split("/") if entry else [".."]


def _read_link(path: str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 -- as above
    except (OSError, ValueError):
        return None
