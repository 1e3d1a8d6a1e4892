"""Moving inputs in a flake.lock, whatever their names, by Nix itself.

Nix's command line takes fewer names than flake.nix does (`x.y` and `1x` are refused). Such an input is locked in a
small flake that calls it otherwise, and what Nix locked there is put in its place. It must not know why an input
is moved.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lockbot.model import Locked
from lockbot.nix.command import Nix
from lockbot.nix.environment.directories import passing_directory
from lockbot.nix.flakeref import Attr, FlakeRef, nix_string
from lockbot.nix.lockfile import LOCK_NAME, LockFile, locked_at, names_of
from lockbot.nix.lockfile.nodes import InputPath, Node
from lockbot.process import Deadline, Finished

_TAKEN = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
"""The names that every Nix takes on its command line."""

_Json = dict[str, Any]


def update(
    nix: Nix, flake: Path, names: Sequence[str], overrides: Mapping[str, str], deadline: Deadline
) -> Finished:
    """As `Nix.update`, of any input that the lock has. On a failure the lock may be half-moved.

    Raises what running Nix can (DeadlineExceeded, Cancelled), LockFileError for a lock that can't be read.
    """
    wanted = [*names, *(name for name in overrides if name not in names)]
    alone = [name for name in wanted if not _is_taken(name)]
    rest = [name for name in names if _is_taken(name)]
    pins = {name: ref for name, ref in overrides.items() if _is_taken(name)}
    # What flake.nix has no longer is gone from the lock then, and what it says otherwise is there as it says.
    finished = nix.update(flake, rest, pins, deadline) if rest or pins else nix.lock(flake, deadline)
    if finished.code != 0 or not alone:
        return finished
    lock = LockFile.read(flake / LOCK_NAME)
    there = {name: node for name in alone if (node := lock.node(name)) is not None and node.original is not None}
    return _after(finished, _update_alone(nix, flake, there, overrides, deadline)) if there else finished


@dataclass(frozen=True)
class UpstreamTip:
    """Where an input's branch is, and what to pin it by."""

    locked: Locked
    reference: FlakeRef


def source(nix: Nix, original: FlakeRef, deadline: Deadline) -> tuple[Finished, UpstreamTip | None]:
    """Where an input is upstream now, without a look into it: what it holds need be no flake, nor a sound one."""
    flags = {name: value for name, value in original.attrs if name in ("submodules", "lfs")}
    plain = original.without(*flags)  # perhaps it is these that can't be had
    with _flake_of([(plain, False)]) as directory:
        finished = nix.update(directory, (), {}, deadline, plain=True)
        node = LockFile.read(directory / LOCK_NAME).node(alias(0)) if finished.code == 0 else None
    locked = locked_at(node) if node is not None else None
    if node is None or node.locked is None or locked is None:
        return finished, None
    reference = FlakeRef.from_attrs({**dict(node.locked.attrs), **flags, "type": node.locked.type})
    return finished, UpstreamTip(locked, reference)


def by_their_names(finished: Finished, inputs: Iterable[str]) -> Finished:
    """What Nix said of inputs under other names, told of them by their own."""
    said = finished.stderr
    for number, name in enumerate(inputs):
        for end in ("'", "/"):
            said = said.replace(f"flake input '{alias(number)}{end}", f"flake input '{name}{end}")
    return replace(finished, stderr=said)


def _after(first: Finished, then: Finished) -> Finished:
    return replace(then, stderr=f"{first.stderr}\n{then.stderr}")


def _is_taken(path: str) -> bool:
    return all(map(_TAKEN.fullmatch, names_of(path)))


def _update_alone(
    nix: Nix, flake: Path, inputs: Mapping[str, Node], pins: Mapping[str, str], deadline: Deadline
) -> Finished:
    """Lock inputs (each at its pin, or at its tip) under other names, and put them into the flake's own lock."""
    path = flake / LOCK_NAME
    originals = [(node.original, node.flake) for node in inputs.values() if node.original is not None]
    with _flake_of(originals) as directory:
        overrides = {alias(number): pins[name] for number, name in enumerate(inputs) if name in pins}
        finished = by_their_names(nix.update(directory, (), overrides, deadline, plain=True), inputs)
        if finished.code != 0 or not (directory / LOCK_NAME).exists():
            return finished
        part = json.loads((directory / LOCK_NAME).read_text())
    whole = json.loads(path.read_text())
    _graft(whole, part, {alias(number): names_of(name) for number, name in enumerate(inputs)})
    path.write_text(json.dumps(_relabelled(whole), indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return _after(finished, nix.lock(flake, deadline))  # it adds what flake.nix says of their own inputs


def alias(number: int) -> str:
    """What an input is called in a flake of our own, by its place there."""
    return f"input{number}"


@contextlib.contextmanager
def _flake_of(originals: Sequence[tuple[FlakeRef, bool]]) -> Iterator[Path]:
    """A flake of our own with these inputs (and whether each is a flake), for as long as the context lasts."""
    said = declared_inputs(originals)
    with passing_directory() as directory:
        (directory / "flake.nix").write_text(f"{{\n{said}outputs = _: {{ }};\n}}\n")
        yield directory


def declared_inputs(originals: Sequence[tuple[FlakeRef, bool]]) -> str:
    """A flake.nix's lines for these inputs, by their aliases, and whether each is a flake."""
    said = ""
    for number, (original, is_flake) in enumerate(originals):
        attributes = {**dict(original.attrs), "type": original.type, "flake": is_flake}
        words = " ".join(f"{nix_string(name)} = {_literal(value)};" for name, value in attributes.items())
        said += f"inputs.{alias(number)} = {{ {words} }};\n"
    return said


def _literal(value: Attr) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else nix_string(value)


def _graft(whole: _Json, part: _Json, paths: Mapping[str, InputPath]) -> None:
    """Put each input of `part`, with all that it brings, at its path of `whole`."""
    nodes = whole["nodes"]

    def moved(edge: str | list[str]) -> str | list[str]:
        if isinstance(edge, str):
            return f"{edge}\0"  # no label of the whole's: named anew before it is written
        return [*paths[edge[0]], *edge[1:]]

    for label, node in part["nodes"].items():
        if label == part["root"]:
            continue
        if "inputs" in node:
            node["inputs"] = {name: moved(edge) for name, edge in node["inputs"].items()}
        if "parent" in node:
            node["parent"] = moved(node["parent"])
        nodes[f"{label}\0"] = node
    for alias, path in paths.items():
        holder = nodes[whole["root"]]
        for name in path[:-1]:
            holder = nodes[holder["inputs"][name]]
        holder["inputs"][path[-1]] = moved(part["nodes"][part["root"]]["inputs"][alias])


def _relabelled(whole: _Json) -> _Json:
    """The same lock with labels as Nix gives them, and without what nothing leads to any more."""
    labels: dict[str, str] = {}
    nodes: _Json = {}

    waiting: list[tuple[str, str]] = [(whole["root"], "root")]
    while waiting:  # depth first, by name, as Nix does
        old, wish = waiting.pop()
        if old in labels:
            continue
        free = (f"{wish}_{number}" for number in itertools.count(2))
        label = labels[old] = wish if wish not in nodes else next(name for name in free if name not in nodes)
        nodes[label] = dict(whole["nodes"][old])
        edges = sorted(nodes[label].get("inputs", {}).items(), reverse=True)
        waiting += [(edge, name) for name, edge in edges if isinstance(edge, str)]
    for node in nodes.values():
        if "inputs" in node:
            inputs = node["inputs"].items()
            node["inputs"] = {name: labels[edge] if isinstance(edge, str) else edge for name, edge in inputs}
    return {**whole, "root": "root", "nodes": nodes}
