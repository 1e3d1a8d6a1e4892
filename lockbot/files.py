"""lockbot's own files and directories: made, read and replaced without following what somebody else put there.

What lockbot makes is a plain directory or a regular file of this user's. Anything else in such a place (a link, a
FIFO, another user's file) is neither followed nor replaced: `NotOurs` says what it is. A look before is enough,
since only this user may write to the directories around them. Must not know what is kept.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import threading
from pathlib import Path

_LARGEST = 64 * 1024 * 1024


class NotOurs(OSError):
    """Something in a place of lockbot's that lockbot did not make; `strerror` says what."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(errno.EEXIST, f"{path} is {what}", str(path))


def directory(path: Path) -> None:
    """Make a directory for this user only, or take the one that is there. Raises OSError, NotOurs."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if (what := _foreign(path, stat.S_IFDIR)) is not None:
        raise NotOurs(path, what)


def check_directory(path: Path) -> None:
    """Raise NotOurs unless it is a directory of lockbot's, or absent."""
    if (what := _foreign(path, stat.S_IFDIR)) is not None:
        raise NotOurs(path, what)


def check_file(path: Path) -> None:
    """Raise NotOurs unless it is a regular file of this user's, or absent."""
    if (what := _foreign(path, stat.S_IFREG)) is not None:
        raise NotOurs(path, what)


def read(path: Path, limit: int = _LARGEST) -> bytes:
    """What is in a file of lockbot's, `limit` bytes of it at most; never waits. Raises OSError, NotOurs."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if (what := _what(os.fstat(descriptor), stat.S_IFREG)) is not None:
            raise NotOurs(path, what)
        return file.read(limit)


def read_ends(path: Path, limit: int) -> tuple[bytes, bytes, int]:
    """The beginning and the end of a file of lockbot's, `limit` bytes of each at most, and how many lie between;
    never waits. Raises OSError, NotOurs."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if (what := _what(found, stat.S_IFREG)) is not None:
            raise NotOurs(path, what)
        head = file.read(limit)
        start = max(found.st_size - limit, len(head))
        file.seek(start)
        return head, file.read(limit), start - len(head)


def replace(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Put this into a file of lockbot's, whole or not at all. Raises OSError, NotOurs: what was there stays."""
    check_file(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        aside.unlink(missing_ok=True)  # of a process that was killed and had this one's number
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(descriptor)
        aside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise


def remove_tree(path: Path) -> None:
    """Remove a directory of lockbot's with all in it, as far as that can be; anything else stays, unopened."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path, ignore_errors=True)


def _foreign(path: Path, kind: int) -> str | None:
    """What it is and what to do, where it is neither absent nor lockbot's."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        return f"a symbolic link to {path.readlink()}{_MOVE}"
    return _what(found, kind)


def _what(found: os.stat_result, kind: int) -> str | None:
    if stat.S_IFMT(found.st_mode) != kind:
        return _KINDS.get(stat.S_IFMT(found.st_mode), "no regular file") + _MOVE
    if found.st_uid != os.geteuid():
        return f"the user's with uid {found.st_uid}, and lockbot runs as {os.geteuid()}: run it as that user"
    return None


_MOVE = ", which lockbot did not make: move it away"


_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFREG: "a file",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}
