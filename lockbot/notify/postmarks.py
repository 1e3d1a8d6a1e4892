"""Which messages have gone out: a file that says so a moment before the last of their bytes do.

It is mapped into memory, written to without a system call, and not synced: it has to outlive a killed process,
not a power cut. The less time lies between this and the bytes, the fewer kills can fall between them; a file
system may take milliseconds for a write. Who reads it knows from the history which messages were on their way: of
these, what is not in here has not gone out.
"""

from __future__ import annotations

import errno
import mmap
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from lockbot import files
from lockbot.state import POSTMARKS, digest

_LARGEST = 16 * 1024 * 1024
_MORE = 4096
"""Bytes for what is written into the outbox meanwhile."""


class Postmarks:
    """A flake's, in the directory of its repository, for one process at a time. Raises OSError, NotOurs."""

    def __init__(self, directory: Path, flake: str) -> None:
        self._path = directory / f"{POSTMARKS}-{digest(flake)}"
        self._map: mmap.mmap | None = None
        self._written = 0
        self._lock = threading.Lock()

    def read(self) -> frozenset[str]:
        try:
            found = files.read(self._path, _LARGEST).rstrip(b"\0")
        except FileNotFoundError:
            return frozenset()
        return frozenset(found.decode(errors="replace").split())

    def begin(self, ids: Iterable[str]) -> None:
        """Forget what was in it, and be ready for these and some more. The place on the disk is taken now: to
        write to memory that has none would end the process."""
        room = b"\0" * (sum(len(_marked(one)) for one in ids) + _MORE)
        files.check_file(self._path)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            while room:
                room = room[os.write(descriptor, room) :]
            self._map, self._written = mmap.mmap(descriptor, 0), 0
            self._map[0] = 0  # what it takes to have a page that can be written to
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._map is not None:
                self._map.close()
                self._map = None

    def add(self, ids: Iterable[str]) -> None:
        """These go out now. From any thread."""
        data = b"".join(map(_marked, ids))
        with self._lock:
            end = self._written + len(data)
            if self._map is None or end > len(self._map):
                raise OSError(errno.ENOSPC, "there is no room for a postmark", str(self._path))
            self._map[self._written : end] = data
            self._written = end


def _marked(one: str) -> bytes:
    return f"{one}\n".encode()
