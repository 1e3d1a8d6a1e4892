"""lockbot.service under a real systemd, with a real Nix daemon, as its own user: what it promises for months."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.systemd.conftest import STATE, Place, builders, messages, runs
from tests.systemd.machine import Machine

UNIT = "lockbot.service"
CONFIGURATION = "/etc/lockbot/lockbot.toml"
OFTEN = '[schedule]\nwhen = "2s"\n'
"""Long intervals are in the tests of schedules: here a run shall be due soon after the last one."""
SELDOM = '[schedule]\nwhen = "0 0 1 1 *"\n'
CANARY = "canary-5f0c"
CREDENTIAL, NOBODY = "/etc/lockbot/access-tokens", "/etc/lockbot/phone"
STOPPED_WITHIN = 20
"""Seconds, of the 90 that TimeoutStopSec= gives."""

Make = Callable[..., Place]


def status(machine: Machine) -> str:
    """What the daemon says it is doing."""
    return machine.property(UNIT, "StatusText")


def outcomes(machine: Machine) -> list[str]:
    return [str(run["outcome"]) for run in runs(machine)]


def test_it_is_ready_keeps_its_schedule_and_commits(machine: Machine, place: Make) -> None:
    machine.write(CREDENTIAL, f"example.org={CANARY}")
    machine.shell("chmod 600 " + CREDENTIAL)
    machine.write(NOBODY, "json://127.0.0.1:1/canary-url-81aa")
    told = '[[notify]]\nname = "phone"\nurl = { credential = "phone" }\nevents = ["published"]\n'
    credentials = f"LoadCredential=eval.access_tokens:{CREDENTIAL}\nLoadCredential=phone:{NOBODY}"
    fleet = place(extra=OFTEN + told, drop_in=credentials)
    fleet.advance("a")
    machine.systemctl("start", UNIT)  # Type=notify: returns when READY=1 has come
    assert machine.property(UNIT, "ActiveState") == "active"
    assert status(machine)
    machine.wait("the first run's commit", lambda: fleet.locked("a") == 1)
    fleet.advance("b")
    machine.wait("a later run's", lambda: fleet.locked("b") == 1)
    machine.wait("the service tries to tell of it", lambda: messages(machine)["error"] == "it refuses connections")
    main = machine.property(UNIT, "MainPID")
    assert machine.shell('ps -o user= -p "$1"', main).strip() == "lockbot"
    assert (
        machine.shell(f"stat -c '%U %a' {STATE} /var/cache/lockbot /run/lockbot").split() == ["lockbot", "700"] * 3
    )
    machine.systemctl("stop", UNIT)
    assert machine.property(UNIT, "Result") == "success"
    assert machine.processes("lockbot") == []
    journal = machine.journal(UNIT)
    assert CANARY not in journal and "canary-url" not in journal and "telling failed" not in journal


def test_reload_takes_a_good_configuration_and_refuses_a_broken_one(machine: Machine, place: Make) -> None:
    fleet = place(extra=SELDOM)
    fleet.advance("a")
    machine.systemctl("start", UNIT)
    main = machine.property(UNIT, "MainPID")
    good = machine.shell("cat /etc/lockbot/lockbot.toml")
    machine.write(CONFIGURATION, good.replace("[schedule]", "[shcedule]"))
    machine.systemctl("reload", UNIT, check=False)
    machine.wait("it is told", lambda: "shcedule" in machine.journal(UNIT))
    assert machine.property(UNIT, "ActiveState") == "active"
    assert fleet.locked("a") == 0
    machine.write(CONFIGURATION, good.replace(SELDOM, OFTEN))
    machine.systemctl("reload", UNIT)
    machine.wait("the new schedule is kept", lambda: fleet.locked("a") == 1)
    assert machine.property(UNIT, "MainPID") == main


def test_a_broken_configuration_at_the_start_is_no_crash_loop(machine: Machine, place: Make) -> None:
    place(extra='[schedule]\nwhen = "61 * * * *"\n')
    machine.systemctl("start", UNIT, check=False)
    assert machine.property(UNIT, "ActiveState") == "failed"
    assert machine.property(UNIT, "NRestarts") == "0"
    assert "schedule.when" in machine.journal(UNIT)


def test_stop_in_the_middle_of_a_build_ends_everything(
    machine: Machine, place: Make, record_property: Callable[[str, object], None]
) -> None:
    fleet = place("--seconds=600", extra=OFTEN)
    fleet.advance("a")
    machine.systemctl("start", UNIT)
    machine.wait("a host is being built", fleet.building)
    machine.wait("it says so", lambda: "build" in status(machine))
    assert builders(machine)
    begun = time.monotonic()
    machine.systemctl("stop", UNIT, timeout=STOPPED_WITHIN)
    seconds = time.monotonic() - begun
    record_property("told", f"{UNIT}: stopped in the middle of a build in {seconds:.1f} s")
    assert machine.property(UNIT, "Result") == "success"
    assert machine.processes("lockbot") == []
    machine.wait("no builder is left", lambda: builders(machine) == [], 5)
    assert outcomes(machine) == ["interrupted"]
    assert fleet.locked("a") == 0


def test_kill_9_and_a_hang_end_in_a_restart_that_goes_on(machine: Machine, place: Make) -> None:
    fleet = place("--seconds=2", extra=OFTEN, drop_in="WatchdogSec=5s\nRestartSec=100ms")
    fleet.advance("a")
    machine.systemctl("start", UNIT)
    machine.wait("a host is being built", fleet.building)
    machine.systemctl("kill", "--signal=KILL", UNIT)
    machine.wait("the restart", lambda: int(machine.property(UNIT, "NRestarts")) >= 1)
    machine.wait("it goes on", lambda: fleet.locked("a") == 1)
    machine.systemctl("kill", "--signal=STOP", "--kill-whom=main", UNIT)
    machine.wait("the watchdog", lambda: int(machine.property(UNIT, "NRestarts")) >= 2, 60)
    assert "Watchdog timeout" in machine.journal(UNIT)
    machine.wait("it goes on", lambda: "run ended" in machine.journal(UNIT).rpartition('"ready"')[2])
    assert "interrupted" in outcomes(machine)


def test_a_lost_network_heals(machine: Machine, place: Make) -> None:
    limits = "Environment=LOCKBOT_RUN__FETCH_TIMEOUT=2s LOCKBOT_BUILD__RETRIES=0"
    fleet = place("--served", extra=OFTEN, drop_in=limits)
    machine.systemctl("start", UNIT)
    machine.wait("a first run", lambda: '"outcome": "unchanged"' in machine.journal(UNIT))
    machine.systemctl("set-property", "--runtime", UNIT, "IPAddressDeny=any")
    fleet.advance("a")
    machine.wait("a run without", lambda: '"outcome": "failed"' in machine.journal(UNIT))
    assert machine.property(UNIT, "ActiveState") == "active"
    assert fleet.locked("a") == 0
    machine.systemctl("set-property", "--runtime", UNIT, "IPAddressDeny=")
    machine.wait("it goes on", lambda: fleet.locked("a") == 1)
    assert machine.property(UNIT, "NRestarts") == "0"


def test_a_full_state_directory_is_survived(machine: Machine, place: Make) -> None:
    fleet = place(extra=OFTEN)
    machine.shell(f"mkdir -p {STATE}; mount -t tmpfs -o size=24m tmpfs {STATE}; chown lockbot: {STATE}")
    machine.systemctl("start", UNIT)
    machine.wait("a first run", lambda: '"outcome": "unchanged"' in machine.journal(UNIT))
    machine.shell(f"dd if=/dev/zero of={STATE}/ballast bs=64k 2>/dev/null || :")
    fleet.advance("a")
    machine.wait("it is told", lambda: f"file system of {STATE} full" in machine.journal(UNIT))
    assert machine.property(UNIT, "ActiveState") == "active"
    assert fleet.locked("a") == 0
    machine.shell(f"rm {STATE}/ballast")
    machine.wait("it goes on", lambda: fleet.locked("a") == 1)
    assert machine.property(UNIT, "NRestarts") == "0"
