"""What else a person should know before the switch to another NixOS system, in sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from lockbot.closure.toplevel import Toplevel
from lockbot.closure.units.files import UnitChange, UnitDirectory, compare

SPECIALISATIONS = "specialisation"
_USER_UNITS = "etc/systemd/user"
_SWITCH = "bin/switch-to-configuration"

_RELEASE = re.compile(r"\d\d\.\d\d")
_CHECKS = re.compile(r"PRE_SWITCH_CHECK=['\"]?/[^\s'\"]{0,200}?/([0-9a-z]{32}-[^\s'\"]+)")
_CHECK = re.compile(r"^# pre-switch check (\S{1,60})$", re.MULTILINE)
_MOST_NAMES = 5
_LONGEST_SYSTEM = 40


def system_notes(old: Toplevel, new: Toplevel) -> Iterator[str]:
    yield from release_note(old, new, "NixOS", "nixos-version")
    yield from architecture_note(old, new)
    yield from _checks(old, new)
    yield from _specialisations(old, new)
    yield from _user_units(UnitDirectory(old, _USER_UNITS), UnitDirectory(new, _USER_UNITS))


def release_note(old: Toplevel, new: Toplevel, what: str, file: str) -> Iterator[str]:
    before, after = (_RELEASE.match(one.text(file) or "") for one in (old, new))
    if before and after and before[0] != after[0]:
        yield f"{what} {before[0]} becomes {after[0]}: read its release notes first."


def architecture_note(old: Toplevel, new: Toplevel) -> Iterator[str]:
    before, after = _architecture(old), _architecture(new)
    if before and after and before != after:
        yield f"The system is built for {after}, not {before} any more: it can't run on the same machine."


def named(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _architecture(toplevel: Toplevel) -> str | None:
    """`x86_64-linux`; from the bootspec where the system has no file for it."""
    text = toplevel.text("system")
    if text is not None:
        return text.strip()[:_LONGEST_SYSTEM]
    try:
        said = json.loads(toplevel.read("boot.json") or b"")["org.nixos.bootspec.v1"]["system"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return said[:_LONGEST_SYSTEM].encode(errors="replace").decode() if isinstance(said, str) else None


def _checks(old: Toplevel, new: Toplevel) -> Iterator[str]:
    """Scripts that may refuse the switch, each by its name in `system.preSwitchChecks`."""
    added = _check_names(new) - _check_names(old)
    if added:
        yield f"New checks run before the switch, and may refuse it: {named(sorted(added))}."


def _check_names(toplevel: Toplevel) -> set[str]:
    found = _CHECKS.search(toplevel.text(_SWITCH) or "")
    script = toplevel.text(f"../{found[1]}") if found else None
    return {*_CHECK.findall(script or "")} - {"switchInhibitors"}


def _specialisations(old: Toplevel, new: Toplevel) -> Iterator[str]:
    before, after = ({_printable(name) for name in one.names(SPECIALISATIONS)} for one in (old, new))
    if before - after:
        yield f"Specialisations that are gone: {named(sorted(before - after))}."
    if after - before:
        yield f"New specialisations: {named(sorted(after - before))}."
    changed = sorted(name for name in before & after if _leads(old, name) != _leads(new, name))
    if changed:
        yield f"Specialisations change too, and nobody looked at how: {named(changed)}."


def _leads(toplevel: Toplevel, name: str) -> str | None:
    return toplevel.link(f"{SPECIALISATIONS}/{name}")


def _printable(name: str) -> str:
    """The name of a file, which need not be text."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _user_units(old: UnitDirectory, new: UnitDirectory) -> Iterator[str]:
    names = sorted(old.names() | new.names())
    changed = [name for name in names if _is_changed(old, new, name)]
    if changed:
        yield (
            f"Units of users' sessions differ ({named(changed)}): recent releases of NixOS restart those that run,"
            " older ones leave them until the next login."
        )


def _is_changed(old: UnitDirectory, new: UnitDirectory, name: str) -> bool:
    if old.state(name) is not new.state(name):
        return True
    before, after = old.read(name, name), new.read(name, name)
    return before is not None and after is not None and compare(before, after) is not UnitChange.NOTHING
