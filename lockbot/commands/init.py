"""`lockbot init`: an annotated configuration for the flake in the current directory, from what is found there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lockbot import files
from lockbot.app import App
from lockbot.commands.hosts import hosts
from lockbot.commands.inputs import inputs
from lockbot.config.template import Found, annotated
from lockbot.errors import LockbotError, UsageError


def configuration(app: App) -> str:
    """The text of lockbot.toml. Raises UsageError where there is no repository with a flake.

    Hosts are left out of the comments where Nix can't be asked: the file is useful all the same.
    """
    place = app.place()
    repository = place.repository
    if repository is None:
        raise UsageError("`lockbot init` writes a configuration for a local repository")
    directory = app.flake_dir(place)
    flake = repository.path / directory
    if not repository.bare and not (flake / "flake.nix").is_file():
        raise UsageError(f"there is no flake.nix in {flake}", "run `lockbot init` in the flake's directory")
    names: tuple[str, ...] = ()
    with contextlib.suppress(LockbotError):
        app.cancel.check()
        names = tuple(row.host.name for row in hosts(app))
    return annotated(
        Found(
            path=str(repository.path),
            branch=repository.branch,
            remote=repository.remote,
            flake_dir=directory,
            hosts=names,
            inputs=tuple(row.input for row in inputs(app, ask=False) if "/" not in row.input),
        )
    )


def write(text: str, path: Path, *, force: bool) -> Path | None:
    """Write the file. With `force`, one that is there gives way, and is kept under the name that is returned."""
    if not force and os.path.lexists(path):
        raise UsageError(f"{path} is there already", "look at it, or have it replaced with --force")
    try:
        return files.put(path, text.encode(), ours=lambda _: force, keep=True)
    except files.NotOurs as error:
        raise UsageError(f"no configuration is written: {error.strerror}") from error
    except OSError as error:
        hint = "its directory must exist, and this user must be allowed to write there"
        raise UsageError(f"cannot write {path}: {error.strerror}", hint) from error
