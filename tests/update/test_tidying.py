"""After a run, what belongs to inputs and flakes that are gone goes, and only that."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from lockbot import state
from lockbot.git.inputs.cache import _name as cache_name
from lockbot.model import Outcome
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import HostSpec
from tests.update.inside import World
from tests.upstream import run_git

OTHER = "side"
ELSEWHERE = {"LOCKBOT_REPOSITORY__BRANCH": OTHER}
"""Another flake of the same repository."""


@pytest.fixture
def world(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> World:
    """Its two inputs have moved, and that was published."""
    made = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"]), HostSpec("db", ["b"])], inputs="ab")
    assert made.update().outcome is Outcome.PUBLISHED
    return made


def place(world: World) -> Path:
    return world.app().place().directory


def cached(world: World, name: str) -> Path:
    return place(world) / state.UPSTREAMS / cache_name(world.upstreams[name].url.removeprefix("git+"))


def age(world: World, *paths: Path, days: float = 91) -> None:
    """By the clock that lockbot goes by."""
    moment = (world.now - timedelta(days=days)).timestamp()
    for path in paths:
        os.utime(path, (moment, moment))


def test_the_history_of_an_input_that_is_gone_goes_when_it_is_old(world: World) -> None:
    gone, stays = cached(world, "a"), cached(world, "b")
    assert gone.is_dir()
    assert stays.is_dir()
    world.fleet.declare(inputs=[world.upstreams["b"]], hosts=[HostSpec("db", ["b"])])
    age(world, gone.with_suffix(".lock"), stays.with_suffix(".lock"), days=89)
    world.update()
    assert gone.is_dir(), "not on the first night that it is missing"
    age(world, gone.with_suffix(".lock"), stays.with_suffix(".lock"))
    world.upstreams["b"].commit("third")
    world.update()
    assert not gone.exists()
    assert not gone.with_suffix(".lock").exists()
    assert stays.is_dir(), "this run has asked it"


def of_flakes(world: World, branch: str) -> list[Path]:
    """What a flake has in its repository's place."""
    directory = place(world)
    digest = state.digest(world.app({"LOCKBOT_REPOSITORY__BRANCH": branch}).place().flake)
    named = [f"answers-{digest}.json", f"bisected-{digest}.json", f"{state.POSTMARKS}-{digest}"]
    return [directory / state.ROOTS / digest, *(directory / name for name in named)]


@pytest.fixture
def both(world: World) -> dict[str, list[Path]]:
    """What the two flakes have."""
    world.fleet.git("branch", OTHER, "main~1")
    assert world.update(settings=ELSEWHERE).outcome is Outcome.PUBLISHED
    found = {branch: of_flakes(world, branch) for branch in ("main", OTHER)}
    for paths in found.values():
        for path in paths[1:]:
            path.write_bytes(b"{}")
    return found


def test_what_a_flake_had_goes_when_no_run_comes(world: World, both: dict[str, list[Path]]) -> None:
    everything = [*both["main"], *both[OTHER]]
    assert all(path.exists() for path in everything)
    age(world, *everything, days=89)
    world.update()
    assert [path for path in everything if not path.exists()] == []
    age(world, *everything)
    world.update()
    assert [path for path in everything if not path.exists()] == both[OTHER]


def test_a_flake_that_has_runs_keeps_its_results(world: World, both: dict[str, list[Path]]) -> None:
    """Though they publish nothing, for there is nothing new."""
    roots = both[OTHER][0]
    age(world, roots)
    assert world.update(settings=ELSEWHERE).outcome is Outcome.UNCHANGED
    world.update()
    assert list(roots.iterdir())


def test_a_clock_that_is_far_ahead_costs_no_flake_its_results(world: World, both: dict[str, list[Path]]) -> None:
    right = world.now
    world.now += timedelta(days=3000)
    world.update()
    world.now = right + timedelta(days=1)
    world.update()
    everything = [*both["main"], *both[OTHER]]
    assert [path for path in everything if not path.exists()] == []
    assert all(list(roots[0].iterdir()) for roots in both.values())


def test_a_damage_that_only_packing_meets_is_mended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would fail each time, and the clone would grow for good."""
    clone = place(world) / "clone.git"
    lock = world.fleet.git("rev-parse", "main~1:flake.lock").strip()
    (clone / "objects" / lock[:2] / lock[2:]).unlink()
    monkeypatch.setattr("lockbot.git.clone._LOOSE_LIMIT", 1)
    for _ in range(2):
        assert world.update().outcome is Outcome.UNCHANGED
    run_git(clone, world.fleet._environment, "fsck")


def test_half_a_file_of_a_process_that_was_killed_goes_when_it_is_a_day_old(world: World) -> None:
    directory = place(world)
    old = [
        root / f".{name}.123.456" for root in (directory, directory.parents[1]) for name in ("a.json", "paused")
    ]
    young = [path.with_suffix(".789") for path in old]
    theirs = directory / ".theirs.123"
    for path in (*old, *young, theirs):
        path.write_bytes(b"{")
    age(world, *old, theirs, days=2)
    age(world, *young, days=0.5)
    world.update()
    assert [path for path in (*old, *young, theirs) if path.exists()] == [*young, theirs]


@pytest.mark.parametrize("name", ["answers-12345678.json.bak", "bisected-x.json", "notes", "postmarks-1234567"])
def test_what_is_called_otherwise_stays(world: World, name: str) -> None:
    kept = place(world) / name
    kept.write_text("theirs")
    age(world, kept)
    world.update()
    assert kept.read_text() == "theirs"


def test_links_are_not_followed(world: World, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "file").write_text("theirs")
    (place(world) / state.ROOTS / "12345678").symlink_to(theirs)
    (place(world) / "answers-12345678.json").symlink_to(theirs / "file")
    for link in ("roots/12345678", "answers-12345678.json"):
        moment = (world.now - timedelta(days=91)).timestamp()
        os.utime(place(world) / link, (moment, moment), follow_symlinks=False)
    world.update()
    assert (theirs / "file").read_text() == "theirs"
