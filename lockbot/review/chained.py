"""Two updates one after the other, as one: what differs between what hosts were and what they are at last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

from lockbot.closure.packages import mark_of
from lockbot.model import (
    ClosureSize,
    ConfigurationChange,
    Difference,
    PackageChange,
    PackageMark,
    SwitchEffects,
    UpstreamChanges,
    WarningChange,
)


def chained(first: Sequence[Difference], second: Sequence[Difference]) -> tuple[Difference, ...]:
    """`second` came on top of `first`. Hosts that only one of them changed are as they are there."""
    before, after = _by_host(first), _by_host(second)
    whole = {host: _both(one, after[host]) if host in after else one for host, one in before.items()}
    return grouped(replace(one, hosts=(host,)) for host, one in (whole | _rest(after, before)).items())


def chained_upstream(
    first: Sequence[UpstreamChanges], second: Sequence[UpstreamChanges]
) -> tuple[UpstreamChanges, ...]:
    """Each commit of a series moves inputs of its own."""
    later = {one.input for one in second}
    return (*(one for one in first if one.input not in later), *second)


def grouped(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Equal ones as one, in the order of their first hosts."""
    groups: dict[Difference, list[str]] = {}
    for one in differences:
        groups.setdefault(replace(one, hosts=()), []).extend(one.hosts)
    return tuple(replace(one, hosts=tuple(hosts)) for one, hosts in groups.items())


def _by_host(differences: Sequence[Difference]) -> dict[str, Difference]:
    return {host: one for one in differences for host in one.hosts}


def _rest(after: dict[str, Difference], before: dict[str, Difference]) -> dict[str, Difference]:
    return {host: one for host, one in after.items() if host not in before}


def _both(first: Difference, second: Difference) -> Difference:
    if first.unknown is not None or second.unknown is not None:
        return Difference((), unknown=first.unknown or second.unknown)
    return Difference(
        (),
        _packages(first.packages, second.packages),
        _configuration(first.configuration, second.configuration),
        _closure(first.closure, second.closure),
        _switch(first.switch, second.switch),
        _warnings(first.warnings, second.warnings),
    )


def _configuration(first: ConfigurationChange, second: ConfigurationChange) -> ConfigurationChange:
    """Which paths changed is not kept, only how many: mostly the same ones in both, so that their sum would count
    them twice. The larger number is right for those; it is too small where others changed, and too large where
    some went back. What came and went in turn is counted as both."""
    return ConfigurationChange(
        first.added + second.added, first.removed + second.removed, max(first.changed, second.changed)
    )


def _packages(first: Sequence[PackageChange], second: Sequence[PackageChange]) -> tuple[PackageChange, ...]:
    before, after = ({one.name: one for one in side} for side in (first, second))
    whole = {name: _package(one, after[name]) if name in after else one for name, one in before.items()}
    whole |= {name: one for name, one in after.items() if name not in before}
    told = (one for one in whole.values() if one is not None)
    return tuple(sorted(told, key=lambda one: (not one.selected, one.name)))


def _package(first: PackageChange, second: PackageChange) -> PackageChange | None:
    """None: it came and went."""
    added, removed = first.change is PackageMark.ADDED, second.change is PackageMark.REMOVED
    if added and removed:
        return None
    change = PackageMark.ADDED if added else PackageMark.REMOVED if removed else mark_of(first.old, second.new)
    return PackageChange(
        first.name,
        change,
        first.old,
        second.new,
        (first.size[0], second.size[1]),
        first.selected or second.selected,
    )


def _closure(first: ClosureSize | None, second: ClosureSize | None) -> ClosureSize | None:
    if first is None or second is None:
        return None
    return ClosureSize((first.size[0], second.size[1]), (first.paths[0], second.paths[1]))


def _switch(first: SwitchEffects | None, second: SwitchEffects | None) -> SwitchEffects | None:
    """All that either does: who switches once does both."""
    if first is None or second is None:
        return None
    names = [field.name for field in fields(SwitchEffects)]
    return SwitchEffects(
        **{name: tuple(dict.fromkeys((*getattr(first, name), *getattr(second, name)))) for name in names}
    )


def _warnings(first: WarningChange, second: WarningChange) -> WarningChange:
    come, back = set(first.new) - set(second.gone), set(second.new) - set(first.gone)
    gone, away = set(first.gone) - set(second.new), set(second.gone) - set(first.new)
    return WarningChange(
        tuple(text for text in dict.fromkeys((*first.new, *second.new)) if text in come | back),
        tuple(text for text in dict.fromkeys((*first.gone, *second.gone)) if text in gone | away),
    )
