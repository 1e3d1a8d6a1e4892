"""A clock that is ahead of the machine's, for every Python that has this directory on its PYTHONPATH.

Python imports a module of this name as it starts. What `datetime` and `time` say is the machine's time and what
the file SOAK_CLOCK adds to it; and files are as old as they would be had that clock been there when they were
written: each row of the file tells from which moment on (of the machine's) how many seconds were added. Monotonic
clocks stay as they are, and so do other programs: git and Nix go by the machine's time.
"""

from __future__ import annotations

import bisect
import ctypes
import datetime
import gc
import os
import posix
import struct
import time
from typing import Any

ROW = struct.Struct("<dd")
"""From which moment on (seconds since 1970), how many seconds ahead."""


class Clock:
    def __init__(self, path: str) -> None:
        self._path = path
        self._size = -1
        self._moments: list[float] = []
        self._ahead: list[float] = []

    def ahead(self, moment: float) -> float:
        """What was added at a moment of the machine's."""
        size = posix.stat(self._path).st_size
        if size != self._size:
            with open(self._path, "rb") as file:  # noqa: PTH123 -- pathlib is not loaded yet
                rows = list(ROW.iter_unpack(file.read(size - size % ROW.size)))
            self._moments, self._ahead, self._size = [row[0] for row in rows], [row[1] for row in rows], size
        at = bisect.bisect_right(self._moments, moment)
        return self._ahead[at - 1] if at else 0.0


def install(clock: Clock) -> None:
    machine = time.time

    def now() -> float:
        moment = machine()
        return moment + clock.ahead(moment)

    time.time = now
    time.time_ns = lambda: int(now() * 10**9)
    # The class itself is changed: one of ours in its place would not be what C makes of a date.
    kind = datetime.datetime
    (methods,) = gc.get_referents(kind.__dict__)
    methods["now"] = classmethod(lambda cls, tz=None: cls.fromtimestamp(now(), tz))
    methods["utcnow"] = classmethod(lambda cls: cls.fromtimestamp(now(), datetime.UTC).replace(tzinfo=None))
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
    for name in ("stat", "lstat", "fstat"):
        setattr(os, name, _dated(getattr(posix, name), clock))
    for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        if posix.stat in able:
            able.add(os.stat)


def _dated(look: Any, clock: Clock) -> Any:
    def dated(*arguments: Any, **options: Any) -> os.stat_result:
        found = look(*arguments, **options)
        ahead = clock.ahead(found.st_mtime)
        times = {
            "st_atime": found.st_atime + ahead,
            "st_mtime": found.st_mtime + ahead,
            "st_ctime": found.st_ctime + ahead,
            "st_atime_ns": found.st_atime_ns + int(ahead) * 10**9,
            "st_mtime_ns": found.st_mtime_ns + int(ahead) * 10**9,
            "st_ctime_ns": found.st_ctime_ns + int(ahead) * 10**9,
            "st_blksize": found.st_blksize,
            "st_blocks": found.st_blocks,
            "st_rdev": found.st_rdev,
        }
        return os.stat_result(tuple(found), times)

    return dated


if _path := os.environ.get("SOAK_CLOCK"):
    install(Clock(_path))
