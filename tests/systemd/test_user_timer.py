"""The units of nix/home-manager.nix in a user's own systemd: what confines a run lets it land."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.nixes import Nix
from tests.packaging.modules import Module
from tests.packaging.test_home_manager import COMMAND, MACHINE, UNITS, rendered
from tests.systemd.conftest import STATE, Place, runs
from tests.systemd.machine import Machine

USER = "lockbot"
"""Who has a home, and may talk to Nix's daemon: here this is somebody's account, and no service."""
_RUNTIME = f"/run/user/{USER}"
_MANAGER = f"user@{USER}.service"


@dataclass(frozen=True)
class Session:
    """A user's own systemd."""

    machine: Machine

    def systemctl(self, *words: str) -> str:
        command = ["env", f"XDG_RUNTIME_DIR={_RUNTIME}", "systemctl", "--user", *words]
        return self.machine.run(*command, user=USER, check=False, timeout=120).stdout.strip()

    def property(self, unit: str, name: str) -> str:
        return self.systemctl("show", "--value", f"--property={name}", unit)


@pytest.fixture
def session(machine: Machine) -> Iterator[Session]:
    """Without logind, which the machine has not: the manager and its directory are made by hand."""
    machine.shell('install -d -m 700 -o "$1" "$2" "$3"', USER, STATE, _RUNTIME)
    machine.write(
        f"/run/systemd/system/{_MANAGER}",
        f"""[Service]
User={USER}
Type=notify
ExecStart=/lib/systemd/systemd --user
Environment=XDG_RUNTIME_DIR={_RUNTIME}
Delegate=pids memory cpu
""",
    )
    machine.systemctl("daemon-reload")
    machine.systemctl("start", _MANAGER)
    yield Session(machine)
    machine.systemctl("stop", _MANAGER)
    machine.shell('rm -rf "$@"', _RUNTIME, f"/run/systemd/system/{_MANAGER}", "/run/systemd/user")
    machine.systemctl("daemon-reload")


def install(session: Session, nix: Nix) -> None:
    """The module's units, with lockbot and its configuration where they are in this machine."""
    units = Module("home-manager", nix).evaluate(MACHINE, UNITS)
    for kind in ("service", "timer"):
        text = rendered(units[f"{kind}s"]["lockbot-update"]).replace(COMMAND[0], "/opt/lockbot/bin/lockbot")
        text = text.replace(COMMAND[2], "/etc/lockbot/lockbot.toml")
        session.machine.write(f"/run/systemd/user/lockbot-update.{kind}", text)
    session.systemctl("daemon-reload")


def test_a_run_lands(session: Session, place: Callable[..., Place], one_nix: Nix) -> None:
    fleet = place()
    fleet.advance("a")
    install(session, one_nix)
    session.systemctl("start", "lockbot-update.service")
    assert session.property("lockbot-update.service", "Result") == "success", session.machine.journal(_MANAGER)
    assert fleet.locked("a") == 1
    assert [run["outcome"] for run in runs(session.machine)] == ["published"]
    assert session.property("lockbot-update.service", "NoNewPrivileges") == "yes"


def test_the_timer_waits_for_the_night(session: Session, one_nix: Nix) -> None:
    install(session, one_nix)
    session.systemctl("start", "lockbot-update.timer")
    assert session.property("lockbot-update.timer", "ActiveState") == "active"
    next_time = session.property("lockbot-update.timer", "NextElapseUSecRealtime").split()[2]
    assert "04:00" <= next_time <= "04:30:01", "put off by up to half an hour"
