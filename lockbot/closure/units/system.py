"""What a switch does with each unit of a NixOS system.

The rules are those of switch-to-configuration (pkgs/by-name/sw/switch-to-configuration-ng/src/main.rs in nixpkgs,
`collect_unit_changes` and `handle_modified_unit`), one function here for one decision there. It asks the machine
which units run; here that is what `active` says.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockbot.closure.units.active import active_units
from lockbot.closure.units.files import (
    Sections,
    UnitChange,
    UnitDirectory,
    compare,
    is_set,
    is_unit_name,
    template,
    words,
)
from lockbot.closure.units.plan import SwitchPlan

_ROOTS = ("default.target", "multi-user.target")
_SLEEP = frozenset({"suspend.target", "hibernate.target", "hybrid-sleep.target"})
_PULLED_IN = frozenset({"sysinit.target", "basic.target", "multi-user.target", "graphical.target"})
_NEVER_UNMOUNTED = frozenset({"-.mount", "nix.mount"})


@dataclass(frozen=True)
class Switch:
    """From one directory of units to another. `active` run now; `unreadable` collects those that can't be told."""

    old: UnitDirectory
    new: UnitDirectory
    active: frozenset[str]
    plan: SwitchPlan
    unreadable: set[str]


def plan_units(old: UnitDirectory, new: UnitDirectory) -> Switch:
    """What the switch does with the units that run, and which new ones start."""
    active = active_units(old, _ROOTS)
    switch = Switch(old, new, active, SwitchPlan(), set())
    for name in sorted(active):
        _plan_unit(switch, name)
    switch.plan.start |= active_units(new, _ROOTS) - active - switch.plan.stop
    return switch


def _plan_unit(switch: Switch, name: str) -> None:
    file, is_removed = _unit_file(switch, name)
    if not switch.old.has(file):
        return
    is_removed |= switch.new.state(file).is_gone
    before = switch.old.read(name, file)
    after = switch.new.read(name, file) if not is_removed else None
    if is_removed and before is not None:
        if is_set(before, "Unit", "X-StopOnRemoval", default=True):
            switch.plan.stop.add(name)
    elif after is not None and name.endswith(".target"):
        _plan_target(switch.plan, name, after)
    elif after is not None and before is not None:
        _plan_change(switch, name, compare(before, after), after)
    else:
        switch.unreadable.add(name)


def _unit_file(switch: Switch, name: str) -> tuple[str, bool]:
    """The file that the unit comes from, and whether this system had drop-ins for it that the new one has not.

    An instance of a template is its own where either system has a file for it.
    """
    base = template(name)
    if base is None or switch.old.has(name) or switch.new.has(name):
        return name, False
    return base, switch.old.has_drop_ins(name) and not switch.new.has_drop_ins(name)


def _plan_target(plan: SwitchPlan, name: str, after: Sections) -> None:
    """Active targets are started again, for what they newly want, and nobody is told."""
    refuses = is_set(after, "Unit", "RefuseManualStart") or is_set(after, "Unit", "X-OnlyManualStart")
    if name not in _SLEEP and not refuses:
        plan.start.add(name)
        plan.hidden.add(name)
    if is_set(after, "Unit", "X-StopOnReconfiguration"):
        plan.stop.add(name)


def _plan_change(switch: Switch, name: str, change: UnitChange, after: Sections) -> None:
    match change:
        case UnitChange.NOTHING:
            pass
        case UnitChange.RELOAD:
            switch.plan.reload.add(name)
        case UnitChange.RESTART:
            _plan_restart(switch, name, after)


def _plan_restart(switch: Switch, name: str, after: Sections) -> None:
    plan = switch.plan
    if name in _PULLED_IN or name.endswith((".path", ".slice", ".socket")):
        return  # systemd applies a slice's and a path's properties when it reads its files again
    if name.endswith(".mount"):
        (plan.reload if name in _NEVER_UNMOUNTED else plan.restart).add(name)
    elif is_set(after, "Service", "X-ReloadIfChanged"):
        plan.reload.add(name)
    elif _is_kept(after):
        plan.skip.add(name)
    elif not name.endswith(".service") or not is_set(after, "Service", "X-StopIfChanged", default=True):
        plan.restart.add(name)
    else:
        plan.stop.add(name)
        is_by_socket = _plan_sockets(switch, name, after)
        if not is_by_socket or is_set(after, "Service", "X-NotSocketActivated"):
            plan.start.add(name)


def _is_kept(after: Sections) -> bool:
    return (
        not is_set(after, "Service", "X-RestartIfChanged", default=True)
        or is_set(after, "Unit", "RefuseManualStop")
        or is_set(after, "Unit", "X-OnlyManualStart")
    )


def _plan_sockets(switch: Switch, name: str, after: Sections) -> bool:
    """Restart the sockets of a service along with it; whether there are any, which start it when asked."""
    is_by_socket = False
    sockets = words(after, "Service", "Sockets") or [f"{_base_name(switch, name)}.socket"]
    for socket in filter(is_unit_name, sockets):
        is_new = switch.new.has(socket)
        if socket in switch.active:
            switch.plan.stop.add(socket)
            if is_new:
                switch.plan.start.add(socket)
        is_by_socket |= is_new
    return is_by_socket


def _base_name(switch: Switch, name: str) -> str:
    """`foo` for `foo.service` and for an instance of `foo@.service`."""
    file, _ = _unit_file(switch, name)
    return file.rpartition(".")[0].removesuffix("@")
