"""lockbot-update.service and its timer under a real systemd, with a real Nix daemon, as the user `lockbot`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.systemd.conftest import Place
from tests.systemd.machine import Machine

UNIT = "lockbot-update.service"
TIMER = "lockbot-update.timer"
STATE = "/var/lib/lockbot"
STOPPED_WITHIN = 20
"""Seconds, of the 90 that TimeoutStopSec= gives."""

Make = Callable[..., Place]


def runs(machine: Machine) -> list[dict[str, Any]]:
    """lockbot's own record, newest first."""
    command = ["/opt/lockbot/bin/lockbot", "--config", "/etc/lockbot/lockbot.toml", "history", "--json"]
    found = machine.run("env", f"STATE_DIRECTORY={STATE}", *command, user="lockbot").stdout
    listed: list[dict[str, Any]] = json.loads(found)["runs"]
    return listed


def start(machine: Machine, *, succeeds: bool = True) -> None:
    machine.systemctl("start", UNIT, check=False)
    result = machine.property(UNIT, "Result")
    assert (result == "success") is succeeds, f"{result}\n{machine.journal(UNIT)}"


def test_commits_what_builds_as_its_own_user(machine: Machine, place: Make) -> None:
    fleet = place()
    fleet.advance("a")
    start(machine)
    assert fleet.locked("a") == 1
    assert sorted(fleet.builds()) == ["host-mail", "host-web"]
    assert machine.shell(f"stat -c '%U %a' {STATE} /var/cache/lockbot").split() == ["lockbot", "700"] * 2
    start(machine)
    assert [run["outcome"] for run in runs(machine)] == ["unchanged", "published"]
