"""An update that reached the remote and not the user's repository: told, and finished by the next run."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from tests import nixes
from tests.sampling import some
from tests.update.test_cycle import worked
from tests.update.world import World
from tests.upstream import run_git

FAULTS = {
    "no room for the commit": ('case " $* " in *" -C {tree}"*" fetch "*) ulimit -f 0;; esac', None),
    "no room for the files": ('case " $* " in *" -C {tree}"*" lockbot-fast-forward "*) ulimit -f 0;; esac', None),
    "the branch is locked": ("", "refs/heads/main.lock"),
    "HEAD is locked": ("", "HEAD.lock"),
    "the index is locked": ("", "index.lock"),
}


def remote_head(world: World) -> str:
    assert world.remote is not None
    return run_git(world.remote, world.nix.environment, "rev-parse", "main").strip()


@pytest.mark.parametrize("fault", some(FAULTS, 3))
def test_pushed_and_not_brought_home(one_nix: nixes.Nix, tmp_path: Path, fault: str) -> None:
    world = World.create(one_nix, tmp_path, kind="remote")
    base, new = world.head(), world.upstreams["a"].commit("newer")
    text, lock = FAULTS[fault]
    if text:
        text = f"trap '' XFSZ\n{text.format(tree=world.fleet.path)}"
    world.wrap("git", f'{text}\nexec $real "$@"')
    if lock is not None:
        (world.fleet.path / ".git" / lock).touch()
    run = worked(world.update(), "failed", 3)
    assert (run["pushed"], run["commit"]) == (True, remote_head(world)) and run["error"].startswith("pushed, but ")
    assert world.head() == base and world.git("status", "--porcelain") == ""
    # nothing new, and it still can't be finished: that is no success either
    again = worked(world.update(), "failed", 3)
    assert (again["commit"] is None and "stays behind" in again["error"]) or "cannot write" in again["error"]
    world.unwrap()
    if lock is not None:
        (world.fleet.path / ".git" / lock).unlink()
    done = worked(world.update(), "unchanged")
    assert any("an earlier run could not" in note for note in done["notes"]) and world.locked() == new
    world.check()
    assert worked(world.update(), "unchanged")["notes"] == []


def test_a_lock_in_the_way_of_who_does_not_push(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    base, new = world.head(), world.upstreams["a"].commit("newer")
    lock = world.fleet.path / ".git/refs/heads/main.lock"
    lock.touch()
    for _ in range(2):
        run = worked(world.update(), "failed", 3)
        assert str(lock) in run["error"] and "remove it" in run["error"] and run["parked"] is None
        assert world.head() == base and world.git("status", "--porcelain") == ""
    lock.unlink()
    worked(world.update())
    assert world.locked() == new and len(world.published()) == 1
    world.check()


def test_a_branch_that_diverged_from_the_push_is_settled_by_its_user(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path, kind="remote")
    world.upstreams["a"].commit("newer")
    lock = world.fleet.path / ".git/index.lock"
    lock.touch()
    worked(world.update(), "failed", 3)
    lock.unlink()
    mine = world.fleet.commit({"mine": "mine"}, "mine")
    for _ in range(2):
        newest = world.upstreams["a"].commit("newer still")
        run = worked(world.update(), "stale", 1)
        assert "diverged" in run["error"] and world.head() == mine
    command = run["hint"].split("`")[1]
    subprocess.run(shlex.split(command), env=one_nix.environment, check=True, capture_output=True)
    world.git("push", "--quiet", "origin", "main")
    worked(world.update())
    assert world.locked() == newest
    world.check()


@pytest.mark.parametrize("push", [True, False])
def test_a_branch_that_is_behind_its_remote_is_told_of(one_nix: nixes.Nix, tmp_path: Path, push: bool) -> None:
    """Where nothing is published nothing moves it, and "nothing to update" would be taken for "up to date"."""
    world = World.create(one_nix, tmp_path, kind="remote")
    world.settings["repository"] = f"push = {str(push).lower()}"
    old = world.head()
    ahead = world.fleet.commit({"README": "by a colleague"}, "a word")
    world.git("push", "--quiet", "origin", "main")
    world.git("reset", "--quiet", "--hard", old)
    for _ in range(2):
        (note,) = [one for one in worked(world.update(), "unchanged")["notes"] if "behind its remote" in one]
        assert "main is 1 commit(s) behind its remote" in note and world.head() == old
    checked = subprocess.run(
        world.argv("check"),
        env={**world.environment, "PYTHONPATH": str(nixes.PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = [one for one in checked.stdout.splitlines() if "behind its remote" in one]
    assert line.startswith("warning access")
    subprocess.run(shlex.split(note.split("`")[1]), env=world.environment, check=True, capture_output=True)
    assert world.head() == ahead and worked(world.update(), "unchanged")["notes"] == []
