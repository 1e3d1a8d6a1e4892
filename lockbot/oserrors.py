"""Files that can't be read or written, in words: which one, why, and what to do.

Python's own errors leave the file out where a disk is full, and are tracebacks everywhere. Knows the operating
system's reasons, not what the files are for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
from collections.abc import Iterator
from pathlib import Path

from lockbot.errors import LockbotError, SurroundingsError

_SILENT_PIPE_SECONDS = 5.0
"""How long somebody may take to write a pipe's next piece: `--config <(generate)`."""


@contextlib.contextmanager
def explaining() -> Iterator[None]:
    """What the operating system refuses in here is a LockbotError; what only a bug can do stays what it is."""
    try:
        yield
    except OSError as error:
        explained = explain(error)
        if explained is None:
            raise
        raise explained from error


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors in here that name no file are about this one: a write to a full disk does not say where."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def explain(error: OSError) -> LockbotError | None:
    """One sentence and a hint; None where neither a file nor the machine is to blame."""
    number = error.errno or 0
    if error.filename is None and number not in _MACHINE:
        return None
    doing, hint = _WORDS.get(number, ("use", "see what lies there, and who may use it"))
    files = " and ".join(_text(name) for name in (error.filename, error.filename2) if name is not None)
    why = os.strerror(number) if number else str(error)
    return SurroundingsError(f"cannot {doing} {files or 'a file'}: {why}", hint.format(uid=os.geteuid()))


_PERMISSION = "lockbot runs as the user with uid {uid}: let it read and write there"
_OPEN_FILES = "raise the limit on open files (`ulimit -n`)"
_WORDS = {
    errno.ENOSPC: ("write", "free some space there"),
    errno.EDQUOT: ("write", "free some space there, or raise the quota"),
    errno.EFBIG: ("write", "raise the limit on the size of files (`ulimit -f`)"),
    errno.EROFS: ("write", "its file system is mounted read-only"),
    errno.EIO: ("use", "its disk may be failing: see `dmesg`"),
    errno.EACCES: ("use", _PERMISSION),
    errno.EPERM: ("use", _PERMISSION),
    errno.EMFILE: ("open", _OPEN_FILES),
    errno.ENFILE: ("open", _OPEN_FILES),
    errno.ENOENT: ("find", "it was there, or should be: see whether something removed it"),
    errno.EEXIST: ("make", "move away what lies there"),
    errno.ENOTDIR: ("use", "a part of the path is no directory: move it away"),
    errno.EISDIR: ("use", "a directory lies where a file should: move it away"),
    errno.ELOOP: ("use", "a link lies where a file or directory should: move it away"),
}
_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE})
"""Reasons that are no bug of lockbot's even where no file is named."""


def _text(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, (bytes, str)) else str(name)


def read(path: Path, limit: int) -> bytes:
    """At most `limit` bytes of what a user named: a file, or a pipe into which somebody writes. Raises OSError.

    A pipe that nobody writes to is an error after a while, where reading would wait for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with naming(path), os.fdopen(descriptor, "rb", buffering=0) as file:
        pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        data = bytearray()
        while len(data) < limit:
            if pipe and not select.select([file], [], [], _SILENT_PIPE_SECONDS)[0]:
                raise TimeoutError(errno.ETIMEDOUT, "nobody writes to this pipe", str(path))
            piece = file.read(limit - len(data))
            if piece is None and not pipe:
                raise BlockingIOError(errno.EAGAIN, "there is nothing to read", str(path))
            if piece == b"":
                break
            data += piece or b""
        return bytes(data)
