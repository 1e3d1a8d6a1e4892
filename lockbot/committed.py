"""The lock as it was committed last: what inputs there are, for whoever tells of them or gives orders.

Runs no Nix.
"""

from __future__ import annotations

from pathlib import Path

from lockbot import state as places
from lockbot.app import App, Place
from lockbot.git.sync import last_seen
from lockbot.nix.lockfile import EMPTY, LOCK_NAME, LockFile


def committed_lock(app: App, place: Place) -> LockFile:
    """The lock as it was committed last, from the user's repository or, for a URL, as it was fetched last."""
    repository = place.repository
    if repository is not None:
        git, ref = app.git(repository.path), f"refs/heads/{repository.branch}"
    else:
        git = app.git(place.directory / places.CLONE)
        seen = last_seen(git, place.source.branch) if git.directory.is_dir() else None
        if seen is None:
            return EMPTY
        ref = seen
    path = str(Path(app.flake_dir(place)) / LOCK_NAME)
    if git.run("cat-file", "-e", f"{ref}:{path}", check=False).code != 0:
        return EMPTY
    return LockFile.parse(git.run("cat-file", "blob", f"{ref}:{path}").stdout, path)


def input_names(lock: LockFile) -> list[str]:
    """Every input that can be meant: the root's, and nested ones with a node of their own."""
    return [*lock.root_inputs, *lock.paths()]
