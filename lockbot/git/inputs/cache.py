"""Caches of upstream repositories: bare, and holding commits only, as far back as was needed.

Knows how commits are fetched as cheaply as a remote allows, and how a cache stays sound: one that was killed at
work, damaged or has grown is thrown away and fetched anew. Must not know what is asked of the history.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path
from typing import TypeVar

from lockbot import files, retention
from lockbot.confine import UNCONFINED, Confinement
from lockbot.errors import CommandError, SurroundingsError
from lockbot.git import failure
from lockbot.git.command import Git, own_environment, user_environment
from lockbot.git.inputs.upstream import REMOTE, Origin
from lockbot.git.sync import run_remote
from lockbot.process import CancelToken, Deadline
from lockbot.redact import without_secrets

_FORMAT = "1"
"""Raise it when caches made by older versions must be made anew."""
_SEEN = "refs/lockbot/seen/"
_BRANCH = "refs/lockbot/branch"
_SINCE = "lockbot.since"
"""In the cache's configuration: how far back was fetched, in seconds since 1970; 0: to the beginning.

Later fetches go back as far: a shorter one would cut off what is there."""
_POLL_SECONDS = 0.1
_SUFFIX = ".git"

_REFUSED = re.compile(
    r"not our ref|unadvertised object|couldn't find remote ref|no such remote ref", re.IGNORECASE
)
_NO_RANGE = re.compile(r"no commits selected|processing shallow info|support (shallow|--shallow)", re.IGNORECASE)
_T = TypeVar("_T")


class _Answer(Enum):
    GIVEN = auto()
    REFUSED = auto()
    NOTHING_THAT_YOUNG = auto()


@contextlib.contextmanager
def open_cache(
    root: Path,
    origin: Origin,
    *,
    environ: Mapping[str, str],
    cancel: CancelToken,
    timeout: float,
    confinement: Confinement = UNCONFINED,
) -> Iterator[Cache]:
    """The cache of an origin's repository, below `root`, for as long as the context lasts: others wait for it.

    `timeout`: seconds for all that is asked of it, waiting included.
    """
    deadline = Deadline(timeout, f"asking {origin.url} for its history")
    directory = root / _name(origin.url)
    try:
        files.directory(root)
        files.check_directory(directory)
        files.check_file(_lock(directory))
    except OSError as error:
        raise SurroundingsError(
            f"cannot make {root}: {error.strerror}", "is the state directory right?"
        ) from error
    with CancelToken(deadline, cancel) as bounded, _alone(_lock(directory), bounded) as held:
        with contextlib.suppress(OSError):  # it is made anew too soon, at worst
            os.utime(held)
        cache = Cache(origin, directory, environ, cancel, deadline, confinement)
        cache.prepare()
        yield cache


def remove_unused(root: Path, before: float) -> None:
    """Remove the caches below `root` that nobody has opened since (seconds since 1970): their inputs are gone, or
    have not moved for so long. One that is in use stays, and so does what can't be removed."""
    for lock in root.glob("*.lock"):
        with contextlib.suppress(OSError):
            files.check_file(lock)
            if lock.lstat().st_mtime < before:
                _remove_free(lock)


def _remove_free(lock: Path) -> None:
    descriptor = _take(lock)
    if descriptor is None:
        return
    with _held(descriptor):
        cache = lock.with_suffix(_SUFFIX)
        for place in (cache, *lock.parent.glob(f"{cache.name}.new-*")):
            files.remove_tree(place)
        if not cache.exists():
            lock.unlink()  # last: what is left is found by it


@dataclass(frozen=True)
class Cache:
    """One cache, whose lock the holder has."""

    origin: Origin
    directory: Path
    environ: Mapping[str, str]
    cancel: CancelToken
    deadline: Deadline
    confinement: Confinement = field(default=UNCONFINED, repr=False)

    def has(self, *revs: str) -> bool:
        asked = "".join(f"{rev}^{{commit}}\n" for rev in revs)
        answers = self.git.run("cat-file", "--batch-check", stdin=asked.encode()).stdout.splitlines()
        return len(answers) == len(revs) and all(" commit " in answer for answer in answers)

    @property
    def git(self) -> Git:
        """git in the cache: it knows no remote there, so that nothing is fetched behind our back."""
        environment = {**own_environment(self.environ), "GIT_NO_LAZY_FETCH": "1"}
        # What a power cut leaves is noticed and thrown away: no need to wait for the disk.
        git = Git(self.directory, environment, self.cancel, ruleset=self.confinement.for_git).configured(
            ("core.fsync", "none")
        )
        return replace(git, timeout=max(self.deadline.left, 0.01))

    def remote_git(self, contents: str = "tree:0") -> Git:
        """git in the cache that can fetch from the origin. `contents`: the filter that was asked for."""
        partial = ((f"remote.{REMOTE}.promisor", "true"), (f"remote.{REMOTE}.partialclonefilter", contents))
        config = (*self.origin.config, *partial, ("core.fsync", "none"))
        git = replace(self.git, environment=user_environment(self.environ), ruleset=self.confinement.for_remotes)
        return git.configured(*config)

    @property
    def complete(self) -> bool:
        """Whether the whole history is there of every commit that is there."""
        return not (self.directory / "shallow").exists()

    @property
    def reach(self) -> int | None:
        """How far back was ever fetched (0: to the beginning); None: nothing was fetched yet."""
        text = self.git.run("config", "--get", _SINCE, check=False).stdout.strip()
        return int(text) if text.isdigit() else None

    def fetch(self, revs: Sequence[str], start: int | None, depth: str = "") -> frozenset[str]:
        """Fetch commits (without files) and what led to them since `start` (None: since ever).

        Returns those that upstream does not have. What is older than `start` may be missing, too.
        """
        reach = self.reach
        start = min(start or 0, reach) if reach is not None else start or 0
        if not depth:
            depth = f"--shallow-since=@{start} +0000" if start else "" if self.complete else "--unshallow"
        answer = self._talk([_into(rev) for rev in revs], depth)
        refused: frozenset[str] = frozenset()
        if answer is not _Answer.GIVEN:
            # All or nothing, says git: so one by one, and by the branch where commits can't be named.
            answers = (
                {rev: self._talk([_into(rev)], depth) for rev in revs} if len(revs) > 1 else {revs[0]: answer}
            )
            refused = frozenset(rev for rev, each in answers.items() if each is _Answer.REFUSED)
            if refused:
                self._talk([f"+{self.origin.ref}:{_BRANCH}"], depth)
        if not depth.startswith("--depth"):
            self.git.run("config", _SINCE, str(start))
        return frozenset(rev for rev in refused if not self.has(rev))

    def _talk(self, refspecs: Sequence[str], depth: str) -> _Answer:
        options = ("--quiet", "--no-tags", "--no-prune", "--no-recurse-submodules", "--no-write-fetch-head")
        depths = (depth,) if depth else ()
        shown = self.origin.url
        finished = run_remote(
            self.remote_git(),
            shown,
            *("fetch", *options, "--no-auto-maintenance", "--filter=tree:0", *depths, "--", REMOTE, *refspecs),
        )
        if finished.code == 0:
            return _Answer.GIVEN
        if _REFUSED.search(finished.stderr):
            return _Answer.REFUSED
        if depth and _NO_RANGE.search(finished.stderr):
            return _Answer.NOTHING_THAT_YOUNG
        raise failure.explain_remote(finished, shown)

    @contextlib.contextmanager
    def aside(self) -> Iterator[Path]:
        """A repository beside the cache, for as long as the context lasts; one that a kill leaves goes later."""
        directory = self._new("aside-")
        try:
            yield directory
        finally:
            files.remove_tree(directory)

    # -- keeping it sound ---------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the cache if there is none, or none that can be used. Only by who holds its lock."""
        files.check_directory(self.directory)
        for half in self.directory.parent.glob(f"{self.directory.name}.new-*"):
            files.remove_tree(half)
        if not self.directory.exists():
            self._create()
        elif not self._is_usable():
            self._redo()

    def _is_usable(self) -> bool:
        packs = list((self.directory / "objects" / "pack").glob("*.pack"))
        # One for every fetch. Making a cache anew costs no more than packing it, and lets go of what is long past.
        if len(packs) > retention.MOST_FETCHES or any(_is_left_over(path) for path in self.directory.rglob("*")):
            return False
        finished = self.git.run("config", "--get", "lockbot.format", check=False)
        return finished.stdout.strip() == _FORMAT

    def _create(self) -> None:
        """Made aside and moved in: there is a whole cache or none."""
        aside = self._new()
        self.git.at(aside).run("config", "lockbot.format", _FORMAT)
        aside.rename(self.directory)

    def _new(self, suffix: str = "") -> Path:
        prefix = f"{self.directory.name}.new-{suffix}"
        made = Path(tempfile.mkdtemp(prefix=prefix, dir=self.directory.parent))
        init = ("init", "--quiet", "--bare", "--template=", "--initial-branch=lockbot", "--object-format=sha1")
        self.git.at(made).run(*init, ".")
        return made

    def _redo(self) -> None:
        shutil.rmtree(self.directory)
        self._create()

    def repaired(self, answer: Callable[[], _T]) -> _T:
        """Ask; where git fails for a reason that is not the remote's, ask again of a cache made anew."""
        try:
            return answer()
        except CommandError:
            self._redo()
            return answer()


def _into(rev: str) -> str:
    return f"+{rev}:{_SEEN}{rev}"


def _is_left_over(path: Path) -> bool:
    """What a killed git leaves: its locks and half-written files."""
    return path.name.endswith(".lock") or path.name.startswith(("tmp_", ".tmp-", "shallow_"))


def _name(url: str) -> str:
    """`nixpkgs-1f2e3d4c.git`: readable, and another for every URL; the same with another token in it."""
    url = without_secrets(url)
    readable = re.sub(r"[^0-9a-z]+", "-", url.rstrip("/").removesuffix(".git").rpartition("/")[2].lower())
    digest = hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{readable.strip('-')[:40] or 'upstream'}-{digest}{_SUFFIX}"


def _lock(directory: Path) -> Path:
    """Who has it open holds this file's lock; it was changed when somebody opened it last."""
    return directory.with_suffix(".lock")


@contextlib.contextmanager
def _alone(path: Path, cancel: CancelToken) -> Iterator[int]:
    """Hold a lock on this file, which the kernel frees however we end; its descriptor. Waits until `cancel` says
    stop."""
    while True:
        try:
            descriptor = _take(path)
        except OSError as error:
            raise SurroundingsError(
                f"cannot open {path}: {error.strerror}", "may this user write there?"
            ) from error
        if descriptor is not None:
            break
        cancel.sleep(_POLL_SECONDS)
    with _held(descriptor):
        yield descriptor


def _take(path: Path) -> int | None:
    """A descriptor that holds the file's lock; None: another holds it, or has just removed the file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.lstat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


@contextlib.contextmanager
def _held(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        # Closing is not enough: a child that another thread is just starting has a copy until it has exec-ed.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
