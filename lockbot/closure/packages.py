"""What differs between two closures, told as packages: which came, went, or have another version.

Pure: closures are values. What is the system's own configuration is counted, by names.py; which of two versions is
newer, versions.py says.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lockbot.closure import versions
from lockbot.closure.names import Role, find_selected, identify, is_system
from lockbot.model.closure import Closure, StorePath
from lockbot.model.difference import ClosureSize, ConfigurationChange, PackageChange, PackageMark


@dataclass(frozen=True)
class Comparison:
    """What differs between two closures. `packages`: those chosen by name first, then by name."""

    packages: tuple[PackageChange, ...]
    configuration: ConfigurationChange
    closure: ClosureSize


def compare(old: Closure, new: Closure, *, selected: frozenset[str] | None = None) -> Comparison:
    """`selected`: the paths, of either closure, that somebody chose by name; None: as the closures say."""
    return _Comparer().compare(old, new, _selected(old, new) if selected is None else selected)


def compare_all(pairs: Iterable[tuple[Closure, Closure]]) -> tuple[Comparison, ...]:
    """The same for many hosts, most of whose paths are the same: what is known of a path, and what becomes of a
    package, is found out once."""
    comparer = _Comparer()
    return tuple(comparer.compare(old, new, _selected(old, new)) for old, new in pairs)


def _selected(old: Closure, new: Closure) -> frozenset[str]:
    return find_selected(old) | find_selected(new)


class _Comparer:
    """What one pair shares with the next."""

    def __init__(self) -> None:
        self._paths: dict[str, StorePath] = {}
        self._names: dict[str, str] = {}
        self._versions: dict[str, str] = {}
        self._by_role: dict[Role, set[str]] = {role: set() for role in Role}
        self._changes: dict[object, PackageChange] = {}

    def compare(self, old: Closure, new: Closure, selected: frozenset[str]) -> Comparison:
        self._learn(old)
        self._learn(new)
        of_packages, differing = self._of_packages(old, new, selected), old.paths.keys() ^ new.paths.keys()
        names = {self._names[path] for path in differing & of_packages}
        before, after = (self._group(side, names, of_packages) for side in (old, new))
        changes = (self._change(name, tuple(before[name]), tuple(after[name]), selected) for name in names)
        return Comparison(
            tuple(sorted(changes, key=lambda package: (not package.selected, package.name))),
            self._configuration(old, differing - of_packages),
            ClosureSize((old.nar_size, new.nar_size), (len(old.paths), len(new.paths))),
        )

    def _learn(self, closure: Closure) -> None:
        for path in closure.paths.keys() - self._paths.keys():
            self._paths[path] = closure.paths[path]
            identity = identify(closure.paths[path])
            self._names[path], self._versions[path] = identity.name, identity.version
            self._by_role[identity.role].add(path)

    def _of_packages(self, old: Closure, new: Closure, selected: frozenset[str]) -> set[str]:
        """Of what has no version, a system has written the most itself: there, a program is what was chosen."""
        unversioned = self._by_role[Role.UNVERSIONED]
        programs = unversioned & selected if is_system(old) or is_system(new) else unversioned
        return self._by_role[Role.PACKAGE] | programs

    def _group(self, side: Closure, names: set[str], of_packages: set[str]) -> Mapping[str, list[str]]:
        """All paths of these packages, what does not differ among them: a package is as large as all of it."""
        groups: dict[str, list[str]] = defaultdict(list)
        for path in side.paths:
            if path in of_packages and (name := self._names[path]) in names:
                groups[name].append(path)
        return groups

    def _change(
        self, name: str, before: tuple[str, ...], after: tuple[str, ...], selected: frozenset[str]
    ) -> PackageChange:
        key = before, after, not selected.isdisjoint(before + after)
        if key not in self._changes:
            old, new = (versions.sort(filter(None, map(self._versions.get, side))) for side in (before, after))
            sizes = [sum(self._paths[path].nar_size for path in side) for side in (before, after)]
            mark = mark_of(old, new) if before and after else PackageMark.ADDED if after else PackageMark.REMOVED
            self._changes[key] = PackageChange(name, mark, old, new, (sizes[0], sizes[1]), key[-1])
        return self._changes[key]

    def _configuration(self, old: Closure, paths: Iterable[str]) -> ConfigurationChange:
        """What is on both sides by name has changed; of several with one name, as many as there are on both."""
        gone, come = Counter[str](), Counter[str]()
        for path in paths:
            (gone if path in old.paths else come)[self._names[path]] += 1
        changed = gone & come
        return ConfigurationChange((come - changed).total(), (gone - changed).total(), changed.total())


def mark_of(old: tuple[str, ...], new: tuple[str, ...]) -> PackageMark:
    """Of a package that is there before and after. What both have says nothing, unless all else is gone or come:
    3.0 → 3.0, 3.1 is up."""
    if old == new:
        return PackageMark.REBUILT
    if not old or not new:
        return PackageMark.CHANGED
    gone = versions.sort(set(old) - set(new)) or old
    come = versions.sort(set(new) - set(old)) or new
    if len(gone) != len(come):  # who follows whom is not known: all of these to all of those
        gone, come = gone[-1:] + gone[:1], come[:1] + come[-1:]
    found = {versions.direction(before, after) for before, after in zip(gone, come, strict=True)}
    return found.pop() if len(found) == 1 else PackageMark.CHANGED
