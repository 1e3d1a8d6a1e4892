"""`lockbot diff`: which two states are compared, and which hosts one of them does not have."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lockbot.cli import cli
from lockbot.errors import UsageError
from lockbot.history.store import History
from lockbot.model import Outcome, Run
from tests import nixes
from tests.upstream import run_git

_FLAKE = """\
{ outputs = { self }: let
    host = name: { config.system.build.toplevel = derivation {
      inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo ${name} >$out" ];
      place = "@PLACE@";
    }; };
  in { nixosConfigurations = builtins.mapAttrs (_: host) { @HOSTS@ }; }; }
"""


@dataclass(frozen=True)
class Place:
    """A repository with commits `one`, `two`, `three` on main, each a tag; on `side`, another."""

    nix: nixes.Nix
    directory: Path

    @classmethod
    def create(cls, nix: nixes.Nix, directory: Path) -> Place:
        place = cls(nix, directory)
        place.repository.mkdir()
        place.git("init", "--quiet", "--initial-branch=main")
        place.commit("one", 'desk = "a"; web = "a";')
        place.commit("two", 'desk = "a"; web = "b"; db = "a";')
        place.commit("three", 'desk = "a"; db = "b";')
        place.git("switch", "--quiet", "--create", "side", "one")
        place.commit("other", 'desk = "c"; web = "a";')
        return place

    @property
    def repository(self) -> Path:
        return self.directory / "flake"

    def git(self, *words: str) -> str:
        return run_git(self.repository, self.nix.environment, *words).strip()

    def commit(self, name: str, hosts: str) -> None:
        text = _FLAKE.replace("@PLACE@", str(self.directory)).replace("@HOSTS@", hosts)
        (self.repository / "flake.nix").write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", name)
        self.git("tag", name)

    def run(self, *words: str, repository: str = "", path: Path | None = None) -> Result:
        """`repository`: more of that section; `path`: of another clone, with a state directory of its own."""
        config = self.directory / "lockbot.toml"
        lines = ["[repository]", f'path = "{path or self.repository}"', repository]
        state = f'[state]\ndirectory = "{(path or self.repository).parent}/state"\nmin_free = "0"\n'
        config.write_text("\n".join([*lines, state]))
        done = CliRunner().invoke(
            cli,
            ["--quiet", "--config", str(config), "diff", *words],
            env=self.nix.environment,
            standalone_mode=False,
        )
        if done.exception is not None:
            raise done.exception
        return done

    def diff(self, *words: str, repository: str = "", path: Path | None = None) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.run(*words, "--json", repository=repository, path=path).stdout)
        return document

    def ends(self, repository: str = "", path: Path | None = None) -> tuple[str, str]:
        """Which tags are compared where nothing is said."""
        found = self.diff("--no-build", repository=repository, path=path)
        old, new = (self.git("tag", "--points-at", found[end]) for end in ("old", "new"))
        return old, new


@pytest.fixture(scope="module")
def _places() -> dict[str, Place]:
    return {}


@pytest.fixture
def place(_places: dict[str, Place], one_nix: nixes.Nix, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One for all tests: each leaves `side` checked out."""
    if one_nix.version not in _places:
        _places[one_nix.version] = Place.create(one_nix, tmp_path_factory.mktemp("diff"))
    return _places[one_nix.version]


def test_the_old_state_is_the_parent_of_the_new_one(place: Place) -> None:
    """Also where another branch is meant than the one that is checked out, and a tag has its name."""
    assert place.ends() == ("one", "other")
    place.git("tag", "main", "one^{commit}")
    try:
        assert place.ends(repository='branch = "main"') == ("two", "three")
    finally:
        place.git("tag", "--delete", "main")


def test_without_a_branch_it_is_head_and_its_parent(place: Place, tmp_path: Path) -> None:
    """As a CI service checks out."""
    clone = tmp_path / "clone"
    place.git("clone", "--quiet", str(place.repository), str(clone))
    place.git("-C", str(clone), "checkout", "--quiet", "--detach", "three")
    place.git("-C", str(clone), "branch", "--quiet", "-D", "side")
    assert place.ends(path=clone) == ("two", "three")


def test_a_first_commit_has_nothing_before_it(place: Place) -> None:
    place.git("branch", "root", "one")
    try:
        with pytest.raises(UsageError, match="it has no parent"):
            place.run(repository='branch = "root"')
    finally:
        place.git("branch", "--quiet", "-D", "root")


def test_hosts_that_come_and_go_are_told(place: Place) -> None:
    found = place.diff("one", "three", "--no-build")
    hosts = {host["name"]: (host["status"], host["only_in"]) for host in found["hosts"]}
    assert hosts == {"desk": ("unchanged", None), "db": ("evaluated", "new"), "web": ("gone", "old")}
    said = place.run("one", "three", "--host", "[dw]*b", "--no-build").stdout
    assert said == "New hosts\n  db\n\nHosts that are gone\n  web\n"


def test_what_only_the_configuration_names_may_come_and_go_too(place: Place) -> None:
    names = [f"nixosConfigurations.{host}.config.system.build.toplevel" for host in ("db", "web")]
    repository = f"[hosts]\ninclude = []\nattributes = {json.dumps(names)}"
    found = place.diff("one", "three", "--host", "nixos*", "--no-build", repository=repository)
    hosts = [(host["name"], host["status"], host["only_in"]) for host in found["hosts"]]
    assert hosts == [(names[0], "evaluated", "new"), (names[1], "gone", "old")]


def test_what_a_rejected_run_made_lies_in_lockbots_own_clone(place: Place) -> None:
    place.diff("two", "three", "--no-build", "--host", "desk")
    (clone,) = (place.directory / "state" / "repos").glob("*/clone.git")
    git = partial(run_git, clone, place.nix.environment)
    base, tree = place.git("rev-parse", "two", "three^{tree}").split()
    rejected = git("commit-tree", "-p", base, "-m", "a candidate", tree).strip()
    run = Run("20261126-120000-abcd", str(place.repository), datetime(2026, 11, 26, tzinfo=UTC), Outcome.REJECTED)
    with History.open(place.directory / "state" / "history.sqlite", lambda: run.started) as history:
        history.start(replace(run, base=base, candidate=rejected, flake="elsewhere"))
    found = place.diff(run.id, "three", "--no-build")
    assert (found["old"], {host["status"] for host in found["hosts"]}) == (rejected, {"unchanged"})
    git("gc", "--quiet", "--prune=now")
    with pytest.raises(UsageError, match=f"the commit of run {run.id} .* is gone"):
        place.run(run.id, "three", "--no-build")


def test_a_path_that_is_the_hosts_own_does_not_differ(place: Place) -> None:
    attribute = f"git+file://{place.repository}?ref=main#nixosConfigurations.desk.config.system.build.toplevel"
    path = place.nix.run("nix", "build", "--no-link", "--print-out-paths", attribute).stdout.strip()
    found = place.diff(path, "main", "--host", "desk")
    assert (found["differences"], found["hosts"][0]["status"]) == ([], "unchanged")
    assert "Nothing differs" in place.run("main", path, "--host", "desk").stdout
