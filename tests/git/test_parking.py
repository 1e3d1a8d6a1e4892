"""Where an update waits that the branch could not take: what is lockbot's there, and what is somebody's."""

from __future__ import annotations

import pytest

from lockbot.errors import CommandError, LockbotError
from lockbot.git.publish import Parked, branch_name, publish
from tests.git.test_last_moment import just_before
from tests.git.world import World


@pytest.mark.parametrize(
    ("long", "name"),
    [
        ("x" * 240, "x" * 240),
        ("lockbot/" + "x" * 241, "lockbot/" + "x" * 231 + "-7dbf0577"),
        ("ü" * 121, "ü" * 115 + "-9dcf540f"),
    ],
)
def test_a_long_name_is_what_it_was_in_earlier_versions(long: str, name: str) -> None:
    """Else what they have parked, and the requests they have made, would be nobody's."""
    assert branch_name(long) == name


def test_an_update_that_somebody_is_looking_at_is_parked_where_it_is(world: World) -> None:
    world.write("mine")
    clone, base, made = world.proposed(world.source())
    first = publish(clone, world.source(), base, made, run="r1")
    world.git(world.user, "worktree", "add", "--quiet", str(world.root / "look"), "lockbot/update-main")
    assert publish(clone, world.source(), base, made, run="r2") == first
    assert world.git(world.user, "branch", "--list", "lockbot/*r2") == ""


def test_an_update_is_replaced_though_its_reflog_has_expired(world: World) -> None:
    """As `git gc` lets it, after some months."""
    world.write("mine")
    first, old = world.cycle(world.source())
    world.git(world.user, "reflog", "expire", "--expire=now", "--all")
    clone, base, _ = world.proposed(world.source())
    made = world.candidate(clone, world.source(), base, "newer")
    again = publish(clone, world.source(), base, made, run="r2")
    assert isinstance(first, Parked) and isinstance(again, Parked) and again.branch == first.branch
    assert world.tip(world.user, again.branch) == made != old


def test_where_every_name_is_the_users_nothing_is_overwritten_and_that_is_told(world: World) -> None:
    names = ("lockbot/update-main", "lockbot/update-main-r1", "lockbot-update-r1")
    for name in names:
        world.git(world.user, "branch", name)
    world.write("mine")
    clone, base, made = world.proposed(world.source())
    with pytest.raises(LockbotError, match=r"flake\.lock; and no branch was free to park"):
        publish(clone, world.source(), base, made, run="r1")
    assert {world.tip(world.user, name) for name in (*names, "main")} == {base.commit}


def test_where_no_branch_can_be_made_git_says_why(world: World) -> None:
    for name in ("lockbot", "lockbot-update-r1"):  # that leaves no room for lockbot/…
        world.git(world.user, "branch", name)
    world.write("mine")
    clone, base, made = world.proposed(world.source())
    with pytest.raises(CommandError, match="'refs/heads/lockbot' exists"):
        publish(clone, world.source(), base, made, run="r1")
    assert world.tip(world.user) == base.commit


def test_a_parked_branch_that_the_user_deletes_meanwhile_stops_nobody(world: World) -> None:
    world.write("mine")
    first, _ = world.cycle(world.source())
    assert isinstance(first, Parked)
    clone, base, _ = world.proposed(world.source())
    made = world.candidate(clone, world.source(), base, "newer")
    just_before(world, "--walk-reflogs", f"branch -D {first.branch}")
    again = publish(world.open(), world.source(), base, made, run="r2")
    assert isinstance(again, Parked) and world.tip(world.user, again.branch) == made
    assert world.tip(world.user) == base.commit
