"""The text of a flake.lock, read into nodes and edges, as Nix reads versions 5 to 7: from the root on.

Pure; it must not know what the nodes are for (see `lockfile`). Lock files are partly written by strangers (an
input's lock is merged into ours): every value is checked, and an error says line, column and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from lockbot.errors import LockbotError
from lockbot.nix.flakeref import Attr, FlakeRef, FlakeRefError
from lockbot.nix.lockfile.jsontext import Json, JsonError, shown

OLDEST, NEWEST = 5, 7
DEEPEST = 64
"""How many names an input path may have, and how often one `follows` may lead to the next."""

RESTORE = "restore it with `git checkout -- flake.lock`, or delete it and let `nix flake lock` write a new one"

_CONFLICT = re.compile(r"^(?:<{7}|>{7}|={7}|\|{7})(?: |\r?$)", re.MULTILINE)

InputPath = tuple[str, ...]
Edge = str | InputPath
"""Where an input leads: the label of its node, or the path, from the root, of the input that it follows."""


class LockFileError(LockbotError):
    """A lock file that can't be used. `line` and `column` count from 1; 0 when it could not be read at all."""

    def __init__(self, name: str, problem: str, hint: str = RESTORE, line: int = 0, column: int = 0) -> None:
        place = f"{name}:{line}:{column}" if line else name
        super().__init__(f"{place}: {problem}", hint)
        self.line = line
        self.column = column


@dataclass(frozen=True)
class Node:
    """One node. `original` is what flake.nix asks for, `locked` what it became; the root has neither."""

    label: str
    inputs: Mapping[str, Edge]
    original: FlakeRef | None = None
    locked: FlakeRef | None = None
    flake: bool = True
    parent: InputPath | None = None
    """Only for relative paths, since 2.26: the input path of the flake that they are relative to."""


@dataclass(frozen=True)
class Nodes:
    """A consistent graph: every edge leads somewhere. Nodes out of the root's reach are left out, as by Nix."""

    version: int
    root: str
    by_label: Mapping[str, Node]
    edges: Mapping[InputPath, Edge] = field(repr=False)
    """Every input by its path, in Nix's own order; each node's inputs once, at the first path that leads to it."""
    targets: Mapping[InputPath, str] = field(repr=False)
    """The label at the end of each path that is followed."""


def parse(text: str, name: str) -> Nodes:
    """Raises LockFileError, which calls the file `name`."""
    if not text.strip():
        hint = f"a disk that was full while Nix wrote it leaves this: {RESTORE}"
        raise LockFileError(name, "the lock file is empty", hint, 1, 1)
    if match := _CONFLICT.search(text):
        hint = "resolve the merge: take either side's flake.lock, then run `nix flake lock`"
        line = text.count("\n", 0, match.start()) + 1
        raise LockFileError(name, "the lock file has git's conflict markers in it", hint, line, 1)
    try:
        return _Reader(Json.parse(text.removeprefix("\ufeff")), name).read()
    except JsonError as error:
        raise LockFileError(name, error.problem, RESTORE, error.line, error.column) from None


class _Reader:
    """One pass over one document. Places within it are given as the keys that lead there."""

    def __init__(self, document: Json, name: str) -> None:
        self.document = document
        self.name = name
        self.raw: Mapping[str, object] = {}
        self.nodes: dict[str, Node] = {}
        self.targets: dict[InputPath, str] = {}
        self.root = ""

    def read(self) -> Nodes:
        top = self.members(self.document.value, ())
        version = self.version(top)
        self.raw = self.members(self.required(top, "nodes", ()), ("nodes",))
        self.root = self.string(self.required(top, "root", ()), ("root",))
        if self.root not in self.raw:
            self.fail(f"the root is the node {shown(self.root)}, which is missing", ("root",))
        self.read_nodes()
        self.follow()
        return Nodes(version, self.root, self.nodes, self.edges(), self.targets)

    def version(self, top: Mapping[str, object]) -> int:
        version = self.required(top, "version", ())
        if isinstance(version, bool) or not isinstance(version, int):
            self.fail("the version must be a number", ("version",))
        if version > NEWEST:
            self.fail(
                f"lock file version {version} is too new: lockbot reads {OLDEST} to {NEWEST}",
                ("version",),
                "update lockbot, or let the Nix version that is used here write the lock file",
            )
        if version < OLDEST:
            self.fail(
                f"lock file version {version} is too old: lockbot and Nix read {OLDEST} to {NEWEST}",
                ("version",),
                "delete it, and let `nix flake lock` write a new one",
            )
        return version

    def read_nodes(self) -> None:
        waiting = [self.root]
        while waiting:
            label = waiting.pop()
            if label in self.nodes:
                continue
            self.nodes[label] = node = self.node(label)
            for name, edge in node.inputs.items():
                if isinstance(edge, str):
                    where = ("nodes", label, "inputs", name)
                    if edge == self.root:
                        self.fail(f"the input {shown(name)} is the root node, which can't be an input", where)
                    if edge not in self.raw:
                        self.fail(f"the input {shown(name)} is the node {shown(edge)}, which is missing", where)
                    waiting.append(edge)

    def node(self, label: str) -> Node:
        where = ("nodes", label)
        raw = self.members(self.raw[label], where)
        inputs = {
            name: self.edge(value, (*where, "inputs", name))
            for name, value in self.members(raw.get("inputs", {}), (*where, "inputs")).items()
        }
        if label == self.root:
            return Node(label, inputs)
        flake = raw.get("flake", True)
        if not isinstance(flake, bool):
            self.fail("`flake` must be true or false", (*where, "flake"))
        parent = raw.get("parent")
        return Node(
            label,
            inputs,
            # Version 5 kept some of what is locked in `info`.
            locked=self.reference(raw, "locked", where, extra="info"),
            original=self.reference(raw, "original", where),
            flake=flake,
            parent=self.path(parent, (*where, "parent")) if parent is not None else None,
        )

    def edge(self, value: object, where: InputPath) -> Edge:
        if isinstance(value, str):
            return value
        return self.path(value, where)

    def path(self, value: object, where: InputPath) -> InputPath:
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            self.fail(f"expected {'a label, or ' if 'inputs' in where else ''}a list of input names", where)
        if len(value) > DEEPEST:
            self.fail(f"an input path of more than {DEEPEST} names", where)
        return tuple(value)

    def reference(self, raw: Mapping[str, object], key: str, where: InputPath, extra: str = "") -> FlakeRef:
        attrs: dict[str, Attr] = {}
        found = dict(self.members(self.required(raw, key, where), (*where, key)))
        for source, values in ((key, found), (extra, self.members(raw.get(extra, {}), (*where, extra)))):
            for name, value in values.items():
                if not isinstance(value, str | int | bool):
                    self.fail(
                        f"{shown(name)} must be a string, a whole number or a boolean", (*where, source, name)
                    )
                attrs[name] = value
        try:
            return FlakeRef.from_attrs(attrs)
        except FlakeRefError as error:
            self.fail(f"what is {key} {error.message}", (*where, key))

    def follow(self) -> None:
        """Resolve whatever is followed, and so find what leads nowhere or in a circle."""
        for label, node in self.nodes.items():
            for name, edge in node.inputs.items():
                if isinstance(edge, tuple):
                    self.target(edge, ("nodes", label, "inputs", name), ())

    def target(self, path: InputPath, where: InputPath, trail: tuple[InputPath, ...]) -> str:
        if path in self.targets:
            return self.targets[path]
        if path in trail:
            self.fail(f"the input {shown(where[-1])} follows itself in a circle", where)
        if len(trail) > DEEPEST:
            self.fail(f"the input {shown(where[-1])} follows more than {DEEPEST} others in turn", where)
        label = self.root
        for name in path:
            edge = self.nodes[label].inputs.get(name)
            if edge is None:
                missing = shown("/".join(path))
                self.fail(f"the input {shown(where[-1])} follows {missing}, which does not exist", where)
            label = edge if isinstance(edge, str) else self.target(edge, where, (*trail, path))
        self.targets[path] = label
        return label

    def edges(self) -> dict[InputPath, Edge]:
        """Depth first and by name. Each node is entered once: shared nodes would make exponentially many paths."""
        found: dict[InputPath, Edge] = {}
        entered: set[str] = set()
        waiting: list[tuple[InputPath, str]] = [((), self.root)]
        while waiting:
            path, label = waiting.pop()
            if label in entered:
                continue
            entered.add(label)
            inputs = sorted(self.nodes[label].inputs.items())
            if inputs and len(path) >= DEEPEST:
                self.fail(f"inputs are nested deeper than {DEEPEST}", ("nodes", label, "inputs"))
            found.update(((*path, name), edge) for name, edge in inputs)
            waiting += [((*path, name), edge) for name, edge in reversed(inputs) if isinstance(edge, str)]
        return found

    def required(self, raw: Mapping[str, object], key: str, where: InputPath) -> object:
        if key not in raw:
            self.fail(f"{shown(key)} is missing", where)
        return raw[key]

    def members(self, value: object, where: InputPath) -> Mapping[str, object]:
        if not isinstance(value, dict):
            self.fail(f"{shown(where[-1]) if where else 'the lock file'} must be an object", where)
        return value

    def string(self, value: object, where: InputPath) -> str:
        if not isinstance(value, str):
            self.fail(f"{shown(where[-1])} must be a string", where)
        return value

    def fail(self, problem: str, where: InputPath, hint: str = RESTORE) -> NoReturn:
        error = self.document.error(problem, where)
        raise LockFileError(self.name, problem, hint, error.line, error.column)
