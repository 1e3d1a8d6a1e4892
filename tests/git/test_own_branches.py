"""Branches of lockbot's own on a remote (pull requests are made of them): put somewhere, and removed, only where
they are as they were seen. And what git does not settle by its word is settled by asking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lockbot.errors import CommandError, LockbotError, SurroundingsError
from lockbot.git.clone import Clone
from lockbot.git.failure import RemoteError
from lockbot.git.publish import behind, only_updates, publish
from lockbot.git.push import (
    Containment,
    OwnBranch,
    contains,
    delete_own_branch,
    push_commit,
    push_for_review,
    push_own_branch,
    try_push,
)
from lockbot.git.source import Remote, remote_at
from lockbot.git.sync import sync
from tests.git.world import World, script

BRANCH = "lockbot/update-nixpkgs"


class Pushing:
    """A clone with a candidate in it, and the remote to push that to."""

    def __init__(self, world: World) -> None:
        self.world = world.with_remote()
        self.clone: Clone
        self.clone, self.base, self.made = world.proposed(world.source())
        self.remote: Remote = remote_at(str(world.remote))

    def put(self, commit: str, seen: str | None, *options: str) -> OwnBranch:
        return push_own_branch(self.clone, self.remote, BRANCH, commit, seen=seen, options=options)

    def delete(self, seen: str) -> bool:
        return delete_own_branch(self.clone, self.remote, BRANCH, seen=seen)

    @property
    def tip(self) -> str:
        return self.world.git(self.world.remote, "rev-parse", "--verify", "--quiet", BRANCH, check=False)

    def another(self, text: str = "another") -> str:
        return self.world.candidate(self.clone, self.world.source(), self.base, text)

    def hook(self, name: str, text: str) -> None:
        script(self.world.remote / "hooks" / name, text)


@pytest.fixture
def pushing(world: World) -> Pushing:
    return Pushing(world)


def test_a_branch_is_made_moved_wherever_it_has_to_go_and_removed(pushing: Pushing) -> None:
    other = pushing.another()
    assert pushing.put(pushing.made, None) == OwnBranch(moved=False)
    assert pushing.tip == pushing.made
    assert pushing.put(other, pushing.made) == OwnBranch(moved=False), "neither is built on the other"
    assert pushing.tip == other
    assert pushing.delete(other)
    assert pushing.tip == ""
    assert pushing.world.tip(pushing.world.remote) == pushing.base.commit, "no other branch was touched"


def test_a_branch_that_somebody_else_has_moved_is_theirs(pushing: Pushing) -> None:
    theirs, ours = pushing.another("theirs"), pushing.another("ours")
    pushing.put(theirs, None)
    for seen in (None, pushing.made):
        assert pushing.put(ours, seen) == OwnBranch(moved=True)
    assert not pushing.delete(pushing.made)
    assert pushing.tip == theirs


def test_a_branch_that_is_there_or_gone_already_is_as_wanted(pushing: Pushing) -> None:
    assert pushing.put(pushing.made, None).moved is False
    assert pushing.put(pushing.made, None).moved is False, "by an earlier run that was killed"
    assert pushing.delete(pushing.made)
    assert pushing.delete(pushing.made), "it is gone: that is what was wanted"
    assert pushing.put(pushing.another(), pushing.made) == OwnBranch(moved=True), "somebody removed it"


def test_what_the_server_says_and_is_told(pushing: Pushing) -> None:
    pushing.world.git(pushing.world.remote, "config", "receive.advertisePushOptions", "true")
    pushing.hook("pre-receive", 'echo "got $GIT_PUSH_OPTION_COUNT: $GIT_PUSH_OPTION_0, $GIT_PUSH_OPTION_1"')
    put = pushing.put(pushing.made, None, "merge_request.create", "title=a b")
    assert "got 2: merge_request.create, title=a b" in put.said
    said = push_for_review(pushing.clone, pushing.remote, pushing.made, "refs/for/main", ["topic=x", "y"])
    assert "got 2: topic=x, y" in said
    assert pushing.world.git(pushing.world.remote, "rev-parse", "refs/for/main") == pushing.made
    pushing.hook("pre-receive", "echo https://joe:s3cret@h/x")
    pushed = pushing.put(pushing.another(), pushing.made)
    assert "***" in pushed.said and "s3cret" not in pushed.said


PUSHES: dict[str, Callable[[Pushing], object]] = {
    "own": lambda pushing: pushing.put(pushing.made, None),
    "review": lambda pushing: push_for_review(
        pushing.clone, pushing.remote, pushing.made, f"refs/heads/{BRANCH}", []
    ),
    "base": lambda pushing: push_commit(
        pushing.clone, pushing.remote, "main", seen=pushing.base.commit, commit=pushing.made
    ),
}
ADVICE = {"own": "publish.branches", "review": "push = false", "base": "push = false"}


@pytest.mark.parametrize("how", PUSHES)
def test_a_refusal_is_told_in_the_servers_words_and_nothing_has_moved(pushing: Pushing, how: str) -> None:
    pushing.hook("pre-receive", "echo; echo 'not at night'; exit 1")
    with pytest.raises(CommandError, match=r"refuses the push to .*hook declined") as refused:
        PUSHES[how](pushing)
    assert ADVICE[how] in refused.value.hint
    assert refused.value.output == "not at night"
    assert refused.value.code not in (0, None)
    assert pushing.tip == "" and pushing.world.tip(pushing.world.remote) == pushing.base.commit


@pytest.mark.parametrize("how", PUSHES)
def test_a_remote_that_is_away_is_no_refusal(pushing: Pushing, how: str) -> None:
    pushing.world.remote.rename(pushing.world.root / "away")
    with pytest.raises(RemoteError, match="was not found"):
        PUSHES[how](pushing)


@pytest.mark.parametrize("moved", [True, False])
def test_a_remote_that_dies_is_asked_what_became_of_the_branch(pushing: Pushing, moved: bool) -> None:
    pushing.hook("post-receive" if moved else "pre-receive", "kill -9 $PPID")
    if moved:
        assert pushing.put(pushing.made, None) == OwnBranch(moved=False)
        assert pushing.delete(pushing.made)
        assert pushing.tip == ""
    else:
        with pytest.raises((RemoteError, CommandError)):
            pushing.put(pushing.made, None)
        assert pushing.tip == ""


def test_a_branch_that_may_not_be_removed_stays_and_that_is_told(pushing: Pushing) -> None:
    pushing.put(pushing.made, None)
    pushing.world.git(pushing.world.remote, "config", "receive.denyDeletes", "true")
    with pytest.raises(CommandError, match="refuses the push") as refused:
        pushing.delete(pushing.made)
    assert "publish.branches" in refused.value.hint
    assert pushing.tip == pushing.made


def test_a_branch_that_another_push_has_locked_is_no_refusal(pushing: Pushing) -> None:
    pushing.put(pushing.made, None)
    lock = pushing.world.remote / "refs" / "heads" / f"{BRANCH}.lock"
    lock.touch()
    with pytest.raises(SurroundingsError, match=r"is busy: .*cannot lock ref") as busy:
        pushing.put(pushing.another(), pushing.made)
    assert busy.value.hint == "try again"
    lock.unlink()
    pushing.hook("pre-receive", "echo cannot lock ref of the door; exit 1")
    with pytest.raises(CommandError, match="refuses the push"):
        pushing.put(pushing.another(), pushing.made)


def test_a_push_is_tried_without_being_made(pushing: Pushing) -> None:
    try_push(pushing.clone, pushing.remote, "main", pushing.made)
    assert pushing.world.tip(pushing.world.remote) == pushing.base.commit
    pushing.world.colleague()
    with pytest.raises(CommandError, match="refuses the push to main: fetch first"):
        try_push(pushing.clone, pushing.remote, "main", pushing.made)


def test_a_commit_that_is_built_on_something_else_is_not_pushed(pushing: Pushing) -> None:
    aside = pushing.another()
    with pytest.raises(LockbotError, match="is not built on"):
        push_commit(pushing.clone, pushing.remote, "main", seen=aside, commit=pushing.made)
    with pytest.raises(LockbotError, match="is not built on"):
        base = sync(pushing.clone, pushing.world.source())
        object.__setattr__(base, "commit", aside)
        publish(pushing.clone, pushing.world.source(), base, pushing.made, run="r1")
    assert pushing.world.tip(pushing.world.remote) == pushing.base.commit


def test_whether_a_branch_contains_a_commit_is_asked_of_the_remote(pushing: Pushing) -> None:
    def ask(branch: str, commit: str) -> Containment | None:
        return contains(pushing.clone, pushing.remote, branch, commit)

    start = pushing.base.commit
    assert ask("main", start) == Containment(start, has=True)
    assert ask("main", pushing.made) == Containment(start, has=False)
    assert ask("gone", start) is None
    theirs = pushing.world.colleague()
    assert ask("main", start) == Containment(theirs, has=True), "it is fetched, to find out"
    assert ask("main", "1" * 40) == Containment(theirs, has=False)


# -- what is told of a branch, and of what lies between two commits


def test_a_branch_behind_its_remote_is_told_where_nothing_is_published(world: World) -> None:
    world.with_remote()
    clone = world.open()
    assert behind(clone, world.source(), sync(clone, world.source())) is None
    world.colleague("one")
    world.colleague("two")
    base = sync(clone, world.source())
    told = behind(clone, world.source(), base)
    assert told is not None and "main is 2 commit(s) behind its remote" in told
    assert behind(clone, world.url(), sync(clone, world.url())) is None, "there is no branch here that could be"
    world.git(world.user, "pull", "--quiet")
    world.user_commit("mine")
    assert behind(clone, world.source(), sync(clone, world.source())) is None, "it is ahead"


def test_only_updates_are_between_two_commits(world: World) -> None:
    start = world.tip(world.user)
    _, first = world.cycle(world.source())
    _, second = world.cycle(world.source())
    clone = world.open()
    base = sync(clone, world.source()).commit
    assert base == second
    assert only_updates(clone, base, start, second)
    assert only_updates(clone, base, start, first)
    assert not only_updates(clone, base, second, start), "it leads back"
    assert not only_updates(clone, first, start, second), "the second is not in its history"
    assert not only_updates(clone, base, "1" * 40, second)
    assert not only_updates(clone, base, start, "1" * 40)
    mine = world.user_commit("mine")
    _, third = world.cycle(world.source())
    clone = world.open()
    base = sync(clone, world.source()).commit
    assert not only_updates(clone, base, start, third), "somebody else's lies between"
    assert only_updates(clone, base, mine, third)
    aside = world.git(clone.directory, "commit-tree", "-p", mine, "-m", "aside", f"{mine}^{{tree}}")
    assert not only_updates(clone, base, aside, third), "it leads away from what is not in the base"


def test_parked_again_it_is_where_it_was(world: World, tmp_path: Path) -> None:
    del tmp_path
    world.write("mine")
    clone, base, made = world.proposed(world.source())
    first = publish(clone, world.source(), base, made, run="r1")
    assert publish(clone, world.source(), base, made, run="r2") == first
    reflog = world.git(world.user, "reflog", "show", "--format=%gs", "lockbot/update-main")
    assert reflog == "lockbot: park r1"
