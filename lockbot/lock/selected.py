"""Locks with chosen inputs at chosen revisions, on top of one base: what the search judges.

Each is made by Nix itself, from the base's lock, with every moved input pinned; and read back. It must not know
hosts, nor why a revision is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lockbot.errors import LockbotError, SurroundingsError
from lockbot.lock import relock, unmovable
from lockbot.lock.ahead.lookout import Lookout, Unfetched
from lockbot.lock.proposal import Lock
from lockbot.model import FailureKind, Locked
from lockbot.nix import failure, lockfile
from lockbot.nix.command import Nix
from lockbot.nix.derivation import source_path
from lockbot.nix.flakeref import FlakeRef
from lockbot.nix.lockfile import LOCK_NAME, LockFile
from lockbot.oserrors import naming
from lockbot.process import Deadline
from lockbot.search.interface import FrozenSelection, Selection


class NotFetched(LockbotError):
    """That a selection has inputs that would bring along what may not be fetched."""

    def __init__(self, unfetched: Mapping[str, Unfetched]) -> None:
        super().__init__("; ".join(one.why for one in unfetched.values()))
        self.unfetched = unfetched


class SelectedLocks:
    """Makes locks in a working tree of lockbot's own; that of one selection is made once.

    `tips` is where each input would go by itself; `base` the content of the lock that everything starts from.
    """

    def __init__(
        self,
        nix: Nix,
        flake: Path,
        base: bytes | None,
        tips: Mapping[str, Locked],
        timeout: float,
        lookout: Lookout,
        *,
        incomplete: bool = False,
    ) -> None:
        """`incomplete`: flake.nix asks for what the base's lock has not."""
        self._lookout = lookout
        self._nix = nix
        self._flake = flake
        self._base = base
        self._old = LockFile.parse(base.decode(errors="replace")) if base is not None else lockfile.EMPTY
        self._tips = tips
        self._timeout = timeout
        self._incomplete = incomplete
        self._made: dict[FrozenSelection, Lock] = {}
        store = str(nix.store_directory)
        self._sources = {
            (name, tip.revision): source_path(tip.nar_hash, store) for name, tip in tips.items() if tip.nar_hash
        }

    def known(self, selection: Selection, lock: Lock) -> None:
        """A lock that exists already (the proposal itself) is not made again."""
        self._made[frozenset(selection.items())] = lock

    def make(self, selection: Selection) -> Lock:
        """Raises SurroundingsError when upstream can't be reached, LockbotError when one can't be locked; that is
        NotFetched for what it would bring along.
        """
        key = frozenset(selection.items())
        if key not in self._made:
            self._made[key] = self._lock(selection)
        return self._made[key]

    def reference(self, name: str, revision: str) -> str:
        """The flake reference that pins an input to a revision. Raises FlakeRefError where there is none."""
        tip = self._tips[name]
        if revision == tip.revision:
            return f"{tip.type}+{tip.url}" if tip.type in ("file", "tarball") else tip.url
        return FlakeRef.read(tip.url).with_rev(revision).argument

    def source(self, name: str, revision: str) -> str | None:
        """Where the store keeps an input's source at a revision that was locked: errors name it."""
        return self._sources.get((name, revision))

    def _lock(self, selection: Selection) -> Lock:
        path = self._flake / LOCK_NAME
        if self._base is None:
            path.unlink(missing_ok=True)
        else:
            with naming(path):
                path.write_bytes(self._base)
        if selection:
            self._update(selection)
        elif self._incomplete:
            self._complete()
        new = LockFile.read(path) if path.exists() else lockfile.EMPTY
        for name, revision in selection.items():
            locked = new.locked(name)
            if locked is not None and locked.nar_hash:
                self._sources[name, revision] = source_path(locked.nar_hash, str(self._nix.store_directory))
            # By its hash, too: what is served at a tarball's own address need not say again which commit it is.
            tip = self._tips[name]
            same = locked is not None and revision == tip.revision and locked.nar_hash == tip.nar_hash
            if locked is None or (locked.revision != revision and not (same and tip.nar_hash)):
                found = locked.revision if locked is not None else "nothing"
                raise LockbotError(f"{name} was to be locked at {revision}, and Nix locked {found}")
        return Lock(path.read_bytes(), lockfile.diff(self._old, new))

    def _complete(self) -> None:
        """Nothing is moved: what flake.nix asks for, and the lock has not, is added all the same."""
        if (problem := self._lookout.ahead(self._flake, self._old, (), {}).problem) is not None:
            raise unmovable.unseen(problem)
        finished = self._nix.lock(self._flake, Deadline(self._timeout, "locking the flake"))
        if finished.code != 0:
            surroundings = failure.classify(finished.stderr).surroundings
            words = failure.explain(finished.stderr)
            raise (SurroundingsError if surroundings else LockbotError)(f"cannot lock the flake: {words}")

    def _update(self, selection: Selection) -> None:
        overrides = {name: self.reference(name, revision) for name, revision in sorted(selection.items())}
        what = ", ".join(f"{name} at {revision[:10]}" for name, revision in sorted(selection.items()))
        ahead = self._lookout.ahead(self._flake, self._old, (), overrides)
        if (problem := ahead.problem) is not None:
            own = problem.kind is FailureKind.NOT_FOUND or not problem.kind.surroundings
            raise (LockbotError if own else SurroundingsError)(f"cannot lock {what}: {problem.message}")
        if ahead.unfetched:
            raise NotFetched(ahead.unfetched)
        overrides = dict(ahead.pins)
        finished = relock.update(self._nix, self._flake, (), overrides, Deadline(self._timeout, "making a lock"))
        stale = failure.stale_fetch_lines(finished.stderr)
        if finished.code != 0 or stale:
            words = stale[0] if stale else failure.explain(finished.stderr)
            # What is gone upstream, or does not fit, is this one revision's affair: the search steps over it.
            kind = failure.classify("\n".join(stale) or finished.stderr)
            own = finished.code != 0 and (kind is FailureKind.NOT_FOUND or not (stale or kind.surroundings))
            raise (LockbotError if own else SurroundingsError)(f"cannot lock {what}: {words}")
