"""What moving inputs would bring into a lock, found out before Nix is asked to lock: it would fetch that.

It must not know the rules by which somebody may (see `MayFetch`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from lockbot.errors import LockbotError
from lockbot.lock import relock, unmovable
from lockbot.lock.ahead import trees
from lockbot.lock.ahead.arrivals import Arrival, Moves, Outlook, look_ahead
from lockbot.lock.ahead.trees import Look, Tree, Unseen
from lockbot.lock.unmovable import CANNOT_LOCK, Problem
from lockbot.model import ChangeKind, FailureKind, InputChange, Locked
from lockbot.nix import failure
from lockbot.nix.command import Nix
from lockbot.nix.flakeref import FlakeRef
from lockbot.nix.lockfile import (
    EMPTY,
    LOCK_NAME,
    LockFile,
    local_path,
    locked_at,
    names_of,
    names_this_machine,
    spelled,
)
from lockbot.nix.lockfile.nodes import InputPath, Node


class MayFetch(Protocol):
    """Who says what may be fetched."""

    def __call__(self, change: InputChange, beneath: Sequence[InputChange], owner: str | None) -> str | None:
        """Why what an input would bring along may not be fetched; None: it may.

        `owner`: the input that was asked to move; None: flake.nix itself asks for what is changed.
        """
        ...


@dataclass(frozen=True)
class Unfetched:
    """An input whose move is not made, for the sake of what that would bring along: `beneath`."""

    change: InputChange
    beneath: tuple[InputChange, ...]
    why: str

    @property
    def tip(self) -> Locked:
        assert self.change.new is not None
        return self.change.new


@dataclass(frozen=True)
class Ahead:
    """What may be locked: `pins` has where each moved input is upstream, by the reference that says so for good.

    `problem`: why nothing can be told. `unfetched`: by the input that was to move.
    """

    pins: Mapping[str, str] = field(default_factory=dict)
    unfetched: Mapping[str, Unfetched] = field(default_factory=dict)
    problem: Problem | None = None


@dataclass
class Lookout:
    """For one flake, in a work tree of lockbot's. What was looked at once is not asked for again."""

    nix: Nix
    may_fetch: MayFetch
    timeout: float
    _trees: dict[FlakeRef, Tree] = field(default_factory=dict)
    _files: dict[str, Look] = field(default_factory=dict)

    def ahead(self, flake: Path, base: LockFile, names: Sequence[str], pins: Mapping[str, str]) -> Ahead:
        """What these moves, to tips or to pins, would bring into this flake's lock; nothing of `base` is new.

        Raises LockbotError where flake.nix itself asks for what may not be fetched.
        """
        lock = LockFile.read(flake / LOCK_NAME)
        root = self._file(flake / "flake.nix", lock)
        if isinstance(root, Unseen):
            return Ahead(problem=self._problem(root, "", ""))
        moves = Moves(
            frozenset(map(names_of, names)), {names_of(name): FlakeRef.read(ref) for name, ref in pins.items()}
        )
        outlook = look_ahead(
            root,
            moves,
            base,
            self._look,
            lambda inner: self._file(flake / inner / "flake.nix", LockFile.read(flake / inner / LOCK_NAME)),
        )
        wanted = [*names, *(name for name in pins if name not in names)]
        for path, unseen in outlook.unseen.items():
            owner = _owner(path, wanted)
            if owner is None and base.edge(path[:1]) is not None:
                continue  # nothing of it moves: Nix has it as it was, or says itself what is wrong
            problem = self._problem(unseen, owner or spelled(path[:1]), spelled(path))
            return Ahead(problem=problem)
        unfetched = self._unfetched(outlook, base, wanted)
        return Ahead({**pins, **_pins(outlook, wanted)}, unfetched)

    def _unfetched(self, outlook: Outlook, base: LockFile, wanted: Sequence[str]) -> dict[str, Unfetched]:
        beneath: dict[str, list[InputChange]] = {}
        for arrival in outlook.arrivals:
            change = _change(arrival, base)
            if change is not None:
                beneath.setdefault(_owner(arrival.path, wanted) or f"\0{spelled(arrival.path[:1])}", []).append(
                    change
                )
        found: dict[str, Unfetched] = {}
        for owner, changes in beneath.items():
            name = owner.removeprefix("\0")
            change = _own_change(name, outlook, base)
            why = self.may_fetch(change, changes, name if name == owner else None)
            if why is not None and name != owner:
                raise LockbotError(
                    f"flake.nix asks for what the policy does not allow: {why}",
                    "change flake.nix, or `[policy]` in the configuration",
                )
            if why is not None:
                found[name] = Unfetched(change, tuple(changes), why)
        for arrival in outlook.arrivals:
            if _owner(arrival.path, wanted) not in found:
                self.nix.permit(_places(arrival))
        return found

    def _look(self, refs: Sequence[FlakeRef]) -> list[Look]:
        new = [ref for ref in refs if ref not in self._trees]
        found = dict(zip(new, trees.look(self.nix, new, self.timeout) if new else (), strict=True))
        self._trees |= {ref: one for ref, one in found.items() if isinstance(one, Tree)}
        return [self._trees[ref] if ref in self._trees else found[ref] for ref in refs]

    def _file(self, path: Path, lock: LockFile) -> Look:
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            return Unseen(None, f"{path.name} can't be read: {error}")
        if text not in self._files:
            self._files[text] = trees.look_at_file(self.nix, text, EMPTY, self.timeout)
        found = self._files[text]
        return replace(found, lock=lock) if isinstance(found, Tree) else found

    def _problem(self, unseen: Unseen, name: str, path: str) -> Problem:
        """`name`: whose it is, `path`: which."""
        finished = unseen.finished
        if finished is None:
            told = f"{path}: " if path != name else ""
            if unseen.late:
                return Problem(FailureKind.NETWORK, f"{told}{unseen.why}")
            return Problem(FailureKind.LOCK_FILE, f"{told}{unseen.why}", CANNOT_LOCK)
        finished = relock.by_their_names(finished, [path])
        kind = failure.classify(finished.stderr)
        if kind is FailureKind.DISK_FULL:
            raise finished.error(f"cannot look at {path}: {failure.explain(finished.stderr)}")
        if unseen.why:  # Nix answered from its cache and said all is well: it was not asked
            return Problem(kind if kind is not FailureKind.UNKNOWN else FailureKind.NETWORK, unseen.why)
        return Problem(kind, unmovable.explained(finished, path))


def _owner(path: InputPath, names: Sequence[str]) -> str | None:
    """The input that was asked to move and under which this path lies."""
    paths = {names_of(name): name for name in names}
    return next((paths[path[:end]] for end in range(len(path), 0, -1) if path[:end] in paths), None)


def _change(arrival: Arrival, base: LockFile) -> InputChange | None:
    """The change that it would be, of what would be read from this machine; None: it is as it was, or as flake.nix
    itself asks for."""
    texts = (str(arrival.original), str(arrival.locked))
    if arrival.by_flake or len(arrival.path) < 2 or not any(map(names_this_machine, texts)):
        return None
    edge = base.edge(arrival.path)
    old = base.end(edge) if isinstance(edge, str) else None
    if old is not None and (old.original, old.locked) == (arrival.original, arrival.locked):
        return None
    new = locked_at(Node("", {}, arrival.original, arrival.locked))
    kind = ChangeKind.UPDATED if old is not None else ChangeKind.ADDED
    return InputChange(spelled(arrival.path), kind, old=locked_at(old) if old is not None else None, new=new)


def _places(arrival: Arrival) -> list[Path]:
    """Where on this machine it lies; nothing, where that is elsewhere."""
    return [path for ref in (arrival.original, arrival.locked) if (path := local_path(ref)) is not None]


def _own_change(name: str, outlook: Outlook, base: LockFile) -> InputChange:
    """What becomes of an input itself."""
    old = base.locked(name)
    tree, node = outlook.trees.get(names_of(name)), base.node(name)
    new = old
    if tree is not None and tree.locked is not None:
        original = node.original if node is not None and node.original is not None else tree.locked
        new = locked_at(Node("", {}, original, tree.locked))
    return InputChange(name, ChangeKind.UPDATED if old is not None else ChangeKind.ADDED, old=old, new=new)


def _pins(outlook: Outlook, names: Sequence[str]) -> dict[str, str]:
    """Nix is to lock what was looked at, and not what upstream says when it is asked once more. What names no
    commit can't be pinned: a checkout of this machine's."""
    found: dict[str, str] = {}
    for name in names:
        tree = outlook.trees.get(names_of(name))
        locked = tree.locked if tree is not None else None
        # A tarball's revision is in no address: its server tells it to who asks for the address that moves.
        if locked is not None and not locked.names_no_commit and locked.type not in ("path", "tarball", "file"):
            found[name] = locked.argument
    return found
