"""What an update means for hosts: what differs between what they are and what they would be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PackageMark(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    UP = "up"
    DOWN = "down"
    CHANGED = "changed"
    """Other versions, of which none can be said to be newer."""
    REBUILT = "rebuilt"
    """The same versions from other inputs."""


@dataclass(frozen=True)
class PackageChange:
    """One package. `old` and `new` are its versions, in Nix's order; empty for one that has none (see `change`).

    `size` is what all its paths take up, before and after, in bytes. `selected`: somebody chose it by name
    (`environment.systemPackages`, `home.packages`), it is not only needed by others.
    """

    name: str
    change: PackageMark
    old: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)
    selected: bool = False


@dataclass(frozen=True)
class ConfigurationChange:
    """How many paths of the system's own configuration (units, files of /etc) came, went or differ."""

    added: int = 0
    removed: int = 0
    changed: int = 0


@dataclass(frozen=True)
class ClosureSize:
    """Bytes and number of paths, before and after."""

    size: tuple[int, int]
    paths: tuple[int, int]


@dataclass(frozen=True)
class SwitchEffects:
    """What switching to the new system does. `reboot`: why one is needed for all of it to take effect; the others
    are names of units, `keep` those that differ and are left running as they are."""

    reboot: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    users_gone: tuple[str, ...] = ()
    groups_gone: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What else a person should know before the switch (another NixOS release, another stateVersion), as
    sentences."""


@dataclass(frozen=True)
class WarningChange:
    """Warnings of the evaluation that were not there before, and those that are gone."""

    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """What differs on these hosts, for all of them the same. None: it is not known, and `unknown` says why."""

    hosts: tuple[str, ...]
    """Their attributes, as one writes them: `nixosConfigurations.web.config.system.build.toplevel`."""
    packages: tuple[PackageChange, ...] = ()
    configuration: ConfigurationChange = ConfigurationChange()
    closure: ClosureSize | None = None
    switch: SwitchEffects | None = None
    warnings: WarningChange = WarningChange()
    unknown: str | None = None


@dataclass(frozen=True)
class UpstreamCommit:
    """A commit of an input's own repository. Anybody wrote this: escape it wherever it is shown."""

    revision: str
    subject: str
    author: str
    date: int | None = None
    """Seconds since 1970."""


@dataclass(frozen=True)
class UpstreamChanges:
    """What upstream did between two revisions of an input: all commits, or those that touch the hosts."""

    input: str
    count: int | None = None
    """How many commits lie between; None: that is not known."""
    commits: tuple[UpstreamCommit, ...] = ()
    """The newest first."""
    chosen: bool = False
    """Whether `commits` are those that touch some host, of more; False: all, or the newest."""
    note: str | None = None
    """What could not be found out, and why."""
    link: str | None = None
    """A page that compares the two revisions, where the forge has one."""


@dataclass(frozen=True)
class Review:
    """What a reviewer is told of an update, beside what moves and how hosts fare."""

    differences: tuple[Difference, ...] = ()
    upstream: tuple[UpstreamChanges, ...] = ()
