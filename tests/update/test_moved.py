"""A flake that has moved, or whose branch has another name: what the user holds there stays held."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import nixes
from tests.update.test_cycle import worked
from tests.update.world import World, finish


def said(world: World, *words: str) -> str:
    process = world.start(argv=world.argv(*words))
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    return f"{words[0]}: {stdout}"


def rename(world: World) -> None:
    world.git("branch", "-m", "main", "trunk")


def move(world: World) -> None:
    new = world.fleet.path.with_name("flotte")
    world.fleet.path.rename(new)
    world.settings["repository"] = f'path = "{new}"'


@pytest.mark.parametrize("change", [rename, move])
def test_holds_come_along(one_nix: nixes.Nix, tmp_path: Path, change: Callable[[World], None]) -> None:
    world = World.create(one_nix, tmp_path, inputs="ab")
    worked(world.update(), "unchanged")
    said(world, "hold", "a", "--why", "mine")
    for upstream in world.upstreams.values():
        upstream.commit("newer")
    change(world)
    run = worked(world.update(), "partly published")
    assert run.held == ["a"] and "held by you: mine" in run["held"][0]["detail"]
    assert any(note.startswith("a is held as before: you held it in ") for note in run["notes"])
    assert not any("as before" in note for note in worked(world.update(), "unchanged")["notes"])
    said(world, "release", "a")
    assert worked(world.update(), "published").held == []


@pytest.mark.parametrize("change", [rename, move])
@pytest.mark.parametrize("words", [("release", "a"), ("hold", "a", "--why", "for another reason")])
def test_what_is_said_before_the_first_run_there_counts(
    one_nix: nixes.Nix, tmp_path: Path, change: Callable[[World], None], words: tuple[str, ...]
) -> None:
    """Every command knows of them, and what was said last holds."""
    world = World.create(one_nix, tmp_path)
    worked(world.update(), "unchanged")
    said(world, "hold", "a", "--why", "mine")
    change(world)
    status = said(world, "status")
    assert "held by you since" in status and ": mine" in status
    assert words[0] in said(world, *words)
    world.upstreams["a"].commit("newer")
    run = world.update()
    assert [one["detail"] for one in run["held"]] == ["held by you: for another reason"] * (words[0] == "hold")


def test_the_same_history_at_a_url_is_another_flake(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """Nobody can say whether it is gone: its holds stay there."""
    world = World.create(one_nix, tmp_path, kind="remote")
    here = world.settings["repository"]
    world.settings["repository"] = f'url = "file://{world.remote}"\nbranch = "main"'
    worked(world.update(), "unchanged")
    said(world, "hold", "a", "--why", "mine")
    new = world.upstreams["a"].commit("newer")
    world.settings["repository"] = f"{here}\npush = false"
    assert worked(world.update(), "published").held == [] and world.locked() == new


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
