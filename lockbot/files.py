"""lockbot's own files and directories: made, read and replaced without following what somebody else put there.

What lockbot makes is a plain directory or a regular file of this user's. Anything else in such a place (a link, a
FIFO, another user's file) is neither followed nor replaced: `NotOurs` says what it is. In directories of lockbot's
a look before is enough, since only this user may write to them; in a place that the user has named it is not, and
`put` loses nothing that comes there meanwhile. Must not know what is kept.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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


def overwrite(path: Path, data: bytes) -> None:
    """Put this into a file of lockbot's that is there, in its own room: for a full disk, and for what may be torn.
    Raises OSError, NotOurs."""
    check_file(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.truncate()


def remove_unfinished(directory: Path, before: float) -> None:
    """Remove what `replace` leaves in a directory when its process is killed. What is younger (`before`: seconds
    since 1970) may be at work; what can't be removed stays."""
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            if _UNFINISHED.fullmatch(path.name) and path.lstat().st_mtime < before:
                remove(path)


_UNFINISHED = re.compile(r"\..+\.\d+\.\d+", re.DOTALL)


def remove(path: Path) -> None:
    """Remove a file of lockbot's, if it is there; anything else stays. Raises OSError."""
    with contextlib.suppress(NotOurs, FileNotFoundError):
        check_file(path)
        path.unlink()


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


def _what(found: os.stat_result, kind: int, advice: str | None = None) -> str | None:
    if stat.S_IFMT(found.st_mode) != kind:
        return _KINDS.get(stat.S_IFMT(found.st_mode), "no regular file") + (advice or _MOVE)
    if found.st_uid != os.geteuid():
        return f"the user's with uid {found.st_uid}, and lockbot runs as {os.geteuid()}: run it as that user"
    return None


_MOVE = ", which lockbot did not make: move it away"
_ANOTHER = ", which is not replaced: move it away, or name another file"
_CHANGING = "being changed by somebody else: look at what is there now"


_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFREG: "a file",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


# -- in a place that the user has named --------------------------------------------------------------------------

_BEGINNING = 4096
_MOST_KEPT = 100


@dataclass(frozen=True)
class Place:
    """A name in a directory that is held open: whatever is done by it is done in that directory."""

    directory: int
    name: str
    path: Path

    def look(self) -> os.stat_result | None:
        """What lies there now."""
        with contextlib.suppress(FileNotFoundError):
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        return None

    def beside(self, name: str) -> Place:
        return Place(self.directory, name, self.path.with_name(name))


def put(
    path: Path, data: bytes, *, ours: Callable[[bytes], bool], mode: int | None = None, keep: bool = False
) -> Path | None:
    """Put this into a file that the user has named, whole or not at all. Without a mode it keeps the one it has.

    What is there already must be a regular file of this user's that has no other name, and `ours`, going by its
    first bytes. With `keep` it stays, under the name that is returned. Raises OSError, and NotOurs: what was there
    stays; so does what somebody else puts there in between.
    """
    with _named(path) as place:
        found = _taken(place, ours)
        aside = place.beside(f".lockbot-{secrets.token_hex(8)}.tmp")
        written = _write(aside, data, _mode(found, mode))
        spare = [written]
        try:
            _into(place, aside, found)
            spare += [found] if found is not None else []
            return _kept(place, aside) if keep and found is not None else None
        finally:
            # Nothing else goes, should the names have been exchanged by another's doing.
            left = aside.look()
            if left is not None and any(os.path.samestat(left, one) for one in spare):
                os.unlink(aside.name, dir_fd=aside.directory)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[Place]:
    if path.name in ("", ".."):
        raise NotOurs(path, "a directory" + _ANOTHER)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Place(directory, path.name, path)
    finally:
        os.close(directory)


def _taken(place: Place, ours: Callable[[bytes], bool]) -> os.stat_result | None:
    """What lies there, if it may be replaced; None: nothing does."""
    found = place.look()
    if found is None:
        return None
    if stat.S_ISLNK(found.st_mode):
        raise NotOurs(
            place.path, f"a symbolic link to {os.readlink(place.name, dir_fd=place.directory)}{_ANOTHER}"
        )
    if (what := _what(found, stat.S_IFREG, _ANOTHER)) is not None:
        raise NotOurs(place.path, what)
    if found.st_nlink > 1:
        raise NotOurs(place.path, "a file that has another name, too (a hard link)" + _ANOTHER)
    # Only what is a regular file is opened: of a device even that may be heard.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(place.name, flags, dir_fd=place.directory), "rb") as file:
        if not _is_same(os.fstat(file.fileno()), found):
            raise NotOurs(place.path, _CHANGING)
        if not ours(file.read(_BEGINNING)):
            raise NotOurs(place.path, "a file with something else in it" + _ANOTHER)
    return found


def _mode(found: os.stat_result | None, mode: int | None) -> int | None:
    return stat.S_IMODE(found.st_mode) if mode is None and found is not None else mode


def _write(place: Place, data: bytes, mode: int | None) -> os.stat_result:
    """A new file; without a mode, with what is usual."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(place.name, flags, 0o666 if mode is None else 0o600, dir_fd=place.directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if mode is not None:
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
            return os.fstat(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(place.name, dir_fd=place.directory)
        raise


def _into(place: Place, aside: Place, found: os.stat_result | None) -> None:
    """Give what was written the name; what had it before has the other one then."""
    if found is None:
        try:
            _rename(aside, place, _NOREPLACE)
        except FileExistsError:
            raise NotOurs(place.path, _CHANGING) from None
        return
    try:
        _rename(aside, place, _EXCHANGE)
    except FileNotFoundError:
        raise NotOurs(place.path, _CHANGING) from None
    other = aside.look()
    if other is None or not _is_same(other, found):
        _rename(aside, place, _EXCHANGE)
        raise NotOurs(place.path, _CHANGING)


def _kept(place: Place, aside: Place) -> Path:
    for number in range(1, _MOST_KEPT):
        old = place.beside(f"{place.name}.old" + (f".{number}" if number > 1 else ""))
        with contextlib.suppress(FileExistsError):
            _rename(aside, old, _NOREPLACE)
            return old.path
    _rename(aside, place, _EXCHANGE)
    raise NotOurs(place.path, f"kept under {_MOST_KEPT - 1} names already: remove some of {place.path}.old*")


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    """The same file, with the same in it."""
    return os.path.samestat(one, other) and (one.st_mtime_ns, one.st_size) == (other.st_mtime_ns, other.st_size)


_NOREPLACE, _EXCHANGE = 1, 2
"""renameat2(2)'s flags."""
_UNABLE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})


def _rename(old: Place, new: Place, flag: int) -> None:
    """By renameat2, which can exchange two names. Where the system has none, or not for this file system, by three
    steps: what is put there between the first and the second is lost."""
    try:
        import ctypes

        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, OSError, AttributeError, MemoryError):  # MemoryError: as in daemon/children
        return _rename_plainly(old, new, flag)
    names = (old.directory, os.fsencode(old.name), new.directory, os.fsencode(new.name))
    if rename(*names, flag) == 0:
        return None
    if (number := ctypes.get_errno()) in _UNABLE:
        return _rename_plainly(old, new, flag)
    raise OSError(number, os.strerror(number), str(new.path))


def _rename_plainly(old: Place, new: Place, flag: int) -> None:
    if flag == _NOREPLACE:
        os.link(old.name, new.name, src_dir_fd=old.directory, dst_dir_fd=new.directory, follow_symlinks=False)
        os.unlink(old.name, dir_fd=old.directory)
    else:
        spare = f"{old.name}.spare"
        os.link(new.name, spare, src_dir_fd=new.directory, dst_dir_fd=old.directory, follow_symlinks=False)
        os.rename(old.name, new.name, src_dir_fd=old.directory, dst_dir_fd=new.directory)
        os.rename(spare, old.name, src_dir_fd=old.directory, dst_dir_fd=old.directory)
