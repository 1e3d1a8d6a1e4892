"""Files that follow from the lock: run the configured commands on a candidate, and say what they changed.

Knows a worktree of lockbot's own; must not know what the files are for.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from lockbot import process
from lockbot.errors import DeadlineExceeded, LockbotError
from lockbot.git.clone import Clone
from lockbot.git.worktree import Worktree
from lockbot.nix.command import Nix
from lockbot.process import Deadline, Within


@dataclass(frozen=True)
class Commands:
    """What to run (argv lists), which files that may change (patterns), and seconds for each."""

    commands: tuple[tuple[str, ...], ...] = ()
    paths: tuple[str, ...] = ()
    timeout: float = 600.0


def regenerate(
    nix: Nix, clone: Clone, tree: Worktree, directory: Path, commands: Commands, lock: str
) -> list[str]:
    """Run the commands in `directory` of the worktree; the paths that changed, from its root, without `lock`.

    Raises LockbotError when one fails or changes what it may not.
    """
    if not commands.commands:
        return []
    for argv in commands.commands:
        _run(nix, clone, argv, directory, commands.timeout)
    changed = [path for path in _changed(clone, tree) if path != lock]
    undeclared = [path for path in changed if not any(fnmatchcase(path, wanted) for wanted in commands.paths)]
    if undeclared:
        shown = ", ".join(undeclared[:5])
        raise LockbotError(
            f"a command of [after_update] changed what it may not: {shown}",
            "add them to `[after_update] paths`, or mend the command",
        )
    return changed


def clean(clone: Clone, tree: Worktree, commands: Commands) -> None:
    """Put the worktree back to its commit, for the next candidate."""
    if commands.commands:
        git = clone.git.at(tree.path)
        git.run("read-tree", tree.commit)
        git.run("checkout-index", "--all", "--force", "--quiet")
        git.run("clean", "-ffdxq")


def _run(nix: Nix, clone: Clone, argv: tuple[str, ...], directory: Path, timeout: float) -> None:
    try:
        finished = process.run(
            argv,
            env=nix.environ,
            cancel=nix.cancel,
            deadlines=[Deadline(timeout, f"{argv[0]} ([after_update])")],
            cwd=directory,
            within=Within(clone.confinement.for_commands),
        )
    except DeadlineExceeded as error:
        nix.cancel.check()
        raise LockbotError(error.message, "raise `[after_update] timeout`, or find out what hangs") from error
    if finished.code != 0:
        raise finished.error(f"{argv[0]} ([after_update]) ended with code {finished.code}")


def _changed(clone: Clone, tree: Worktree) -> list[str]:
    """Everything that differs from the worktree's commit, also what is new; what git ignores is left out."""
    git = clone.git.at(tree.path)
    git.run("read-tree", tree.commit)  # whatever Nix staged meanwhile
    options = ("--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=all")
    entries = git.run("status", *options).stdout.split("\0")
    return [entry[3:] for entry in entries if entry]
