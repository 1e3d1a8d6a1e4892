"""Holds until a branch contains a commit: by the forge's word, or by the input's own history."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lockbot.errors import UsageError
from tests.forge.server import Reply
from tests.holds.waiting import FORGES, Make, World

HOUR = timedelta(hours=1)
GIT = "git"
"""A repository that is on no forge."""


@pytest.fixture(params=[*FORGES, GIT])
def world(request: pytest.FixtureRequest, make: Make) -> World:
    made = make("github" if request.param == GIT else request.param)
    if request.param == GIT:
        made.lock({"type": "git", "url": made.upstream.url, "ref": "stable"})
    return made


def test_it_ends_when_the_branch_has_the_commit(world: World) -> None:
    """By a merge, and not before: neither on another branch, nor where the branch has another descendant."""
    waited = world.upstream.commit(world.first, branch="main")
    short = waited[:7]
    told = world.wait(branch=("stable", waited))
    assert f"a is held where it is until stable has {short}, from the next run on" in told
    assert f"asked just now: {short} is not in stable yet" in told
    aside = world.upstream.commit(world.first, branch="stable")
    assert world.ask() == () and world.answer == f"{short} is not in stable yet"
    world.upstream.commit(waited, branch="main")
    assert world.ask() == ()
    world.upstream.commit(aside, waited, branch="stable")
    assert world.ask() == (f"a moves again: stable has {short}",)
    assert world.hold is None


def test_branches_of_any_name(world: World) -> None:
    waited = world.upstream.commit(world.first, branch="main")
    for branch in ("release/25.11", "x#y", "%41", "a&b=c", "ünï"):
        world.upstream.git("branch", branch, world.first)
        world.wait(branch=(branch, waited))
        world.upstream.git("branch", "--force", branch, waited)
        assert world.ask() == (f"a moves again: {branch} has {waited[:7]}",)


def test_the_tip_itself_is_contained(world: World) -> None:
    with pytest.raises(UsageError, match=f"stable has {world.first[:7]}: there is nothing to wait for"):
        world.wait(branch=("stable", world.first))


def test_a_tag_is_no_branch(make: Make) -> None:
    """git is asked for the branch by its whole name."""
    world = make()
    world.lock({"type": "git", "url": world.upstream.url, "ref": "stable"})
    world.upstream.git("tag", "v1", "stable")
    with pytest.raises(UsageError, match="there is nothing to wait for: there is no branch"):
        world.wait(branch=("v1", world.first))


def test_a_history_that_is_not_there_keeps_the_hold(make: Make) -> None:
    world = make()
    world.lock({"type": "git", "url": world.upstream.url, "ref": "stable"})
    waited = world.upstream.commit(world.first, branch="main")
    world.wait(branch=("stable", waited))
    world.upstream.path.rename(world.root / "away")
    assert world.ask() == ()
    assert "could not be" in world.answer or "not found" in world.answer or "was not" in world.answer
    (world.root / "away").rename(world.upstream.path)
    world.upstream.git("branch", "--force", "stable", waited)
    assert len(world.ask()) == 1


@pytest.mark.parametrize("reply", [Reply({}, 404), Reply({}, 401)])
def test_where_the_forge_knows_nothing_the_history_tells(make: Make, reply: Reply) -> None:
    """git may get in where the API has no token. A token that is refused is another matter."""
    world = make()
    waited = world.upstream.commit(world.first, branch="main")
    world.server.answer = lambda _: reply
    told = world.wait(branch=("stable", waited))
    assert (f"{waited[:7]} is not in stable yet" in told) is (reply.status == 404)


def test_github_is_not_asked_for_files(make: Make) -> None:
    """300 of them come with the first page of a comparison, each with what differs."""
    world = make()
    waited = world.upstream.commit(world.first, branch="main")
    world.wait(branch=("stable", waited))
    (asked,) = [one for one in world.server.asked if "compare" in one.path]
    assert asked.number("page", 1) > 1 and asked.number("per_page", 30) == 1


@pytest.mark.parametrize("reply", [Reply({"status": "sideways"}), Reply({}), Reply([])])
def test_a_comparison_that_makes_no_sense(make: Make, reply: Reply) -> None:
    world = make()
    waited = world.upstream.commit(world.first, branch="main")
    world.server.answer = lambda _: reply
    assert "otherwise than its API is documented" in world.wait(branch=("stable", waited))
