"""Is a branch of the user's in use? Where it is checked out, and what is going on with it.

Reads the user's repository, and must not write to it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lockbot.git.command import Git
from lockbot.git.source import Repository


@dataclass(frozen=True)
class Checkout:
    """A worktree of the user's repository."""

    path: Path
    head: str | None
    branch: str | None
    """The full ref; None when HEAD is detached (as during a rebase)."""
    found: bool = True
    """False: `path` is its git directory; of a `--separate-git-dir`, git knows the work tree only within it."""


def checkouts(git: Git) -> list[Checkout]:
    """All worktrees of a repository, the main one first; a bare repository is none."""
    found = []
    for record in git.run("worktree", "list", "--porcelain", "-z").stdout.split("\0\0"):
        lines = [line.partition(" ") for line in record.split("\0") if line]
        fields = {key: value for key, _, value in lines}
        if "worktree" in fields and "bare" not in fields:
            listed = Path(fields["worktree"])
            path = _work_tree(git, listed)
            found.append(Checkout(path or listed, fields.get("HEAD"), fields.get("branch"), path is not None))
    return found


def catching_up(git: Git, repository: Repository, *, rebase: bool = False) -> str:
    """How the user brings the branch to what its remote has, `rebase`: and keeps what only the branch has."""
    at, branch = git.at(repository.path), repository.branch
    trees = [tree for tree in checkouts(at) if tree.branch == f"refs/heads/{branch}"]
    remote = repository.remote or "origin"
    pull = ("pull", *(("--rebase",) if rebase else ()), remote, repository.remote_branch)
    if trees and not trees[0].found:
        return f"`{shlex.join(('git', *pull))}` in the work tree where {branch} is checked out"
    if trees:
        tree = trees[0].path
        return f"`{shlex.join(('git', '-C', str(tree), *pull))}`"
    if rebase:
        return f"check {branch} out, then `{shlex.join(('git', *pull))}` there"
    fetch = ("git", "-C", str(repository.path), "fetch", remote, f"{repository.remote_branch}:{branch}")
    return f"`{shlex.join(fetch)}`"


def setting_aside(git: Git, files: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The commands with which the user puts changes of these files away, so that a merge goes on."""
    here = ("git", "-C", str(git.directory))
    listed = git.ask("--literal-pathspecs", "ls-files", "-z", "--", *files).split("\0")
    committed = git.ask("--literal-pathspecs", "ls-tree", "-z", "--name-only", "HEAD", "--", *files).split("\0")
    if unknown := [name for name in files if name not in listed and name not in committed]:
        aside = (("mv", "--", str(git.directory / name), f"{git.directory / name}.yours") for name in unknown)
        known = [name for name in files if name not in unknown]
        return (*aside, *(setting_aside(git, known) if known else ()))
    if not set(files) <= set(listed):  # removed or renamed in the index: `stash` knows no such file
        return ((*here, "stash", "push"),)
    added = git.ask("--literal-pathspecs", "diff", "--name-only", "--diff-filter=A", "-z", "--", *files).split(
        "\0"
    )
    intended = [name for name in added if name]  # `add --intent-to-add`, as by Nix: that can't be stashed
    return (*([(*here, "add", "--", *intended)] if intended else []), (*here, "stash", "push", "--", *files))


def _work_tree(git: Git, listed: Path) -> Path | None:
    """None: git lists its git directory instead, and does not know (`Checkout.found`)."""
    if (listed / ".git").exists() or not listed.is_dir():
        return listed
    asked = git.run("rev-parse", "--absolute-git-dir", "--show-toplevel", check=False)
    directory, _, top = asked.stdout.rstrip("\n").partition("\n")
    return Path(top) if top and listed.samefile(directory) else None


@dataclass(frozen=True)
class Operation:
    """Something that the user has begun and not ended: `a rebase`, in a worktree."""

    what: str
    path: Path


def operation(repository: Repository, trees: list[Checkout]) -> Operation | None:
    """What the user is in the middle of with the branch, in any of the repository's worktrees.

    git tells only in part: during a rebase the branch counts as checked out nowhere, and its abort would throw
    away what was put on it.
    """
    ref = f"refs/heads/{repository.branch}"
    places = {repository.common: trees[0].path if trees else repository.path}  # git lists the main one first
    for record in (repository.common / "worktrees").glob("*"):
        places[record] = Path(_read(record / "gitdir")).parent
    for directory, path in places.items():
        if what := _operation_in(directory, ref):
            return Operation(what, path)
    return None


def _operation_in(directory: Path, ref: str) -> str | None:
    for name in ("rebase-merge", "rebase-apply"):
        if _read(directory / name / "head-name") == ref:
            return "a rebase"
    if ref in _read(directory / "rebase-merge" / "update-refs").splitlines():
        return "a rebase"
    if _read(directory / "BISECT_START") == ref.removeprefix("refs/heads/"):
        return "a bisect"
    if _read(directory / "HEAD") != f"ref: {ref}":
        return None
    for name, what in (
        ("MERGE_HEAD", "a merge"),
        ("CHERRY_PICK_HEAD", "a cherry-pick"),
        ("REVERT_HEAD", "a revert"),
        ("sequencer", "a cherry-pick"),
        ("rebase-apply", "an am"),
    ):
        if (directory / name).exists():
            return what
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="surrogateescape").strip()
    except OSError:
        return ""
