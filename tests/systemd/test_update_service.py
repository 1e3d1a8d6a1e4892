"""lockbot-update.service and its timer under a real systemd, with a real Nix daemon, as the user `lockbot`."""

from __future__ import annotations

from collections.abc import Callable

from tests.systemd.conftest import STATE, Place, builders, runs
from tests.systemd.machine import Machine

UNIT = "lockbot-update.service"
TIMER = "lockbot-update.timer"
STOPPED_WITHIN = 20
"""Seconds, of the 90 that TimeoutStopSec= gives."""

Make = Callable[..., Place]


def start(machine: Machine, *, succeeds: bool = True) -> None:
    machine.systemctl("start", UNIT, check=False)
    result = machine.property(UNIT, "Result")
    assert (result == "success") is succeeds, f"{result}\n{machine.journal(UNIT)}"


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
    seconds = machine.wait("it has stopped", lambda: machine.systemctl("stop", UNIT) == "", STOPPED_WITHIN)
    assert seconds < STOPPED_WITHIN
    assert machine.processes("lockbot") == []
    machine.wait("no builder is left", lambda: builders(machine) == [], 5)
    assert [run["outcome"] for run in runs(machine)] == ["interrupted"]
    assert fleet.locked("a") == 0


def test_after_kill_9_the_next_run_tidies_up_and_goes_on(machine: Machine, place: Make) -> None:
    fleet = place("--seconds=2")
    fleet.advance("a")
    machine.systemctl("start", "--no-block", UNIT)
    machine.wait("a host is being built", fleet.building)
    machine.systemctl("kill", "--signal=KILL", UNIT)
    machine.wait("systemd sees it", lambda: machine.property(UNIT, "ActiveState") == "failed")
    assert machine.processes("lockbot") == []
    start(machine)
    assert fleet.locked("a") == 1
    assert [run["outcome"] for run in runs(machine)] == ["published", "interrupted"]


def test_a_full_state_directory_is_told_and_survived(machine: Machine, place: Make) -> None:
    fleet = place()
    fleet.advance("a")
    machine.shell(f"mkdir -p {STATE}; mount -t tmpfs -o size=16m tmpfs {STATE}; chown lockbot: {STATE}")
    start(machine)
    fleet.advance("a")
    machine.shell(f"dd if=/dev/zero of={STATE}/ballast bs=64k 2>/dev/null || :")
    start(machine, succeeds=False)
    assert fleet.locked("a") == 1
    told = machine.journal(UNIT)
    assert f"is the file system of {STATE} full" in told or "No space left" in told, told
    machine.shell(f"rm {STATE}/ballast")
    start(machine)
    assert fleet.locked("a") == 2


def test_without_a_network_nothing_is_blamed_and_the_next_run_goes_on(machine: Machine, place: Make) -> None:
    fleet = place("--served", drop_in="Environment=LOCKBOT_RUN__FETCH_TIMEOUT=3s LOCKBOT_BUILD__RETRIES=0")
    fleet.advance("a")
    machine.systemctl("set-property", "--runtime", UNIT, "IPAddressDeny=any")
    machine.systemctl("start", UNIT, check=False)
    assert fleet.locked("a") == 0
    (lost,) = runs(machine)
    assert lost["outcome"] == "failed"
    machine.systemctl("set-property", "--runtime", UNIT, "IPAddressDeny=")
    start(machine)
    assert fleet.locked("a") == 1


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
