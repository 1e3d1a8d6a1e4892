"""What an update means for hosts, as entries of a list: which hosts, and what becomes of them.

The same for a commit's message and a terminal, which lay them out. Nothing is escaped here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lockbot.model import PackageChange, PackageMark, SwitchEffects
from lockbot.report import words
from lockbot.report.review.grouping import Hosts, SideBySide

SMALLEST_GROWTH = 8 * 1024
"""Bytes; what is less is noise."""


@dataclass(frozen=True)
class Entry:
    """What is so on some hosts: `label: hosts (items)`, or without a label `hosts: items`."""

    label: str
    hosts: Hosts
    items: tuple[str, ...] = ()
    """May be cut off from the end; what is missing is counted."""
    every_host: bool = False
    """No host may be left out: who reads this decides by it."""


def what_changes(side: SideBySide, *, sized: bool = False) -> tuple[Entry, ...]:
    """Packages, those of most hosts first, then what to say of hosts where none changes its version. `sized`: with
    how much each grows."""
    packages = [
        Entry("", shared.hosts, tuple(package(one, sized=sized) for one in shared.what))
        for shared in side.packages()
    ]
    quiet = [Entry("", shared.hosts, (shared.what,)) for shared in side.without_packages()]
    growth = tuple(
        f"{size(shared.what)} on {words.listed(shared.hosts)}"
        for shared in side.growth()
        if abs(shared.what) >= SMALLEST_GROWTH
    )
    return (*packages, *quiet, *([Entry("closure size", (), growth)] if growth else []))


def when_you_switch(side: SideBySide) -> tuple[Entry, ...]:
    """What a switch does, the most important first."""
    return tuple(_switch(side))


def warnings(side: SideBySide) -> tuple[Entry, ...]:
    new = [Entry("new", shared.hosts, (shared.what,)) for shared in side.warnings(new=True)]
    gone = [Entry("gone", shared.hosts, (shared.what,)) for shared in side.warnings(new=False)]
    return (*new, *gone)


def package(change: PackageChange, *, sized: bool = False) -> str:
    """`openssl 3.0.1 → 3.0.2`, `hello 2.12 added`, `firefox 121 → 120 (older)`."""
    old, new = ", ".join(change.old), ", ".join(change.new)
    match change.change:
        case PackageMark.ADDED:
            told = f"{change.name} {new} added" if new else f"{change.name} added"
        case PackageMark.REMOVED:
            told = f"{change.name} {old} removed" if old else f"{change.name} removed"
        case PackageMark.REBUILT:
            told = f"{change.name} {new} rebuilt" if new else f"{change.name} rebuilt"
        case PackageMark.UP | PackageMark.DOWN | PackageMark.CHANGED:
            told = f"{change.name} {old or 'without a version'} → {new or 'without a version'}"
            told += {PackageMark.DOWN: " (older)", PackageMark.CHANGED: " (changed)"}.get(change.change, "")
    grown = change.size[1] - change.size[0]
    return f"{told}, {size(grown)}" if sized and abs(grown) >= SMALLEST_GROWTH else told


def _switch(side: SideBySide) -> Iterator[Entry]:
    reboots = side.effects(lambda effects: effects.reboot)
    for shared in sorted(reboots, key=lambda shared: not shared.what):
        yield Entry("needs a reboot" if shared.what else "no reboot", shared.hosts, shared.what, every_host=True)
    if hosts := side.unknown_effects():
        yield Entry("no NixOS system: what a switch does is not known", hosts, every_host=True)
    if reboots and (hosts := side.unknown()):
        yield Entry("what a switch does is not known", hosts, every_host=True)
    for label, what in (*_UNITS, *_GONE):
        for told in side.effects(what):
            if told.what:
                yield Entry(label, told.hosts, told.what)
    notes: dict[str, list[str]] = {}
    for told in side.effects(lambda effects: effects.notes):
        for note in told.what:
            notes.setdefault(note, []).extend(told.hosts)
    for note, named in notes.items():
        yield Entry("", tuple(sorted(named)), (note,))


_Names = Callable[[SwitchEffects], tuple[str, ...]]
_UNITS: tuple[tuple[str, _Names], ...] = (
    ("stops", lambda effects: effects.stop),
    ("restarts", lambda effects: effects.restart),
    ("reloads", lambda effects: effects.reload),
    ("starts", lambda effects: effects.start),
    ("keeps as they run", lambda effects: effects.keep),
)
_GONE: tuple[tuple[str, _Names], ...] = (
    ("users that vanish", lambda effects: effects.users_gone),
    ("groups that vanish", lambda effects: effects.groups_gone),
)


def size(number: int) -> str:
    """`+1.2 MiB`, `−34 KiB`."""
    sign, size = ("+" if number >= 0 else "−"), float(abs(number))
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{sign}{size:.0f} {unit}" if size >= 100 or unit == "B" else f"{sign}{size:.1f} {unit}"
