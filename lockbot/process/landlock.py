"""Landlock: Linux's way for a program to give up files for good, for itself and all that it starts.

Knows the three system calls and what this kernel can do; must not know whom it keeps from what. It needs no
right and no configuration, and every program that is started under it stays under it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import platform
import stat
import struct
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import ctypes

_T = TypeVar("_T")

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
"""The numbers of the system calls, the same on every architecture that Linux has got since 2011."""
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_PRIVILEGES = {
    "DAC_READ_SEARCH": 2,
    "SYS_MODULE": 16,
    "SYS_RAWIO": 17,
    "SYS_PTRACE": 19,
    "SYS_ADMIN": 21,
    "MKNOD": 27,
    "PERFMON": 38,
    "BPF": 39,
}
"""Of root: what reads other programs' memory and environments, or the kernel, past Landlock."""

OLDEST = 2
"""The first version that lets files be renamed from one directory to another (Linux 5.19)."""

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_MAKE_AND_REMOVE = sum(1 << bit for bit in range(4, 13))
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_READ = _READ_FILE | _READ_DIR
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE
"""What may be said of a file; of a directory, all."""


@dataclass(frozen=True)
class Access:
    """Which files a program may use: each path, and all below it. Paths that are not there are passed over."""

    read: tuple[Path, ...]
    """What may be read and listed, beside what may be written."""
    write: tuple[Path, ...] | None = None
    """What may be read, made, changed and removed; None: writing is as the system has it."""
    names: bool = False
    """Directories may be listed wherever they are."""


def _call(name: str, *arguments: int | bytes | None) -> int:
    """A function of the C library's. Raises OSError where it says no, or can't be had."""
    ctypes, library = _library()
    words = (ctypes.c_long(one) if isinstance(one, int) else one for one in arguments)
    result = int(getattr(library, name)(*words))
    if result < 0:
        found = ctypes.get_errno()
        raise OSError(found, os.strerror(found))
    return result


@functools.cache
def _library() -> tuple[ModuleType, ctypes.CDLL]:
    """ctypes, which few commands need, and the C library by it."""
    try:
        import ctypes
    except (ImportError, MemoryError) as error:  # MemoryDenyWriteExecute of systemd's, with an old libffi
        raise OSError(errno.ENOTSUP, f"ctypes can't be used: {error}") from error
    return ctypes, ctypes.CDLL(None, use_errno=True)


def _system_call(number: int, *arguments: int | bytes | None) -> int:
    return _call("syscall", number, *arguments)


@functools.cache
def unavailable() -> str | None:
    """Why this machine can't keep a program from files, in a few words; None: it can. Tried, not guessed."""
    if platform.system() != "Linux":
        return f"{platform.system()} has no Landlock"
    try:
        if version() < OLDEST:
            return f"this kernel's Landlock is too old (version {version()}; {OLDEST} came with Linux 5.19)"
        confined(Ruleset(Access((Path("/"),))), os.getpid)
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return "this kernel has no Landlock"
        if error.errno == errno.EOPNOTSUPP:
            return "Landlock is switched off at boot (the kernel's `lsm=` leaves it out)"
        return f"Landlock is refused here: {error.strerror} (a filter of system calls?)"
    return None


@functools.cache
def version() -> int:
    """Of the kernel's Landlock. Raises OSError where it has none."""
    return _system_call(_CREATE, None, 0, _VERSION)


class Ruleset:
    """An access as the kernel has it: what each path led to when this was made. Freed with the last who has it."""

    def __init__(self, access: Access) -> None:
        """Raises OSError where the kernel refuses."""
        changing = _WRITE_FILE | _MAKE_AND_REMOVE | (_TRUNCATE if version() >= 3 else 0)
        reading = _READ_FILE if access.names else _READ
        handled = reading | _REFER | (changing if access.write is not None else 0)
        attributes = struct.pack("=Q", handled)
        self.descriptor = _system_call(_CREATE, attributes, len(attributes), 0)
        weakref.finalize(self, os.close, self.descriptor)
        if access.write is None:
            self._allow([Path("/")], _REFER)
        self._allow(access.write or (), handled)
        self._allow(access.read, reading)

    def _allow(self, paths: Iterable[Path], rights: int) -> None:
        for path in paths:
            try:
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except (OSError, ValueError):
                continue  # what this user can't reach, a program of theirs can't either
            try:
                directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
                rule = struct.pack("=Qi", rights if directory else rights & _OF_FILES, descriptor)
                _system_call(_ADD_RULE, self.descriptor, _PATH_BENEATH, rule, 0)
            finally:
                os.close(descriptor)


def confined(ruleset: Ruleset, start: Callable[[], _T]) -> _T:
    """What `start` returns, run in a thread that may use those files only: so may all that it starts, for good.

    The threads that there are keep what they have. Raises what `start` raises, OSError where the kernel refuses.
    """
    found: list[_T] = []
    failed: list[BaseException] = []

    def begin() -> None:
        try:
            for capability in _PRIVILEGES.values() if os.geteuid() == 0 else ():
                with contextlib.suppress(OSError):  # where it may not be dropped, it is not there
                    _call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)
            _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            _system_call(_RESTRICT, ruleset.descriptor, 0)
            found.append(start())
        except BaseException as error:  # noqa: BLE001 -- raised again in the thread that waits
            failed.append(error)

    thread = threading.Thread(target=begin, name="confined")
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, f"no thread can be started: {error}") from error
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
