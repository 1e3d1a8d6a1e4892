"""Files of the user's work tree: what is in the way of a move, copies of what it replaces, and its undoing.

`old` and `new` are the commits that a checkout is moved between. Only what such a move wrote is ever written here.
A name that is not UTF-8 comes here changed: that such a file differs is seen, and it is never written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lockbot import files
from lockbot.errors import DeadlineExceeded
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
            to_disk(git, old, new)
        left = changed & differing_paths(git, "diff-index", "--cached", old)
        return sorted(staged - left), sorted(left)
    top, added = _top(git), _added(git, old, new)
    before = _written(git, top, changed, added)
    nothing, ours = _half_written(git, top, before, new)
    if begun or ours:
        ours |= nothing
    for path in ours:
        with contextlib.suppress(OSError):
            if path in added:
                (top / path).unlink()
            elif path in copies:
                shutil.move(copies[path], top / path)
    _write(git, ours & differing_paths(git, *_IN_TREE) - added)
    to_disk(git, old, new)
    left = _written(git, top, changed, added)
    return sorted(ours - left), sorted(left)


def complete(git: Git, old: str, new: str) -> None:
    """Write anew what the index has of `new` and the work tree only in part: a power cut took the rest back.

    Only after a move from `old` of a tree that was clean before: git writes the index after the files. A file that
    is not there is the user's doing: its name is on the disk before the index is.
    """
    arrived = changed_paths(git, old, new) - differing_paths(git, "diff-index", "--cached", new)
    top = _top(git)
    empty, begun = _half_written(git, top, arrived & differing_paths(git, *_IN_TREE), new)
    _write(git, begun | {path for path in empty if os.path.lexists(top / path)})


def _write(git: Git, paths: set[str]) -> None:
    """From the index."""
    names = "".join(f"{path}\0" for path in sorted(paths))
    attempt(git, "checkout-index", "--force", "-z", "--stdin", stdin=names.encode())


_LOST = {errno.EIO, errno.ENOSPC, errno.EDQUOT}
"""What was written is gone. Anything else, as from a file system that syncs nothing: it can't be had any safer."""


def to_disk(git: Git, old: str, new: str) -> bool:
    """Sync the files that a move wrote, and the index, which git does not; False: it is known that some are lost.

    Until it is done, a power cut leaves empty files beside a branch that has moved.
    """
    top, safe = _top(git), True
    for path in (*(top / path for path in sorted(changed_paths(git, old, new))), git_dir(git) / "index"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            safe = safe and error.errno not in _LOST
    return safe


def _half_written(git: Git, top: Path, paths: set[str], commit: str) -> tuple[set[str], set[str]]:
    """Of these: what is missing or empty, and what is the beginning of the commit's, or all of it."""
    named = {path for path in paths if "\ufffd" not in path}
    within = {path for path in named if not any((top / above).is_symlink() for above in Path(path).parents)}
    nothing = {path for path in within if _is_nothing(top / path)}
    return nothing, {path for path in within - nothing if _is_part_of(git, top / path, commit, path)}


def _written(git: Git, top: Path, changed: set[str], added: set[str]) -> set[str]:
    return changed & differing_paths(git, *_IN_TREE) | {path for path in added if os.path.lexists(top / path)}


def _is_nothing(place: Path) -> bool:
    return not os.path.lexists(place) or (stat.S_ISREG(place.lstat().st_mode) and place.stat().st_size == 0)


def _is_part_of(git: Git, place: Path, commit: str, path: str) -> bool:
    """Whether a file is as far as git came in writing the commit's: the beginning, or all of it."""
    if place.is_symlink() or not place.is_file():
        return False
    named = attempt(git, "rev-parse", f"{commit}:{path}")
    if named.code == 0 and attempt(git, "hash-object", f"--path={path}", "--", str(place)).stdout == named.stdout:
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
