"""The state directory: where things lie, who may run, and whether the disk has room.

Knows files, flock and statvfs; not what is kept in the directory's files.

    ROOT/history.sqlite                       every repository's runs
    ROOT/logs/RUN/                            their logs
    ROOT/repos/NAME-HASH/clone.git            lockbot's own clone of one repository
    ROOT/repos/NAME-HASH/gitconfig            which of the user's git settings lockbot's git obeys
    ROOT/repos/NAME-HASH/worktrees/           its linked worktrees
    ROOT/repos/NAME-HASH/roots/HASH/RUN/      garbage collector roots, by flake
    ROOT/repos/NAME-HASH/answers-HASH.json    what searches found out, by flake
    ROOT/repos/NAME-HASH/bisected-HASH.json   what bisections found out, by flake
    ROOT/repos/NAME-HASH/bisect/              a clone, worktrees and roots of the bisection that runs
    ROOT/repos/NAME-HASH/lock                 who runs
    ROOT/repos/NAME-HASH/looking, sending     who looks what is to be told, and who sends it
    ROOT/repos/NAME-HASH/postmarks-HASH       what of it has gone out, by flake
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from lockbot import files
from lockbot.errors import BusyError, LockbotError, SurroundingsError, UsageError
from lockbot.model import Note, Progress, silent
from lockbot.process import CancelToken, process_start

CLONE = "clone.git"
WORKTREES = "worktrees"
BISECT = "bisect"
ROOTS = "roots"
UPSTREAMS = "upstreams"
NIX_DATA = "nix-data"
LOCK = "lock"
ERRAND = "pull requests"
"""In a run's place, of who holds the lock for no longer than a look at a forge takes."""
LOOKING, SENDING, POSTMARKS = "looking", "sending", "postmarks"

_ELSEWHERE = "choose another with `[state] directory` in the configuration"
_NEVER_FOLLOWED = "to keep the state on another disk, move all of it and link the state directory itself"
_POLL_SECONDS = 0.25
_LARGEST_LOCK_FILE = 4096


class StateDirectory:
    """lockbot's own place. Making one creates it (mode 0700) or refuses it with a LockbotError that says why.

    Itself it may be a link, for whoever keeps it on another disk. What lockbot made in it may not: it works there,
    and removes what it finds.
    """

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        """`read_only`: nothing is made, and what is not there is not missed."""
        self._read_only = read_only
        try:
            self.root = root.resolve()
            _check_link(root, self.root)
            if read_only:
                return
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: a symlink loop, before Python 3.13
            raise _refused(root, error) from error
        _check_owner(self.root)
        try:
            files.directory(self.root / "repos")
            files.directory(self.root / "logs")
            files.check_directory(self.root / NIX_DATA)
        except OSError as error:
            raise _refused(self.root, error) from error
        if not os.access(self.root, os.W_OK):  # false on a read-only file system, for root, too
            raise LockbotError(f"the state directory {self.root} can't be written", _ELSEWHERE)

    @property
    def history(self) -> Path:
        """The database's file."""
        return self.root / "history.sqlite"

    @property
    def logs(self) -> Path:
        """A directory for each run's logs."""
        return self.root / "logs"

    def repository_directory(self, identity: str) -> Path:
        """The place of one repository, with WORKTREES and ROOTS in it; CLONE and LOCK are its users' to make.

        `identity` is what tells repositories apart: a resolved path or a URL.
        """
        readable = re.sub(r"[^0-9a-z]+", "-", identity.rstrip("/").rpartition("/")[2].lower()).strip("-")[:40]
        directory = self.root / "repos" / f"{readable or 'repository'}-{digest(identity)}"
        if self._read_only:
            return directory
        try:
            for place in (directory, directory / WORKTREES, directory / ROOTS):
                files.directory(place)
            for place in (directory / CLONE, directory / UPSTREAMS):
                files.check_directory(place)
        except OSError as error:
            raise _refused(directory, error) from error
        return directory


def digest(name: str) -> str:
    """Eight hex digits for a name that no file could have: a path, a URL, a flake's key."""
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]


def refuse_inside(root: Path, work_tree: Path) -> None:
    """Raise UsageError when the state directory lies in the flake's own work tree.

    Nix would copy it with the flake, and git would call the tree dirty for ever.
    """
    try:
        inside = root.resolve().is_relative_to(work_tree.resolve())
    except (OSError, RuntimeError) as error:
        raise _refused(root, error) from error
    if inside:
        raise UsageError(f"the state directory {root} lies in the flake's own work tree, {work_tree}", _ELSEWHERE)


def _check_link(root: Path, target: Path) -> None:
    """A link to nothing is a disk that is not mounted, rather than the wish for a new state directory there."""
    if root.is_symlink() and not os.path.lexists(target):
        raise LockbotError(
            f"the state directory {root} is a symbolic link to {target}, which does not exist",
            f"is its disk mounted? Make that directory, or {_ELSEWHERE}",
        )


def _check_owner(root: Path) -> None:
    found = root.stat()
    if found.st_uid != os.geteuid():
        raise LockbotError(
            f"the state directory {root} belongs to another user (uid {found.st_uid}; this is uid {os.geteuid()})",
            f"run lockbot as that user (`sudo -u '#{found.st_uid}' lockbot …`), or {_ELSEWHERE}",
        )
    if found.st_mode & stat.S_IWOTH:
        raise LockbotError(f"everybody may write to the state directory {root}", f"chmod 700 {root}")


def _refused(directory: Path, error: Exception) -> LockbotError:
    if isinstance(error, RuntimeError) or (isinstance(error, OSError) and error.errno == errno.ELOOP):
        return LockbotError(f"the state directory {directory} is a loop of symbolic links", _ELSEWHERE)
    if isinstance(error, files.NotOurs):
        return LockbotError(f"the state directory can't be used: {error.strerror}", _NEVER_FOLLOWED)
    reason = error.strerror if isinstance(error, OSError) else str(error)
    message = f"the state directory {directory} can't be used: {reason}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SurroundingsError(message, "free some space there")
    return LockbotError(message, _ELSEWHERE)


# -- one run at a time


@dataclass(frozen=True)
class Holder:
    """Who says to hold the lock. `start` is the kernel's: with the pid it names the process for good."""

    pid: int
    start: str | None
    machine: str
    since: str
    run: str

    @property
    def dead(self) -> bool:
        """Whether that process is surely gone. Another machine's processes can't be seen from here."""
        if self.machine != socket.gethostname():
            return False
        return not _exists(self.pid) or process_start(self.pid) != self.start

    def __str__(self) -> str:
        place = "" if self.machine == socket.gethostname() else f" on {self.machine}"
        return f"held by pid {self.pid}{place} since {self.since} (run {self.run})"


class RunLock:
    """One cycle at a time per repository: a context manager that holds a flock on `path`.

    The kernel frees it however the process ends, and children don't inherit it (O_CLOEXEC). What the file says is
    for people only: the flock alone decides. The file is never removed, since a waiter may have it open.

    Raises BusyError, naming the holder, when another holds it. With `wait`, waits instead until `cancel` says stop
    (Cancelled, DeadlineExceeded), and tells the progress once who holds it. For an ERRAND every run waits, so that
    none is lost to it; an errand waits for nobody.
    """

    def __init__(
        self,
        path: Path,
        run_id: str,
        clock: Callable[[], datetime],
        *,
        cancel: CancelToken,
        wait: bool = False,
        progress: Progress = silent,
    ) -> None:
        self._path = path
        self._run_id = run_id
        self._clock = clock
        self._cancel = cancel
        self._wait = wait
        self._progress = progress
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        told = errand = unsaid = False
        while (descriptor := _try_lock(self._path)) is None:
            if not told or errand:
                holder = _read_holder(self._path)
                if holder is None and not unsaid:  # it may just be over
                    unsaid = True
                    continue
                errand = self._run_id != ERRAND and holder is not None and holder.run == ERRAND
                self._tell(holder, wait=self._wait or errand, told=told)
                told = True
            self._cancel.sleep(_POLL_SECONDS)
        self._descriptor = descriptor
        try:
            self._sign(descriptor)
        except BaseException:
            self._release()
            raise
        return self

    def _tell(self, holder: Holder | None, *, wait: bool, told: bool) -> None:
        who = str(holder) if holder is not None else "held by a process that does not say who it is"
        if not wait:
            raise BusyError(
                f"another run works on this repository: {who}", "wait for it with `--wait`, or try again later"
            )
        if not told:
            self._progress(Note(f"waiting for another run: the repository is {who}"))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            # Closing is not enough: a child that another thread is just starting has a copy until it has exec-ed.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None

    def _sign(self, descriptor: int) -> None:
        """Write who holds it. On a full disk nobody is told, but the lock holds."""
        holder = {
            "pid": os.getpid(),
            "start": process_start(os.getpid()),
            "machine": socket.gethostname(),
            "since": self._clock().astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            "run": self._run_id,
        }
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode() + b"\n", 0)


def _try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock; None: another holds it."""
    try:
        while True:
            files.check_file(path)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_nlink > 1:
                    path.unlink()  # it is written to: what has another name, too (a backup's, say), is not
                elif _is_file(descriptor, path):
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                return None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # it was removed or replaced since it was opened: a lock on it excludes nobody
    except OSError as error:
        raise LockbotError(
            f"the lock {path} can't be taken: {error.strerror}",
            "it must lie on a local file system that this user may write to",
        ) from error


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _read_holder(path: Path) -> Holder | None:
    """Who the lock's file says holds it; None when it says nothing sensible, or names a process that is gone.

    The holder signs just after it has locked: so nonsense is read a second and a third time.
    """
    for pause in (0.02, 0.1, 0.0):
        holder = _parse_holder(path)
        if holder is not None and not holder.dead:
            return holder
        time.sleep(pause)
    return None


def is_held(path: Path) -> bool:
    """Whether a process that lives says so. Takes no lock, and so holds up nobody."""
    return _read_holder(path) is not None


def _parse_holder(path: Path) -> Holder | None:
    try:
        found = json.loads(files.read(path, _LARGEST_LOCK_FILE))
        start = None if found["start"] is None else str(found["start"])
        texts = (_plain(found[name]) for name in ("machine", "since", "run"))
        return Holder(int(found["pid"]), start, *texts)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return pid > 0


def _plain(text: object) -> str:
    """Fit for a terminal, whatever the file says."""
    return "".join(character if character.isprintable() else "�" for character in str(text)[:100])


# -- room on the disk


def check_disk(paths: Iterable[Path], floor_bytes: int) -> None:
    """Raise SurroundingsError when the file system of one of these has less free space than the floor."""
    for path in paths:
        free = free_bytes(path)
        if free < floor_bytes:
            raise SurroundingsError(
                f"only {human_size(free)} free at {path}, and the floor is {human_size(floor_bytes)}",
                "free some space (`nix-collect-garbage`), or lower the floor in the configuration",
            )


def free_bytes(path: Path) -> int:
    """What may still be written there without privileges; for a path that is yet to be made, at its parent."""
    for place in (path.absolute(), *path.absolute().parents):
        try:
            found = os.statvfs(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise SurroundingsError(f"how much is free at {place} can't be told: {error.strerror}") from error
        return found.f_bavail * found.f_frsize
    raise SurroundingsError(f"how much is free at {path} can't be told: it does not exist")


def human_size(size: int) -> str:
    """`1536` → `1.5 KiB`."""
    amount = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def new_run_id(now: datetime) -> str:
    """`20261122-154703-3f9a`: the time (UTC), so that ids sort by it, and chance, so that no two are the same."""
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
