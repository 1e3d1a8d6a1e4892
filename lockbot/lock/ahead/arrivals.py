"""Which nodes a lock would get, before Nix locks anything: it would fetch them.

Follows Nix's own way through flake.nix and flake.lock (`computeLocks` in its flake.cc), with the trees that are
looked at one round after another. It must not know what is to be thought of a node.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lockbot.lock.ahead.asking import Asked, asked, overrides
from lockbot.lock.ahead.trees import Look, Tree, Unseen
from lockbot.nix.flakeref import FlakeRef
from lockbot.nix.lockfile import LockFile, local_path
from lockbot.nix.lockfile.local import names_this_machine
from lockbot.nix.lockfile.nodes import DEEPEST, InputPath, Node

MOST = 300
"""Trees that one update leads to: whoever brings more is not let in."""
MOST_NODES = 5_000
"""Inputs that come with one input."""

LookAt = Callable[[Sequence[FlakeRef]], Sequence[Look]]
LookInside = Callable[[str], Look]
"""Of a directory of the flake itself."""


@dataclass(frozen=True)
class Arrival:
    """A node that a lock would have at an input path: what is asked for there, and what it would be locked at.

    `by_flake`: flake.nix itself asks for it.
    """

    path: InputPath
    original: FlakeRef
    locked: FlakeRef
    by_flake: bool = False


@dataclass(frozen=True)
class Outlook:
    """`trees`: what was looked at for its own sake, by input path. `unseen`: why not, at the path where."""

    arrivals: tuple[Arrival, ...]
    trees: Mapping[InputPath, Tree]
    unseen: Mapping[InputPath, Unseen]


@dataclass(frozen=True)
class Moves:
    """What is moved: to each input path's tip, or to where it is pinned."""

    names: frozenset[InputPath]
    pins: Mapping[InputPath, FlakeRef]

    def moves(self, path: InputPath) -> bool:
        return path in self.names or path in self.pins

    def beneath(self, path: InputPath) -> bool:
        return any(one[: len(path)] == path and len(one) > len(path) for one in (*self.names, *self.pins))


def look_ahead(root: Tree, moves: Moves, base: LockFile, look: LookAt, inside: LookInside) -> Outlook:
    """`root`: the flake itself; `base`: the lock from which it is known what is read from this machine anyway.

    What can't be looked at is not gone beyond; neither is what would be read from this machine, and was not."""
    known: dict[FlakeRef | str, Look] = {}
    while True:
        walk = _Walk(moves, base, known)
        walk.enter((), root, _Place(None, ""), _Old(root.lock, root.lock.graph.by_label[root.lock.graph.root]))
        wanted = [ref for ref in dict.fromkeys(walk.wanted) if ref not in known]
        if not wanted:
            return Outlook(tuple(walk.arrivals), walk.trees, walk.unseen)
        refs = [ref for ref in wanted if isinstance(ref, FlakeRef)]
        if len(known) + len(wanted) > MOST:
            known |= dict.fromkeys(wanted, Unseen(None, f"more than {MOST} inputs come with it"))
            continue
        known |= zip(refs, look(refs) if refs else (), strict=True)
        known |= {inner: inside(inner) for inner in wanted if isinstance(inner, str)}


@dataclass(frozen=True)
class _Place:
    """Where a flake lies: in which tree (None: in that of the flake itself), and where there."""

    tree: FlakeRef | None
    directory: str

    def within(self, path: str) -> FlakeRef | str | None:
        """What to look at for a flake at a relative path; None: that leads out of the tree."""
        inner = posixpath.normpath(posixpath.join(self.directory, path))
        if inner == ".." or inner.startswith(("../", "/")):
            return None
        inner = "" if inner == "." else inner
        if self.tree is None:
            return inner
        return FlakeRef.from_attrs({**dict(self.tree.without("dir").attrs), "type": self.tree.type, "dir": inner})


@dataclass(frozen=True)
class _Old:
    """The node of a lock that an input's own inputs are taken from, where it has them."""

    lock: LockFile
    node: Node

    def child(self, name: str) -> _Old | None:
        edge = self.node.inputs.get(name)
        return _Old(self.lock, self.lock.graph.by_label[edge]) if isinstance(edge, str) else None


@dataclass
class _Walk:
    """Once through, as far as trees are known."""

    moves: Moves
    base: LockFile
    known: Mapping[FlakeRef | str, Look]
    wanted: list[FlakeRef | str] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    trees: dict[InputPath, Tree] = field(default_factory=dict)
    unseen: dict[InputPath, Unseen] = field(default_factory=dict)
    overrides: dict[InputPath, tuple[Asked, _Place, bool]] = field(default_factory=dict)
    """What is asked for instead, where that is relative to, and whether the flake itself says so."""
    count: Counter[str] = field(default_factory=Counter)
    """How many inputs have come with each of the flake's own."""

    def enter(self, path: InputPath, tree: Tree, place: _Place, old: _Old) -> None:
        """Go through what a flake's flake.nix asks for."""
        wishes = asked(tree.asks)
        for inner, override in overrides(wishes, path):
            self.overrides.setdefault(inner, (override, place, not path or place.tree is None))
        for name, wish in wishes.items():
            self.input((*path, name), wish, place, old.child(name))

    def input(self, path: InputPath, wish: Asked, place: _Place, old: _Old | None) -> None:
        if self.is_too_much(path):
            return
        by_flake = place.tree is None
        if path in self.overrides:
            override, place, by_flake = self.overrides[path]
            wish = Asked(override.ref, override.follows, wish.flake, override.unclear)
        if wish.follows:
            return
        pin = self.moves.pins.get(path)
        if pin is not None:
            wish = Asked(pin, flake=wish.flake)
        elif wish.ref is None and by_flake and old is not None:
            wish = Asked(old.node.original, flake=wish.flake)  # the user's own spelling, which Nix has read before
        if pin is None and old is not None and not self.moves.moves(path) and wish.ref == old.node.original:
            self.locked(path, old, place, trusted=False)
            return
        if wish.ref is None:
            self.unseen[path] = Unseen(None, f"what it asks for can't be read: {wish.unclear}")
            return
        self.arrive(path, wish.ref, wish.ref, by_flake)
        if old is not None and not wish.flake:  # spelled otherwise, perhaps, and then it is this
            self.arrive(path, old.node.original or wish.ref, old.node.locked or wish.ref, by_flake)
        if wish.flake:
            self.fetched(path, wish.ref, place, None if self.moves.moves(path) else old, by_flake)

    def fetched(self, path: InputPath, ref: FlakeRef, place: _Place, old: _Old | None, by_flake: bool) -> None:
        """Nix would fetch it, and read its flake.nix."""
        wanted: FlakeRef | str | None = ref
        if ref.type == "path" and local_path(ref) is None:
            wanted = place.within(ref.text("path"))
        elif not (by_flake or self.moves.moves(path) or self.is_known(path, ref) or not _is_here(ref)):
            return
        if wanted is None:
            self.unseen[path] = Unseen(None, f"it leads out of the flake that names it: {ref}")
            return
        tree = self.tree(path, wanted)
        if tree is None:
            return
        if isinstance(wanted, FlakeRef) and wanted == ref:
            self.trees[path] = tree
        at = _Place(None, wanted) if isinstance(wanted, str) else _Place(tree.locked, wanted.text("dir"))
        self.enter(path, tree, at, old or _Old(tree.lock, tree.lock.graph.by_label[tree.lock.graph.root]))

    def locked(self, path: InputPath, old: _Old, place: _Place, *, trusted: bool) -> None:
        """Nix would take the node from a lock; and fetch it only where that may not have all of its inputs."""
        node = old.node
        if node.original is None or node.locked is None or self.is_too_much(path):
            return
        self.arrive(path, node.original, node.locked, False)
        edges = node.inputs.items()
        gone = not trusted and any(
            isinstance(to, tuple) and (*path, name) not in self.overrides for name, to in edges
        )
        if node.flake and (gone or self.moves.beneath(path)):
            self.fetched(path, node.locked, place, old, False)
            return
        for name in node.inputs:
            child, inner = old.child(name), (*path, name)
            if child is None:
                continue
            if inner in self.overrides:
                self.input(inner, Asked(child.node.original, flake=child.node.flake), place, child)
            else:
                self.locked(inner, child, place, trusted=True)

    def is_too_much(self, path: InputPath) -> bool:
        """Inputs may be each other's, or so many that nobody could go through them."""
        self.count[path[0]] += 1
        if self.count[path[0]] > MOST_NODES:
            self.unseen[path[:1]] = Unseen(None, f"more than {MOST_NODES} inputs come with it")
        elif len(path) > DEEPEST:
            self.unseen[path] = Unseen(None, f"inputs are nested deeper than {DEEPEST}")
        return len(path) > DEEPEST or self.count[path[0]] > MOST_NODES

    def is_known(self, path: InputPath, ref: FlakeRef) -> bool:
        """Whether this is where the input was read from before."""
        edge = self.base.edge(path)
        locked = self.base.end(edge).locked if isinstance(edge, str) else None
        return locked is not None and locked.type == ref.type and local_path(locked) == local_path(ref) is not None

    def tree(self, path: InputPath, wanted: FlakeRef | str) -> Tree | None:
        found = self.known.get(wanted)
        if found is None:
            self.wanted.append(wanted)
        elif isinstance(found, Unseen):
            self.unseen[path] = found
        return found if isinstance(found, Tree) else None

    def arrive(self, path: InputPath, original: FlakeRef, locked: FlakeRef, by_flake: bool) -> None:
        self.arrivals.append(Arrival(path, original, locked, by_flake))


def _is_here(ref: FlakeRef) -> bool:
    return names_this_machine(str(ref))
