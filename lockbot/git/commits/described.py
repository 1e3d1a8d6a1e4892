"""What one commit says of itself: its message, its parents, the files that it changes, its signature.

All of it is what somebody wrote. Knows git's objects; must not know what is in flake.lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lockbot.git.clone import Clone
from lockbot.git.command import Git


@dataclass(frozen=True)
class Commit:
    """One commit, against its first parent. `files`: the paths that differ, from the repository's top."""

    id: str
    parents: tuple[str, ...]
    message: str
    files: tuple[str, ...]

    @property
    def parent(self) -> str | None:
        return self.parents[0] if self.parents else None

    @property
    def subject(self) -> str:
        return self.message.strip().partition("\n")[0]


def describe(clone: Clone, commit: str) -> Commit:
    """A commit that the clone has."""
    git = clone.git
    _, *parents = git.ask("rev-list", "--max-count=1", "--parents", commit, "--").split()
    message = git.ask("show", "--no-patch", "--encoding=UTF-8", "--format=%B", commit, "--")
    against = [parents[0], commit] if parents else ["--root", commit]
    listing = ("diff-tree", "-r", "-z", "--no-commit-id", "--name-only", "--no-renames")
    files = git.run(*listing, *against, "--").stdout.split("\0")
    return Commit(commit, tuple(parents), message, tuple(filter(None, files)))


def differing(clone: Clone, one: str, other: str) -> tuple[str, ...]:
    """The paths, from the repository's top, at which two commits that the clone has differ."""
    listing = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", one, other, "--")
    return tuple(filter(None, clone.git.run(*listing).stdout.split("\0")))


def signature(git: Git, commit: str) -> str | None:
    """What git itself says of a commit's signature, in words; None: it has none.

    `git` has the user's configuration: which keys are trusted stands there.
    """
    if "\ngpgsig" not in git.ask("cat-file", "commit", commit).partition("\n\n")[0]:
        return None
    answer, _, who = git.ask("show", "--no-patch", "--format=%G?%x00%GS", commit, "--").partition("\0")
    words = _SIGNATURES.get(answer, "it can't be checked")
    return f"{words} ({who})" if who else words


_SIGNATURES: Mapping[str, str] = {
    "G": "git finds it good",
    "U": "git finds it good, by a key that is not known to be trusted",
    "B": "git finds it BAD",
    "X": "git finds it good, but expired",
    "Y": "git finds it good, by a key that has expired",
    "R": "git finds it good, by a key that was revoked",
    "E": "it can't be checked: the key is not there",
}
