"""Which of the flake's hosts are judged. Pure: patterns over what the flake said it has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from lockbot.errors import UsageError
from lockbot.model import Host, HostKind


@dataclass(frozen=True)
class HostPatterns:
    """Shell-style patterns over a host's name, or its kind and name (`homeConfigurations.alice`)."""

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    evaluate_only: tuple[str, ...] = ()
    attributes: tuple[tuple[str, ...], ...] = ()
    """Further attributes of the flake that lead to a derivation, each as its path."""
    unbuildable: tuple[str, ...] = ()


def select(found: Sequence[Host], patterns: HostPatterns) -> tuple[Host, ...]:
    """The hosts to judge, in the flake's order, then the attributes. Raises UsageError when there is none."""
    chosen = [host for host in found if _matches(host, patterns.include) and not _matches(host, patterns.exclude)]
    taken = {host.name for host in chosen}
    for path in patterns.attributes:
        name = ".".join(part if "." not in part else f'"{part}"' for part in path)
        if name not in taken:
            chosen.append(Host(name, path, HostKind.ATTRIBUTE))
            taken.add(name)
    if not chosen:
        names = ", ".join(host.name for host in found[:10])
        raise UsageError(
            f"no host is left to judge: the flake has {names}, and the configuration leaves all of them out"
            if found
            else "the flake has no hosts: nothing would tell whether an update builds",
            "check `[hosts] include` and `exclude`"
            if found
            else "name what to build under `[hosts] attributes`, e.g. 'packages.x86_64-linux.default'",
        )
    return tuple(
        replace(
            host,
            evaluate_only=_matches(host, patterns.evaluate_only),
            unbuildable=_matches(host, patterns.unbuildable) and not _matches(host, patterns.evaluate_only),
        )
        for host in chosen
    )


def new_hosts(earlier: Collection[Host], judged: Sequence[Host]) -> frozenset[str]:
    """The names of those that no earlier run has judged; none, where there was no such run."""
    before = {host.attribute for host in earlier}
    return frozenset(host.name for host in judged if before and host.attribute not in before)


def gone_hosts(last: Collection[Host], listed: Collection[Host]) -> tuple[str, ...]:
    """The names of those that the last run judged and the flake does not have any more."""
    there = {host.attribute for host in listed}
    listable = (host for host in sorted(last) if host.kind is not HostKind.ATTRIBUTE)
    return tuple(host.name for host in listable if host.attribute not in there)


def words_of_hosts(new: Collection[str], gone: Sequence[str]) -> tuple[str, ...]:
    """A sentence for each."""
    renamed = f", unless it is called {min(new)} now" if len(new) == len(gone) == 1 else ""
    return (
        *(f"{name} is new: no earlier run has judged it" for name in sorted(new)),
        *(f"{name} is no longer in the flake{renamed}: the last run judged it" for name in gone),
    )


def _matches(host: Host, patterns: Sequence[str]) -> bool:
    names = (host.name, ".".join(host.attribute[:2]), ".".join(host.attribute))
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
