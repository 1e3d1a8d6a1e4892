"""Why a NixOS system needs a reboot before all of it takes effect."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from lockbot.closure.toplevel import MOST_BYTES, Toplevel
from lockbot.model.closure import split_name

_STORE_NAME = re.compile(r"(?:^|/)[0-9a-z]{32}-([^/]+)")
_MOST_PARAMETERS = 6
_LONGEST_PARAMETER = 40
_LONGEST_VERSION = 60

_VERSIONED = {"kernel": "kernel", "systemd": "systemd"}
_BY_NAME = {"kernel-modules": "kernel modules", "firmware": "firmware", "dtbs": "device trees"}


def reboot_reasons(old: Toplevel, new: Toplevel) -> tuple[str, ...]:
    """Each the root of what differs: an initrd that only follows the kernel, modules or systemd is not told."""
    changed = {part for part in (*_VERSIONED, *_BY_NAME) if _identity(old, part) != _identity(new, part)}
    if "kernel" in changed:
        changed -= {"kernel-modules", "dtbs"}
    reasons = [f"{word} {_versions(old, new, part)}" for part, word in _VERSIONED.items() if part in changed]
    reasons += [word for part, word in _BY_NAME.items() if part in changed]
    if not changed and _identity(old, "initrd") != _identity(new, "initrd"):
        reasons.append("initrd")
    return (*reasons, *_parameters(old, new))


def _identity(toplevel: Toplevel, part: str) -> str | None:
    """What is the same only for the same part: where the link leads, or a file's digest. None: there is none."""
    target = toplevel.link(part)
    if target is not None:
        found = re.search(r"[0-9a-z]{32}-.*", target)
        return found[0] if found else target
    data = toplevel.read(part, MOST_BYTES)
    return hashlib.sha256(data).hexdigest() if data is not None else None


def _versions(old: Toplevel, new: Toplevel, part: str) -> str:
    """`6.12.3 → 6.12.5`; with the packages' names where those differ (`linux-6.12.3 → linux-zen-6.12.5`)."""
    before, after = _store_name(old, part), _store_name(new, part)
    if before == after:
        return f"{_version(after)}, rebuilt"
    if before is None or after is None or _package(before) != _package(after):
        return f"{(before or 'none')[:_LONGEST_VERSION]} → {(after or 'none')[:_LONGEST_VERSION]}"
    return f"{_version(before)} → {_version(after)}"


def _store_name(toplevel: Toplevel, part: str) -> str | None:
    found = _STORE_NAME.search(toplevel.link(part) or "")
    return found[1] if found else None


def _package(name: str) -> str:
    return split_name(name)[0]


def _version(name: str | None) -> str:
    return (split_name(name or "")[1] or name or "of an unknown version")[:_LONGEST_VERSION]


def _parameters(old: Toplevel, new: Toplevel) -> Iterator[str]:
    before, after = ((one.text("kernel-params") or "").split() for one in (old, new))
    if before == after:
        return
    had, has = set(before), set(after)
    changes = [f"+{one}" for one in after if one not in had] + [f"-{one}" for one in before if one not in has]
    shown = [one if len(one) <= _LONGEST_PARAMETER else one[: _LONGEST_PARAMETER - 1] + "…" for one in changes]
    more = len(shown) - _MOST_PARAMETERS
    said = " ".join(shown[:_MOST_PARAMETERS]) + (f" and {more} more" if more > 0 else "")
    yield f"kernel parameters {said}" if said else "kernel parameters in another order"
