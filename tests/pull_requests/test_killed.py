"""Killed at any instant of a night that opens a request, updates or lands one: the next night makes up for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from queue import Queue

import pytest

from lockbot.model import Landing, PullRequestState
from lockbot.process import CancelToken
from tests.forge.pull_requests.githost import Call, GitHost
from tests.nixes import Nix
from tests.pull_requests.forges import FORGES, WAYS, host_of
from tests.pull_requests.inside import World, called
from tests.pull_requests.world import Nights
from tests.sampling import some

BRANCH = "lockbot/update-main"


def nothing_open(world: World) -> None:
    for one in world.open():
        world.forge.close(one.number)
    world.forge.host.git("owner/flake", "update-ref", "-d", f"refs/heads/{BRANCH}")
    world.night()
    world.moves("a", "b")


def one_open(world: World) -> None:
    if not world.open():
        world.moves("a")
        world.night()
    world.moves("b")


def one_to_land(world: World) -> None:
    world.moves("a")
    world.night()
    (one,) = world.open()
    world.forge.check(one.head, "success")


BEFORE: dict[str, Callable[[World], None]] = {"opens": nothing_open, "updates": one_open, "lands": one_to_land}
CASES = some([(way, what) for what in BEFORE for way in WAYS if WAYS[way] or what != "lands"], 3)


def world_of(way: str, what: str, host: GitHost, directory: Path, cancel: CancelToken) -> World:
    landing = Landing.WHEN_CHECKS_PASS if what == "lands" else Landing.PEOPLE
    forge = FORGES[way.partition(" ")[0]](host)
    forge.require_check()
    return World(directory, forge, cancel, landing=landing, token=WAYS[way])


def check_next(world: World, what: str, before: int, end: str = "") -> None:
    """The night after it. `end`: with what the last one ended."""
    try:
        _check_next(world, what, before)
    except AssertionError as error:
        raise AssertionError(f"killed at {end}") from error


def _check_next(world: World, what: str, before: int) -> None:
    assert world.tip() in {world.first, *world.judged}
    night = world.night()
    assert night.trouble is None and not night.notes, night
    if what == "lands":
        assert world.open() == [] and world.locked("main") == world.upstream, night
    else:
        (one,) = world.open()
        assert one.head in world.judged and world.locked(one.head) == world.upstream
        (kept,) = [one for one in world.kept() if one.state.active]
        assert (kept.state, kept.number, kept.commit) == (PullRequestState.OPEN, one.number, one.head)
    assert len(world.forge.requests()) <= before + (what == "opens"), world.forge.requests()
    world.check_comments()


@pytest.mark.parametrize(("way", "what"), CASES, ids=[f"{way}, {what}" for way, what in CASES])
def test_killed_before_any_step_and_after_any_call(
    way: str, what: str, tmp_path: Path, cancel: CancelToken
) -> None:
    with host_of(tmp_path / "forge") as host:
        world = world_of(way, what, host, tmp_path, cancel)
        BEFORE[what](world)
        check_next(world, what, 99)
        BEFORE[what](world)
        host.calls.clear()
        steps = world.killed(None)
        calls = [called(call) for call in host.calls]
        first = next(at for at, step in enumerate(steps, 1) if " fetch " in step)
        turn = len(way) + len(what)
        for die_at in some(range(first, len(steps) + 1), 24, turn):
            BEFORE[what](world)
            before = len(world.forge.requests())
            check_next(world, what, before, world.killed(die_at)[-1])
        for number, call in some(enumerate(calls, 1), 6, turn):
            BEFORE[what](world)
            before = len(world.forge.requests())
            killed_after(world, number)
            check_next(world, what, before, call)


def killed_after(world: World, number: int) -> None:
    """When so many calls were served, and before the last of them is answered."""
    host, pids, left = world.forge.host, Queue[int](), number

    def fault(call: Call) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            host.api(call)
            os.kill(pids.get(), signal.SIGKILL)
            raise ConnectionResetError

    host.faults[:] = [fault]
    world.killed(None, pids.put)
    host.faults.clear()
    assert left == 0


def test_a_whole_night_that_is_killed(one_nix: Nix, tmp_path: Path) -> None:
    """What its record says, and what `lockbot requests` does, when the next is over."""
    with host_of(tmp_path / "forge") as host:
        nights = Nights(one_nix, tmp_path, FORGES["github"](host))
        for _ in range(2):  # opened, then updated
            nights.upstream("a")
            nights.world.observed(" push ")
            killed = nights.world.runs()[-1]
            assert (killed["outcome"], killed["published"]) == (None, None)
            pushed = nights.only().head if nights.open() else nights.tip(BRANCH)
            nights.upstream("b")
            result = nights.night()
            one = nights.only()
            assert nights.locked("a", BRANCH) == nights.newest("a") and nights.locked(
                "b", BRANCH
            ) == nights.newest("b")
            assert result["outcome"] == "requested" and one.head not in (pushed, killed["candidate"])
            told = nights.world.show(killed["id"])
            assert (told["outcome"], told["commit"]) == ("interrupted", None) and told["notes"]
            (listed,) = nights.listed()
            shown = [listed[name] for name in ("state", "number", "commit", "branch")]
            assert shown == ["open", one.number, one.head, BRANCH]
        nights.check()
