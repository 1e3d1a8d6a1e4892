"""What a switch does with the units of a Home Manager generation.

The rules are those of sd-switch (https://git.sr.ht/~rycee/sd-switch), which Home Manager calls. It asks the user's
systemd which units run; here each target counts as reached that anything is wanted by, the graphical session too.
"""

from __future__ import annotations

from lockbot.closure.units.active import active_units, unit_file
from lockbot.closure.units.files import Sections, UnitChange, UnitDirectory, is_set
from lockbot.closure.units.plan import SwitchPlan

_RUNS_ALL_THE_SAME = ("Description", "Documentation", "X-Reload-Triggers")
_TRIGGERS = "X-Reload-Triggers"


def plan_home(old: UnitDirectory, new: UnitDirectory) -> SwitchPlan:
    plan = SwitchPlan()
    active, wanted = active_units(old, _targets(old)), active_units(new, _targets(new))
    for name in active:
        _plan_unit(plan, name, _read(old, name), _read(new, name))
    for name in wanted - active - plan.stop:
        if not is_set(_read(new, name) or {}, "Unit", "RefuseManualStart"):
            plan.start.add(name)
    return plan


def _targets(units: UnitDirectory) -> list[str]:
    """What units are wanted by: those targets are systemd's, and no file of the generation."""
    names = (name.rpartition(".") for name in units.entries)
    return [target for target, _, suffix in names if suffix in ("wants", "requires")]


def _read(units: UnitDirectory, name: str) -> Sections | None:
    file = unit_file(units, name)
    return units.read(name, file) if file is not None else None


def _plan_unit(plan: SwitchPlan, name: str, before: Sections | None, after: Sections | None) -> None:
    if before is None:
        return
    if after is None:
        if not is_set(before, "Unit", "RefuseManualStop"):
            plan.stop.add(name)
        return
    match _compare(before, after):
        case UnitChange.RELOAD:
            plan.reload.add(name)
        case UnitChange.RESTART if not name.endswith(".target"):  # a target is only started again
            _method(plan, after).add(name)
        case _:
            pass


def _compare(before: Sections, after: Sections) -> UnitChange:
    if _what_runs(before) != _what_runs(after):
        return UnitChange.RESTART
    before_triggers, after_triggers = before.get("Unit", {}).get(_TRIGGERS), after.get("Unit", {}).get(_TRIGGERS)
    return UnitChange.RELOAD if before_triggers != after_triggers else UnitChange.NOTHING


def _what_runs(unit: Sections) -> dict[str, dict[str, tuple[str, ...]]]:
    """A unit without what nothing has to be restarted for."""
    return {
        section: {
            key: values for key, values in keys.items() if section != "Unit" or key not in _RUNS_ALL_THE_SAME
        }
        for section, keys in unit.items()
    }


def _method(plan: SwitchPlan, after: Sections) -> set[str]:
    """Which part of the plan a unit belongs to that has changed."""
    if is_set(after, "Unit", "RefuseManualStop"):
        return plan.skip
    if is_set(after, "Unit", "RefuseManualStart"):
        return plan.stop
    asked = after.get("Unit", {}).get("X-SwitchMethod", ())
    match asked[-1] if asked else _older_method(after):
        case "keep-old":
            return plan.skip
        case "reload":
            return plan.reload
        case _:
            return plan.restart


def _older_method(after: Sections) -> str | None:
    """The keys that Home Manager took from NixOS, before it had its own."""
    if not is_set(after, "Unit", "X-RestartIfChanged", default=True):
        return "keep-old"
    return "reload" if is_set(after, "Unit", "X-ReloadIfChanged") else None
