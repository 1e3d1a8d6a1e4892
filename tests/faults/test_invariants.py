"""What must hold is looked for: a world in which something does not is found out."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests import nixes
from tests.faults import invariants
from tests.faults.ground import SECRET, Ground
from tests.update.world import World


def _git(world: World, *arguments: str) -> str:
    return world.git("-c", "user.name=x", "-c", "user.email=x@example.org", *arguments)


def _sql(world: World, statement: str) -> None:
    with closing(sqlite3.connect(world.directory / "state/lockbot/history.sqlite")) as connection:
        connection.executescript(statement)
        connection.commit()


def _commit_of_lockbots(world: World, name: str = "flake.lock") -> None:
    """A commit of one file that says that it is lockbot's, and that all is well."""
    message = "update\n\nLockbot-Run: r1\nLockbot-Host: web built x.drv"
    _git(world, "commit", "--quiet", "--only", "--message", message, "--", name)


def _locked_at(world: World, name: str, revision: str) -> None:
    override = ("--override-input", name, f"{world.upstreams[name].url}?rev={revision}")
    world.nix.run("nix", "flake", "lock", *override, cwd=world.fleet.path)
    _commit_of_lockbots(world)


def _backwards(world: World) -> None:
    _locked_at(world, "a", world.upstreams["a"].git("rev-list", "--max-parents=0", "main").strip())


def _broken(world: World) -> None:
    (revision,) = world.broken
    _locked_at(world, "b", revision)


def _no_lock(world: World) -> None:
    (world.fleet.path / "flake.lock").write_text("{")
    _commit_of_lockbots(world)


def _another_file(world: World) -> None:
    (world.fleet.path / "more").touch()
    world.git("add", "more")
    _commit_of_lockbots(world, "more")


JUDGED: dict[str, Callable[[World], object]] = {
    "an input goes backwards": _backwards,
    "an input at a revision that breaks a host": _broken,
    "flake.lock is no JSON": _no_lock,
    "a commit of another file": _another_file,
}
"""What is known of a commit by itself, whatever the records say."""
_TWICE = """CREATE TEMP TABLE more AS SELECT * FROM runs; UPDATE more SET id = 'r1';
    INSERT INTO runs SELECT * FROM more WHERE published IS NOT NULL"""
SPOILT: dict[str, Callable[[World], object]] = {
    "what is staged is not any more": lambda world: world.git("reset", "--quiet"),
    "a changed file is as it was committed": lambda world: world.git("checkout", "--quiet", "README"),
    "a new file is gone": lambda world: (world.fleet.path / "new").unlink(),
    "what was put off is gone": lambda world: world.git("stash", "drop", "--quiet"),
    "a branch is gone": lambda world: world.git("branch", "-D", "work"),
    "a setting is gone": lambda world: world.git("config", "--unset", "user.nickname"),
    "a lock of git's": lambda world: (world.fleet.path / ".git/index.lock").touch(),
    "an object is gone": lambda world: _object(world, world.fleet.path / ".git").unlink(),
    "an object of the clone is gone": lambda world: _object(world, world.place / "clone.git").unlink(),
    "a worktree": lambda world: (world.place / "worktrees/tree-oak").mkdir(),
    "a temporary file": lambda world: (world.directory / "tmp/x").touch(),
    "a run without an outcome": lambda world: _sql(world, "UPDATE runs SET outcome = NULL"),
    "a published commit without a record": lambda world: _sql(world, "UPDATE runs SET published = NULL"),
    "two records of one commit": lambda world: _sql(world, _TWICE),
    "a root of nobody's": lambda world: (world.place / "roots/00000000/r1").mkdir(parents=True),
    "a secret in the state directory": lambda world: (world.place / "x").write_text(SECRET),
    "the remote is elsewhere": lambda world: subprocess.run(
        ["git", "update-ref", "refs/heads/main", "main~"], cwd=world.remote, check=True
    ),
}


def _object(world: World, repository: Path) -> Path:
    """One that the branch needs, wherever it is."""
    name = world.head("refs/heads/main~2^{tree}")
    return repository / "objects" / name[:2] / name[2:]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    place = tmp_path_factory.mktemp("ground")
    (place / "world").mkdir()
    return Ground.create(nixes.prepare(nixes.discover()[-1], place / "nix"), place / "world")


@pytest.mark.parametrize("what", JUDGED | SPOILT)
def test_what_does_not_hold_is_found(made: Ground, what: str, tmp_path: Path) -> None:
    world = made.world
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", world.directory, copy], check=True)
    try:
        invariants.check(world)
        (JUDGED | SPOILT)[what](world)
        with pytest.raises((AssertionError, ValueError)):
            (invariants.at_once if what in JUDGED else invariants.check)(world)
    finally:
        subprocess.run(["rm", "-rf", world.directory], check=True)
        subprocess.run(["cp", "-a", copy, world.directory], check=True)


def test_who_is_left_running_is_found(made: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "_PATIENCE", 0.1)
    invariants.nothing_runs(made.world)
    sleeper = subprocess.Popen(
        ["sleep", "60"], env={"PLACE": f"{made.world.directory}/x", "PATH": "/usr/bin:/bin"}
    )
    try:
        with pytest.raises(AssertionError):
            invariants.nothing_runs(made.world)
    finally:
        sleeper.kill()
        sleeper.wait()
