"""What a switch does with mounts and swap, from the two systems' /etc/fstab.

As switch-to-configuration reads it (`parse_fstab` and what follows from it), which makes no use of units here: a
generator makes them when systemd reads its files again. It does not ask whether anything is mounted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lockbot.closure.units.plan import SwitchPlan

_UNTOUCHED = re.compile(rb"[A-Za-z0-9:_.]")
_NEVER_UNMOUNTED = frozenset({"/", "/nix"})


@dataclass(frozen=True)
class Mount:
    device: str
    kind: str
    options: str

    @property
    def is_automatic(self) -> bool:
        return "x-systemd.automount" in self.options


@dataclass(frozen=True)
class FileSystems:
    mounts: Mapping[str, Mount]
    """By where they are mounted."""
    swaps: frozenset[str]


def read_fstab(text: str) -> FileSystems:
    mounts: dict[str, Mount] = {}
    swaps = set()
    for line in text.splitlines():
        fields = line.split()
        if "#" in line or len(fields) < 3:
            continue
        device, place, kind, options = (*fields[:4], "")[:4]
        if kind == "swap":
            swaps.add(device)
        else:
            mounts[place] = Mount(device, kind, options)
    return FileSystems(mounts, frozenset(swaps))


def plan_file_systems(plan: SwitchPlan, old: FileSystems, new: FileSystems) -> None:
    for place, mount in old.mounts.items():
        _plan_mount(plan, place, mount, new.mounts.get(place))
    for place in new.mounts.keys() - old.mounts.keys():
        plan.start.add(_unit(place, new.mounts[place]))  # by local-fs.target, which is started again
    plan.stop |= {escape_path(device) + ".swap" for device in old.swaps - new.swaps}


def _plan_mount(plan: SwitchPlan, place: str, old: Mount, new: Mount | None) -> None:
    unit = escape_path(place) + ".mount"
    if new is None:
        plan.stop.add(_unit(place, old))
    elif (old.kind, old.device) == (new.kind, new.device):
        if old.options != new.options:
            plan.reload.add(unit)
    elif place not in _NEVER_UNMOUNTED:
        plan.restart.add(unit)
    elif old.options != new.options:
        plan.reload.add(unit)
    else:
        plan.skip.add(unit)


def _unit(place: str, mount: Mount) -> str:
    return escape_path(place) + (".automount" if mount.is_automatic else ".mount")


def escape_path(path: str) -> str:
    """A path as systemd has it in names of units, as `systemd-escape --path` says it."""
    parts = [part for part in path.encode(errors="replace").split(b"/") if part and part != b"."]
    return "-".join(_escape(part, is_first=index == 0) for index, part in enumerate(parts)) or "-"


def _escape(part: bytes, *, is_first: bool) -> str:
    escaped = "".join(chr(byte) if _UNTOUCHED.match(bytes([byte])) else f"\\x{byte:02x}" for byte in part)
    return f"\\x2e{escaped[1:]}" if is_first and escaped.startswith(".") else escaped
