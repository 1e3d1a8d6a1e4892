"""lockbot's own flake.nix, as far as it can be tried without nixpkgs: what it offers, and of what it is made."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import lockbot
from tests.nixes import PROJECT, Nix
from tests.upstream import nix_string

OUTSIDE_PYTHON = [
    "git",
    "gnumake",
    "help2man",
    "installShellFiles",
    "nix",
    "nixfmt-tree",
    "patchelf",
    "ruff",
    "versionCheckHook",
]
MODULES = {
    "nixosModules": "nixos.nix",
    "homeModules": "home-manager.nix",
    "darwinModules": "darwin.nix",
}


def names(requirements: list[str]) -> list[str]:
    return [re.split(r"[<>=!~;\[ ]", requirement)[0] for requirement in requirements]


def evaluate(nix: Nix, expression: str) -> Any:
    """The outputs of flake.nix are in scope as `outputs`."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    requirements = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
    ]
    libraries = {*names(requirements), "pytestCheckHook"} - set(OUTSIDE_PYTHON)
    text = f"""
      let
        nixpkgs = import {PROJECT}/tests/packaging/nixpkgs_stub.nix {{
          libraries = [ {" ".join(map(nix_string, sorted(libraries)))} ];
          programs = [ {" ".join(map(nix_string, OUTSIDE_PYTHON))} ];
        }};
        self = outputs // {{ outPath = "/source"; }};
        outputs = (import {PROJECT}/flake.nix).outputs {{ inherit self nixpkgs; }};
      in {expression}
    """
    return json.loads(nix.run("nix", "eval", "--impure", "--json", "--expr", text).stdout)


def test_what_the_flake_offers(nix: Nix) -> None:
    offered = evaluate(nix, "builtins.mapAttrs (_: builtins.attrNames) outputs")
    systems = ["aarch64-darwin", "aarch64-linux", "x86_64-linux"]
    per_system = ("apps", "checks", "devShells", "formatter", "packages")
    assert offered == dict.fromkeys(per_system, systems) | {key: ["default"] for key in [*MODULES, "overlays"]}
    checks = evaluate(nix, "builtins.attrNames outputs.checks.x86_64-linux")
    assert checks == ["lint", "package", "tests", "vm"]
    assert evaluate(nix, "builtins.attrNames outputs.checks.aarch64-darwin") == ["lint", "package", "tests"]


def test_the_package_needs_what_pyproject_says(one_nix: Nix) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    package = evaluate(
        one_nix, 'builtins.removeAttrs outputs.packages.x86_64-linux.default [ "overridePythonAttrs" "src" ]'
    )
    assert package["dependencies"] == names(project["project"]["dependencies"])
    assert package["build-system"] == ["hatchling"]
    assert package["version"] == lockbot.__version__
    assert package["makeWrapperArgs"] == ["--suffix", "PATH", ":", "git:nix"]
    assert package["meta"]["mainProgram"] in project["project"]["scripts"]
    urls = project["project"].get("urls", {})
    assert package["meta"].get("homepage") == urls.get("Homepage")
    assert package["meta"].get("changelog") == urls.get("Changelog")


def test_the_package_is_tried_when_it_is_built(one_nix: Nix) -> None:
    """nixpkgs' hook runs it so, and looks for the version in what it prints."""
    shown = "{ inherit (outputs.packages.x86_64-linux.default) version doCheck nativeInstallCheckInputs; }"
    package = evaluate(one_nix, shown)
    assert package["doCheck"] is True, "else nixpkgs leaves the hooks out"
    assert package["nativeInstallCheckInputs"] == ["versionCheckHook"]
    git = shutil.which("git")
    assert git is not None
    bare = {"PATH": str(Path(git).parent), "PYTHONPATH": str(PROJECT)}  # what the wrapper gives it
    argv = [sys.executable, "-m", "lockbot", "--version"]
    done = subprocess.run(argv, cwd="/", env=bare, capture_output=True, text=True, check=True, timeout=60)
    assert package["version"] in done.stdout


def test_every_other_output_evaluates(one_nix: Nix) -> None:
    shell = evaluate(one_nix, "outputs.devShells.x86_64-linux.default.packages")
    assert {"ruff", "patchelf", "mypy", "pytest", "nix"} <= set(shell)
    app = evaluate(one_nix, "outputs.apps.x86_64-linux.default")
    assert (app["type"], app["program"]) == ("app", "bin/lockbot")
    checks = evaluate(one_nix, "outputs.checks.x86_64-linux.tests")
    assert checks["doCheck"] is True
    for path in checks["enabledTestPaths"]:
        assert (PROJECT / path).exists(), path
    assert "ruff check" in evaluate(one_nix, "outputs.checks.x86_64-linux.lint.script")
    assert evaluate(one_nix, "outputs.formatter.x86_64-linux") == "nixfmt-tree"
    machines = evaluate(one_nix, "builtins.attrNames outputs.checks.x86_64-linux.vm.nodes")
    assert machines == ["daemon", "timer"]
    overlay = "(outputs.overlays.default nixpkgs.legacyPackages.x86_64-linux { }).lockbot.pname"
    assert evaluate(one_nix, overlay) == "lockbot"


@pytest.mark.parametrize("output", MODULES)
def test_a_module_comes_with_the_package(one_nix: Nix, output: str) -> None:
    module = f"""
      let made = outputs.{output}.default {{
        lib.mkDefault = value: {{ inherit value; }};
        pkgs = nixpkgs.legacyPackages.aarch64-linux;
      }}; in {{
        package = made.services.lockbot.package.value.pname;
        module = builtins.baseNameOf (builtins.head made.imports);
      }}
    """
    assert evaluate(one_nix, module) == {"package": "lockbot", "module": MODULES[output]}


def test_the_lock_is_complete(nix: Nix, tmp_path: Path) -> None:
    """Nix reads it without the network, and does not want to write it anew."""
    for name in ("flake.nix", "flake.lock"):
        (tmp_path / name).write_text((PROJECT / name).read_text())
    before = (tmp_path / "flake.lock").read_text()
    told = nix.run("nix", "flake", "metadata", "--json", "--no-update-lock-file", f"path:{tmp_path}")
    locks = json.loads(told.stdout)["locks"]
    assert locks == json.loads(before)
    node = locks["nodes"][locks["nodes"]["root"]["inputs"]["nixpkgs"]]
    assert node["locked"].keys() == {"lastModified", "narHash", "owner", "repo", "rev", "type"}
    assert node["original"]["ref"] in (PROJECT / "flake.nix").read_text()
