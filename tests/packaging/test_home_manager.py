"""nix/home-manager.nix: a user's unit and timer, or an agent of launchd's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.nixes import Nix
from tests.packaging.modules import FILES, Module
from tests.systemd.test_units import analyze, needs_systemd

MACHINE = '{ services.lockbot = { enable = true; checkConfig = false; settings.repository.path = "~/nixos"; }; }'
UNITS = "{ inherit (config.systemd.user) services timers; }"
COMMAND = (
    "/nix/store/00000000000000000000000000000000-lockbot/bin/lockbot",
    "--config",
    "/home/me/.config/lockbot/lockbot.toml",
    "update",
    "--wait",
)


def rendered(unit: Mapping[str, Mapping[str, Any]]) -> str:
    """A unit's file, as Home Manager writes it."""

    def values(value: Any) -> list[str]:
        return [str(one).lower() if isinstance(one, bool) else str(one) for one in value if value != []]

    lines: list[str] = []
    for section, keys in unit.items():
        lines.append(f"[{section}]")
        for key, value in keys.items():
            lines += [f"{key}={one}" for one in values(value if isinstance(value, list) else [value])]
    return "\n".join(lines) + "\n"


def test_the_unit(nix: Nix, lib: Path) -> None:
    found = Module("home-manager", nix, lib).evaluate(MACHINE, UNITS)["services"]["lockbot-update"]
    service = found["Service"]
    assert service["ExecStart"] == " ".join(COMMAND)
    assert service["Type"] == "oneshot"
    assert (service["Nice"], service["IOSchedulingClass"]) == (10, "idle")
    assert found["Unit"]["Documentation"] == ["man:lockbot(1)", "https://example.org/lockbot"]
    assert found["Unit"]["X-SwitchMethod"] == "keep-old"


def test_the_user_s_own_programs_come_first(nix: Nix, lib: Path) -> None:
    def path(machine: str) -> list[str]:
        found = Module("home-manager", nix, lib).evaluate(machine, UNITS)["services"]["lockbot-update"]["Service"]
        (variable,) = found["Environment"]
        return [part.split("-", 1)[-1] for part in variable.removeprefix("PATH=").split(":")]

    places = path(MACHINE)
    assert places[0] == "profile/bin"  # what is left of ~/.nix-profile/bin
    assert places[-2:] == ["git/bin", "openssh/bin"]
    assert places.index("/usr/bin") < places.index("git/bin")
    own = f'{{ pkgs, ... }}: {{ imports = [ {MACHINE} ]; nix.package = pkgs.git // {{ outPath = "/own-nix"; }}; }}'
    assert path(own)[0] == "nix/bin"


def test_the_timer(nix: Nix, lib: Path) -> None:
    def timer(machine: str) -> Any:
        return Module("home-manager", nix, lib).evaluate(machine, UNITS)["timers"]["lockbot-update"]

    assert timer(MACHINE)["Timer"] == {
        "OnCalendar": "*-*-* 04:00", "RandomizedDelaySec": "30min", "FixedRandomDelay": True, "Persistent": True,
    }  # fmt: skip
    assert timer(MACHINE)["Install"] == {"WantedBy": ["timers.target"]}
    own = f'{{ imports = [ {MACHINE} ]; services.lockbot.timer.calendar = "Mon 12:00"; }}'
    assert timer(own)["Timer"]["OnCalendar"] == "Mon 12:00"


@needs_systemd
@pytest.mark.parametrize("kind", ["service", "timer"])
def test_systemd_finds_no_mistake(
    one_nix: Nix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    units = Module("home-manager", one_nix).evaluate(MACHINE, UNITS)
    for each in ("service", "timer"):  # with a program that exists: where it lies is not what is looked at
        text = rendered(units[f"{each}s"]["lockbot-update"]).replace(COMMAND[0], "/bin/true")
        (tmp_path / f"lockbot-update.{each}").write_text(text)
    file = tmp_path / f"lockbot-update.{kind}"
    done = analyze("verify", "--user", "--man=no", "--recursive-errors=no", file)
    assert done.returncode == 0, done.stderr
    assert file.name not in done.stderr


def test_the_state_is_where_lockbot_has_it_by_default(nix: Nix, lib: Path) -> None:
    shown = f"{FILES['home-manager']}.source.settings.state"
    module = Module("home-manager", nix, lib)
    assert module.evaluate(MACHINE, shown) == {"directory": "/home/me/.local/state/lockbot"}
    own = f'{{ imports = [ {MACHINE} ]; services.lockbot.settings.state.directory = "/srv/state"; }}'
    assert module.evaluate(own, shown) == {"directory": "/srv/state"}


def test_the_agent(nix: Nix, lib: Path) -> None:
    """What Home Manager makes a property list of, on macOS."""
    module = Module("home-manager", nix, lib)
    agent = module.evaluate(MACHINE, "config.launchd.agents.lockbot-update")
    assert agent["enable"] is True
    job = agent["config"]
    assert job["ProgramArguments"] == [*COMMAND]
    assert job["StartCalendarInterval"] == [{"Hour": 4, "Minute": 0}]
    assert job["StandardErrorPath"] == "/home/me/Library/Logs/lockbot.log"
    unit = module.evaluate(MACHINE, UNITS)["services"]["lockbot-update"]
    assert [f"PATH={job['EnvironmentVariables']['PATH']}"] == unit["Service"]["Environment"]
