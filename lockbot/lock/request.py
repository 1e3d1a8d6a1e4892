"""What a run is asked to move, and which inputs of a lock that means. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from lockbot.errors import UsageError
from lockbot.nix.lockfile import LockFile, spelled


@dataclass(frozen=True)
class UpdateRequest:
    """What to move: the named inputs (None: all of them), and pins (input → flake reference)."""

    inputs: tuple[str, ...] | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    apart: frozenset[str] = frozenset()
    """Inputs that stay where they are when all are meant."""

    @property
    def named(self) -> tuple[str, ...]:
        return (*(self.inputs or ()), *self.overrides)


def choose(request: UpdateRequest, lock: LockFile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which inputs to move, and what to tell of those that can't be.

    Raises UsageError that lists every named input that can't be moved, each with its reason.
    """
    roots = lock.root_inputs
    wrong = [why for name in request.overrides if (why := _unmovable(name, lock, pinned=True))]
    if request.inputs is not None:
        wrong += [why for name in request.inputs if (why := _unmovable(name, lock))]
    if wrong:
        raise UsageError("\n".join(wrong), "`lockbot inputs` lists the inputs and where each points")
    if request.inputs is not None:
        return tuple(dict.fromkeys(name for name in request.inputs if name not in request.overrides)), ()
    if request.overrides:
        return (), ()
    names = tuple(path for name in roots for path in _movable_from(name, lock) if path not in request.apart)
    notes = tuple(
        f"{name} is not updated: {root.why_not}"
        for name, root in roots.items()
        if not root.updatable and root.follows is None and not _movable_from(name, lock)
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


def _unmovable(name: str, lock: LockFile, *, pinned: bool = False) -> str | None:
    """Why this input path can't be moved; None when it can."""
    follows = lock.follows(name)
    if follows is not None:
        return f"input '{name}' follows '{follows}': update that one instead"
    known = lock.paths()
    if name not in known and (other := spelled((name,))) in known:
        return f"there is no input '{name}' in flake.lock; the one with a slash in its name is '{other}'"
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
