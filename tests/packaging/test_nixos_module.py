"""nix/nixos.nix: its units are those of systemd/, and what only the machine's configuration shows is told."""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from tests.nixes import PROJECT, Nix
from tests.packaging.modules import FAILED, Module, check, examples

URL = 'settings = { repository.url = "ssh://git@example.org/nixos.git"; schedule.when = "0 4 * * *"; };'
TIMER = "timer.enable = true;"
WEB = "web.enable = true;"

# What the tests look at. The settings are those that the file is made of, beside the script that checks it.
SHOWN = """
  {
    failed = FAILED;
    inherit (config) users;
    services = builtins.mapAttrs (
      _: unit: builtins.removeAttrs unit [ "path" "reloadTriggers" "restartTriggers" ] // {
        path = map (one: one.name) unit.path;
        reloadTriggers = map (one: one.name) (unit.reloadTriggers or [ ]);
        restartTriggers = map (one: one.name) (unit.restartTriggers or [ ]);
      }
    ) config.systemd.services;
    inherit (config.systemd) timers;
    packages = map (one: one.name) config.environment.systemPackages;
    etc = builtins.mapAttrs (_: one: one.source.script or "") config.environment.etc;
  }
""".replace("FAILED", FAILED)

Evaluate = Callable[..., Any]


@pytest.fixture
def evaluate(nix: Nix, lib: Path) -> Evaluate:
    """Evaluate the module with `services.lockbot = { enable = true; GIVEN };`, or with a whole machine."""

    def run(given: str, more: str = "", *, machine: str = "", shown: str = SHOWN) -> Any:
        machine = machine or f"{{ services.lockbot = {{ enable = true; {given} }}; {more} }}"
        return Module("nixos", nix, lib).evaluate(machine, shown)

    return run


def unit_file(name: str) -> dict[str, list[str]]:
    """`Section.Directive` → its values, of which an empty one does not take back those before it in our files."""
    found: dict[str, list[str]] = defaultdict(list)
    section = ""
    for line in (PROJECT / "systemd" / name).read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found[f"{section}.{key}"].append(value)
    return dict(found)


def as_directives(kind: str, unit: Mapping[str, Any]) -> dict[str, list[str]]:
    """What NixOS writes for a unit, in the form of `unit_file`."""

    def text(value: object) -> str:
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)

    sections = {
        "Unit": unit.get("unitConfig", {}) | {"Description": unit["description"]},
        "Service": unit.get("serviceConfig", {}),
        "Timer": unit.get("timerConfig", {}),
        "Install": {"WantedBy": unit["wantedBy"]} if "wantedBy" in unit else {},
    }
    found = {
        f"{section}.{key}": [text(each) for each in value] if isinstance(value, list) else [text(value)]
        for section, keys in sections.items()
        for key, value in keys.items()
    }
    if kind == "service":
        found["Unit.Wants"] = [" ".join(unit["wants"])] if "wants" in unit else []
        found["Unit.After"] = [" ".join(unit["after"])]
        found["Service.Environment"] = [f"{key}={value}" for key, value in unit["environment"].items()]
    return {key: values for key, values in found.items() if values}


# Where NixOS must differ: programs are in its store, directories are literal, credentials are options.
ELSEWHERE = {"Service.ExecStart", "Service.ExecReload", "Service.Environment"}


@pytest.mark.parametrize(
    ("file", "given"),
    [
        ("lockbot.service", ""),
        ("lockbot-update.service", TIMER),
        ("lockbot-update.timer", TIMER),
        ("lockbot-web.service", WEB),
    ],
)
def test_the_units_are_those_of_the_systemd_directory(evaluate: Evaluate, file: str, given: str) -> None:
    config = evaluate(URL + given)
    name, kind = file.split(".")
    updating = "lockbot-update" if given == TIMER else "lockbot"
    assert [*config["services"]] == [updating, *(["lockbot-web"] if given == WEB else [])]
    ours, nixos = unit_file(file), as_directives(kind, config[f"{kind}s"][name])
    for key in sorted((ours.keys() | nixos.keys()) - ELSEWHERE):
        assert nixos.get(key) == ours.get(key), key
    if kind == "service":
        environment = {one for one in ours["Service.Environment"] if not one.startswith("PATH=")}
        places = {"%C": "/var/cache", "%S": "/var/lib"}
        for short, place in places.items():
            environment = {one.replace(short, place) for one in environment}
        assert environment == {*nixos["Service.Environment"]}
        commands = {
            directives["Service.ExecStart"][0].partition("/bin/lockbot ")[2] for directives in (ours, nixos)
        }
        assert len(commands) == 1, commands


def test_the_daemon(evaluate: Evaluate) -> None:
    config = evaluate(URL + 'credentials."eval.access_tokens" = "/run/secrets/tokens";')
    assert config["failed"] == []
    unit = config["services"]["lockbot"]
    service = unit["serviceConfig"]
    assert re.fullmatch(r"/nix/store/\S+-lockbot/bin/lockbot daemon --config /etc/lockbot", service["ExecStart"])
    assert service["LoadCredential"] == ["eval.access_tokens:/run/secrets/tokens"]
    assert service["ReadWritePaths"] == []
    assert unit["path"] == ["nix", "git", "openssh"]
    assert unit["reloadTriggers"] == ["lockbot.toml"]
    assert unit["documentation"] == ["man:lockbot(1)", "https://example.org/lockbot"]
    assert config["packages"] == ["lockbot"]
    assert config["users"]["users"]["lockbot"] == {
        "isSystemUser": True, "group": "lockbot", "home": "/var/lib/lockbot", "description": "lockbot",
    }  # fmt: skip
    assert config["users"]["groups"] == {"lockbot": {}}
    assert "lockbot --config " in config["etc"]["lockbot/lockbot.toml"]
    assert config["timers"] == {}


SEVERAL = """
  settings = { policy.minimum_age = "3d"; schedule.when = "@daily"; };
  repositories.fleet.settings.repository.path = "/srv/fleet";
  repositories.home.settings = { repository.url = "https://example.org/home.git"; policy.minimum_age = "0"; };
"""


def test_several_repositories(evaluate: Evaluate) -> None:
    config = evaluate(SEVERAL)
    assert config["failed"] == []
    assert config["etc"].keys() == {"lockbot/fleet.toml", "lockbot/home.toml"}
    assert [*config["services"]] == ["lockbot"], "one daemon for all"
    unit = config["services"]["lockbot"]
    assert unit["serviceConfig"]["ReadWritePaths"] == ["/srv/fleet"]
    assert unit["reloadTriggers"] == ["fleet.toml", "home.toml"]
    config = evaluate(SEVERAL + TIMER)
    assert config["services"].keys() == config["timers"].keys() == {"lockbot-update-fleet", "lockbot-update-home"}
    of_fleet, of_home = (config["services"][f"lockbot-update-{one}"]["serviceConfig"] for one in ("fleet", "home"))
    assert of_fleet["ExecStart"].endswith("--config /etc/lockbot/fleet.toml update --wait")
    assert (of_fleet["ReadWritePaths"], of_home["ReadWritePaths"]) == (["/srv/fleet"], [])
    assert config["services"]["lockbot-update-fleet"]["restartIfChanged"] is False, "a switch would end a run"


def test_the_file_is_what_lockbot_takes(evaluate: Evaluate, tmp_path: Path) -> None:
    """The settings become TOML, and lockbot's own check is what the system's build runs on it."""
    given = SEVERAL + "checkConfig = false;"
    shown = "builtins.mapAttrs (_: one: one.source.settings) config.environment.etc"
    for name, settings in evaluate(given, shown=shown).items():
        assert settings["state"] == {"directory": "/var/lib/lockbot"}
        assert settings["policy"]["minimum_age"] == ("3d" if "fleet" in name else "0"), "its own comes first"
        file = tmp_path / Path(name).name
        file.write_text(tomlkit.dumps(settings))
        done = check(file)
        assert done.returncode == 0, done.stdout + done.stderr
    file.write_text(tomlkit.dumps(settings | {"polcy": {"minimum_age": "3d"}}))
    done = check(file)
    assert done.returncode == 3
    assert "did you mean 'policy'" in done.stdout


def test_a_secret_that_is_on_another_machine_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "lockbot.toml"
    file.write_text('[eval]\naccess_tokens = { file = "/run/secrets/not-here" }\n')
    assert check(file).returncode == 0
    file.write_text('[eval]\naccess_tokens = "in the clear"\n')
    assert check(file).returncode == 3


PLACE = 'listen = "unix:/run/lockbot-web/web.sock"; hosts = [ "a.example" ]; basePath = "/l";'
PAGE = f"web = {{ enable = true; {PLACE} }};"


def test_the_page(evaluate: Evaluate, tmp_path: Path) -> None:
    config = evaluate(SEVERAL + PAGE)
    assert config["failed"] == []
    unit = config["services"]["lockbot-web"]
    assert unit["serviceConfig"].keys().isdisjoint({"LoadCredential", "StateDirectory", "ReadWritePaths"})
    assert unit["path"] == ["git"], "neither Nix nor ssh"
    assert unit["restartTriggers"] == ["fleet.toml", "home.toml"]
    shown = "builtins.mapAttrs (_: one: one.source.settings) config.environment.etc"
    for settings in evaluate(SEVERAL + PAGE + "checkConfig = false;", shown=shown).values():
        assert settings["web"] == {
            "listen": "unix:/run/lockbot-web/web.sock",
            "hosts": ["a.example"],
            "base_path": "/l",
        }
        file = tmp_path / "lockbot.toml"
        file.write_text(tomlkit.dumps(settings))
        assert check(file).returncode == 0


REPOSITORY = "services.lockbot.settings.repository"
MISTAKES = [
    ('settings.schedule.when = "@daily";', "", f"{REPOSITORY} needs a `url`"),
    (URL + 'settings.repository.path = "/srv/x";', "", f"{REPOSITORY} has both"),
    ('settings.repository.path = "/home/me/nixos";' + TIMER, "", "can't see"),
    ('settings.repository.path = "/root";' + TIMER, "", "can't see"),
    ('settings.repository.path = "nixos";' + TIMER, "", "must be absolute"),
    ('settings.repository.path = "~/nixos";' + TIMER, "", "must be absolute"),
    ('settings.repository.path = "${builtins.storeDir}/x";' + TIMER, "", "is in the Nix store"),
    ('settings.repository.url = "https://example.org/x";', "", "has no schedule"),
    (URL + 'settings.state.directory = "/srv/state";', "", "/var/lib/lockbot only"),
    (URL + 'settings.eval.access_tokens = "github.com=abc";', "", "readable for everybody"),
    (URL + 'credentials.x = "${builtins.storeDir}/x";', "", "outside the Nix store"),
    (URL + 'credentials.x = "x";', "", "outside the Nix store"),
    (URL + 'user = "root";', "", "must not be root"),
    (URL, 'nix.settings.trusted-users = [ "root" "lockbot" ];', "trusted-users"),
    (URL, 'nix.settings.trusted-users = [ "@lockbot" ];', "trusted-users"),
    (URL, 'nix.settings.trusted-users = [ "*" ];', "trusted-users"),
    (URL, 'nix.settings.allowed-users = [ "@wheel" ];', "would refuse lockbot"),
    (URL, "nix.enable = false;", "needs Nix's daemon"),
    (URL + WEB + 'web.listen = "0.0.0.0:8465";', "", "nobody could reach"),
    (URL + WEB + 'web.listen = "unix:/run/web.sock";', "", "nobody could reach"),
    (URL + WEB + 'settings.web.listen = ":8465";', "", "nobody could reach"),
    ('repositories."a b".settings.repository.path = "/srv/x";' + TIMER, "", "made of letters"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "machine", "said"), MISTAKES, ids=[said for _, _, said in MISTAKES])
def test_a_mistake_is_explained(one_nix: Nix, given: str, machine: str, said: str) -> None:
    whole = f"{{ services.lockbot = {{ enable = true; {settled(given)} }}; {machine} }}"
    (message,) = Module("nixos", one_nix).evaluate(whole, FAILED)
    assert said in message


def settled(given: str) -> str:
    """`settings = {…};` and `settings.x = …;` may not stand side by side in Nix: spelt out instead."""
    whole = 'repository.url = "ssh://git@example.org/nixos.git"; schedule.when = "0 4 * * *";'
    return given.replace(URL, " ".join(f"settings.{one.strip()};" for one in whole.split(";") if one.strip()))


def test_what_does_not_need_to_be_a_mistake(evaluate: Evaluate) -> None:
    machine = 'nix.settings = { trusted-users = [ "root" "@wheel" ]; allowed-users = [ "@lockbot" ]; };'
    assert evaluate(URL, machine)["failed"] == []
    assert evaluate('settings.repository.path = "/homes/nixos";' + TIMER)["failed"] == []


def test_the_readmes_examples(evaluate: Evaluate) -> None:
    modules = [text for _, text in examples("README.md") if "services.lockbot" in text]
    assert modules
    for module in modules:
        config = evaluate("", machine=module)
        assert config["failed"] == []
        assert config["services"]


def test_nothing_is_there_unless_enabled(one_nix: Nix) -> None:
    assert Module("nixos", one_nix).evaluate("{ }", "config.systemd") == {"services": {}, "timers": {}}


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        ("services.lockbott.enable = true;", "services.lockbott"),
        ("services.lockbot.enabled = true;", "services.lockbot.enabled"),
        ("services.lockbot.user = 1;", "services.lockbot.user"),
    ],
)
def test_the_stand_in_refuses_what_the_module_system_does(nix: Nix, lib: Path, machine: str, said: str) -> None:
    assert said in Module("nixos", nix, lib).refused(f"{{ {machine} }}", "config.services.lockbot.user")


def test_the_machines_of_the_vm_test_evaluate(evaluate: Evaluate) -> None:
    """The test itself needs a NixOS to run on: here its machines are held against the module's assertions."""
    for name in ("timer", "daemon"):
        test = f"import {PROJECT}/nix/vm-test.nix {{ module = {{ }}; testers.runNixOSTest = given: given; }}"
        config = evaluate("", machine=f"{{ imports = [ ({test}).nodes.{name} ]; }}")
        assert config["failed"] == []
        assert [*config["services"]] == ["lockbot-update" if name == "timer" else "lockbot"]


def test_the_vm_test_is_whole(one_nix: Nix, tmp_path: Path) -> None:
    """Its script is Python, and lockbot takes its machines' configuration."""
    text = f"""
      let
        test = import {PROJECT}/nix/vm-test.nix {{ module = {{ }}; testers.runNixOSTest = given: given; }};
        pkgs = {{ git = null; stdenv.hostPlatform.system = "x86_64-linux"; }};
      in {{
        script = test.testScript;
        settings = map (node: node.services.lockbot.settings) [
          (test.nodes.timer {{ inherit pkgs; }})
          test.nodes.daemon
        ];
      }}
    """
    found = json.loads(one_nix.run("nix", "eval", "--impure", "--json", "--expr", text).stdout)
    names = {node.id for node in ast.walk(ast.parse(found["script"])) if isinstance(node, ast.Name)}
    assert {"timer", "daemon", "lockbot"} <= names
    assert "< ${upstream}/version" in found["script"], "that is for the flake's Nix, not for this one"
    for settings in found["settings"]:
        file = tmp_path / "lockbot.toml"
        file.write_text(tomlkit.dumps(settings))
        done = check(file)
        assert done.returncode == 0, done.stdout
