"""lockbot's own clone: made whole or not at all, and healed from whatever happened to it."""

from __future__ import annotations

import copy
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from lockbot.errors import Cancelled, CommandError, DeadlineExceeded, LockbotError, SurroundingsError
from lockbot.git.clone import Clone
from lockbot.git.publish import Moved
from lockbot.git.sync import sync
from lockbot.git.worktree import worktree
from tests.git.world import LOCK, WHEN, World, script


def test_questions_about_history(world: World) -> None:
    first = world.tip(world.user)
    (world.user / "big").write_bytes(b"\xff\0" * 3_000_000)
    (world.user / "link").symlink_to("flake.nix")
    second = world.user_commit("second")
    clone = world.open()
    sync(clone, world.source())
    assert clone.is_ancestor(first, second)
    assert clone.is_ancestor(first, first)
    assert not clone.is_ancestor(second, first)
    assert clone.count(first, second) == 1
    assert clone.count(second, first) == 0
    assert clone.read_file(second, "big") == b"\xff\0" * 3_000_000
    assert clone.read_file(second, "hosts/one.nix") == b"{ }\n"
    for name in ("nope", "hosts", "*", ":(glob)*"):
        assert clone.read_file(second, name) is None
    assert abs(clone.commit_date(second).timestamp() - time.time()) < 100
    assert clone.commit_date(second).tzinfo is UTC
    assert not clone.has("1" * 40)
    assert not list(clone.directory.glob(".merge_file*"))


def test_private_and_plain(world: World) -> None:
    clone = world.open()
    assert clone.directory.stat().st_mode & 0o777 == 0o700
    assert clone.trees.stat().st_mode & 0o777 == 0o700
    assert not (clone.directory / "hooks").exists()
    assert world.open().notes == ()


def test_left_over_locks_and_worktrees_are_cleared(world: World) -> None:
    clone, _, made = world.proposed(world.source())
    for name in (
        "HEAD.lock",
        "packed-refs.lock",
        "config.lock",
        "refs/lockbot/local.lock",
        "gc.pid",
        "shallow.lock",
    ):
        (clone.directory / name).touch()
    (clone.directory / "objects" / "pack" / "tmp_pack_x").touch()
    (clone.directory / "objects" / "tmp_objdir-incoming-x").mkdir()
    left = clone.trees / "tree-left"
    clone.git.run("worktree", "add", "--detach", "--lock", str(left), made)
    (left / "index.lock").touch()
    (clone.trees / "not-ours").touch()
    again, _, new = world.proposed(world.source())
    assert new != made or again.has(made)
    assert not left.exists()
    assert not list(clone.directory.glob("worktrees/*"))
    assert not list(clone.directory.rglob("*.lock"))
    assert not list(clone.directory.rglob("tmp_*"))
    assert (clone.trees / "not-ours").exists()
    assert again.notes == ()


def test_no_lock_of_the_users_is_touched(world: World) -> None:
    world.git(world.user, "switch", "--quiet", "--create", "work")
    lock = world.user / ".git" / "index.lock"
    lock.touch()
    result, _ = world.cycle(world.source(branch="main"))
    assert result == Moved(pushed=False)
    assert lock.exists()


def corrupt(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"")


@pytest.mark.parametrize("what", ["HEAD", "half of HEAD", "config", "ref", "objects", "garbage"])
def test_a_damaged_clone_is_made_anew(world: World, what: str) -> None:
    clone = world.open()
    sync(clone, world.source())
    match what:
        case "HEAD" | "config":
            (clone.directory / what).write_bytes(b"\0\0\0")
        case "half of HEAD":
            (clone.directory / "HEAD").write_text("ref: refs/he")
        case "ref":
            (clone.directory / "refs" / "lockbot" / "local").write_bytes(b"")
        case "objects":
            shutil.rmtree(clone.directory / "objects")
        case "garbage":
            shutil.rmtree(clone.directory)
            clone.directory.mkdir()
    healed = world.open()
    base = sync(healed, world.source())
    assert base.commit == world.tip(world.user)
    assert "made anew" in base.notes[0]
    assert sync(world.open(), world.source()).notes == ()


def test_emptied_objects_are_healed(world: World) -> None:
    """What a power cut leaves of files that were not synced."""
    clone = world.open()
    base = sync(clone, world.source())
    for path in (clone.directory / "objects").glob("??/*"):
        corrupt(path)
    assert world.cycle(world.source())[0] == Moved(pushed=False)
    assert world.tip(world.user, "main~") == base.commit


def test_a_damaged_file_is_found_at_checkout(world: World) -> None:
    clone = world.open()
    base = sync(clone, world.source())
    blob = clone.git.ask("rev-parse", f"{base.commit}:{LOCK}")
    corrupt(clone.directory / "objects" / blob[:2] / blob[2:])
    with (
        pytest.raises(SurroundingsError, match="was damaged") as caught,
        worktree(clone, base.commit, world.source()),
    ):
        pass
    assert "run lockbot again" in caught.value.hint
    assert world.cycle(world.source())[0] == Moved(pushed=False)


def test_an_error_of_its_own_is_not_blamed_on_the_clone(world: World) -> None:
    clone = world.open()
    sync(clone, world.source())
    with pytest.raises(CommandError), worktree(clone, "1" * 40, world.source()):
        pass
    assert clone.git.resolve("refs/lockbot/local") is not None


ERRORS = {
    "git here": CommandError("git failed", command="git -C {} cat-file"),
    "nix, which names the tree": LockbotError("… while fetching the input 'git+file://{}/x'"),
    "nix, which names the object": LockbotError("getting Git object '1': object not found - no match for id (1)"),
    "nix, which never ends where an object is cut off": DeadlineExceeded("locking took longer than 10 minutes"),
}
OTHERS = {
    "a remote that says no": CommandError("refused", command="git -C {} push origin"),
    "somebody who stops it": Cancelled("stopped: {}"),
    "what has nothing to do with it": LockbotError("no input could be fetched"),
}


@pytest.mark.parametrize("name", [*ERRORS, *OTHERS])
@pytest.mark.parametrize("damaged", [True, False])
def test_whatever_reads_the_clone_may_have_failed_by_its_damage(world: World, name: str, damaged: bool) -> None:
    clone = world.open()
    base = sync(clone, world.source())
    if damaged:
        corrupt(clone.directory / "objects" / base.commit[:2] / base.commit[2:])
    made = copy.copy({**ERRORS, **OTHERS}[name])
    made.message = made.message.replace("{}", str(clone.trees))
    if isinstance(made, CommandError):
        made.command = made.command.replace("{}", str(clone.directory))
    with pytest.raises(LockbotError) as caught, clone.blaming_damage():
        raise made
    if damaged and name in ERRORS:
        assert "was damaged" in caught.value.message and "run lockbot again" in caught.value.hint
    else:
        assert caught.value is made
    assert clone.is_sound() or name in OTHERS


def test_what_takes_too_long_to_look_through_is_not_thrown_away(world: World) -> None:
    """And what had failed is told, not that."""
    clone = world.open()
    base = sync(clone, world.source())
    path = clone.directory / "objects" / base.commit[:2] / base.commit[2:]
    corrupt(path)
    made = DeadlineExceeded("locking took longer than 10 minutes")
    with pytest.raises(DeadlineExceeded) as caught, replace(clone, timeout=1e-6).blaming_damage():
        raise made
    assert caught.value is made and path.exists()


CYCLE = """
import os, sys
from dataclasses import replace
from pathlib import Path
from lockbot.process import CancelToken
from tests.git.world import World, script
world = World(Path(sys.argv[1]), dict(os.environ), CancelToken())
world.cycle(world.source())
"""


@pytest.mark.parametrize(
    ("verb", "moment"),
    [
        ("init", "after"),
        ("fetch", "before"),
        ("fetch", "after"),
        ("worktree", "after"),
        ("commit-tree", "after"),
        ("push", "before"),
        ("push", "after"),
        ("lockbot-fast-forward", "before"),
        ("lockbot-fast-forward", "after"),
    ],
)
def test_killed_at_any_step_the_next_start_heals(world: World, tmp_path: Path, verb: str, moment: str) -> None:
    """A git that kills lockbot (its parent) with signal 9 before or after one command."""
    world.with_remote()
    base = world.tip(world.user)
    real = shutil.which("git")
    run = f'"{real}" "$@"; ' if moment == "after" else ""
    words = f'case "$3" in {verb}) {run}kill -9 $PPID; exit 1;; esac; exec "{real}" "$@"'
    fatal = script(tmp_path / "bin" / "git", words)
    killed = subprocess.run(
        [sys.executable, "-c", CYCLE, str(world.root)],
        env=world.environ | {"PATH": f"{fatal.parent}:{world.environ['PATH']}", "PYTHONPATH": str(Path.cwd())},
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    state = world.root / "state" / "clone.git"
    assert not state.exists() or "lockbot" in (state / "config").read_text(), "half a clone is in its place"

    result, made = world.cycle(world.source())
    assert result == Moved(pushed=True)
    assert world.tip(world.user) == world.tip(world.remote) == made
    assert world.git(world.user, "merge-base", base, made) == base
    assert world.git(world.user, "fsck", "--no-dangling") == ""
    assert world.status() == ""
    assert list((world.root / "state" / "trees").iterdir()) == []
    assert {path.name for path in state.parent.iterdir()} == {"clone.git", "trees", "gitconfig"}
    assert not [*state.rglob("tmp_*"), *state.rglob("*.lock"), *state.glob("worktrees/*")]


def test_maintenance_only_when_there_is_something_to_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    clone, _, made = world.proposed(world.source())
    assert not clone.maintain()
    monkeypatch.setattr("lockbot.git.clone._LOOSE_LIMIT", 1)
    assert clone.maintain()
    assert "count: 0" in clone.git.ask("count-objects", "-v")
    assert clone.has(made)
    clone.forget("r1")
    clone.forget("r1")
    assert clone.kept() == {}
    clone.git.run("gc", "--quiet", "--prune=now")
    assert not clone.has(made)


def test_kept_commits(world: World) -> None:
    clone, _, made = world.proposed(world.source())
    clone.keep("r2/final", made)
    assert clone.kept() == {"r1": made, "r2/final": made}
    assert clone.git.ask("show", "-s", "--format=%ct", made) == str(int(WHEN.timestamp()))


def test_a_state_directory_that_cannot_be_made(world: World) -> None:
    (world.root / "state").write_text("a file")
    with pytest.raises(SurroundingsError, match="cannot make"):
        world.open()


def test_unsound_is_told_from_sound(world: World) -> None:
    clone: Clone = world.open()
    sync(clone, world.source())
    assert clone.is_sound()
    tree = clone.git.ask("rev-parse", "refs/lockbot/local^{tree}")
    (clone.directory / "objects" / tree[:2] / tree[2:]).unlink()
    assert not clone.is_sound()


@pytest.mark.parametrize(("seconds", "year"), [(1_700_000_000, 2023), (99_999_999_999_999, 9999), (2**62, 9999)])
def test_a_date_that_no_calendar_has(seconds: int, year: int, world: World) -> None:
    """Whoever commits writes it."""
    clone = world.open()
    tip = world.tip(world.user)
    raw = world.git(world.user, "cat-file", "commit", tip)
    forged = re.sub(r"(committer .*> )\d+", rf"\g<1>{seconds}", raw)
    (world.root / "forged").write_text(forged)
    commit = world.git(world.user, "hash-object", "-t", "commit", "-w", "--literally", str(world.root / "forged"))
    world.git(world.user, "update-ref", "refs/heads/forged", commit)
    clone.git.ask("fetch", "--quiet", str(world.user), "+refs/heads/forged:refs/lockbot/forged")
    assert clone.commit_date(commit).year == year
