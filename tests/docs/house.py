"""A place where the documentation's command lines can be run: `lockbot demo`'s flake, with its history.

Knows what the pages call things and what these are called here. What can't be run is listed, with the reason.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests import nixes

NOT_RUN = {
    r"/run/current-system": "the demo's hosts are on no machine",
    r"^(sudo )?apt-get ": "installs on this machine",
    r"^sudo python3 -m venv ": "installs below /opt; tests/systemd has what it would make",
    r"^sudo useradd |^sudo install ": "changes this machine; tests/systemd runs these lines in one of its own",
    r"^sudo systemctl |^journalctl ": "this machine's services; tests/systemd starts them in one of its own",
    r"\| crontab -$": "would replace somebody's crontab",
    r"^systemd-run --user ": "needs a user's systemd",
    r"^pip install |^nix profile install |^nix run ": "downloads",
    r"^(sudo )?(nixos-rebuild|darwin-rebuild|home-manager|launchctl) ": "switches a whole system",
    r"^(\w+=\S+ )?make ": "installs; `make -n` shows that there is such a target",
    r"^git (clone|fetch) ": "downloads",
    r"^git .*\bv1\.": "a release's; test_releases makes one, and runs these",
    r"^lockbot hold .*--until-(merged|in|version) ": "waits for something on a forge; tests/holds has one",
    r"^lockbot (--quiet )?requests --settle$": "pull requests need a forge; test_forges has some",
    r" -m pytest ": "runs tests; that the files are there is looked at",
}
"""Lines that are only looked at: their shell syntax, and each `lockbot …` in them."""

EXIT_CODES: Mapping[str, int] = {}
"""Lines that end otherwise than with 0."""

_ENDLESS = ("lockbot daemon", "lockbot web")
_SQLITE = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2])"
_GOES_BACK = "modules"
"""The demo's input that nothing else is done with."""


@dataclass
class House:
    directory: Path
    nix: nixes.Nix
    told: str = ""
    """What the demo said, and what git says of its last commit."""
    done: set[str] = field(default_factory=lambda: {"lockbot demo"})
    """Lines that were run; what the house is built by is one."""
    held: bool = False
    """Whether a line has held an input."""

    @classmethod
    def build(cls, directory: Path, nix: nixes.Nix) -> House:
        house = cls(directory, nix)
        made = house.sh(f"lockbot demo --directory {directory}", cwd=directory.parent)
        assert made.returncode == 0, made.stderr
        house.told = made.stdout
        house.told += "$ git log -1 --stat\n" + nix.run("git", "-C", house.flake, "log", "-1", "--stat").stdout
        house._furnish()
        house._upstream("packages", "revert", "--no-edit", "HEAD")
        return house

    def _furnish(self) -> None:
        """The files that pages name."""
        share = self.directory / "home" / ".local" / "state"
        share.mkdir(parents=True)
        (share / "lockbot").symlink_to(self.state)
        for name in ("etc/one.toml", "a.toml", "b.toml"):
            (self.directory / name).parent.mkdir(exist_ok=True)
            (self.directory / name).write_text(
                (self.directory / "lockbot.toml").read_text() + '[schedule]\nwhen = "0 4 29 2 *"\n'
            )

    @property
    def flake(self) -> Path:
        return self.directory / "flake"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def environment(self) -> dict[str, str]:
        """The demo's, and the pages' programs in front on PATH."""
        programs = self.directory.parent / "programs"
        _program(programs / "lockbot", f'exec {shlex.quote(sys.executable)} -m lockbot "$@"')
        if shutil.which("sqlite3") is None:  # Python's own SQLite takes the same words
            _program(programs / "sqlite3", f'exec {shlex.quote(sys.executable)} -c {shlex.quote(_SQLITE)} "$@"')
        nix = self.directory / "nix"
        return {
            "PATH": f"{programs}:{self.nix.environment['PATH']}",
            "PYTHONPATH": str(nixes.PROJECT),
            "HOME": str(self.directory / "home"),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"NIX_{name.upper()}_DIR": str(nix / name) for name in ("store", "state", "log")},
            "NIX_CONF_DIR": str(nix / "etc"),
            "LOCKBOT_STATE__MIN_FREE": "64M",
            "LOCKBOT_GROUP": '[{"name": "system", "inputs": ["packages", "themes"]}]',
        }

    def sh(self, line: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=cwd or self.flake,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def json(self, line: str) -> dict[str, Any]:
        """What a command prints, which ends well."""
        done = self.sh(line)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    @cached_property
    def _flake_log(self) -> list[str]:
        """The commits of the flake, the oldest first."""
        return self.nix.run("git", "-C", self.flake, "rev-list", "--reverse", "main").stdout.split()

    @cached_property
    def rejected(self) -> str:
        """The demo's run that was rejected."""
        runs = self.json("lockbot history --json --limit 1000")["runs"]
        return next(str(run["run"]) for run in reversed(runs) if run["outcome"] == "rejected")

    @cached_property
    def names(self) -> dict[str, str]:
        """What pages call something → what it is called here; patterns, one after the other."""
        at = str(self.directory)
        first = self.nix.run("git", "-C", f"{at}/upstream/packages", "rev-list", "--max-parents=0", "HEAD").stdout
        return {
            r"^sudo -u lockbot ": "",
            r"/opt/lockbot/bin/lockbot": "lockbot",
            r"/etc/lockbot/lockbot\.toml|/srv/fleet/lockbot\.toml": f"{at}/lockbot.toml",
            r"/etc/lockbot(?=\s|$)": f"{at}/etc",
            r"/etc/nixos": f"{at}/flake",
            r"/(srv|var/backups|var/lib/node-exporter)/": f"{at}/",
            r"github:NixOS/nixpkgs/\w+": f"git+file://{at}/upstream/packages?rev={first.strip()}",
            r"(?<=accept )(INPUT|nixpkgs)\b": _GOES_BACK,
            r"\b(INPUT|nixpkgs)\b|(?<=release )NAME\b": "packages",
            r"\bhome-manager\b": "themes",
            r"\bHOST\b": "mail",
            r"\bGOOD\b": f"{self._flake_log[0]}",
            r"\bBAD\b": f"{self._flake_log[1]}",
            r"\bTEXT\b": "text",
            r"\bCOMMAND\b": "update",
            r"\b(RUN|20261122)\b": self.rejected,
        }

    # -- a page's line here ----------------------------------------------------------------------------------

    def here(self, line: str) -> str:
        """The line with what the page calls by an example's name called as it is called here."""
        for pattern, name in self.names.items():
            line = re.sub(pattern, name, line)
        return line

    def run(self, line: str) -> str | None:
        """What is wrong with a page's line; None: nothing."""
        there = self.here(line)
        words = shlex.join(shlex.split(there, comments=True))
        if words in self.done:
            return None
        self.done.add(words)
        self._make_ready(there)
        if there.startswith(_ENDLESS):
            return self._run_until_up(there)
        done = self.sh(there)
        if done.returncode == EXIT_CODES.get(line, 0):
            return None
        said = done.stderr[-1000:] or done.stdout[-1000:]
        return f"{line}\n  here: {there}\n  ended with {done.returncode}: {said}"

    def _make_ready(self, line: str) -> None:
        """What must have happened for the line to be of use."""
        self.held = self.held or " hold " in line or " revert " in line
        if " update" in line and "--help" not in line:
            self._something_is_new()
        if " accept" in line:
            self._upstream_goes_back()
        if "show --log" in line:  # of the newest run
            self._release()
            self._upstream("packages", "revert", "--no-edit", "HEAD")
            self.sh("lockbot update")
            self._upstream("packages", "revert", "--no-edit", "HEAD")
        if " init" in line:
            (self.flake / "lockbot.toml").unlink(missing_ok=True)

    def _something_is_new(self) -> None:
        """A commit upstream that breaks nothing, and no hold."""
        self._release()
        file = self.directory / "upstream" / "themes" / "flake.nix"
        file.write_text(f"{file.read_text().rstrip()}\n# {time.monotonic_ns()}\n")
        self._upstream("themes", "commit", "--quiet", "--all", "--message", "a word")

    def _release(self) -> None:
        if self.held:
            self.sh("lockbot release packages && lockbot release themes")
            self.held = False

    def _upstream_goes_back(self) -> None:
        """A force-push, which the policy holds."""
        self._upstream(_GOES_BACK, "commit", "--quiet", "--amend", "--message", str(time.monotonic_ns()))
        self.sh("lockbot update")

    def _upstream(self, name: str, *git: str) -> None:
        self.nix.run("git", "-C", self.directory / "upstream" / name, *git)

    def _run_until_up(self, line: str) -> str | None:
        (self.state / "daemon.json").unlink(missing_ok=True)
        child = subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=self.flake,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if line.startswith("lockbot web"):
            assert child.stderr is not None
            child.stderr.readline()  # where it listens, or why it does not
        else:
            while child.poll() is None and not (self.state / "daemon.json").exists():
                time.sleep(0.05)
        child.terminate()
        _, said = child.communicate(timeout=60)
        return None if child.returncode == 0 else f"{line}\n  ended with {child.returncode}: {said[-1000:]}"


def why_not_run(line: str) -> str | None:
    return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, line)), None)


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
