"""nix/darwin.nix: the primary user's agent."""

from __future__ import annotations

import plistlib
from pathlib import Path
from typing import Any

import pytest

from tests.nixes import Nix
from tests.packaging.modules import FILES, STAND_IN, Module

MACHINE = """{
  services.lockbot = { enable = true; checkConfig = false; settings.repository.path = "~/nixos"; };
  environment.variables = { NIX_SSL_CERT_FILE = "/etc/ssl/certs/ca-certificates.crt"; EDITOR = "nano"; };
}"""
AGENT = """
  let agent = config.launchd.user.agents.lockbot-update; in
  agent // { path = map (one: one.name or one) agent.path; }
"""


def test_the_agent(nix: Nix, lib: Path) -> None:
    agent = Module("darwin", nix, lib).evaluate(MACHINE, AGENT)
    program, *words = agent["command"].split()
    assert program.endswith("-lockbot/bin/lockbot")
    assert words == ["--config", "/etc/lockbot/lockbot.toml", "update", "--wait"]
    assert agent["path"] == ["nix", "git", "/run/current-system/sw/bin:/usr/bin:/bin"]
    assert agent["environment"] == {"NIX_SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}
    assert agent["managedBy"] == "services.lockbot.enable", "system.primaryUser's error message names it"
    job = agent["serviceConfig"]
    assert job["StartCalendarInterval"] == [{"Hour": 4, "Minute": 0}]
    assert job["StandardOutPath"] == job["StandardErrorPath"] == "/Users/me/Library/Logs/lockbot.log"


def test_nix_is_the_system_s_where_nix_darwin_does_not_manage_it(nix: Nix, lib: Path) -> None:
    """Then nix.package must not even be looked at."""
    machine = f'{{ imports = [ {MACHINE} ]; nix.enable = false; nix.package = throw "looked at"; }}'
    agent = Module("darwin", nix, lib).evaluate(machine, AGENT)
    assert agent["path"] == ["git", "/run/current-system/sw/bin:/usr/bin:/bin"]


def test_when_it_runs(nix: Nix, lib: Path) -> None:
    def job(interval: str) -> Any:
        machine = f"{{ imports = [ {MACHINE} ]; services.lockbot.timer.interval = {interval}; }}"
        return Module("darwin", nix, lib).evaluate(machine, AGENT)["serviceConfig"]

    assert job("[ { Weekday = 1; Hour = 12; } ]")["StartCalendarInterval"] == [{"Weekday": 1, "Hour": 12}]
    machine = f'{{ imports = [ {MACHINE} ]; services.lockbot.timer.interval = [ {{ Hour = "4"; }} ]; }}'
    assert "services.lockbot.timer.interval" in Module("darwin", nix, lib).refused(machine, AGENT)


def test_the_state_is_where_lockbot_has_it_by_default(nix: Nix, lib: Path) -> None:
    shown = f"{FILES['darwin']}.source.settings.state"
    assert Module("darwin", nix, lib).evaluate(MACHINE, shown) == {"directory": "~/.local/state/lockbot"}


def test_the_job_is_a_property_list(nix: Nix, lib: Path) -> None:
    if lib == STAND_IN:
        pytest.skip("the stand-in for nixpkgs' lib writes no property lists")
    job = "config.launchd.user.agents.lockbot-update.serviceConfig"
    text = Module("darwin", nix, lib).evaluate(MACHINE, f"lib.generators.toPlist {{ escape = true; }} {job}")
    assert plistlib.loads(text.encode())["LowPriorityIO"] is True
