"""What switching a machine to another system does, told from the files of both, without running anything.

For NixOS systems, generations of Home Manager, and (a sentence) systems of nix-darwin. What no file tells is
which units run at the moment of the switch: `units.active` says what counts as running instead. Nor can a system's
own activation scripts be foreseen, or which `system.stateVersion` it was made with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from lockbot.closure.accounts import read_accounts
from lockbot.closure.notes import architecture_note, named, release_note, system_notes
from lockbot.closure.reboot import reboot_reasons
from lockbot.closure.refusal import refusals
from lockbot.closure.toplevel import FileState, Toplevel
from lockbot.closure.units.file_systems import plan_file_systems, read_fstab
from lockbot.closure.units.files import UnitDirectory
from lockbot.closure.units.home import plan_home
from lockbot.closure.units.system import plan_units
from lockbot.model.difference import SwitchEffects

_SYSTEM_UNITS = "etc/systemd/system"
_HOME_UNITS = "home-files/.config/systemd/user"
_DARWIN_SERVICES = ("Library/LaunchDaemons", "Library/LaunchAgents", "user/Library/LaunchAgents")


def switch_effects(old: Path, new: Path) -> SwitchEffects | None:
    """What the switch from one to the other does; None: these are no two systems of one kind, or can't be read.

    A unit that is stopped and then started again is told as restarted. Targets that run are not told: every switch
    starts them again.
    """
    before, after = Toplevel(old), Toplevel(new)
    for marker, effects in _KINDS.items():
        if before.is_directory(marker) and after.is_directory(marker):
            found = effects(before, after)
            return replace(found, notes=(*found.notes, *_incomplete(before, after)))
    return None


def _nixos(old: Toplevel, new: Toplevel) -> SwitchEffects:
    reboot, refused = reboot_reasons(old, new), refusals(old, new)
    bus = [] if refused else list(_bus(old, new))
    units = SwitchEffects(notes=(_refused(refused),)) if refused else _units(old, new)
    users, groups, unknown = _accounts_gone(old, new)
    return replace(
        units,
        reboot=(*refused, *reboot, *bus),
        users_gone=users,
        groups_gone=groups,
        notes=(*units.notes, *system_notes(old, new), *unknown),
    )


def _units(old: Toplevel, new: Toplevel) -> SwitchEffects:
    switch = plan_units(UnitDirectory(old, _SYSTEM_UNITS), UnitDirectory(new, _SYSTEM_UNITS))
    before, after = (read_fstab(one.text("etc/fstab") or "") for one in (old, new))
    plan_file_systems(switch.plan, before, after)
    return replace(switch.plan.effects(), notes=tuple(_unreadable(switch.unreadable)))


def _unreadable(units: set[str]) -> Iterator[str]:
    if units:
        yield f"Units that could not be read, so nothing is told of them: {named(sorted(units))}."


def _refused(reasons: tuple[str, ...]) -> str:
    return f"The switch is refused, since this changes: {'; '.join(reasons)}. It takes a reboot."


def _bus(old: Toplevel, new: Toplevel) -> Iterator[str]:
    """Releases without switch inhibitors switch all the same, and leave a machine without a working bus."""
    before, after = (_bus_implementation(one) for one in (old, new))
    if before and after and before != after:
        yield f"D-Bus implementation {before} → {after}"


def _bus_implementation(toplevel: Toplevel) -> str | None:
    units = UnitDirectory(toplevel, _SYSTEM_UNITS)
    if units.state("dbus.service") is not FileState.PRESENT:
        return None
    return "broker" if units.primary_name("dbus.service") == "dbus-broker.service" else "dbus"


def _accounts_gone(old: Toplevel, new: Toplevel) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Users and groups, and a sentence where they are not known."""
    before, after = read_accounts(old), read_accounts(new)
    if before is None or after is None:
        which = "new" if before is not None else "old"
        return (), (), (f"Which users and groups vanish is not known: the {which} system's list can't be read.",)
    return tuple(sorted(before.users - after.users)), tuple(sorted(before.groups - after.groups)), ()


def _home_manager(old: Toplevel, new: Toplevel) -> SwitchEffects:
    effects = plan_home(UnitDirectory(old, _HOME_UNITS), UnitDirectory(new, _HOME_UNITS)).effects()
    if effects != SwitchEffects() and "sd-switch" not in (new.text("activate") or ""):
        return SwitchEffects(notes=("Units differ, and Home Manager only suggests what to do with them.",))
    return effects


def _darwin(old: Toplevel, new: Toplevel) -> SwitchEffects:
    services = [name for place in _DARWIN_SERVICES for name in _changed_services(old, new, place)]
    notes = (f"Services of launchd differ, and what becomes of them is not told: {len(services)}.",)
    return SwitchEffects(
        notes=(
            *(notes if services else ()),
            *release_note(old, new, "nix-darwin", "darwin-version"),
            *architecture_note(old, new),
        )
    )


def _changed_services(old: Toplevel, new: Toplevel, place: str) -> Iterator[str]:
    for name in {*old.names(place), *new.names(place)}:
        if old.read(f"{place}/{name}") != new.read(f"{place}/{name}"):
            yield name


def _incomplete(*toplevels: Toplevel) -> Iterator[str]:
    if any(one.is_incomplete for one in toplevels):
        yield "Some files of the systems are too large or too many to be read: there may be more to tell."


_KINDS: dict[str, Callable[[Toplevel, Toplevel], SwitchEffects]] = {
    _SYSTEM_UNITS: _nixos,
    "home-files": _home_manager,
    "Library/LaunchDaemons": _darwin,
}
"""What only that kind of system has, and what tells the difference of two of them."""
