"""Flakes written by hand, in shapes that no generator makes: what an outsider tried on lockbot.

Each is a whole `lockbot update` or another command; nothing is known here of lockbot's inside.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import forked, nixes
from tests.upstream import run_git

_CONFIGURATION = """\
[repository]
path = {path}
[state]
directory = {state}
min_free = "0"
[build]
timeout = "2s"
retries = 0
"""
_FLAKE = """\
{ inputs.a = { url = "git+file://@A@"; flake = false; };
  outputs = { self, a }: let
    version = builtins.readFile "${a}/version";
    bad = version == "2";
    build = name: script: derivation {
      inherit name; system = "x86_64-linux"; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
      args = [ "-c" "${script}\\n echo ${version} >$out" ]; salt = "@A@";
    };
    host = drv: { config.system.build.toplevel = drv; };
  in { @OUTPUTS@ }; }
"""


class Hand:
    """A flake with one input, `a`, that moves from version 1 to version 2, and lockbot beside it."""

    def __init__(self, nix: nixes.Nix, directory: Path) -> None:
        self.nix = nix
        self.directory = directory
        self.flake = directory / "flake"
        self.upstream = directory / "a"

    def write(self, outputs: str) -> None:
        self.commit(self.upstream, {"version": "1"})
        self.commit(
            self.flake,
            {"flake.nix": _FLAKE.replace("@A@", str(self.upstream)).replace("@OUTPUTS@", outputs)},
        )
        self.nix.run("nix", "flake", "lock", cwd=self.flake)
        self.commit(self.flake, {})
        self.commit(self.upstream, {"version": "2"})

    def commit(self, repository: Path, files: dict[str, str]) -> None:
        if not repository.exists():
            repository.mkdir()
            self.git(repository, "init", "--quiet", "--initial-branch=main")
        for name, text in files.items():
            (repository / name).write_text(text)
        self.git(repository, "add", "--all")
        self.git(repository, "commit", "--quiet", "--message", "a commit")

    def git(self, repository: Path, *arguments: str) -> str:
        return run_git(repository, self.nix.environment, *arguments)

    def lockbot(self, *arguments: str) -> dict[str, Any]:
        config = self.directory / "lockbot.toml"
        path, state = (json.dumps(str(place)) for place in (self.flake, self.directory / "state"))
        config.write_text(_CONFIGURATION.format(path=path, state=state))
        argv = [sys.executable, "-m", "lockbot", "--config", str(config), *arguments, "--json"]
        done = forked.run(argv, self.nix.environment)
        assert done.stdout, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def update(self) -> dict[str, dict[str, Any]]:
        """The verdict on every host, of a run that came to one."""
        run = self.lockbot("update")
        assert run["outcome"] in ("published", "rejected"), run["error"]
        return {host["name"]: host for host in run["hosts"]}


@pytest.fixture
def hand(nix: nixes.Nix, tmp_path: Path) -> Hand:
    return Hand(nix, tmp_path)


def test_each_failure_is_told_in_its_own_words(hand: Hand) -> None:
    """Nix 2.34 names no derivation at a timeout: another host's failure is nearest."""
    hand.write("""nixosConfigurations = {
      slow = host (build "slow" (if bad then "sleep 60" else ""));
      wrong = host (build "wrong" (if bad then "exit 3" else ""));
    };""")
    hosts = hand.update()
    assert (hosts["slow"]["failure"], hosts["wrong"]["failure"]) == ("timeout", "build")
    assert "timed out after 2 seconds" in hosts["slow"]["failure_detail"]["message"]
    assert "exit code 3" in hosts["wrong"]["failure_detail"]["message"]


@pytest.mark.parametrize("words", ["No space left on device", "cannot connect to socket at '/x'"])
def test_what_a_flake_throws_is_not_taken_for_this_machine(hand: Hand, words: str) -> None:
    """From so deep that Nix leaves `throw` out of the trace that it prints by default."""
    deep = f'builtins.foldl\' (x: y: x + y) "" (map (n: throw "{words}") [ 1 ])'
    hand.write(f"""nixosConfigurations = {{
      fine = host (build "fine" "");
      thrower = host (build "thrower" (if bad then {deep} else ""));
    }};""")
    hosts = hand.update()
    assert (hosts["fine"]["status"], hosts["thrower"]["status"]) == ("built", "failed")
    assert hosts["thrower"]["failure"] == "evaluation"
    assert hosts["thrower"]["failure_detail"]["message"] == words


def test_an_output_outside_the_store_is_its_own_hosts_failure(hand: Hand) -> None:
    hand.write("""nixosConfigurations = {
      fine = host (build "fine" "");
      odd = host (build "odd" "" // (if bad then { outPath = "/elsewhere"; } else { }));
    };""")
    hosts = hand.update()
    assert (hosts["fine"]["status"], hosts["odd"]["status"]) == ("built", "failed")


def test_no_host_is_lost_to_another_ones_name(hand: Hand) -> None:
    hand.write("""
      nixosConfigurations.same = host (build "1" "");
      darwinConfigurations = { "homeConfigurations.same".system = build "2" ""; same.system = build "3" ""; };
      homeConfigurations.same.activationPackage = build "4" "";
    """)
    assert len(hand.lockbot("hosts")["hosts"]) == 4


def test_a_git_directory_that_lies_elsewhere(hand: Hand) -> None:
    """git itself lists the git directory as this repository's work tree."""
    hand.write('nixosConfigurations.x = host (build "x" "");')
    hand.git(hand.flake, "init", "--quiet", "--separate-git-dir", str(hand.directory / "elsewhere"))
    run = hand.lockbot("update")
    assert run["outcome"] == "published", run["error"]
    assert hand.git(hand.flake, "rev-parse", "HEAD").strip() == run["commit"]
    assert hand.git(hand.flake, "status", "--porcelain") == ""


def test_a_flake_that_wants_its_submodules(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """Nix then looks for a branch in lockbot's work tree, and warns of finding none: no stale input."""
    if one_nix.version < "2.27":
        pytest.skip("NOT TESTED: inputs.self.submodules came with Nix 2.27")
    hand = Hand(one_nix, tmp_path)
    hand.commit(tmp_path / "part", {"data": "x"})
    hand.write('nixosConfigurations.x = host (build "x" "cat ${self}/sub/data");')
    hand.git(
        hand.flake,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        str(tmp_path / "part"),
        "sub",
    )
    text = (hand.flake / "flake.nix").read_text()
    hand.commit(hand.flake, {"flake.nix": text.replace("{ inputs.a", "{ inputs.self.submodules = true; inputs.a")})
    assert hand.update()["x"]["status"] == "built"
