"""Whether flake.lock is what flake.nix asks for. Where it is not, each Nix command locks anew, on each machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lockbot.lint import flake_lines
from lockbot.lint.finding import Finding, Kind, error, warning
from lockbot.lint.subject import Declared, Subject
from lockbot.nix.flakeref import FORGE_TYPES, FlakeRef, FlakeRefError
from lockbot.nix.lockfile import LockFile
from lockbot.nix.lockfile.nodes import InputPath

_LOCK = "nix flake lock"


def out_of_date(subject: Subject) -> Iterator[Finding]:
    """What flake.nix has and the lock has not, and the other way round."""
    if subject.declared is None:
        return
    for path, declared in _every((), subject.declared):
        what = _difference(subject.lock, path, declared)
        if what is not None:
            yield error(Kind.OUT_OF_DATE, path, what, _LOCK)
    root = subject.lock.graph.by_label[subject.lock.graph.root]
    for name in sorted(root.inputs.keys() - subject.declared.keys()):
        yield error(Kind.OUT_OF_DATE, (name,), "flake.lock has it, and flake.nix does not ask for it", _LOCK)


def _every(before: InputPath, declared: Mapping[str, Declared]) -> Iterator[tuple[InputPath, Declared]]:
    for name, one in sorted(declared.items()):
        yield (*before, name), one
        yield from _every((*before, name), one.inputs)


def _difference(lock: LockFile, path: InputPath, declared: Declared) -> str | None:
    edge = lock.edge(path)
    if edge is None:
        return "flake.nix asks for it, and flake.lock does not have it" if len(path) == 1 else None
    if declared.follows is not None:
        wanted = tuple(declared.follows.split("/")) if declared.follows else ()
        return None if edge == wanted else f"flake.nix lets it follow {declared.follows}, and flake.lock does not"
    if declared.url is None:
        return None
    if isinstance(edge, tuple):
        return f"flake.nix asks for {declared.url}, and flake.lock lets it follow {'/'.join(edge)}"
    return _other_source(declared.url, lock.end(edge).original)


def _other_source(url: str, locked: FlakeRef | None) -> str | None:
    """Only of forges and git, whose URLs mean the same to every Nix."""
    try:
        wanted = FlakeRef.read(url)
    except FlakeRefError:
        return None
    if locked is None or not {wanted.type, locked.type} <= {*FORGE_TYPES, "git"} or str(wanted) == str(locked):
        return None
    return f"flake.nix asks for {wanted}, and flake.lock has it from {locked}"


def no_such_input(subject: Subject) -> Iterator[Finding]:
    """An override of an input that the other flake does not have (any more): Nix warns of it each time."""
    for path, _ in _every((), subject.declared or {}):
        holder, edge = subject.lock.edge(path[:-1]), subject.lock.edge(path)
        # Of what follows another, or has not been locked yet, nothing is known here.
        if len(path) > 1 and edge is None and isinstance(holder, str) and subject.lock.end(holder).flake:
            message = f"{'/'.join(path[:-1])} has no input {path[-1]}, which flake.nix wants to set"
            yield warning(Kind.NO_SUCH_INPUT, path, message, f"# remove: {flake_lines.attribute(path)}")
