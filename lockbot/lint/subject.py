"""What is looked at: a lock, what flake.nix asks for as far as is known, and what can be asked of the machine.

Also the inputs by themselves, as most checks want them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lockbot.nix.flakeref import FlakeRef
from lockbot.nix.lockfile import LockFile
from lockbot.nix.lockfile.lock import root_first
from lockbot.nix.lockfile.nodes import InputPath, Node


@dataclass(frozen=True)
class Declared:
    """An input as flake.nix declares it: by its URL, or as one that follows another; neither: by its name alone.

    `inputs` are those of its own that are overridden.
    """

    url: str | None = None
    follows: str | None = None
    inputs: Mapping[str, Declared] = field(default_factory=dict)


def _nothing_known(hashes: Sequence[str]) -> Mapping[str, int]:
    del hashes
    return {}


def _anywhere(word: str) -> bool:
    del word
    return True


@dataclass(frozen=True)
class Subject:
    """A flake's lock, and what surrounds it. What is not known is left as it is: nothing is said of it."""

    lock: LockFile
    now: datetime
    declared: Mapping[str, Declared] | None = None
    """flake.nix's inputs by name, those among them that only `outputs` asks for; None: not known."""
    flake_nix: str = ""
    """Its text."""
    sizes: Callable[[Sequence[str]], Mapping[str, int]] = _nothing_known
    """Hashes of sources (`sha256-…`) → bytes, of those that this machine has."""
    mentioned: Callable[[str], bool] = _anywhere
    """Whether a word stands in any other file of the repository than flake.nix and flake.lock."""


@dataclass(frozen=True)
class Source:
    """An input with a node of its own, which so names where it comes from."""

    path: InputPath
    node: Node
    original: FlakeRef
    locked: FlakeRef

    @property
    def is_root(self) -> bool:
        return len(self.path) == 1


def sources(lock: LockFile) -> Iterator[Source]:
    """Every input with a node of its own, the flake's own inputs first."""
    edges = lock.graph.edges
    for path in sorted((path for path, edge in edges.items() if isinstance(edge, str)), key=root_first):
        node = lock.end(edges[path])
        if node.original is not None and node.locked is not None:
            yield Source(path, node, node.original, node.locked)


def parse_declared(inputs: Mapping[str, object]) -> dict[str, Declared]:
    """flake.nix's `inputs`, as JSON has them. What is no input is passed over: Nix itself says so."""
    return {name: _declared(one) for name, one in inputs.items() if isinstance(one, Mapping)}


def _declared(attrs: Mapping[str, object]) -> Declared:
    url, follows, inputs = attrs.get("url"), attrs.get("follows"), attrs.get("inputs")
    return Declared(
        url=url if isinstance(url, str) else None,
        follows=follows if isinstance(follows, str) else None,
        inputs=parse_declared(inputs) if isinstance(inputs, Mapping) else {},
    )
