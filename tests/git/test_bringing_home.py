"""What becomes of the local branch once the remote has the commit, or where there is none: what is left alone, and
what is told. Whoever does as told arrives."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from lockbot.errors import UsageError
from lockbot.git.clone import Mark, mark
from lockbot.git.publish import Moved, publish
from lockbot.git.recovery import Recovery, finish_earlier
from lockbot.git.sync import sync
from tests.git.world import LOCK, World, script


def told(note: str) -> list[str]:
    """The commands in it, to be run in order."""
    return re.findall(r"`([^`]*)`", note)


def theirs(world: World) -> None:
    """The user commits while lockbot pushes: the two go different ways from then on."""
    text = f"unset $(git rev-parse --local-env-vars); git -C {world.user} commit -q --allow-empty -m mine"
    script(world.remote / "hooks" / "post-receive", text)


@pytest.mark.parametrize("why", ["changes", "a new file", "a commit"])
def test_who_does_as_told_has_what_was_pushed_and_their_own(world: World, why: str) -> None:
    world.with_remote()
    match why:
        case "changes":
            world.write("mine")
        case "a new file":
            world.git(world.user, "rm", "--quiet", "--cached", LOCK)
            world.git(world.user, "commit", "--quiet", "-m", "no lock")
            world.git(world.user, "push", "--quiet")
        case _:
            theirs(world)
    result, made = world.cycle(world.source())
    assert isinstance(result, Moved) and result.pushed and result.trouble is None
    (note,) = result.notes
    assert note.startswith("pushed, but main in ") and "\0" not in note
    for command in told(note):
        subprocess.run(shlex.split(command), env=world.environ, check=True, capture_output=True)
    assert world.git(world.user, "merge-base", "main", made) == made
    kept = {"a commit": ("log", "--format=%s", "-1"), "a new file": ("ls-files", "--others")}
    assert world.git(world.user, *kept.get(why, ("stash", "list")))


def test_a_fault_here_does_not_hide_that_it_was_pushed(world: World) -> None:
    world.with_remote()
    clone, base, made = world.proposed(world.source())
    (world.user / ".git" / "index.lock").touch()
    result = publish(clone, world.source(), base, made, run="r1")
    assert isinstance(result, Moved) and result.pushed and not result.notes
    assert result.trouble is not None and "index.lock" in result.trouble.message
    assert told(result.trouble.hint) == [f"git -C {world.user} pull origin main"]
    assert world.tip(world.remote) == made


def test_what_does_not_arrive_here_was_pushed_all_the_same(world: World) -> None:
    world.with_remote()
    _, base, made = world.proposed(world.source())
    real = world.environ["PATH"]
    fails = f'case "$*" in "-C {world.user} fetch "*) echo no room >&2; exit 1;; esac'
    script(world.root / "wrap" / "git", f'{fails}\nPATH="{real}" exec git "$@"')
    world.environ["PATH"] = f"{world.root / 'wrap'}:{real}"
    result = publish(world.open(), world.source(), base, made, run="r1")
    world.environ["PATH"] = real
    assert isinstance(result, Moved) and result.pushed
    assert result.trouble is not None and "no room" in result.trouble.message
    assert (world.tip(world.remote), world.tip(world.user)) == (made, base.commit)
    clone = world.open()
    assert finish_earlier(clone, world.source(), sync(clone, world.source())).moved, "the next run brings it"


def test_what_has_arrived_is_not_brought_back_where_the_user_drops_it(world: World) -> None:
    world.with_remote()
    start = world.tip(world.user)
    world.cycle(world.source())
    world.git(world.user, "reset", "--quiet", "--hard", start)
    clone = world.open()
    assert finish_earlier(clone, world.source(), sync(clone, world.source())) == Recovery()
    assert world.tip(world.user) == start


def test_a_remote_that_the_user_removes_meanwhile_is_not_needed(world: World) -> None:
    world.with_remote()
    clone, base, made = world.proposed(world.source())
    world.git(world.user, "remote", "remove", "origin")
    assert publish(clone, world.source(), base, made, run="r1") == Moved(pushed=False)
    assert (world.tip(world.user), world.tip(world.remote)) == (made, base.commit)


def test_at_a_url_nothing_is_pushed_that_is_not_to_be(world: World) -> None:
    world.with_remote()
    clone, base, made = world.proposed(world.url())
    with pytest.raises(UsageError, match="only be published to by pushing"):
        publish(clone, world.url(), base, made, run="r1", push=False)
    assert world.tip(world.remote) == base.commit


# -- the ref that follows the remote's branch -------------------------------------------------------------------


def test_a_ref_that_cannot_follow_is_told_and_follows_later(world: World) -> None:
    world.with_remote()
    lock = world.user / ".git" / "refs" / "remotes" / "origin" / "main.lock"
    clone, base, made = world.proposed(world.source())
    lock.touch()
    result = publish(clone, world.source(), base, made, run="r1")
    assert isinstance(result, Moved) and result.pushed and result.trouble is None
    (note,) = result.notes
    assert note.startswith(f"origin/main in {world.user} could not be moved (another git holds {lock}")
    assert told(note) == ["git fetch"]
    assert world.tip(world.user) == made and world.tip(world.user, "origin/main") == base.commit
    lock.unlink()
    finish_earlier(clone, world.source(), sync(clone, world.source()))
    assert world.tip(world.user, "origin/main") == made


@pytest.mark.parametrize("how", ["no such ref", "none is configured", "another way"])
def test_a_ref_that_was_not_there_or_went_another_way_is_left_so(world: World, how: str) -> None:
    world.with_remote()
    ref = "refs/remotes/origin/main"
    match how:
        case "no such ref":
            world.git(world.user, "update-ref", "-d", ref)
        case "none is configured":
            world.git(world.user, "config", "--unset-all", "remote.origin.fetch")
        case _:
            start = world.tip(world.user)
            aside = world.git(world.user, "commit-tree", "-m", "aside", "-p", start, f"{start}^{{tree}}")
            world.git(world.user, "update-ref", ref, aside)
    before = world.git(world.user, "for-each-ref", "refs/remotes")
    result, made = world.cycle(world.source())
    assert result == Moved(pushed=True) and world.tip(world.user) == world.tip(world.remote) == made
    assert world.git(world.user, "for-each-ref", "refs/remotes") == before


@pytest.mark.parametrize("torn", [False, True])
def test_what_never_arrived_here_is_no_trouble_where_the_branch_went_another_way(world: World, torn: bool) -> None:
    """The user brings it home; till then no ref of theirs is at what they do not have, or have in part."""
    world.with_remote()
    clone, base, made = world.proposed(world.source())
    world.git(clone.directory, "push", "--quiet", str(world.remote), f"{made}:refs/heads/main")
    mark(clone, Mark.PUSHED, "main", made)
    world.user_commit("mine")
    if torn:
        (world.root / "commit").write_text(world.git(world.remote, "cat-file", "commit", made) + "\n")
        place = str(world.root / "commit")
        assert world.git(world.user, "hash-object", "-w", "-t", "commit", "--literally", place) == made
    assert finish_earlier(clone, world.source(), sync(clone, world.source())) == Recovery()
    assert world.tip(world.user, "origin/main") == base.commit
