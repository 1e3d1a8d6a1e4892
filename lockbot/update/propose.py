"""Proposing a lock: move the wished-for inputs in a working tree of lockbot's own, and say what changed.

An input that can't be fetched is held back and named; it never stops the others. It must not know hosts,
nor what becomes of the lock.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockbot.errors import LockbotError, SurroundingsError, UsageError
from lockbot.model import FailureKind, Held, InputChange, Locked, Progress, Retrying
from lockbot.nix import failure, lockfile
from lockbot.nix.command import Nix
from lockbot.nix.flakeref import FlakeRef
from lockbot.nix.lockfile import LockFile
from lockbot.process import Deadline

LOCK_NAME = "flake.lock"
_GONE = "does not match any input"
_TRANSIENT = frozenset({FailureKind.NETWORK, FailureKind.DAEMON})


@dataclass(frozen=True)
class Wish:
    """What to move: the named inputs (None: all of them), and pins (input → flake reference)."""

    inputs: tuple[str, ...] | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    apart: frozenset[str] = frozenset()
    """Inputs that stay where they are when all are meant."""

    @property
    def named(self) -> tuple[str, ...]:
        return (*(self.inputs or ()), *self.overrides)


@dataclass(frozen=True)
class Limits:
    """`timeout` in seconds for one call of Nix; `delay` seconds before the first of `retries`, then doubled."""

    timeout: float
    retries: int = 3
    delay: float = 5.0


@dataclass(frozen=True)
class Lock:
    """A flake.lock that could be published: its content, and what it changes."""

    content: bytes
    changes: tuple[InputChange, ...]


@dataclass(frozen=True)
class Proposal:
    """No changes: the working tree is as it was."""

    changes: tuple[InputChange, ...]
    held: tuple[Held, ...]
    notes: tuple[str, ...]
    tips: Mapping[str, Locked] = field(default_factory=dict)
    """Where each input that moved is now, by the name it was asked for by (`a`, or a nested `a/b`)."""
    asked: Mapping[str, Locked] = field(default_factory=dict)
    """Where each input is now whose upstream was really asked, and answered."""
    locked_before: Mapping[str, Locked] = field(default_factory=dict)
    """Where each of the named inputs was."""
    paths: tuple[str, ...] = ()
    """Every input path of the flake."""

    @property
    def before(self) -> dict[str, str | None]:
        """The revision at which each input was locked."""
        return {name: locked.revision or None for name, locked in self.locked_before.items()}


@dataclass(frozen=True)
class _Problem:
    kind: FailureKind
    message: str


def propose(nix: Nix, flake: Path, wish: Wish, limits: Limits, progress: Progress) -> Proposal:
    """Move inputs in the flake at this directory; flake.lock is left written with what could be moved.

    Raises UsageError for inputs that can't be moved though they were named, LockFileError for a lock that can't
    be read, SurroundingsError when nothing at all could be fetched.
    """
    return _Proposing(nix, flake, limits, progress).run(wish)


@dataclass(frozen=True)
class _Proposing:
    nix: Nix
    flake: Path
    limits: Limits
    progress: Progress

    @property
    def path(self) -> Path:
        return self.flake / LOCK_NAME

    def run(self, wish: Wish) -> Proposal:
        if not (self.flake / "flake.nix").is_file():
            raise UsageError(
                "there is no flake.nix in the repository" + (f" at {self.flake.name}" if self.flake.name else ""),
                "set `[repository] flake_dir` to the directory that holds it, and commit the file",
            )
        before = self._bytes()
        old = self._read()
        lock = old
        if before is None or not lock.root_inputs.keys() >= {name.split("/")[0] for name in wish.named}:
            self._create()  # never locked, or an input that flake.nix has and the lock has not
            lock = self._read()
        names, notes = choose(wish, lock)
        for name, ref in wish.overrides.items():
            self._pin(name, ref, lock)
        held = self._move(names if before is not None or wish.inputs else (), lock)
        new = self._read()
        changes = lockfile.diff(old, new)
        if not changes:
            self._restore(before)  # another spelling of the same lock is not a change
        if held and len(held) == len(names) and not changes and not wish.overrides:
            raise _nothing_fetched(held)
        asked = [name for name in (*names, *wish.overrides) if name not in {item.input for item in held}]
        answered = {name: locked for name in asked if (locked := new.locked(name)) is not None}
        were = {name: locked for name in (*names, *wish.overrides) if (locked := old.locked(name)) is not None}
        return Proposal(changes, held, notes, _tips(asked, changes, new), answered, were, new.paths())

    # -- one call of Nix, and whether to believe it --------------------------------------------------------

    def _update(self, names: Sequence[str], overrides: Mapping[str, str]) -> _Problem | None:
        """None when every name was really asked for upstream. On a problem the lock is as before."""
        before = self._bytes()
        what = ", ".join([*names, *overrides]) if len(names) < 4 else f"{len(names)} inputs"
        try:
            finished = self.nix.update(
                self.flake, names, overrides, Deadline(self.limits.timeout, f"fetching {what}")
            )
        except LockbotError as error:
            self._restore(before)
            self.nix.cancel.check()
            return _Problem(FailureKind.NETWORK, error.message)
        # What flake.nix no longer has and the lock still had is gone from the lock now: nothing was to be fetched.
        # And that no branch is checked out here (Nix looks, if the flake wants its submodules) is as it should be.
        stale = [
            line
            for line in failure.stale_fetch_lines(finished.stderr)
            if _GONE not in line and not any(f"at '{tree}'" in line for tree in (self.flake, *self.flake.parents))
        ]
        if finished.code == 0 and not stale:
            return None
        self._restore(before)
        kind = failure.classify(finished.stderr)
        if kind in (FailureKind.DISK_FULL, FailureKind.LOCK_FILE):
            raise finished.error(f"cannot update {what}: {failure.explain(finished.stderr)}")
        if stale and finished.code == 0:
            # Nix answered from its cache and said all is well: it was not asked.
            kind = kind if kind is not FailureKind.UNKNOWN else FailureKind.NETWORK
            return _Problem(kind, stale[0])
        return _Problem(kind, failure.explain(finished.stderr) or f"nix ended with code {finished.code}")

    def _move(self, names: Sequence[str], lock: LockFile) -> tuple[Held, ...]:
        """All together; where that fails, one by one, and those whose network failed again after a while."""
        if not names or self._update(names, {}) is None:
            return ()
        problems: dict[str, _Problem] = {}
        waiting = list(names)
        for tries in range(self.limits.retries + 1):
            for name in waiting:
                problem = self._update([name], {})
                if problem is None:
                    problems.pop(name, None)
                else:
                    problems[name] = problem
            waiting = [name for name in waiting if name in problems and problems[name].kind in _TRANSIENT]
            if not waiting or tries == self.limits.retries:
                break
            delay = self.limits.delay * 2**tries
            self.progress(Retrying("fetching " + ", ".join(waiting), problems[waiting[0]].message, delay))
            self.nix.cancel.sleep(delay)
        return tuple(
            Held(name, "fetch-failed", f"{problem.kind}: {problem.message}", _revision(lock, name))
            for name, problem in problems.items()
        )

    def _pin(self, name: str, ref: str, old: LockFile) -> None:
        """Pin one input, and read the lock back: Nix has answered otherwise before."""
        wanted = FlakeRef.parse(ref)
        if wanted.type == "indirect":
            raise UsageError(
                f"cannot pin {name} to {ref}: that is an indirect reference, and no registry is asked",
                "give the whole reference, e.g. github:NixOS/nixpkgs/nixos-26.05",
            )
        problem = self._update([], {name: ref})
        if problem is not None:
            error = SurroundingsError if problem.kind.surroundings else LockbotError
            raise error(
                f"cannot pin {name} to {ref}: {problem.message}",
                "does that revision exist, and can it be fetched?",
            )
        locked = LockFile.read(self.path).locked(name)
        if locked is None or (wanted.rev and locked.rev != wanted.rev):
            raise LockbotError(
                f"{name} was to be pinned to {wanted.rev}, but Nix locked {locked.rev if locked else 'nothing'}",
                "nothing was changed; please report this with the output of `nix --version`",
            )
        before = old.locked(name)
        if before is not None and locked.original != before.original:
            raise LockbotError(
                f"pinning {name} would change where it comes from for good: {before.original} → {locked.original}",
                f"this Nix ({self.nix.banner}) can't pin this kind of input; change its url in flake.nix",
            )

    def _create(self) -> None:
        """A flake that was never locked."""
        finished = self.nix.lock(self.flake, Deadline(self.limits.timeout, "locking the flake"))
        if finished.code != 0:
            words = failure.explain(finished.stderr)
            if failure.classify(finished.stderr).surroundings:
                raise SurroundingsError(f"cannot lock the flake: {words}")
            raise finished.error(f"cannot lock the flake: {words}")

    # -- the file -----------------------------------------------------------------------------------------

    def _read(self) -> LockFile:
        return LockFile.read(self.path) if self.path.exists() or self.path.is_symlink() else lockfile.EMPTY

    def _bytes(self) -> bytes | None:
        return self.path.read_bytes() if self.path.exists() else None

    def _restore(self, content: bytes | None) -> None:
        if content is None:
            self.path.unlink(missing_ok=True)
        elif self._bytes() != content:
            self.path.write_bytes(content)


def choose(wish: Wish, lock: LockFile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which inputs to move, and what to tell of those that can't be.

    Raises UsageError that lists every named input that can't be moved, each with its reason.
    """
    roots = lock.root_inputs
    wrong = [why for name in wish.overrides if (why := _unmovable(name, lock, pinned=True))]
    if wish.inputs is not None:
        wrong += [why for name in wish.inputs if (why := _unmovable(name, lock))]
    if wrong:
        raise UsageError("\n".join(wrong), "`lockbot inputs` lists the inputs and where each points")
    if wish.inputs is not None:
        return tuple(dict.fromkeys(name for name in wish.inputs if name not in wish.overrides)), ()
    if wish.overrides:
        return (), ()
    names = tuple(path for name in roots for path in _movable_from(name, lock) if path not in wish.apart)
    notes = tuple(
        f"{name} is not updated: {root.why_not}"
        for name, root in roots.items()
        if not root.updatable and root.follows is None
    )
    return names, notes


def _movable_from(path: str, lock: LockFile) -> tuple[str, ...]:
    """An input that can move; or, of one that is a directory of this very flake, those of its own that can."""
    found = lock.input(path)
    if found is None:
        return ()
    if found.updatable:
        return (path,)
    original = found.original
    if (
        found.follows is not None
        or original is None
        or original.type != "path"
        or original.text("path")[:1] == "/"
    ):
        return ()
    depth = path.count("/") + 1
    children = [one for one in lock.paths() if one.startswith(f"{path}/") and one.count("/") == depth]
    return tuple(name for child in children for name in _movable_from(child, lock))


def _tips(asked: Sequence[str], changes: Sequence[InputChange], new: LockFile) -> dict[str, Locked]:
    """Of the inputs that were asked for, those that moved, or below which something moved."""
    touched = [change.input for change in changes]
    found: dict[str, Locked] = {}
    for name in asked:
        locked = new.locked(name)
        if locked is not None and any(path == name or path.startswith(f"{name}/") for path in touched):
            found[name] = locked
    return found


def _nothing_fetched(held: Sequence[Held]) -> LockbotError:
    """Not one input could be moved: the network, or, where all of them say the same, the flake itself."""
    said = {item.detail for item in held}
    if len(said) == 1 and next(iter(said)).startswith((FailureKind.EVALUATION, FailureKind.UNKNOWN)):
        return LockbotError(
            f"Nix can't update the flake: {said.pop()}", "does `nix flake metadata` work there? See flake.nix"
        )
    return SurroundingsError(
        "no input could be fetched: " + "; ".join(f"{item.input}: {item.detail}" for item in held[:3]),
        "is the network up? The lock is as it was, and the next run tries again",
    )


def _unmovable(name: str, lock: LockFile, *, pinned: bool = False) -> str | None:
    """Why this input path can't be moved; None when it can."""
    if not name or any(not part or part.startswith("-") for part in name.split("/")):
        return f"'{name}' is not the name of an input"
    follows = lock.follows(name)
    if follows is not None:
        return f"input '{name}' follows '{follows}': update that one instead"
    known = lock.paths()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        return f"there is no input '{name}' in flake.lock" + (f"; did you mean '{near[0]}'?" if near else "")
    locked = lock.locked(name)
    root = lock.root_inputs.get(name)
    if not pinned and root is not None and not root.updatable:
        return f"input '{name}' can't be updated: {root.why_not}"
    if not pinned and locked is not None and locked.type == "path":
        return f"input '{name}' can't be updated: it is a path, not a repository"
    return None


def _revision(lock: LockFile, name: str) -> str | None:
    locked = lock.locked(name)
    return (locked.revision or None) if locked is not None else None
