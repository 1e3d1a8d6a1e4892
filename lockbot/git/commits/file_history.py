"""The commits that changed one file, and what each says of itself: in the user's repository or in lockbot's clone.

Writes nothing and fetches nothing, so nobody need be waited for. Must not know what the file holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockbot.git.command import Git


@dataclass(frozen=True)
class FileCommit:
    """One commit. All of it but the ids is what somebody wrote."""

    id: str
    parent: str | None
    message: str
    author: str
    date: int
    """When it was committed, in seconds since 1970: the committer chose it."""

    @property
    def subject(self) -> str:
        return self.message.strip().partition("\n")[0]


@dataclass(frozen=True)
class FileHistory:
    """The history of the file at `path`, from the repository's top; `git` works in that repository."""

    git: Git
    path: str

    def commits(self, tip: str, most: int, since: str | None = None) -> tuple[str, ...]:
        """The newest commits up to `tip` that changed it, newest first; not those that `since` has, too."""
        return self._listed(f"--max-count={most}", "--topo-order", tip, *([f"^{since}"] if since else []))

    def count(self, tip: str, since: str | None = None) -> int:
        """How many such commits there are."""
        beyond = [f"^{since}"] if since else []
        return int(self.git.ask("rev-list", "--count", tip, *beyond, "--", self._pathspec))

    def steps(self, tip: str, most: int) -> tuple[str, ...]:
        """The commits with which the branch itself had another state of it, newest first, merges among them."""
        return self._listed(f"--max-count={most}", "--first-parent", tip)

    def read(self, commit: str) -> FileCommit:
        form = "--format=%P%x00%ct%x00%an%x00%B"
        told = self.git.ask("show", "--no-patch", "--encoding=UTF-8", form, commit, "--")
        parents, date, author, message = told.split("\0", 3)
        return FileCommit(commit, parents.partition(" ")[0] or None, message, author, int(date))

    def content(self, commit: str) -> str | None:
        """What it held at a commit; None: there was no such file."""
        found = self.git.run("cat-file", "blob", f"{commit}:{self.path}", check=False)
        return found.stdout if found.code == 0 else None

    def fork(self, one: str, other: str) -> str | None:
        """The newest commit that two commits have in common."""
        found = self.git.run("merge-base", one, other, check=False)
        return found.stdout.strip() if found.code == 0 else None

    @property
    def _pathspec(self) -> str:
        return f":(top,literal){self.path}"

    def _listed(self, *arguments: str) -> tuple[str, ...]:
        return tuple(self.git.ask("rev-list", *arguments, "--", self._pathspec).split())
