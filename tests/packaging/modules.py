"""A module of nix/, evaluated by real Nix in what stands in for NixOS, Home Manager or nix-darwin around it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.nixes import PROJECT, Nix

HERE = PROJECT / "tests/packaging"
STAND_IN = HERE / "lib_stub.nix"
FAILED = "(map (one: one.message) (builtins.filter (one: !one.assertion) config.assertions))"
"""What the assertions have to say."""
FILES = {
    "nixos": 'config.environment.etc."lockbot/lockbot.toml"',
    "darwin": 'config.environment.etc."lockbot/lockbot.toml"',
    "home-manager": 'config.xdg.configFile."lockbot/lockbot.toml"',
}
"""Where each module puts the configuration file; `source.settings` is what it holds where that is not checked."""


@dataclass(frozen=True)
class Module:
    """`name` is its file's, and says in which surroundings it belongs."""

    name: str
    nix: Nix
    lib: Path = STAND_IN

    def evaluate(self, machine: str, shown: str) -> Any:
        """`machine` is a module of the user's; `shown` an expression in which `config` is what results of it, and
        `evaluated.options` with the real lib its options."""
        return json.loads(self._run(machine, shown).stdout)

    def refused(self, machine: str, shown: str) -> str:
        """What Nix says where it must not get as far as a result."""
        done = self._run(machine, shown, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def _run(self, machine: str, shown: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        text = f"""
          let
            lib = import {self.lib};
            evaluated = import {HERE}/surroundings.nix {{
              inherit lib;
              surroundings = "{self.name}";
              module = {PROJECT}/nix/{self.name}.nix;
              machine = {machine};
            }};
            inherit (evaluated) config;
          in {shown}
        """
        return self.nix.run("nix", "eval", "--impure", "--json", "--expr", text, check=check)


def check(file: Path) -> subprocess.CompletedProcess[str]:
    """lockbot's own check of a configuration, in an environment as bare as that of a build."""
    argv = [sys.executable, "-m", "lockbot", "--config", str(file), "check", "--configuration-only"]
    environment = {"PATH": os.environ["PATH"], "HOME": "/homeless-shelter", "PYTHONPATH": str(PROJECT)}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)


def examples(page: str) -> list[tuple[str, str]]:
    """A page's blocks of Nix, each with the heading that it stands under."""
    found, heading = [], ""
    for match in re.finditer(r"^## ([^\n]*)$|^```nix\n(.*?)^```$", (PROJECT / page).read_text(), re.M | re.S):
        heading = match[1] or heading
        if match[2]:
            found.append((heading, match[2]))
    return found
