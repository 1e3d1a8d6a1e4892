"""Files of the user's work tree: what is in the way of a move, copies of what it replaces, and its undoing.

`old` and `new` are the commits that a checkout is moved between. Only what such a move wrote is ever written here.
A name that is not UTF-8 comes here changed: that such a file differs is seen, and it is never written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lockbot import files
from lockbot.errors import DeadlineExceeded, LockbotError
from lockbot.git.command import Git
from lockbot.process import Finished

_IN_TREE = ("diff", "--ignore-submodules=all")  # what is checked out of them need not be in order


def _top(git: Git) -> Path:
    return Path(git.ask("rev-parse", "--show-toplevel"))


@dataclass(frozen=True)
class Obstacles:
    """What is the user's where a commit differs from the one before it."""

    changes: frozenset[str]
    """Index or work tree hold something else than the commit before."""
    unknown: frozenset[str]
    """Files that git does not know, ignored ones too, where the commit has some: git would overwrite them."""

    @property
    def paths(self) -> list[str]:
        return sorted(self.changes | self.unknown)


def obstacles(git: Git, old: str, new: str) -> Obstacles:
    changed, staged = changed_paths(git, old, new), differing_paths(git, "diff-index", "--cached", old)
    changes = changed & (staged | differing_paths(git, *_IN_TREE))
    unknown = _in_the_place_of(_top(git), _added(git, old, new), changed) - staged
    return Obstacles(frozenset(changes), frozenset(unknown))


def _in_the_place_of(top: Path, added: set[str], changed: set[str]) -> set[str]:
    """The files that lie where added ones are to come, or where the directories of those are."""
    found = {path for path in added if os.path.lexists(top / path)}
    above = {str(one) for path in added for one in Path(path).parents if one.parts} - changed
    return found | {one for one in above if os.path.lexists(top / one) and not _is_directory(top / one)}


def _is_directory(place: Path) -> bool:
    return place.is_dir() and not place.is_symlink()


def is_staged(git: Git, old: str, new: str) -> bool:
    """Whether the index, still on `old`, holds all that `new` changes: a merge that could not move the branch."""
    changed = changed_paths(git, old, new)
    return bool(changed) and not changed & differing_paths(git, "diff-index", "--cached", new)


def is_squash(git: Git) -> bool:
    """Whether what is staged is the user's: the merge of a whole branch into one commit that they are to make."""
    return os.path.lexists(git_dir(git) / "SQUASH_MSG")


def git_dir(git: Git) -> Path:
    return Path(git.ask("rev-parse", "--absolute-git-dir"))


_SPARED_EACH, _SPARED_ALL = 1 << 20, 8 << 20
"""Bytes. An update changes a lock file or a few; a branch that was far behind may take thousands of files."""


@contextlib.contextmanager
def backed_up(git: Git, old: str, new: str, *, wanted: bool) -> Iterator[dict[str, Path]]:
    """Copies of the files that a move replaces: by these they come back, though the disk takes no more."""
    room = git_dir(git) / "lockbot-spared"
    files.remove_tree(room)  # of a run that was killed
    try:
        yield _copied(git, room, sorted(changed_paths(git, old, new) - _added(git, old, new))) if wanted else {}
    finally:
        files.remove_tree(room)


def _copied(git: Git, room: Path, paths: list[str]) -> dict[str, Path]:
    top, copies, left = _top(git), dict[str, Path](), _SPARED_ALL
    try:
        room.mkdir()
        for path in paths:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # as in a sparse checkout
                found = (top / path).lstat()
                if stat.S_ISREG(found.st_mode) and found.st_size <= min(_SPARED_EACH, left):
                    # No second name for the same file: that alone would have git take it for changed.
                    shutil.copy2(top / path, room / str(len(copies)), follow_symlinks=False)
                    copies[path] = room / str(len(copies))
                    left -= found.st_size
    except OSError:  # the room that there is, git needs itself; what it then leaves, it is to write anew
        files.remove_tree(room)
        return {}
    return copies


def restore(
    git: Git, old: str, new: str, copies: Mapping[str, Path], *, begun: bool
) -> tuple[list[str], list[str]]:
    """Undo a move from `old` to `new` that did not come to its end; the paths where it did, and where it can't.

    Only for a tree that was clean before. What has been written since by anyone else stays. Where it isn't sure
    that git has `begun`, what is missing or empty may be the user's doing: something else must show git's.
    """
    changed = changed_paths(git, old, new)
    if staged := changed & differing_paths(git, "diff-index", "--cached", old):
        if is_staged(git, old, new) and not is_squash(git):  # the index is written last, and as a whole
            complete(git, old, new)
            attempt(git, "update-index", "-q", "--refresh")
            attempt(git, "read-tree", "-m", "-u", new, old)  # by git's rules: it does all of it, or nothing
        left = changed & differing_paths(git, "diff-index", "--cached", old)
        return sorted(staged - left), sorted(left)
    top, added = _top(git), _added(git, old, new)
    before = _written(git, top, changed, added)
    within = _within(top, before)
    nothing = {path for path in within if _is_nothing(top / path)}
    ours = {path for path in within - nothing if _is_part_of(git, top / path, new, path)}
    if begun or ours:
        ours |= nothing
    for path in ours:
        with contextlib.suppress(OSError):
            if path in added:
                (top / path).unlink()
            elif path in copies:
                shutil.move(copies[path], top / path)
    _write(git, ours & differing_paths(git, *_IN_TREE) - added)
    left = _written(git, top, changed, added)
    return sorted(ours - left), sorted(left)


# -- the disk ------------------------------------------------------------------------------------------------


def to_disk(git: Git, old: str, new: str) -> bool:
    """Sync the files that a move between two commits wrote, and the index, which git does not: until it is done, a
    power cut leaves empty files beside a branch that has moved. False: it is not known to be done.
    """
    try:
        top, changed, index = _top(git), changed_paths(git, old, new), git_dir(git) / "index"
        synced = [_synced(path) for path in (*(top / path for path in sorted(changed)), index)]  # the index last
    except LockbotError:
        return False
    if any(_ODD in path for path in changed):
        os.sync()
    return all(synced)


def _synced(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return error.errno not in (errno.EIO, errno.ENOSPC, errno.EDQUOT)  # any other: it can't be had any safer
    return True


def complete(git: Git, old: str, new: str) -> list[str]:
    """Write anew what git wrote in a move from `old` to `new` and a power cut took back; what still is not there.

    Nothing that anybody has written since: a file has lost its end (or all) and is no younger than git made it.
    """
    lost = _lost(git, old, new)
    if lost:
        _write(git, lost)
    return sorted(lost & differing_paths(git, *_IN_TREE))


def _lost(git: Git, old: str, new: str) -> set[str]:
    arrived = changed_paths(git, old, new) - differing_paths(git, "diff-index", "--cached", new)
    differing = arrived & differing_paths(git, *_IN_TREE)
    top = _top(git) if differing else Path()
    return {
        path
        for path in _within(top, differing)
        if (made := _made(git, path)) is not None and _is_as_old(top / path, made) and _lacks(git, top, path, new)
    }


def _made(git: Git, path: str) -> int | None:
    """When git made a file as the index has it (nanoseconds); None: git does not say."""
    said = git.ask("ls-files", "--debug", "-z", "--", f":(top,literal){path}")
    times = re.findall(r"^  mtime: (\d+):(\d{1,9})$", said.partition("\0")[2], re.MULTILINE)
    return int(times[0][0]) * 10**9 + int(times[0][1]) if len(times) == 1 else None


def _is_as_old(place: Path, made: int) -> bool:
    return place.is_file() and not place.is_symlink() and place.lstat().st_mtime_ns <= made


def _lacks(git: Git, top: Path, path: str, commit: str) -> bool:
    begun = _is_nothing(top / path) or _is_part_of(git, top / path, commit, path)
    return begun and not _is_whole(git, top / path, commit, path)


# -- files as git writes them -----------------------------------------------------------------------------------


def _write(git: Git, paths: set[str]) -> None:
    """From the index."""
    names = "".join(f"{path}\0" for path in sorted(paths))
    attempt(git, "checkout-index", "--force", "-z", "--stdin", stdin=names.encode())


_ODD = "\ufffd"
"""In the name of a file that is not UTF-8."""


def _within(top: Path, paths: set[str]) -> set[str]:
    """Those that can be written: by a name that is known, and not through a link."""
    named = {path for path in paths if _ODD not in path}
    return {path for path in named if not any((top / above).is_symlink() for above in Path(path).parents)}


def _written(git: Git, top: Path, changed: set[str], added: set[str]) -> set[str]:
    return changed & differing_paths(git, *_IN_TREE) | {path for path in added if os.path.lexists(top / path)}


def _is_nothing(place: Path) -> bool:
    return not os.path.lexists(place) or (stat.S_ISREG(place.lstat().st_mode) and place.stat().st_size == 0)


def _is_whole(git: Git, place: Path, commit: str, path: str) -> bool:
    """Whether a file is the commit's, by git's filters."""
    named = attempt(git, "rev-parse", f"{commit}:{path}")
    return (
        named.code == 0 and attempt(git, "hash-object", f"--path={path}", "--", str(place)).stdout == named.stdout
    )


def _is_part_of(git: Git, place: Path, commit: str, path: str) -> bool:
    """Whether a file is as far as git came in writing the commit's: the beginning, or all of it."""
    if place.is_symlink() or not place.is_file():
        return False
    if _is_whole(git, place, commit, path):
        return True
    whole = attempt(git, "cat-file", "--filters", f"{commit}:{path}")
    # What git prints comes as text: from the first byte on that is none, it isn't known.
    return whole.code == 0 and whole.stdout.partition("\ufffd")[0].encode().startswith(place.read_bytes())


def attempt(git: Git, *args: str, stdin: bytes | None = None) -> Finished:
    """Where much is to be done yet, whatever comes of this command: a deadline is a result like any other."""
    try:
        return git.run(*args, stdin=stdin, check=False)
    except DeadlineExceeded as error:
        return Finished(("git", *args), -1, "", error.message, git.timeout)


def changed_paths(git: Git, old: str, new: str) -> set[str]:
    return differing_paths(git, "diff-tree", "-r", old, new)


def differing_paths(git: Git, *command: str) -> set[str]:
    return set(git.ask(*command, "--name-only", "--no-renames", "--no-ext-diff", "-z", "--").split("\0")[:-1])


def _added(git: Git, old: str, new: str) -> set[str]:
    return differing_paths(git, "diff-tree", "-r", "--diff-filter=A", old, new)
