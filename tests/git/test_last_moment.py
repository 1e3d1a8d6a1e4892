"""What the user does after lockbot's last look: only the branch that is meant moves, and nothing is lost."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lockbot.git.landing import BaseMoved
from lockbot.git.publish import Moved, Parked, Published, publish
from lockbot.git.sync import sync
from lockbot.git.worktree import Authorship, commit, worktree
from tests.git.world import LOCK, LOCKBOT, MESSAGE, WHEN, World, script

Do = Callable[[World], str]
"""A command line for the user's git, in their repository."""


def release(world: World, lock: str = "") -> None:
    """A branch that has gone its own way; with a lock of its own, if that is given."""
    world.git(world.user, "switch", "--quiet", "--create", "release")
    (world.user / "mine").write_text("mine\n")
    if lock:
        world.write(lock)
    world.user_commit("release")
    world.git(world.user, "switch", "--quiet", "main")


def just_before(world: World, step: str, command: str) -> None:
    """The user's git does this once, right before lockbot's git does that."""
    path = world.environ["PATH"]
    real, done = shutil.which("git", path=path), world.root / "done"
    once = f"[ -e {done} ] || {{ : >{done}; {real} -C {world.user} {command}; }} >/dev/null 2>&1"
    script(world.root / "wrap" / "git", f'case " $* " in *"{step}"*) {once};; esac\nexec {real} "$@"')
    world.environ["PATH"] = f"{world.root / 'wrap'}:{path}"


def half_way(world: World, command: str) -> None:
    """The same while git writes the files: before it comes to the branch."""
    real, done = shutil.which("git", path=world.environ["PATH"]), world.root / "done"
    (world.user / ".git" / "info" / "attributes").write_text(f"{LOCK} filter=odd\n")
    text = f"[ -e {done} ] || {{ : >{done}; {real} -C {world.user} {command}; }} >/dev/null 2>&1; cat"
    world.git(world.user, "config", "filter.odd.smudge", str(script(world.root / "smudge", text)))


STEPS = ("symbolic-ref --quiet HEAD", "diff-tree", "lockbot-fast-forward")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("lock", ["", "another"], ids=["same lock", "another lock"])
@pytest.mark.parametrize("to", ["release", "--detach release"])
def test_a_switch_to_another_branch(world: World, step: str, lock: str, to: str) -> None:
    release(world, lock)
    old, theirs = world.tip(world.user), world.tip(world.user, "release")
    source = world.source(branch="main")
    _, base, made = world.proposed(source)
    just_before(world, step, f"switch -q {to}")
    result = publish(world.open(), source, base, made, run="r1")
    assert world.tip(world.user, "release") == world.tip(world.user, "HEAD") == theirs
    assert world.status() == ""
    assert (isinstance(result, Moved), world.tip(world.user)) in ((True, made), (False, old))
    assert isinstance(result, Moved | BaseMoved), result
    result, made = world.cycle(source)
    assert result == Moved(pushed=False) and world.tip(world.user) == made
    assert world.status() == "" and world.tip(world.user, "release") == theirs


def test_head_that_leaves_while_files_are_written(world: World) -> None:
    release(world)
    half_way(world, "symbolic-ref HEAD refs/heads/release")
    source = world.source(branch="main")
    clone, base, made = world.proposed(source)
    assert publish(clone, source, base, made, run="r1") == Moved(pushed=False)
    assert world.tip(world.user) == made
    assert "old" in (world.user / LOCK).read_text(), "which is what the other branch has"
    assert LOCK not in world.status()


@pytest.mark.parametrize("step", [*STEPS, "half way"])
def test_a_branch_that_is_renamed(world: World, step: str) -> None:
    _, base, made = world.proposed(world.source())
    old, rename = base.commit, "branch -m main trunk"
    if step == "half way":
        half_way(world, rename)
    else:
        just_before(world, step, rename)
    result = publish(world.open(), world.source(), base, made, run="r1")
    assert isinstance(result, BaseMoved | Parked), result
    assert world.git(world.user, "branch", "--list", "main") == ""
    assert (world.tip(world.user, "trunk"), world.status()) == (old, "")


@pytest.mark.parametrize("step", STEPS)
def test_a_commit(world: World, step: str) -> None:
    _, base, made = world.proposed(world.source())
    (world.user / "mine").write_text("mine\n")
    world.git(world.user, "add", "mine")
    just_before(world, step, "commit -q -m mine")
    result = publish(world.open(), world.source(), base, made, run="r1")
    assert isinstance(result, BaseMoved), result
    assert world.git(world.user, "show", "-s", "--format=%s", "main") == "mine" and world.status() == ""
    assert world.cycle(world.source())[0] == Moved(pushed=False)


@pytest.mark.parametrize("command", ["branch -D main", "switch -q main", "branch -m main trunk"])
def test_a_branch_that_is_checked_out_nowhere(world: World, command: str) -> None:
    world.git(world.user, "switch", "--quiet", "--create", "work")
    source = world.source(branch="main")
    _, base, made = world.proposed(source)
    old = base.commit
    just_before(world, "lockbot: update", command)
    result = publish(world.open(), source, base, made, run="r1")
    assert isinstance(result, BaseMoved), result
    assert world.status() == ""
    gone = world.git(world.user, "branch", "--list", "main") == ""
    assert gone if "switch" not in command else world.tip(world.user) == old


# -- files that git does not know --------------------------------------------------------------------------------


def adding(world: World, name: str) -> Published:
    """Publish a commit that brings along a file."""
    clone = world.open()
    base = sync(clone, world.source())
    with worktree(clone, base.commit, world.source()) as tree:
        (tree.path / name).parent.mkdir(parents=True, exist_ok=True)
        (tree.path / name).write_text("template\n")
        made = commit(clone, tree, [name], MESSAGE, name="r1", authorship=Authorship(LOCKBOT), when=WHEN)
    return publish(clone, world.source(), base, made, run="r1")


@pytest.mark.parametrize("ignored", [True, False])
@pytest.mark.parametrize(("name", "mine"), [("secrets.nix", "secrets.nix"), ("secrets/all", "secrets")])
def test_a_file_that_git_does_not_know_is_never_overwritten(
    world: World, ignored: bool, name: str, mine: str
) -> None:
    (world.user / ".gitignore").write_text("secrets*\n" if ignored else "")
    world.user_commit("ignored")
    (world.user / mine).write_text("my only copy\n")
    result = adding(world, name)
    assert isinstance(result, Parked) and mine in result.why
    assert (world.user / mine).read_text() == "my only copy\n"
    for line in result.advice:
        directory = world.user if line.startswith("git") else world.root
        words = shlex.split(line)
        if words[0] == "git":
            world.git(directory, *words[1:])
        else:
            assert words[:2] == ["mv", "--"]
            Path(words[2]).rename(words[3])
    assert (world.user / name).read_text() == "template\n"
    assert (world.user / f"{mine}.yours").read_text() == "my only copy\n"


def test_an_ignored_file_stays_where_the_remote_has_the_commit(world: World) -> None:
    world.with_remote()
    (world.user / ".git" / "info" / "exclude").write_text("secrets.nix\n")
    (world.user / "secrets.nix").write_text("my only copy\n")
    result = adding(world, "secrets.nix")
    assert isinstance(result, Moved) and result.pushed
    assert (world.user / "secrets.nix").read_text() == "my only copy\n"
    (note,) = result.notes
    assert "secrets.nix.yours`, then `git" in note


# -- a parked update that somebody works on ----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["amended", "amended at once", "reset"])
def test_what_the_user_made_of_a_parked_update_is_kept(world: World, how: str) -> None:
    world.write("mine")
    result, _ = world.cycle(world.source())
    assert isinstance(result, Parked)
    world.git(world.user, "stash", "--quiet")
    world.git(world.user, "switch", "--quiet", result.branch)
    (world.user / "fix.nix").write_text("an afternoon\n")
    world.git(world.user, "add", "fix.nix")
    same = ("-c", "user.name=lockbot", "-c", "user.email=lockbot@example.org") if "once" in how else ()
    world.git(
        world.user, *same, "commit", "--quiet", "--amend", "--no-edit", *(["--reset-author"] if same else [])
    )
    mine = world.tip(world.user, "HEAD")
    world.git(world.user, "switch", "--quiet", "main")
    if how == "reset":
        mine = world.tip(world.user)
        world.git(world.user, "branch", "--force", result.branch, "main")
    world.git(world.user, "stash", "pop", "--quiet")
    again, _ = world.cycle(world.source())
    assert isinstance(again, Parked) and again.branch != result.branch
    assert world.tip(world.user, result.branch) == mine


def test_a_parked_update_that_nobody_touched_is_replaced(world: World) -> None:
    world.write("mine")
    first, old = world.cycle(world.source())
    clone = world.open()
    made = world.candidate(clone, world.source(), sync(clone, world.source()), "newer")
    again = publish(clone, world.source(), sync(clone, world.source()), made, run="r2")
    assert isinstance(first, Parked) and isinstance(again, Parked)
    assert again.branch == first.branch and world.tip(world.user, again.branch) == made != old
