"""lockbot-update.service and its timer under a real systemd, as its own user, with a real Nix daemon.

What a run survives is tried with the daemon, whose runs are the same.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.systemd.conftest import STATE, Place, builders, runs
from tests.systemd.machine import Machine

UNIT = "lockbot-update.service"
TIMER = "lockbot-update.timer"
STOPPED_WITHIN = 20
"""Seconds, of the 90 that TimeoutStopSec= gives."""

Make = Callable[..., Place]


def start(machine: Machine) -> None:
    machine.systemctl("start", UNIT, check=False)
    result = machine.property(UNIT, "Result")
    assert result == "success", f"{result}\n{machine.journal(UNIT)}"


def test_commits_what_builds_as_its_own_user(machine: Machine, place: Make) -> None:
    fleet = place()
    fleet.advance("a")
    start(machine)
    assert fleet.locked("a") == 1
    assert {"host-web", "host-mail"} <= set(fleet.builds())
    assert machine.shell(f"stat -c '%U %a' {STATE} /var/cache/lockbot").split() == ["lockbot", "700"] * 2
    start(machine)
    assert [run["outcome"] for run in runs(machine)] == ["unchanged", "published"]


def test_stop_in_the_middle_of_a_build_ends_everything(machine: Machine, place: Make) -> None:
    fleet = place("--seconds=600")
    fleet.advance("a")
    machine.systemctl("start", "--no-block", UNIT)
    machine.wait("a host is being built", fleet.building)
    assert builders(machine)
    machine.systemctl("stop", UNIT, timeout=STOPPED_WITHIN)
    assert machine.processes("lockbot") == []
    machine.wait("no builder is left", lambda: builders(machine) == [], 5)
    assert [run["outcome"] for run in runs(machine)] == ["interrupted"]
    assert fleet.locked("a") == 0


def test_the_timer_makes_up_for_a_night_that_was_missed(machine: Machine, place: Make) -> None:
    fleet = place()
    fleet.advance("a")
    machine.drop_in(TIMER, "[Timer]\nRandomizedDelaySec=0")  # up to half an hour otherwise
    stamp = f"/var/lib/systemd/timers/stamp-{TIMER}"
    machine.shell('mkdir -p "$(dirname "$1")"; touch --date="2 days ago" "$1"', stamp)
    machine.systemctl("start", TIMER)
    machine.wait("the run is over", lambda: fleet.locked("a") == 1)
    machine.wait("the unit is", lambda: machine.property(UNIT, "ActiveState") == "inactive")
    machine.systemctl("restart", TIMER)
    assert machine.property(UNIT, "ActiveState") == "inactive"  # once, not again
    assert [run["outcome"] for run in runs(machine)] == ["published"]
