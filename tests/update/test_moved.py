"""A flake that has moved, or whose branch has another name: what the user holds there stays held."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import nixes
from tests.update.test_cycle import worked
from tests.update.world import World, finish


def said(world: World, *words: str) -> None:
    process = world.start(argv=world.argv(*words))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr


def rename(world: World) -> None:
    world.git("branch", "-m", "main", "trunk")


def move(world: World) -> None:
    new = world.fleet.path.with_name("flotte")
    world.fleet.path.rename(new)
    world.settings["repository"] = f'path = "{new}"'


@pytest.mark.parametrize("change", [rename, move])
def test_holds_come_along(one_nix: nixes.Nix, tmp_path: Path, change: object) -> None:
    world = World.create(one_nix, tmp_path, inputs="ab")
    worked(world.update(), "unchanged")
    said(world, "hold", "a", "--why", "mine")
    for upstream in world.upstreams.values():
        upstream.commit("newer")
    assert callable(change)
    change(world)
    run = worked(world.update(), "partly published")
    assert run.held == ["a"] and "held by you: mine" in run["held"][0]["detail"]
    assert any(note.startswith("a is held as before: you held it in ") for note in run["notes"])
    assert not any("as before" in note for note in worked(world.update(), "unchanged")["notes"])
    said(world, "release", "a")
    assert worked(world.update(), "published").held == []


def test_a_branch_that_is_still_there_keeps_its_own(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    worked(world.update(), "unchanged")
    said(world, "hold", "a", "--why", "mine")
    world.git("switch", "--quiet", "--create", "work")
    world.upstreams["a"].commit("newer")
    assert worked(world.update(), "published").held == []
    world.git("switch", "--quiet", "main")
    assert worked(world.update(), "unchanged").held == ["a"]


def test_another_flake_gets_none(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path)
    worked(world.update(), "unchanged")
    said(world, "hold", "a", "--why", "mine")
    (tmp_path / "second").mkdir()
    other = World.create(one_nix, tmp_path / "second")
    other.environment["XDG_STATE_HOME"] = world.environment["XDG_STATE_HOME"]
    move(world)
    other.upstreams["a"].commit("newer")
    assert worked(other.update(), "published").held == []
    assert finish(world.start()).held == []
