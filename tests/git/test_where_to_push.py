"""Where the user's git pushes a branch: lockbot pushes there, or not at all, and says so."""

from __future__ import annotations

import sys

import pytest

from lockbot.errors import CommandError
from lockbot.git.publish import Moved, publish
from lockbot.git.source import LocalSource
from lockbot.git.sync import sync
from tests.git.world import World, script

ELSEWHERE = {
    "pushRemote": ({"branch.main.pushRemote": "fork"}, "git pushes main to fork, not to origin"),
    "pushRemote of nothing": ({"branch.main.pushRemote": "no_push"}, "git pushes main to no_push, not to origin"),
    "pushDefault": ({"remote.pushDefault": "fork"}, "git pushes main to fork, not to origin"),
    "an address": ({"remote.pushDefault": "https://joe:s3cret@h/x"}, "git pushes main to https://***@h/x, not"),
    "a refspec": ({"remote.origin.push": "refs/heads/main:refs/heads/review"}, "to refs/heads/review of origin"),
    "a short refspec": ({"remote.origin.push": "+main:review"}, "to refs/heads/review of origin"),
    "HEAD": ({"remote.origin.push": "HEAD:refs/for/main"}, "to refs/for/main of origin"),
    "a pattern": ({"remote.origin.push": "refs/heads/*:refs/for/*"}, "to refs/for/main of origin"),
    "no remote": ({"branch.main.remote": "gone"}, "main follows gone, which is no remote"),
    "a remote's address": (
        {"branch.main.remote": "https://joe:s3cret@h/x"},
        "main follows https://***@h/x, which",
    ),
}
THERE = {
    "the same by pushDefault": {"remote.pushDefault": "origin"},
    "pushRemote wins": {"remote.pushDefault": "fork", "branch.main.pushRemote": "origin"},
    "another branch's": {"branch.work.pushRemote": "fork", "remote.fork.push": "main:review"},
    "a refspec": {"remote.origin.push": "refs/heads/main"},
    "matching": {"remote.origin.push": ":"},
    "everything": {"remote.origin.push": "+refs/*:refs/*"},
    "another branch's refspec": {"remote.origin.push": "refs/heads/work:refs/heads/review"},
    "a longer pattern": {"remote.origin.push": "refs/heads/main/*:refs/heads/review/*"},
}


def told(world: World, settings: dict[str, str]) -> None:
    world.with_remote()
    world.git(world.user, "remote", "add", "fork", str(world.root / "fork.git"))
    for key, value in settings.items():
        world.git(world.user, "config", key, value)


@pytest.mark.parametrize("how", ELSEWHERE)
def test_where_git_pushes_elsewhere_nothing_is_pushed(world: World, how: str) -> None:
    settings, words = ELSEWHERE[how]
    told(world, settings)
    before = world.tip(world.remote)
    clone, base, made = world.proposed(world.source())
    assert words in base.notes[0] and base.notes[0].endswith(": nothing is pushed")
    assert publish(clone, world.source(), base, made, run="r1") == Moved(pushed=False)
    assert (world.tip(world.remote), world.tip(world.user)) == (before, made)


@pytest.mark.parametrize("how", THERE)
def test_where_git_pushes_there_it_is_pushed(world: World, how: str) -> None:
    told(world, THERE[how])
    result, made = world.cycle(world.source())
    assert result == Moved(pushed=True) and world.tip(world.remote) == made


def test_where_nothing_is_to_be_pushed_nothing_is_told(world: World) -> None:
    told(world, {"remote.pushDefault": "fork"})
    assert sync(world.open(), world.source(push=False)).notes == ()


def test_the_remote_that_lockbot_is_told_of_has_the_last_word(world: World) -> None:
    told(world, {"remote.pushDefault": "fork"})
    result, made = world.cycle(LocalSource(world.user, remote="origin"))
    assert result == Moved(pushed=True) and world.tip(world.remote) == made


def test_of_several_branches_that_are_merged_the_first_is_upstream(world: World) -> None:
    world.with_remote()
    world.git(world.user, "push", "--quiet", "origin", "main:dev")
    world.git(world.user, "config", "--add", "branch.main.merge", "refs/heads/dev")
    dev = world.tip(world.remote, "dev")
    result, made = world.cycle(world.source())
    assert result == Moved(pushed=True)
    assert (world.tip(world.remote), world.tip(world.remote, "dev")) == (made, dev)
    assert world.tip(world.user, "refs/remotes/origin/main") == made


FOR_REVIEW = """
import sys

def heard():
    size = int(sys.stdin.buffer.read(4), 16)
    return sys.stdin.buffer.read(size - 4) if size else None

def say(text):
    sys.stdout.buffer.write(b"%04x%s" % (len(text) + 4, text) if text else b"0000")
    sys.stdout.flush()

greeting = list(iter(heard, None))
say(b"version=1\\0atomic")
say(None)
for old, new, ref in [command.split() for command in iter(heard, None)]:
    say(b"ok " + ref)
    say(b"option refname refs/pull/1/head")
say(None)
"""
"""A server's hook that takes what is pushed for a request to review it (gitprotocol: proc-receive)."""


def test_a_push_that_is_taken_for_something_else_is_none(world: World) -> None:
    world.with_remote()
    world.git(world.remote, "config", "receive.procReceiveRefs", "refs/heads/main")
    (world.root / "hook.py").write_text(FOR_REVIEW)
    script(world.remote / "hooks" / "proc-receive", f"exec {sys.executable} {world.root / 'hook.py'}")
    before = world.tip(world.remote)
    clone, base, made = world.proposed(world.source())
    with pytest.raises(CommandError, match="took what was pushed to main for something else"):
        publish(clone, world.source(), base, made, run="r1")
    assert world.tip(world.remote) == world.tip(world.user) == world.tip(world.user, "origin/main") == before


@pytest.mark.parametrize("kind", ["~/", "relative"])
def test_an_address_that_git_resolves(world: World, kind: str) -> None:
    world.with_remote()
    place = "~/remote.git" if kind == "~/" else "../remote.git"
    world.environ["HOME"] = str(world.root)
    world.git(world.user, "remote", "set-url", "origin", place)
    result, made = world.cycle(world.source())
    assert result == Moved(pushed=True) and world.tip(world.remote) == made
