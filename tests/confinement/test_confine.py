"""What git and hooks may read: tried by a shell under each of the rulesets, on a machine with all there is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lockbot import confine, process
from lockbot.confine import Confinement
from lockbot.process import CancelToken, Ruleset, Within, watcher
from tests.landlock import needs_landlock
from tests.upstream import run_git

pytestmark = needs_landlock


class Machine:
    def __init__(self, directory: Path, environment: dict[str, str], cancel: CancelToken) -> None:
        self.directory = directory
        self._cancel = cancel
        for name in (
            *("home/.ssh/id", "home/.netrc", "home/notes", "credentials/token", "etc/lockbot.toml", "etc/hosts"),
            *("state/history.sqlite", "state/repos/one/clone", "state/logs/log"),
        ):
            self.file(name)
        self.repository = directory / "home" / "flake"
        self.file("home/flake/flake.nix")
        run_git(self.repository, environment, "init", "--quiet")
        run_git(self.repository, environment, "add", "--all")
        run_git(self.repository, environment, "commit", "--quiet", "--message=one")

    def file(self, name: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
        return path

    def confinement(self, *allowed: Path, readable: tuple[Path, ...] = ()) -> Confinement:
        environ = {"HOME": f"{self.directory}/home", "CREDENTIALS_DIRECTORY": f"{self.directory}/credentials"}
        private = (self.directory / "state", self.directory / "etc/lockbot.toml")
        let_in = (self.directory / "state/repos", *(allowed or (self.repository,)))
        return Confinement(None, environ, private, let_in, readable)

    def reads(self, ruleset: Ruleset | None) -> set[str]:
        """The files whose content can be had."""
        assert ruleset is not None
        argv = ["/bin/sh", "-c", f"find {self.directory} -type f -exec cat {{}} ';' 2>/dev/null"]
        done = process.run(argv, env={"PATH": "/usr/bin:/bin"}, cancel=self._cancel, within=Within(ruleset))
        names = {str(path.relative_to(self.directory)) for path in self.directory.rglob("*") if path.is_file()}
        return set(done.stdout.splitlines()) & names


@pytest.fixture
def machine(tmp_path: Path, git_environment: dict[str, str], cancel: CancelToken) -> Machine:
    return Machine(tmp_path / "machine", git_environment, cancel)


PLAIN = {"home/notes", "home/flake/flake.nix", "etc/hosts", "state/repos/one/clone"}
KEYS = {"home/.ssh/id", "home/.netrc"}


def test_who_reads_what(machine: Machine) -> None:
    found = machine.confinement()
    assert machine.reads(found.for_git) == PLAIN
    assert machine.reads(found.for_commands) == PLAIN
    assert machine.reads(found.for_remotes) == PLAIN | KEYS
    assert machine.reads(found.for_own_remote) == PLAIN | KEYS | {"credentials/token"}


def test_what_the_configuration_lets_be_read(machine: Machine) -> None:
    found = machine.confinement(readable=(machine.directory / "home/.ssh", machine.directory / "state"))
    more = {"home/.ssh/id", "state/history.sqlite", "state/logs/log"}
    assert machine.reads(found.for_commands) == PLAIN | more


@pytest.mark.parametrize("place", ["home", "", "state", "etc"])
def test_a_repository_around_secrets_lets_none_of_them_out(machine: Machine, place: str) -> None:
    """A home under version control; whatever is let in, what is private in it stays so."""
    assert machine.reads(machine.confinement(machine.directory / place).for_git) == PLAIN


def test_what_a_repository_borrows_is_let_in_with_it(machine: Machine, git_environment: dict[str, str]) -> None:
    kept = machine.directory / "state" / "kept"
    run_git(machine.directory, git_environment, "worktree", "list", check=False)
    run_git(machine.repository, git_environment, "worktree", "add", "--quiet", "--detach", str(kept))
    assert "state/kept/flake.nix" not in machine.reads(machine.confinement().for_git)
    (kept / "flake.nix").write_text("state/kept/flake.nix\n")
    assert "state/kept/flake.nix" in machine.reads(machine.confinement(kept).for_git)


def test_what_comes_after_a_ruleset_was_made(machine: Machine) -> None:
    found = machine.confinement()
    machine.reads(found.for_git)
    machine.file("state/repos/one/later")
    machine.file("home/flake/later")
    machine.file("state/later")
    assert machine.reads(found.for_git) == PLAIN | {"state/repos/one/later", "home/flake/later"}


def test_what_no_flake_may_name(machine: Machine) -> None:
    found = machine.confinement()
    secret = [
        "home/.ssh/id",
        "home/.ssh",
        "home/.netrc",
        "state/history.sqlite",
        "credentials/token",
        "etc/lockbot.toml",
    ]
    assert all(found.is_secret(machine.directory / name) for name in secret)
    assert not any(found.is_secret(machine.directory / name) for name in PLAIN)
    (machine.directory / "link").symlink_to(machine.directory / "home/.ssh")
    assert found.is_secret(machine.directory / "link" / "id")


def test_what_another_user_has_may_be_named_but_no_key(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input in the home of whom the flake belongs to, for a lockbot that is not theirs."""
    monkeypatch.setattr(confine, "_HOMES", machine.directory / "homes")
    mine, theirs = machine.file("homes/ann/flake/flake.nix"), machine.file("homes/ann/.ssh/id")
    found = machine.confinement()
    assert not found.is_secret(mine) and found.is_secret(theirs)
    assert not {"homes/ann/flake/flake.nix", "homes/ann/.ssh/id"} & machine.reads(found.for_git)
    let_in = machine.confinement(machine.directory / "homes" / "ann")
    assert "homes/ann/.ssh/id" not in machine.reads(let_in.for_git)


def test_a_number_that_is_anothers_by_now_is_let_be() -> None:
    with subprocess.Popen(["sleep", "60"]) as innocent:
        try:
            assert watcher._family(b"nobody=has-this", {(innocent.pid, "1")}) == set()
            started = process.process_start(innocent.pid) or ""
            assert watcher._family(b"nobody=has-this", {(innocent.pid, started)}) == {(innocent.pid, started)}
        finally:
            innocent.kill()
