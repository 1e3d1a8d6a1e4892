"""What the three modules have in common: typed settings, the checked file, and what is told of a mistake."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import tomlkit

from lockbot.config.module_options import TYPED
from lockbot.config.template import EXAMPLE, annotated
from tests.nixes import PROJECT, Nix
from tests.packaging.modules import FAILED, FILES, STAND_IN, Module, check, examples

USERS = ("home-manager", "darwin")
ALL = ("nixos", *USERS)
URL = 'repository.url = "ssh://git@example.org/nixos.git";'


def enabled(settings: str, more: str = "") -> str:
    return f"{{ services.lockbot = {{ enable = true; settings = {{ {settings} }}; {more} }}; }}"


def written(module: Module, settings: str) -> dict[str, object]:
    """The configuration file, as it is before TOML is made of it."""
    shown = f"{FILES[module.name]}.source.settings"
    found: dict[str, object] = module.evaluate(enabled(settings, "checkConfig = false;"), shown)
    return found


@pytest.mark.parametrize("name", ALL)
def test_every_key_comes_through_as_it_was_given(nix: Nix, lib: Path, name: str, tmp_path: Path) -> None:
    """The whole example with every key set: what a typed option makes of its value must be the same."""
    text = re.sub("^#(?=[a-z[])", "", annotated(EXAMPLE), flags=re.MULTILINE)
    file = tmp_path / "whole.toml"
    file.write_text(text)
    given = f"enable = true; checkConfig = false; settings = builtins.fromTOML (builtins.readFile {file});"
    shown = f"{FILES[name]}.source.settings"
    found = Module(name, nix, lib).evaluate(f"{{ services.lockbot = {{ {given} }}; }}", shown)
    assert found == tomllib.loads(text)
    for section, key in (one.split(".") for one in TYPED):
        assert key in found[section], "or this test says nothing of it"


@pytest.mark.parametrize("name", ALL)
def test_what_nobody_set_is_not_written(nix: Nix, lib: Path, name: str) -> None:
    found = written(Module(name, nix, lib), URL + "policy = { }; input.nixpkgs.minimum_age = 3;")
    assert found.pop("state")
    assert found == {
        "repository": {"url": "ssh://git@example.org/nixos.git"}, "input": {"nixpkgs": {"minimum_age": 3}},
    }  # fmt: skip


def test_a_duration_may_be_a_number(nix: Nix, lib: Path) -> None:
    found = written(Module("nixos", nix, lib), URL + "policy.minimum_age = 0; build.timeout = 1.5;")
    assert (found["policy"], found["build"]) == ({"minimum_age": 0}, {"timeout": 1.5})


@pytest.mark.parametrize("name", ALL)
def test_the_file_is_checked_by_lockbot_itself(nix: Nix, lib: Path, name: str) -> None:
    shown = f"{{ inherit ({FILES[name]}.source) preferLocalBuild script; }}"
    found = Module(name, nix, lib).evaluate(enabled(URL), shown)
    assert found["preferLocalBuild"] is True
    assert re.search(r"lockbot --config /nix/store/\S+ check --configuration-only", found["script"])


WRONG = [
    ('repository.push = "yes";', "repository.push"),
    ("repository.path = /srv/nixos;", "repository.path"),
    ('hosts.include = "web*";', "hosts.include"),
    ("hosts.exclude = [ 1 ];", "hosts.exclude"),
    ("build.jobs = 100000;", "build.jobs"),
    ('build.gate = "green";', "build.gate"),
    ("build.timeout = true;", "build.timeout"),
    ("policy.minimum_age = [ ];", "policy.minimum_age"),
    ("schedule.when = 4;", "schedule.when"),
    ("eval.workers = null;", "eval"),
]


@pytest.mark.parametrize(("settings", "option"), WRONG, ids=[option for _, option in WRONG])
def test_a_wrong_type_is_told_with_the_option_s_name(nix: Nix, lib: Path, settings: str, option: str) -> None:
    said = Module("nixos", nix, lib).refused(enabled(settings), "config.services.lockbot.settings")
    assert f"services.lockbot.settings.{option}" in said


@pytest.mark.parametrize("name", ALL)
def test_every_option_is_documented(nix: Nix, lib: Path, name: str) -> None:
    """The manual's list of options is made of this; one without a description stops its build."""
    if lib == STAND_IN:
        pytest.skip("the stand-in for nixpkgs' lib makes no documentation")
    shown = """
      map (one: { inherit (one) name; text = one.description.text or one.description; })
        (builtins.filter (one: one.visible or true && !one.internal && builtins.head one.loc == "services")
          (lib.optionAttrSetToDocList evaluated.options))
    """
    found = {one["name"]: one["text"] for one in Module(name, nix, lib).evaluate("{ }", shown)}
    settings = {name.removeprefix("services.lockbot.settings.") for name in found}
    schedules = {key for key in TYPED if key.startswith("schedule.")}
    assert settings >= {*TYPED} - schedules
    assert settings & schedules == (schedules if name == "nixos" else set()), "no other has a daemon"
    assert all(found.values())
    assert found["services.lockbot.package"] == "The lockbot package to use."


MISTAKES = [
    ("", "needs a `url`"),
    (URL + 'repository.path = "/srv/x";', "has both"),
    ('repository.path = "nixos";', "must be absolute"),
    ('repository.path = "${builtins.storeDir}/x";', "is in the Nix store"),
    (URL + 'eval.access_tokens = "github.com=abc";', 'write `{ file = "/path/to/file"; }`'),
    (URL + 'schedule.when = "@daily";', "use services.lockbot.timer"),
]


@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize(("settings", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_a_mistake_is_explained(one_nix: Nix, name: str, settings: str, said: str) -> None:
    (message,) = Module(name, one_nix).evaluate(enabled(settings), FAILED)
    assert message.startswith("services.lockbot.settings.")
    assert said in message


@pytest.mark.parametrize("name", USERS)
def test_a_flake_in_a_home(nix: Nix, lib: Path, name: str, tmp_path: Path) -> None:
    """It is no mistake, and lockbot takes the file."""
    module = Module(name, nix, lib)
    settings = 'repository.path = "~/nixos"; policy.minimum_age = "3d"; eval.access_tokens.file = "/run/tokens";'
    assert module.evaluate(enabled(settings), FAILED) == []
    file = tmp_path / "lockbot.toml"
    file.write_text(tomlkit.dumps(written(module, settings)))
    done = check(file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert module.evaluate(enabled('repository.path = "/home/me/nixos";'), FAILED) == []


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_there_unless_enabled(one_nix: Nix, name: str) -> None:
    shown = (
        "[ config.assertions (builtins.attrNames (config.launchd.agents or config.launchd.user.agents or { })) ]"
    )
    assert Module(name, one_nix).evaluate("{ }", shown) == [[], []]


PAGE = "docs/nixos.md"
HEADINGS = {"NixOS": "nixos", "Home Manager": "home-manager", "nix-darwin": "darwin"}


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_page_s_examples(nix: Nix, lib: Path, heading: str) -> None:
    modules = [text for under, text in examples(PAGE) if under == heading and "services.lockbot" in text]
    assert modules
    for text in modules:
        found = Module(HEADINGS[heading], nix, lib).evaluate(text, f"[ {FAILED} config.services.lockbot.enable ]")
        assert found == [[], True]


def test_the_page_names_every_option(one_nix: Nix) -> None:
    """But for those of `settings`, which are the configuration's."""
    shown = """
      let
        below = set: builtins.concatMap (name: map (rest: if rest == "" then name else "${name}.${rest}") (
          if builtins.elem name [ "timer" "web" ] then below set.${name} else [ "" ]
        )) (builtins.attrNames set);
      in below config.services.lockbot
    """
    text = (PROJECT / PAGE).read_text()
    for name in ALL:
        for option in Module(name, one_nix).evaluate("{ }", shown):
            assert f"`{option}`" in text, f"{name}: {option}"
