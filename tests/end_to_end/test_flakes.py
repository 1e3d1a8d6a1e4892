"""Several flakes in one repository, by branch and by directory: what lockbot tells of one is of no other."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lockbot.app import flake_key
from lockbot.commands import healthcheck, metrics
from lockbot.git import sync
from lockbot.git.clone import open_clone
from lockbot.git.source import RemoteSource
from lockbot.history import schema
from lockbot.history.input_states import Observation, StateWord
from lockbot.judge import gc_roots, verdict_cache
from lockbot.model import Outcome, Run
from lockbot.nix import installed
from lockbot.process import CancelToken
from lockbot.state import digest
from tests import nixes
from tests.commands.test_metrics import parsed, values
from tests.commands.test_status import ONE, TWO, World, lock, world  # noqa: F401 -- fixtures
from tests.commands.test_status import _in_utc as _in_utc  # its fixture's own

RUN_OF_OLD = (
    "INSERT INTO runs (id, repository, started, outcome, branch, pushed, dry_run) VALUES (?, ?, ?, ?, ?, 0, 0)"
)


def on(world: World, **repository: str) -> World:  # noqa: F811
    """The same lockbot, configured for another flake of the repository."""
    return replace(
        world, config={f"LOCKBOT_REPOSITORY__{name.upper()}": text for name, text in repository.items()}
    )


def several(world: World) -> tuple[World, World, World]:  # noqa: F811
    """The one at the root of main, the one in a directory of it, and the one on another branch."""
    (world.path / "hosts" / "one").mkdir(parents=True)
    (world.path / "hosts" / "one" / "flake.nix").write_text("{ }")
    (world.path / "hosts" / "one" / "flake.lock").write_text(lock())
    world.commit(lock())
    world.git("branch", "next")
    return world, on(world, flake_dir="hosts/one"), on(world, branch="next")


def recorded(world: World, name: str) -> None:  # noqa: F811
    app = world.app
    place = app.place()
    run = Run(name, place.identity, world.now, Outcome.PUBLISHED, world.now, branch="main", flake=place.flake)
    with app.history() as past:
        past.save(run)


# -- the key


def test_each_flake_has_a_key(world: World) -> None:  # noqa: F811
    main, inside, other = several(world)
    common = str((world.path / ".git").resolve())
    keys = [each.app.place().flake for each in (main, inside, other)]
    assert keys == [f"{common}?ref=main", f"{common}?ref=main&dir=hosts/one", f"{common}?ref=next"]
    assert len({each.app.place().directory for each in (main, inside, other)}) == 1
    by_path = on(world, path=str(world.path / "hosts" / "one"))
    assert by_path.app.place().flake == keys[1], "where the path points is where the flake is"
    assert by_path.app.flake_dir(by_path.app.place()) == "hosts/one"


def test_a_url_has_one_too(world: World) -> None:  # noqa: F811
    environ = {name: text for name, text in world.environ.items() if name != "LOCKBOT_REPOSITORY__PATH"}
    url = "https://example.org/nixos.git"
    world = replace(world, environ=environ)
    assert on(world, url=url).app.place().flake == url
    assert on(world, url=url, branch="a#b", flake_dir="x").app.place().flake == f"{url}?ref=a%23b&dir=x"


def test_no_two_have_the_same() -> None:
    flakes = [
        ("/r", "main", ""),
        ("/r", "main&dir=x", ""),
        ("/r", "main", "x"),
        ("/r", "main", "x/y"),
        ("/r", "main/x", "y"),
        ("/r", "main%2Fx", "y"),
        ("/r", None, "x"),
        ("/r", None, ""),
        ("/r?ref=main", None, ""),
        ("/r?ref=main", "x", ""),
        ("/r", "main\udcff", ""),
        ("/r", "main\udcfe", ""),
    ]
    assert len({flake_key(*flake) for flake in flakes}) == len(flakes)
    assert len({flake_key("/r", "main", one) for one in ("x/y", "./x/y", "x/y/", "x//y", "x/./y")}) == 1
    assert flake_key("/r", "main", ".") == flake_key("/r", "main", "")


# -- what is told of each


def test_each_tells_its_own(world: World) -> None:  # noqa: F811
    flakes = several(world)
    for number, each in enumerate(flakes):
        each.run("hold", "a", "--why", f"reason {number}")
        each.record(replace(Observation("b", StateWord.HELD, ONE, asked=True), detail=f"detail {number}"))
        recorded(each, f"run-{number}")
    flakes[2].run("release", "a")
    for number, each in enumerate(flakes):
        told = each.run("status")
        others = {f"{word} {one}" for one in range(3) for word in ("reason", "detail")} - {
            f"reason {number}",
            f"detail {number}",
        }
        assert not [one for one in others if one in told]
        assert f"detail {number}" in told
        assert (f"reason {number}" in told) == (number != 2)
        listed = json.loads(each.run("history", "--json"))["runs"]
        assert [(one["run"], one["flake"]) for one in listed] == [(f"run-{number}", each.app.place().flake)]
        assert json.loads(each.run("show", "--json"))["run"] == f"run-{number}"
        assert len(json.loads(each.run("history", "--all", "--json"))["runs"]) == 3
        assert f"last: run-{number}" in told
        assert healthcheck.look(each.app, healthcheck.Limits()).problems == ()


def test_metrics_of_several_in_one_scrape(world: World) -> None:  # noqa: F811
    flakes = several(world)
    recorded(flakes[1], "one")
    series = parsed(metrics.render(*(each.app for each in flakes)))
    common = str((world.path / ".git").resolve())
    runs = values(series, "lockbot_runs", "repository", "flake", "outcome")
    assert {flake: runs[common, flake, "published"] for _, flake, _ in runs} == {
        each.app.place().flake: float(each is flakes[1]) for each in flakes
    }
    assert len(values(series, "lockbot_inputs", "flake")) == 3


def test_the_lock_of_a_urls_branch_is_that_branchs(
    world: World,  # noqa: F811
    cancel: CancelToken,
) -> None:
    world.git("checkout", "--quiet", "-b", "next")
    world.commit(lock(TWO))
    environ = {name: text for name, text in world.environ.items() if name != "LOCKBOT_REPOSITORY__PATH"}
    url = f"file://{world.path}"
    main, other, third = (
        on(replace(world, environ=environ), url=url, branch=name) for name in ("main", "next", "x")
    )
    place = main.app.place()
    clone = open_clone(
        place.directory / "clone.git", place.directory / "worktrees", environ=world.git_environment, cancel=cancel
    )

    def locked(flake: World) -> list[str]:
        return [row.locked.revision for row in flake.look().rows if row.input == "a" and row.locked]

    sync.sync(clone, RemoteSource(url, "next"))
    clone.git.run("update-ref", "-d", "refs/lockbot/seen/" + _name_of("next"))
    assert locked(main) == locked(other) == [TWO], "a clone of an older lockbot's says what it knows"
    for name in ("main", "next"):
        sync.sync(clone, RemoteSource(url, name))
    assert (locked(main), locked(other), locked(third)) == ([ONE], [TWO], [])


def _name_of(branch: str) -> str:
    return sync._seen_at_url(branch).rpartition("/")[2]


# -- from an older lockbot


@pytest.fixture
def upgraded(world: World, tmp_path: Path) -> World:  # noqa: F811
    """A lockbot that has just been upgraded: its history is of version 2."""
    (tmp_path / "state").mkdir(mode=0o700)
    common = str((world.path / ".git").resolve())
    noon = "2026-11-22T12:00:00.000000+00:00"
    with closing(sqlite3.connect(tmp_path / "state" / "history.sqlite", isolation_level=None)) as raw:
        schema.migrate(raw, schema.MIGRATIONS[:2])
        raw.execute(RUN_OF_OLD, ("old-run", common, noon, "published", "main"))
        raw.execute(
            "INSERT INTO holds (repository, input, why, since) VALUES (?, 'a', 'because', ?)", (common, noon)
        )
    return world


@pytest.mark.parametrize("command", ["status", "release", "metrics", "history", "show", "healthcheck"])
def test_the_first_command_after_an_upgrade_finds_what_there_was(upgraded: World, command: str) -> None:
    """Whichever it is: a hold that is not seen is an input that moves."""
    match command:
        case "status":
            assert "held by you since 2026-11-22: because" in upgraded.run("status")
        case "release":
            assert "it was held: because" in upgraded.run("release", "a")
        case "metrics":
            assert 'reason="held-by-user"' in upgraded.run("metrics")
        case "history":
            assert "old-run" in upgraded.run("history")
        case "show":
            assert "old-run" in upgraded.run("show", "--json")
        case _:
            assert "published" in healthcheck.look(upgraded.app, healthcheck.Limits()).text


def test_every_flake_takes_over_a_hold(upgraded: World) -> None:
    for each in several(upgraded):
        assert "because" in each.run("status")
    upgraded.run("release", "a")
    assert "because" not in upgraded.run("status")
    assert "because" in on(upgraded, branch="next").run("status")


# -- files


def test_files_of_each(tmp_path: Path) -> None:
    keys = ["/r?ref=main", "/r?ref=next", "/r?ref=main&dir=x"]
    assert len({verdict_cache.file(tmp_path, key) for key in keys}) == 3
    assert verdict_cache.file(tmp_path, keys[0]) == tmp_path / f"answers-{digest(keys[0])}.json"


def test_kept_results_of_each(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    nix = installed.find(one_nix.environment, cancel, tmp_path / "data", {})
    place = tmp_path / "roots"
    for day in (1, 2):  # of an older lockbot
        (place / f"2026010{day}-000000-abcd").mkdir(parents=True)

    def keep(flake: str, day: int) -> None:
        gc_roots.keep(nix, place, flake, f"2026020{day}-000000-abcd", (), newest=2)

    def left(directory: Path) -> list[str]:
        return sorted(one.name[:8] for one in directory.iterdir() if one.name[8:9] == "-")

    keep("one", 1)
    assert left(place) == ["20260102"], "as before, but for the one whose place was taken"
    for day in (2, 3):
        keep("one", day)
    keep("other", 1)
    assert left(place) == []
    assert left(place / digest("one")) == ["20260202", "20260203"]
    assert left(place / digest("other")) == ["20260201"]


def test_no_results_are_kept_where_none_are_wanted(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    nix = installed.find(one_nix.environment, cancel, tmp_path / "data", {})
    place = tmp_path / "roots"
    place.mkdir()
    for day, newest in ((1, 2), (2, 2), (3, 0)):
        gc_roots.keep(nix, place, "one", f"2026020{day}-000000-abcd", (), newest=newest)
    assert list((place / digest("one")).iterdir()) == []


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (("20261127-001712-9055", "20261127-001712-0a11", "20261127-001712-00ff"), {"0a11", "00ff"}),
        (("20301127-000000-aaaa", "20301128-000000-bbbb", "20261127-000000-cccc"), {"bbbb", "cccc"}),
    ],
    ids=["of one second", "the clock was set back"],
)
def test_the_newest_results_are_kept_whatever_the_clock_said(
    names: tuple[str, ...], left: set[str], one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    nix = installed.find(one_nix.environment, cancel, tmp_path / "data", {})
    place = tmp_path / "roots"
    place.mkdir()
    for name in names:
        gc_roots.keep(nix, place, "one", name, (), newest=2)
    assert {entry.name[-4:] for entry in (place / digest("one")).iterdir()} == left
