"""Differences side by side: what is the same on several hosts is told once, with all of them.

Escapes nothing and lays nothing out. Hosts are told by their names, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from lockbot.model import Difference, HostBuild, PackageChange, PackageMark, SwitchEffects

_What = TypeVar("_What")
Hosts = tuple[str, ...]


@dataclass(frozen=True)
class Shared(Generic[_What]):
    """What is so on these hosts, and on no others."""

    hosts: Hosts
    what: _What


@dataclass(frozen=True)
class SideBySide:
    """Differences under the names that hosts have. `names`: attribute → name; else the attribute is told."""

    differences: Sequence[Difference]
    names: Mapping[str, str]

    @property
    def everyone(self) -> Hosts:
        """All hosts of the run, also those that stay as they are."""
        return _sorted((*self.names.values(), *self.changing))

    @property
    def changing(self) -> Hosts:
        """Those of which a difference is known, or that one is not known."""
        return _sorted(name for one in self.differences for name in self._hosts(one))

    def packages(self) -> tuple[Shared[tuple[PackageChange, ...]], ...]:
        """The packages whose versions change, each once. Those of most hosts first; of each, the chosen first."""
        where: dict[tuple[object, ...], list[str]] = {}
        told: dict[tuple[object, ...], PackageChange] = {}
        for one in self.differences:
            for package in one.packages:
                if package.change is not PackageMark.REBUILT:
                    key: tuple[object, ...] = (package.name, package.change, package.old, package.new)
                    where.setdefault(key, []).extend(self._hosts(one))
                    if key not in told or package.selected:
                        told[key] = package
        by_hosts: dict[Hosts, list[PackageChange]] = {}
        for one_key, hosts in where.items():
            by_hosts.setdefault(_sorted(hosts), []).append(told[one_key])
        shared = [Shared(hosts, tuple(sorted(found, key=_chosen_first))) for hosts, found in by_hosts.items()]
        return tuple(sorted(shared, key=lambda one: (-len(one.hosts), one.hosts)))

    def without_packages(self) -> tuple[Shared[str], ...]:
        """What to say of hosts none of whose packages has another version."""
        quiet = [one for one in self.differences if not any(_is_told(package) for package in one.packages)]
        return self._shared(quiet, _other_changes)

    def effects(self, what: Callable[[SwitchEffects], _What]) -> tuple[Shared[_What], ...]:
        """One thing that switching does, of the hosts of which it is known."""
        known = [one for one in self.differences if one.switch is not None]
        return self._shared(known, lambda one: what(one.switch) if one.switch is not None else None)

    def unknown_effects(self) -> Hosts:
        """The hosts of which it is not known what switching does, though their packages are."""
        return _sorted(
            name for one in self.differences if one.switch is None and not one.unknown for name in self._hosts(one)
        )

    def unknown(self) -> Hosts:
        """The hosts of which nothing is known."""
        nothing = [one for one in self.differences if one.switch is None and one.unknown]
        return _sorted(name for one in nothing for name in self._hosts(one))

    def warnings(self, *, new: bool) -> tuple[Shared[str], ...]:
        where: dict[str, list[str]] = {}
        for one in self.differences:
            for text in one.warnings.new if new else one.warnings.gone:
                where.setdefault(text, []).extend(self._hosts(one))
        return tuple(Shared(_sorted(hosts), text) for text, hosts in sorted(where.items()))

    def growth(self) -> tuple[Shared[int], ...]:
        """By how many bytes closures grow (or shrink), the largest change first."""
        known = [one for one in self.differences if one.closure is not None]
        shared = self._shared(known, lambda one: one.closure.size[1] - one.closure.size[0] if one.closure else 0)
        return tuple(sorted(shared, key=lambda one: (-abs(one.what), one.hosts)))

    def _shared(
        self, differences: Iterable[Difference], what: Callable[[Difference], _What | None]
    ) -> tuple[Shared[_What], ...]:
        found: dict[_What, list[str]] = {}
        for one in differences:
            if (told := what(one)) is not None:
                found.setdefault(told, []).extend(self._hosts(one))
        return tuple(sorted((Shared(_sorted(hosts), told) for told, hosts in found.items()), key=_largest_first))

    def _hosts(self, difference: Difference) -> list[str]:
        return [self.names.get(attribute, attribute) for attribute in difference.hosts]


def side_by_side(differences: Sequence[Difference], hosts: Iterable[HostBuild]) -> SideBySide:
    return SideBySide(differences, {build.host.installable: build.host.name for build in hosts})


def _sorted(hosts: Iterable[str]) -> Hosts:
    return tuple(sorted(set(hosts)))


def _largest_first(shared: Shared[_What]) -> tuple[int, Hosts]:
    return -len(shared.hosts), shared.hosts


def _chosen_first(package: PackageChange) -> tuple[bool, str, PackageMark]:
    return not package.selected, package.name, package.change


def _is_told(package: PackageChange) -> bool:
    return package.change is not PackageMark.REBUILT


def _other_changes(one: Difference) -> str:
    """`only rebuilt: 12 packages; its configuration: 2 added, 1 changed`."""
    if one.unknown is not None:
        return f"not known: {one.unknown}"
    made = one.configuration
    counts = ((made.added, "added"), (made.removed, "removed"), (made.changed, "changed"))
    configuration = ", ".join(f"{number} {word}" for number, word in counts if number)
    parts = [
        f"{len(one.packages)} rebuilt" if one.packages else "",
        f"configuration: {configuration}" if configuration else "",
    ]
    return f"no package has another version ({'; '.join(part for part in parts if part) or 'other paths only'})"
