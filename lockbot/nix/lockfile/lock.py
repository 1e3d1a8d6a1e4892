"""What a flake.lock says: its inputs, by path, and what is locked there.

An edge leads from an input's name to a node's label, or *follows* another input, whose path starts at the root.
Names and labels differ (`nixpkgs` may be the node `nixpkgs_2`), so everything here is found by **input path**:
`nixpkgs`, `home-manager/nixpkgs`. Pure but for `LockFile.read`; it must not know Nix's commands or git.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lockbot.model import Locked
from lockbot.nix.flakeref import FlakeRef
from lockbot.nix.lockfile import nodes
from lockbot.nix.lockfile.jsontext import shown
from lockbot.nix.lockfile.nodes import NEWEST, RESTORE, Edge, InputPath, LockFileError, Node, Nodes

LOCK_NAME = "flake.lock"
LARGEST = 32 * 1024 * 1024
"""Bytes; real ones hold 1 to 200 kB."""
_LAST_SECOND = 253402300799  # of the year 9999: no calendar goes further


def spelled(path: InputPath) -> str:
    """An input path as text: `a/b` is the input b of the input a; the flake's own input `a/b` is `a%2Fb`."""
    return "/".join(re.sub("%(?=2F|25)", "%25", name).replace("/", "%2F") for name in path)


def names_of(path: str) -> InputPath:
    """An input path from its text."""
    return tuple(name.replace("%2F", "/").replace("%25", "%") for name in path.split("/"))


class Fixed(StrEnum):
    """Why an input can't be updated by itself, for machines."""

    FOLLOWS = "follows"
    PATH = "path"
    INDIRECT = "indirect"


@dataclass(frozen=True)
class Input:
    """One input. `node` is the label of the node that it ends at, through whatever it `follows`."""

    path: str
    node: str
    follows: str | None
    original: FlakeRef | None
    """None: it follows the root flake itself."""

    @property
    def fixed(self) -> Fixed | None:
        """None: `nix flake update PATH` asks upstream."""
        if self.follows is not None:
            return Fixed.FOLLOWS
        match self.original.type if self.original else "":
            case "path":
                return Fixed.PATH
            case "indirect":
                return Fixed.INDIRECT
            case _:
                return None

    @property
    def updatable(self) -> bool:
        return self.fixed is None

    @property
    def why_not(self) -> str:
        """A sentence for the user; empty for an input that can be updated."""
        match self.fixed:
            case Fixed.FOLLOWS:
                target = shown(self.follows) if self.follows else "the flake itself"
                return f"it follows {target}: update that one"
            case Fixed.PATH:
                return "it is a path on this machine, which has no upstream to ask"
            case Fixed.INDIRECT:
                return "it is looked up in a registry, which lockbot does not ask: give its URL in flake.nix"
            case None:
                return ""

    @property
    def pinned(self) -> bool:
        """Does flake.nix itself name the commit? Such an input stays where it is."""
        return self.original is not None and self.original.rev is not None


@dataclass(frozen=True)
class LockFile:
    """A whole, consistent lock."""

    graph: Nodes

    @classmethod
    def parse(cls, text: str, name: str = "flake.lock") -> LockFile:
        """Raises LockFileError; `name` is what it calls the file."""
        return cls(nodes.parse(text, name))

    @classmethod
    def read(cls, path: Path) -> LockFile:
        """The file at `path`; no file: EMPTY, as Nix takes it. Raises LockFileError, also for a symbolic link."""
        try:
            data = _regular_file(path)
            return cls.parse(data.decode(), str(path))
        except FileNotFoundError:
            return EMPTY
        except OSError as error:
            raise LockFileError(str(path), f"can't be read: {error.strerror}", "") from None
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - data.rfind(b"\n", 0, error.start)
            raise LockFileError(str(path), "the lock file is not UTF-8 text", RESTORE, line, column) from None

    @property
    def version(self) -> int:
        return self.graph.version

    @property
    def unlocked(self) -> frozenset[str]:
        """The inputs whose source is a repository and no commit of it: a checkout with changes in it.

        Nix writes such a lock only where `allow-dirty-locks` says so. Nobody else can fetch what it names.
        """
        own = (path for path, edge in self.graph.edges.items() if isinstance(edge, str))
        return frozenset(
            spelled(path)
            for path in own
            if (ref := self.end(self.graph.edges[path]).locked) is not None and ref.names_no_commit
        )

    @property
    def refers_to_itself(self) -> bool:
        """Whether an input is made from the flake itself: it follows that, or lies in a directory of it."""
        within = (node.locked for node in self.graph.by_label.values() if node.locked is not None)
        relative = any(ref.type == "path" and not ref.text("path").startswith("/") for ref in within)
        return relative or self.graph.root in self.graph.targets.values()

    @property
    def root_inputs(self) -> Mapping[str, Input]:
        """The flake's own inputs, by name."""
        root = self.graph.by_label[self.graph.root]
        return {spelled((name,)): self._input((name,), edge) for name, edge in sorted(root.inputs.items())}

    def input(self, path: str) -> Input | None:
        """The input at a path, also beyond one that follows another; None: there is none."""
        *before, name = names_of(path)
        holder = self._node(tuple(before))
        edge = holder.inputs.get(name) if holder else None
        return self._input((*before, name), edge) if edge is not None else None

    def locked(self, path: str) -> Locked | None:
        """What is locked at a path, through whatever it follows; None: no such input, or it is the root flake."""
        node = self.node(path)
        return locked_at(node) if node else None

    def follows(self, path: str) -> str | None:
        """The path that an input follows (`""`: the root flake); None: it has a node of its own, or is none."""
        found = self.input(path)
        return found.follows if found else None

    def paths(self) -> tuple[str, ...]:
        """Every input with a node of its own, the root's first. What follows is left out, and what lies beyond it.

        A node that several inputs share (no Nix writes this any more) has its inputs listed once.
        """
        own = (path for path, edge in self.graph.edges.items() if isinstance(edge, str))
        return tuple(spelled(path) for path in sorted(own, key=root_first))

    def edge(self, path: InputPath) -> Edge | None:
        """How the input at a path is given; None: there is none, or something on the way to it follows another."""
        edge: Edge | None = self.graph.root
        for name in path:
            edge = self.graph.by_label[edge].inputs.get(name) if isinstance(edge, str) else None
        return edge

    def end(self, edge: Edge) -> Node:
        """The node that an edge leads to."""
        return self.graph.by_label[self.graph.targets[edge] if isinstance(edge, tuple) else edge]

    def node(self, path: str) -> Node | None:
        """The node that an input path leads to, through whatever it follows; None: there is no such input."""
        return self._node(names_of(path))

    def _node(self, path: InputPath) -> Node | None:
        node = self.graph.by_label[self.graph.root]
        for name in path:
            edge = node.inputs.get(name)
            if edge is None:
                return None
            node = self.end(edge)
        return node

    def _input(self, path: InputPath, edge: Edge) -> Input:
        node = self.end(edge)
        follows = spelled(edge) if isinstance(edge, tuple) else None
        return Input(spelled(path), node.label, follows, node.original)


EMPTY = LockFile(Nodes(NEWEST, "root", {"root": Node("root", {})}, {}, {}))
"""The lock of a flake that has none."""


def _regular_file(path: Path) -> bytes:
    try:
        # Not to be led elsewhere by a link, nor to wait for a pipe's writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        if path.is_symlink():
            hint = "lockbot reads and writes only a real file: put the lock file itself there"
            raise LockFileError(str(path), "the lock file is a symbolic link", hint) from None
        raise
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise LockFileError(str(path), "the lock file is no regular file", RESTORE)
        if about.st_size > LARGEST:
            raise LockFileError(
                str(path), f"the lock file has {about.st_size} bytes, more than {LARGEST}", RESTORE
            )
        return file.read()


def locked_at(node: Node) -> Locked | None:
    """What a node is locked at; None: it is a root."""
    if node.locked is None:
        return None
    ref = node.locked
    when = ref.get("lastModified")
    return Locked(
        ref.type,
        url=str(ref),
        original=str(node.original or ref),
        rev=ref.rev,
        ref=ref.ref,
        nar_hash=ref.text("narHash") or None,
        # A commit may bear any date, even one that no calendar has.
        last_modified=when if isinstance(when, int) and 0 <= when <= _LAST_SECOND else None,
    )


def root_first(path: InputPath) -> tuple[bool, InputPath]:
    """Sorts input paths: the flake's own first."""
    return len(path) > 1, path
