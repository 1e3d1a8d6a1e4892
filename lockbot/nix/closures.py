"""Closures as Nix's store has them, and what their paths are of by the derivations that they were made by.

Must not know what anybody wants to compare them for.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import PurePath

from lockbot.errors import CommandError, LockbotError
from lockbot.model.closure import Closure, StorePath, split_name
from lockbot.nix.command import Nix
from lockbot.nix.derivation import Label, read_label

_HASH_LENGTH = 33
"""And the dash behind it."""
_BASE_NAME = re.compile(r"[0-9a-z]{32}-[0-9A-Za-z+\-._?=]{1,211}")

Pair = tuple[Closure, Closure]


def read_closures(nix: Nix, roots: Sequence[str]) -> dict[str, Closure]:
    """The closure of each of these valid store paths, by root. Two calls of Nix for all of them, as a rule; what
    closures have in common is held once."""
    for root in roots:
        name = PurePath(root).name
        if _BASE_NAME.fullmatch(name) is None or root != str(nix.store_directory / name):
            raise LockbotError(
                f"{root!r} is no path in Nix's store", f"such a path reads {nix.store_directory}/HASH-NAME"
            )
    if not roots:
        return {}
    paths = _read_paths(nix.registrations(sorted(nix.requisites(*dict.fromkeys(roots)))))
    return {root: _closure(root, paths) for root in roots}


def _read_paths(lines: Iterable[str]) -> dict[str, StorePath]:
    """From `nix-store --dump-db`. One string for each path, in however many references it stands."""
    found: dict[str, StorePath] = {}
    known: dict[str, str] = {}
    rest = iter(lines)
    try:
        for path in rest:
            _hash, size, deriver, count = islice(rest, 4)
            references = frozenset(known.setdefault(one, one) for one in islice(rest, int(count)))
            path = known.setdefault(path, path)
            found[path] = StorePath(path, _name(path), int(size), references, deriver=deriver or None)
    except ValueError as error:
        raise _unreadable() from error
    return found


def _unreadable() -> LockbotError:
    return LockbotError(
        "cannot read what `nix-store --dump-db` prints of the store's paths",
        "is this Nix newer than lockbot? Please report it, with the output of `nix --version`",
    )


def _name(path: str) -> str:
    return path.rpartition("/")[2][_HASH_LENGTH:]


def _closure(root: str, paths: Mapping[str, StorePath]) -> Closure:
    """Raises LockbotError where a path is referred to that there is nothing about."""
    found = {root}
    todo = [root]
    while todo:
        path = paths.get(todo.pop())
        if path is None:
            raise _unreadable()
        news = path.references - found
        found |= news
        todo += news
    return Closure(root, {path: paths[path] for path in sorted(found)})


def name_packages(nix: Nix, pairs: Sequence[Pair], derivations: Sequence[str] = ()) -> list[Pair]:
    """The same closures, with the package, version and output of each path that differs in a pair, and of those
    that may be of the same packages, as far as derivations tell.

    A path's deriver is read from the store. Where that is unknown or no more there, `derivations` (those of the
    hosts) have it somewhere among all that they need. Nothing is asked of a store whose files can't be read here.
    """
    wanted = _wanted(pairs)
    labels = _by_deriver(wanted.values())
    if derivations and (rest := [path for path in wanted if path not in labels]):
        labels |= _by_output(nix, rest, derivations)
    named = {path: _named(wanted[path], label) for path, label in labels.items()}
    return [(_renamed(old, named), _renamed(new, named)) for old, new in pairs]


def _wanted(pairs: Sequence[Pair]) -> dict[str, StorePath]:
    """By Nix's rule, `foo-2-1.0` may be of foo and of foo-2: whatever might be of a package that differs."""
    paths: dict[str, StorePath] = {}
    differing: set[str] = set()
    for old, new in pairs:
        paths |= dict(old.paths) | dict(new.paths)
        differing |= old.paths.keys() ^ new.paths.keys()
    stems = {path: split_name(one.name)[0] for path, one in paths.items()}
    wanted = {stems[path] for path in differing}
    return {path: one for path, one in paths.items() if stems[path] in wanted}


def _by_deriver(paths: Iterable[StorePath]) -> dict[str, Label]:
    read = cache(read_label)
    found = ((path, read(path.deriver)) for path in paths if path.deriver is not None)
    return {path.path: label for path, label in found if label is not None and label.fits(path.name)}


def _by_output(nix: Nix, paths: Sequence[str], derivations: Sequence[str]) -> dict[str, Label]:
    """By which derivation says that it makes this path. An output's name is its derivation's, and perhaps more."""
    try:
        needed = nix.requisites(*derivations)
    except CommandError:  # one of them was collected: names have to do
        return {}
    by_name: dict[str, list[str]] = defaultdict(list)
    for drv in needed:
        if drv.endswith(".drv"):
            by_name[_name(drv).removesuffix(".drv")].append(drv)
    makers: dict[str, Label] = {}
    for name in {start for path in paths for start in _starts(_name(path))}:
        for label in filter(None, map(read_label, by_name.get(name, ()))):
            makers |= dict.fromkeys(label.outputs.values(), label)
    return {path: makers[path] for path in paths if path in makers}


def _starts(name: str) -> Iterator[str]:
    """`a-b-c`, `a-b`, `a`."""
    while name:
        yield name
        name = name.rpartition("-")[0]


def _named(path: StorePath, label: Label) -> StorePath:
    output = label.output_at(path.path, path.name)
    return replace(path, pname=label.package, version=label.version, output=output)


def _renamed(closure: Closure, named: Mapping[str, StorePath]) -> Closure:
    return Closure(closure.root, {path: named.get(path, one) for path, one in closure.paths.items()})
