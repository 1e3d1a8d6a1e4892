"""The branch as it is now, and the lock as it was committed last, for whoever tells of inputs or gives orders.

Nobody repeats what the last run said of an input without asking here whether it still lies there. Runs no Nix.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lockbot import state as places
from lockbot.app import App, Place
from lockbot.git.clone import Clone
from lockbot.git.command import Git
from lockbot.git.source import LocalSource, Source
from lockbot.git.sync import Base, last_seen, sync
from lockbot.history.input_states import InputState, as_it_lies
from lockbot.history.ledger import Ledger
from lockbot.nix.lockfile import EMPTY, LOCK_NAME, LockFile, LockFileError, diff
from lockbot.report import words
from lockbot.report.escape import name as shown


def committed_lock(app: App, place: Place) -> LockFile:
    """The lock as it was committed last, from the user's repository or, for a URL, as it was fetched last."""
    git, ref = _branch(app, place)
    if ref is None:
        return EMPTY
    path = lock_path(app, place)
    if git.run("cat-file", "-e", f"{ref}:{path}", check=False).code != 0:
        return EMPTY
    return LockFile.parse(git.run("cat-file", "blob", f"{ref}:{path}").stdout, path)


def branch_tip(app: App, place: Place) -> tuple[Git, str | None]:
    """git where the branch lies as it is now (of a URL, as it was fetched last), and its newest commit; None: it
    has none, or was never fetched."""
    git, ref = _branch(app, place)
    return git, git.resolve(ref) if ref is not None else None


def lock_path(app: App, place: Place) -> str:
    """Where flake.lock lies, from the repository's top."""
    return str(Path(app.flake_dir(place)) / LOCK_NAME)


def _branch(app: App, place: Place) -> tuple[Git, str | None]:
    repository = place.repository
    if repository is not None:
        return app.git(repository.path), f"refs/heads/{repository.branch}"
    git = app.git(place.directory / places.CLONE)
    return git, last_seen(git, place.source.branch) if git.directory.is_dir() else None


def input_names(lock: LockFile) -> list[str]:
    """Every input that can be meant: the root's, and nested ones with a node of their own."""
    return [*lock.root_inputs, *lock.paths()]


def input_states(ledger: Ledger, lock: LockFile) -> dict[str, InputState]:
    """How each input stands that the lock has: as the last run left it, or what remains of that where the lock has
    another revision since, or follows another source."""
    found: dict[str, InputState] = {}
    for name, state in ledger.states().items():
        locked = lock.locked(name)
        if locked is not None:
            tips = ledger.tips(name, locked.original, limit=1)
            followed = ledger.follows(name, locked.original)
            newest = tips[0].revision if tips else None
            found[name] = as_it_lies(state, locked.revision or None, newest, followed=followed)
    return found


def uncommitted(app: App, place: Place, lock: LockFile) -> tuple[str, ...]:
    """What the lock in the work tree has that the committed one has not, as a sentence."""
    repository = place.repository
    if repository is None or repository.bare:
        return ()
    head = app.git(repository.path).run("symbolic-ref", "--quiet", "HEAD", check=False).stdout.strip()
    if head != f"refs/heads/{repository.branch}":
        return ()  # what lies there is another branch's
    what = f"{LOCK_NAME} in the work tree"
    meant = f"this is about the one that is committed on {repository.branch}"
    try:
        changes = diff(lock, LockFile.read(repository.path / app.flake_dir(place) / LOCK_NAME))
    except LockFileError:
        return (f"{what} can't be read: {meant}",)
    names = words.listed([shown(change.input) for change in changes])
    return (f"{what} has changes of {names} that are not committed: {meant}",) if changes else ()


@contextmanager
def branch_now(app: App, place: Place) -> Iterator[tuple[Clone, Base]]:
    """lockbot's clone with the branch as it is now; no remote of a local repository is asked."""
    with places.RunLock(
        place.directory / places.LOCK, "listing", app.clock, cancel=app.cancel, wait=True, progress=app.progress
    ):
        clone = app.clone(place)
        yield clone, sync(clone, unasked(place.source))


def unasked(source: Source) -> Source:
    """The same, but for its remote: as the repository is on this machine."""
    return replace(source, remote="", push=False) if isinstance(source, LocalSource) else source
