"""Inputs as users have them, kind by kind: names that Nix's command line refuses, tips that can't be locked,
checkouts with changes in them, files and tarballs, and the flake that is an input of itself."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests import nixes
from tests.fleet import Fleet, HostSpec, Input, Upstream
from tests.nixes import git_environment
from tests.sampling import nix_by_turns, some
from tests.update.world import World, finish
from tests.upstream import run_git

NAMES = (
    "x.y", "_1pass", "1x", "ünï", "co:lon", 'quo"te', "a/b", "a%2Fb", "x y", "a#b", "a?b", "${x}", "-x", ".",
    "--all", "back\\slash", "it's", "<b>",
)  # fmt: skip
"""What flake.nix takes and Nix's command line does not."""


# -- names ----------------------------------------------------------------------------------------------------


@pytest.fixture
def named(nix: nixes.Nix, tmp_path: Path) -> World:
    """A fleet in which b stands under each of the names."""
    return world_of_names(nix, tmp_path, NAMES)


def world_of_names(nix: nixes.Nix, tmp_path: Path, names: Sequence[str]) -> World:
    """Each name is used by a host of its own."""
    a, b = (Upstream.create(tmp_path, name) for name in "ab")
    inputs = [Input(a), *(Input(b, name) for name in names)]
    hosts = [HostSpec("web", ["a"]), *(HostSpec(f"h{number}", [name]) for number, name in enumerate(names))]
    return world_of(nix, tmp_path, {"a": a, "b": b}, inputs, hosts)


def world_of(
    nix: nixes.Nix, tmp_path: Path, upstreams: dict[str, Upstream], inputs: list[Any], hosts: list[HostSpec]
) -> World:
    world = World.create(nix, tmp_path / "world", inputs="", hosts=[])
    world.upstreams = upstreams
    shutil.rmtree(world.fleet.path)
    world.fleet = Fleet.create(world.fleet.path, nix, inputs=inputs, hosts=hosts)
    return world


def test_inputs_of_any_name_move(named: World) -> None:
    new = {name: upstream.commit("more") for name, upstream in named.upstreams.items()}
    result = named.update()
    assert (result.code, result["outcome"]) == (0, "published"), result.stderr
    assert named.locked("a") == new["a"]
    assert {name: named.locked(name) for name in NAMES} == dict.fromkeys(NAMES, new["b"])
    written = (named.fleet.flake / "flake.lock").read_bytes()
    named.nix.run("nix", "flake", "lock", cwd=named.fleet.flake)
    assert (named.fleet.flake / "flake.lock").read_bytes() == written, "as Nix itself writes it"
    named.nix.run("nix", "flake", "update", cwd=named.fleet.flake)
    assert (named.fleet.flake / "flake.lock").read_bytes() == written
    assert named.update()["outcome"] == "unchanged"
    named.check()


def test_inputs_of_any_name_are_held_by_it(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """The newest revision that builds is taken of each whose host breaks with the newest of all."""
    names = ("x.y", "a/b", "plain")
    named = world_of_names(one_nix, tmp_path, names)
    good = named.upstreams["b"].commit("good")
    bad = named.upstreams["b"].break_build(hosts=["h0", "h1"])
    new = named.upstreams["a"].commit("more")
    result = named.update()
    assert (result.code, result["outcome"]) == (0, "partly published"), result.stderr
    assert sorted(result.held) == ["a%2Fb", "x.y"]
    assert [named.locked(name) for name in ("a", *names)] == [new, good, good, bad]


def test_an_input_of_any_name_is_asked_for_and_pinned(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """By hand, too; and what it brings along (nested inputs, what they follow) is as Nix has it."""
    leaf = Upstream.create(tmp_path, "leaf")
    a = Upstream.create(tmp_path, "a")
    b = Upstream.create(tmp_path, "b", inputs={"leaf": leaf, "o.ther": leaf, "mine": leaf})
    inputs = [Input(a), Input(b, "x.y", follows={"mine": "a"}), Input(b, "plain", follows={"mine": "a"})]
    world = world_of(one_nix, tmp_path, {"a": a, "b": b}, inputs, [HostSpec("web", ["x.y"])])
    first = b.commit("more", files={"one": "1"})
    leaf.commit("more")
    b.commit("and more")
    assert world.update("--override-input", "x.y", f"{b.url}?rev={first}")["outcome"] == "published"
    assert world.locked("x.y") == first
    assert world.update("--input", "x.y", "--input", "plain")["outcome"] == "published"
    nodes = world.fleet.lock("main")["nodes"]
    odd, plain = (nodes[nodes["root"]["inputs"][name]] for name in ("x.y", "plain"))
    assert odd["locked"] == plain["locked"]
    assert odd["inputs"]["mine"] == plain["inputs"]["mine"] == ["a"]
    assert nodes[odd["inputs"]["leaf"]] == nodes[plain["inputs"]["leaf"]]
    leaf.commit("once more")
    nested = world.update("--input", "plain/o.ther")
    assert nested["outcome"] == "published", nested.stderr
    nodes = world.fleet.lock("main")["nodes"]
    assert nodes[nodes[nodes["root"]["inputs"]["plain"]]["inputs"]["o.ther"]]["locked"]["rev"] == leaf.head()


# -- tips that can't be locked --------------------------------------------------------------------------------

_OUTPUTS = "outputs = inputs: { lib.part = given: import ./part.nix given; };"
UNLOCKABLE: dict[str, dict[str, str]] = {
    "a syntax error": {"flake.nix": "{ outputs = { self : }; }"},
    "no text at all": {"flake.nix": ""},
    "no outputs": {"flake.nix": "{ }"},
    "inputs that are no literals": {"flake.nix": "{ inputs = builtins.abort \"no\"; " + _OUTPUTS + " }"},
    "an unknown attribute": {"flake.nix": "{ input.x.url = \"path:./x\"; " + _OUTPUTS + " }"},
    "a dead input": {"flake.nix": "{ inputs.dead.url = \"git+file:///nowhere/at/all\"; " + _OUTPUTS + " }"},
    "an input of the registry": {"flake.nix": "{ inputs.dead.url = \"flake:nowhere\"; " + _OUTPUTS + " }"},
    "a merge's markers in its own lock": {
        "flake.lock": "<<<<<<< HEAD\n{}\n=======\n",
        "flake.nix": "{ inputs.x.url = \"git+file:///nowhere\"; " + _OUTPUTS + " }",
    },
    "its own lock of a newer version": {
        "flake.lock": '{"version": 99, "root": "root", "nodes": {"root": {}}}',
        "flake.nix": "{ " + _OUTPUTS + " }",
    },
}  # fmt: skip


@nix_by_turns("kind", {kind: kind for kind in UNLOCKABLE})
def test_a_tip_that_cannot_be_locked(kind: str, nix: nixes.Nix, tmp_path: Path) -> None:
    """The newest revision that can be is taken, the commit that is in the way is named, the others land."""
    world = World.create(nix, tmp_path / "world", inputs="ab")
    world.settings["policy"] = 'new_path = "allow"'  # else the dead input is refused, as one of this machine's
    a, b = world.upstreams["a"], world.upstreams["b"]
    good = b.history(["good"] * 3)[-1]
    bad = b.commit("does not lock", files=UNLOCKABLE[kind])
    b.commit("nor does this")
    new = a.commit("more")
    result = world.update()
    assert (result.code, result["outcome"]) == (0, "partly published"), result.stderr
    assert (world.locked("a"), world.locked("b")) == (new, good)
    (held,) = result["held"]
    assert (held["input"], held["reason"], held["revision"]) == ("b", "cannot-be-locked", good)
    assert bad[:7] in held["detail"], held
    assert "does not lock" in held["detail"]


def test_a_tip_that_cannot_be_locked_is_said_each_time(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path / "world", inputs="a")
    a = world.upstreams["a"]
    a.commit("does not lock", files=UNLOCKABLE["a syntax error"])
    for _ in range(2):
        again = world.update()
        assert (again.code, again["outcome"], again.held) == (1, "rejected", ["a"]), again.stderr
    status = finish(world.start(argv=world.argv("status", "--json"))).document
    assert "cannot-be-locked" in json.dumps(status)
    fixed = a.commit("locks", files={"flake.nix": "{ " + _OUTPUTS + " }"})
    assert world.update()["outcome"] == "published"
    assert world.locked("a") == fixed
    world.check()


def test_a_revision_that_locks_still_has_to_build(nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(nix, tmp_path / "world", inputs="ab")
    b = world.upstreams["b"]
    good = b.commit("good")
    b.break_build()
    b.commit("does not lock", files=UNLOCKABLE["a syntax error"])
    result = world.update()
    assert result["outcome"] == "partly published", result.stderr
    assert world.locked("b") == good
    assert {held["reason"] for held in result["held"] if held["input"] == "b"} == {"cannot-be-locked", "breaks"}


def test_what_is_taken_instead_of_a_tip_waits_for_its_age_like_any(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path / "world", inputs="a")
    world.settings["policy"] = 'minimum_age = "2s"'
    a = world.upstreams["a"]
    good = a.commit("good")
    a.commit("does not lock", files=UNLOCKABLE["a syntax error"])
    first = world.update()
    assert {held["reason"] for held in first["held"]} == {"cannot-be-locked", "waiting-for-age"}, first.stderr
    time.sleep(2)
    assert world.update()["outcome"] == "partly published"
    assert world.locked("a") == good


def test_an_odd_name_that_cannot_be_locked_is_told_by_its_name(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = world_of_names(one_nix, tmp_path, ["x.y"])
    good = world.upstreams["b"].commit("good")
    world.upstreams["b"].commit("does not lock", files=UNLOCKABLE["a syntax error"])
    result = world.update()
    assert world.locked("x.y") == good, result.stderr
    (held,) = result["held"]
    assert "(in x.y, " in held["detail"], held


def test_an_odd_name_that_is_gone_or_means_something_else(nix: nixes.Nix, tmp_path: Path) -> None:
    """flake.nix has moved on, and the lock has not: what it no longer has goes, what it says now is there."""
    a, b, c = (Upstream.create(tmp_path, name) for name in "abc")
    inputs = [Input(a), Input(b, "x.y"), Input(b, "1x"), Input(b, "a:b")]
    world = world_of(nix, tmp_path, {"a": a, "b": b, "c": c}, inputs, [HostSpec("web", ["a"])])
    world.settings["policy"] = 'origin = "allow"'
    world.fleet.declare(inputs=[Input(a), Input(b, "_new"), Input(c, "1x"), Input(b, "a:b")])
    new = {name: upstream.commit("more") for name, upstream in world.upstreams.items()}
    result = world.update()
    assert result["outcome"] == "published", result.stderr
    assert world.fleet.lock("main")["nodes"]["root"]["inputs"].keys() == {"a", "_new", "1x", "a:b"}
    assert [world.locked(name) for name in ("a", "_new", "1x", "a:b")] == [new[name] for name in "abcb"]


def test_a_flake_that_cannot_be_locked_itself_blames_no_input(nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(nix, tmp_path / "world", inputs="ab")
    flake = (world.fleet.flake / "flake.nix").read_text()
    world.fleet.commit({"flake.nix": flake.replace("outputs =", "outputs : =")}, "broken by its owner")
    before = world.head()
    world.upstreams["a"].commit("more")
    result = world.update()
    assert (result.code, result["outcome"], result["held"]) == (3, "failed", []), result.stderr
    assert "syntax error" in result["error"]
    assert world.head() == before


# -- checkouts with changes in them ---------------------------------------------------------------------------


class Checkout:
    """An input that is a person's own work tree."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._environment = git_environment(path.parent / "home")
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", ".")
        self.commit("first")

    def git(self, *arguments: str) -> str:
        return run_git(self.path, self._environment, *arguments)

    def commit(self, text: str, inputs: str = "") -> str:
        (self.path / "flake.nix").write_text(f"{{ {inputs} outputs = _: {{ }}; }} # {text}\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", text)
        return self.git("rev-parse", "HEAD").strip()

    def scribble(self) -> None:
        with (self.path / "flake.nix").open("a") as file:
            file.write(f"# {time.time()}\n")


@pytest.fixture
def lib(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "lib")


def with_checkout(nix: nixes.Nix, tmp_path: Path, lib: Checkout) -> World:
    a = Upstream.create(tmp_path, "a")
    inputs = [Input(a), Input(a, "lib", url=f"git+file://{lib.path}")]
    return world_of(nix, tmp_path, {"a": a}, inputs, [HostSpec("web", ["a"])])


def _modified(lib: Checkout) -> None:
    lib.scribble()


def _staged(lib: Checkout) -> None:
    lib.scribble()
    lib.git("add", "--all")


def _removed(lib: Checkout) -> None:
    (lib.path / "flake.nix").unlink()


@pytest.mark.parametrize("dirty", some([_modified, _staged, _removed], 2))
def test_a_checkout_with_changes_is_held(
    one_nix: nixes.Nix, tmp_path: Path, lib: Checkout, dirty: Callable[[Checkout], None]
) -> None:
    hold_a_checkout(with_checkout(one_nix, tmp_path, lib), lib, dirty)


@nix_by_turns("old", {"": False, "without allow-dirty-locks": True})
def test_a_checkout_with_changes_is_held_by_any_nix(
    nix: nixes.Nix, tmp_path: Path, lib: Checkout, old: bool
) -> None:
    world = with_checkout(nix, tmp_path, lib)
    if old:  # an older Nix, or Lix: it writes no such lock, whatever it is told, and ends well
        world.wrap(
            "nix",
            """
            left=$#
            while [ $left -gt 0 ]; do
              one=$1; shift; left=$((left - 1))
              if [ "$one $1" = "--option allow-dirty-locks" ]; then shift 2; left=$((left - 2))
              else set -- "$@" "$one"; fi
            done
            exec $real "$@"
            """,
        )
    hold_a_checkout(world, lib, _modified)


def hold_a_checkout(world: World, lib: Checkout, dirty: Callable[[Checkout], None]) -> None:
    dirty(lib)
    before = world.locked("lib")
    new = world.upstreams["a"].commit("more")
    result = world.update()
    assert (result["outcome"], result.held) == ("partly published", ["lib"]), result.stderr
    assert (world.locked("a"), world.locked("lib")) == (new, before)
    assert "not committed" in result["held"][0]["detail"]
    nothing = world.update()
    assert (nothing.code, nothing["outcome"], nothing.held) == (0, "unchanged", ["lib"]), "and never a silent one"
    done = lib.commit("done")
    assert world.update()["outcome"] == "published"
    assert world.locked("lib") == done


def test_a_lock_that_names_a_checkout_with_changes(nix: nixes.Nix, tmp_path: Path, lib: Checkout) -> None:
    """Committed so with allow-dirty-locks: never a commit each night; others land; clean again, it moves."""
    world = with_checkout(nix, tmp_path, lib)
    lib.scribble()
    nix.run("nix", "flake", "update", "--option", "allow-dirty-locks", "true", cwd=world.fleet.flake)
    world.fleet.commit({}, "dirty")
    world.environment["NIX_CONFIG"] = "allow-dirty-locks = true"  # else 2.26 evaluates no such flake
    assert "rev" not in world.fleet.lock()["nodes"]["lib"]["locked"]
    lib.scribble()
    nothing = world.update()
    assert (nothing["outcome"], nothing.held) == ("unchanged", ["lib"]), nothing.stderr
    world.upstreams["a"].commit("more")
    result = world.update()
    assert result.held == ["lib"], (result.stderr, result.document)
    assert world.locked("a") == world.upstreams["a"].head(), (result.stderr, result.document)
    clean = lib.commit("clean")
    world.update()
    assert world.locked("lib") == clean


def test_an_input_of_an_input_with_changes(nix: nixes.Nix, tmp_path: Path, lib: Checkout) -> None:
    """What a moves to reads a checkout: a is held, not taken with what nobody else can fetch."""
    world = World.create(nix, tmp_path / "world", inputs="ab")
    world.settings["policy"] = 'new_path = "allow"'
    lib.scribble()
    outputs = f'{{ inputs.lib.url = "git+file://{lib.path}"; {_OUTPUTS} }}'
    world.upstreams["b"].commit("reads a checkout", files={"flake.nix": outputs})
    new, before = world.upstreams["a"].commit("more"), world.locked("b")
    result = world.update()
    assert result.held == ["b"], result.stderr
    assert (world.locked("a"), world.locked("b")) == (new, before)


# -- files and tarballs ---------------------------------------------------------------------------------------


class Shelf:
    """A file and a tarball, served from this machine's disk."""

    def __init__(self, directory: Path, suffix: str) -> None:
        self.directory = directory
        self.file, self.tarball = directory / "text.nix", directory / f"t{suffix}"
        directory.mkdir()

    def put(self, value: str, *, breaks: str = "") -> None:
        content = self.directory / "content"
        content.mkdir(exist_ok=True)
        command = "exit 1" if breaks == "t" else "echo $out >$out"
        (content / "default.nix").write_text(f'{{ name = "t-{value}"; command = "{command}"; }}')
        (self.file).write_text(json.dumps(f"{'exit 1;' if breaks == 'f' else ''} # {value}"))
        with tarfile.open(self.tarball, "w:gz") as archive:
            archive.add(content, "t")

    def world(self, nix: nixes.Nix, tmp_path: Path, at: str = "") -> World:
        """`at`: where the directory is served; else they are read from the disk."""
        world = World.create(nix, tmp_path / "world", inputs="a")
        path = world.fleet.flake / "flake.nix"
        where = at or f"file://{self.directory}"
        urls = {"f": f"file+{where}/{self.file.name}", "t": f"tarball+{where}/{self.tarball.name}"}
        declared = "".join(f'{name} = {{ url = "{url}"; flake = false; }};' for name, url in urls.items())
        outputs = """outputs = inputs: let fleet = import ./fleet.nix inputs; t = import inputs.t;
          host = name: text:
          { config.system.build.toplevel = derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh";
            args = [ "-c" text ]; }; }; in fleet // { nixosConfigurations = fleet.nixosConfigurations // {
            f = host "f" (import inputs.f + "\\necho >$out"); t = host t.name t.command; }; };"""
        text = path.read_text().replace("inputs = {", "inputs = {" + declared, 1)
        path.write_text(text.replace("outputs = inputs: import ./fleet.nix inputs;", outputs))
        world.nix.run("nix", "flake", "lock", cwd=world.fleet.flake)
        world.fleet.commit({}, "files and tarballs")
        return world


def hashes(world: World) -> dict[str, str]:
    nodes = world.fleet.lock("main")["nodes"]
    return {name: nodes[name]["locked"]["narHash"] for name in ("f", "t")}


@nix_by_turns(
    ("breaks", "suffix"),
    {"-f": ("f", ".tar.gz"), "-t": ("t", ".tar.gz"), "-t, bare": ("t", ""), "-none": ("", ".tgz")},
)
def test_files_and_tarballs_are_what_they_are(nix: nixes.Nix, tmp_path: Path, breaks: str, suffix: str) -> None:
    """The one that breaks a host is held, the other lands, though none of them has a commit to be pinned to."""
    shelf = Shelf(tmp_path / "shelf", suffix)
    shelf.put("1")
    world = shelf.world(nix, tmp_path)
    old = hashes(world)
    shelf.put("2", breaks=breaks)
    result = world.update()
    assert result["outcome"] == ("partly published" if breaks else "published"), result.stderr
    assert result.held == ([breaks] if breaks else [])
    new = hashes(world)
    assert {name for name in old if new[name] == old[name]} == {breaks} - {""}
    assert "unknown" not in json.dumps(result.document["held"])
    kinds = {name: world.fleet.lock("main")["nodes"][name]["locked"]["type"] for name in old}
    assert kinds == {"f": "file", "t": "tarball"}


def test_what_was_fetched_in_the_future_is_asked_for_again(nix: nixes.Nix, tmp_path: Path) -> None:
    """After a clock was set back, Nix takes what it has seen for fresh as long as the clock had been ahead."""
    nix = nixes.prepare(nixes.Installed(nix.bin, nix.version), tmp_path / "nix")
    shelf = Shelf(tmp_path / "shelf", ".tar.gz")
    shelf.put("1")
    with served(shelf.file) as url:
        world = shelf.world(nix, tmp_path, url.rpartition("/")[0])
        world.upstreams["a"].commit("seen")
        assert world.update()["outcome"] == "published"
        cache, tomorrow = Path(nix.environment["XDG_CACHE_HOME"]), int(time.time()) + 86400
        for path in cache.rglob("*"):
            os.utime(path, (tomorrow, tomorrow))
        (remembered,) = cache.glob("nix/fetcher-cache-*.sqlite")
        with closing(sqlite3.connect(remembered)) as connection:
            connection.execute("UPDATE Cache SET timestamp = ?", (tomorrow,))
            connection.commit()
        old, new = hashes(world), world.upstreams["a"].commit("newer")
        shelf.put("2")
        assert world.update()["outcome"] == "published"
    assert world.locked("a") == new
    assert {name for name in old if hashes(world)[name] == old[name]} == set()


# -- the flake as an input of itself --------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "query"), [("local", "?ref=main"), ("remote", "")])
def test_the_flake_itself_is_no_news_to_itself(one_nix: nixes.Nix, tmp_path: Path, kind: str, query: str) -> None:
    world = World.create(one_nix, tmp_path / "world", inputs="a", kind=kind)
    where = world.remote or world.fleet.path
    text = (world.fleet.flake / "flake.nix").read_text()
    me = f'inputs = {{ me = {{ url = "git+file://{where}{query}"; flake = false; }};'
    world.fleet.commit({"flake.nix": text.replace("inputs = {", me, 1)}, "itself")
    if world.remote:
        world.fleet.git("push", "--quiet")
    one_nix.run("nix", "flake", "lock", cwd=world.fleet.flake)
    world.fleet.commit({}, "locked")
    if world.remote:
        world.fleet.git("push", "--quiet")
    world.upstreams["a"].commit("more")
    first = world.update()
    assert "published" in first["outcome"], first.stderr
    published = world.head()
    for _ in range(2):
        result = world.update()
        assert (result["outcome"], result.held) == ("unchanged", ["me"]), result.stderr
        assert "this repository itself" in result["held"][0]["detail"]
        assert world.head() == published
    own = world.fleet.commit({"more": "x"}, "a person's")
    if world.remote:
        world.fleet.git("push", "--quiet")
    assert world.update()["outcome"] == "published", "what a person committed is news"
    assert world.locked("me") == own
    assert world.update()["outcome"] == "unchanged"


def test_no_test_left_a_flake_behind(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """The small flakes that odd names are locked in are gone, whatever became of it."""
    a = Upstream.create(tmp_path, "a")
    world = world_of(one_nix, tmp_path, {"a": a}, [Input(a, "x.y")], [HostSpec("web", ["x.y"])])
    a.commit("more")
    world.update()
    a.commit("bad", files=UNLOCKABLE["a syntax error"])
    world.update()
    assert not list((world.directory / "tmp").iterdir())


# -- what hostile worlds found ---------------------------------------------------------------------------------


def test_a_flake_that_was_never_locked_and_reads_a_checkout_with_changes(
    nix: nixes.Nix, tmp_path: Path, lib: Checkout
) -> None:
    """Without that input there is no lock: a failure, which names it and blames nobody else."""
    a = Upstream.create(tmp_path, "a")
    hosts = [HostSpec("web", ["a"])]
    world = world_of(nix, tmp_path, {"a": a}, [Input(a)], hosts)
    a.commit("more")
    lib.scribble()
    world.fleet.declare(inputs=[Input(a), Input(a, "lib", url=f"git+file://{lib.path}")])
    before = world.head()
    result = world.update()
    assert (result.code, result["outcome"], result["held"]) == (3, "failed", []), result.stderr
    assert "cannot lock lib" in result["error"]
    assert str(lib.path) in result["error"]
    world.fleet.git("rm", "--quiet", "flake.lock")
    before = world.fleet.commit({}, "no lock")
    result = world.update()
    assert (result.code, result["outcome"], result["held"]) == (3, "failed", []), result.stderr
    assert "lib" in result["error"]
    assert world.head() == before


def test_a_checkout_without_a_commit_is_held(nix: nixes.Nix, tmp_path: Path, lib: Checkout) -> None:
    world = with_checkout(nix, tmp_path, lib)
    world.settings["policy"] = 'backwards = "allow"'
    before = world.locked("lib")
    shutil.rmtree(lib.path / ".git")
    lib.git("init", "--quiet", "--initial-branch=main", ".")
    lib.git("add", "--all")
    new = world.upstreams["a"].commit("more")
    result = world.update()
    assert [(held["input"], held["reason"]) for held in result["held"]] == [("lib", "unlocked")], result.document
    assert (world.locked("a"), world.locked("lib")) == (new, before)


def test_a_server_that_is_down_is_nobodys_fault(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """What b has brought along all the time can't be reached tonight: no commit of b's is to blame."""
    text = tmp_path / "text"
    text.write_text("x")
    with served(text) as url:
        outputs = f'{{ inputs.x = {{ url = "file+{url}"; flake = false; }}; {_OUTPUTS} }}'
        world = World.create(one_nix, tmp_path / "world", inputs="ab")
        b = world.upstreams["b"]
        b.commit("brings a file along", files={"flake.nix": outputs})
        assert world.update()["outcome"] == "published"
    b.commit("more")
    new = world.upstreams["a"].commit("more")
    result = world.update()
    assert world.locked("a") == new, result.stderr
    (held,) = result["held"]
    assert (held["input"], held["reason"], held["culprit"]) == ("b", "fetch-failed", None), held
    assert world.update()["outcome"] == "unchanged"


@contextlib.contextmanager
def served(file: Path) -> Iterator[str]:
    """A file at an address of this machine's, for as long as the context lasts."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(file.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{file.name}"
        finally:
            server.shutdown()


def test_a_tip_that_cannot_be_locked_above_what_breaks_and_what_is_held(
    one_nix: nixes.Nix, tmp_path: Path
) -> None:
    """What is said fits what is done: nothing "moved" that did not, and whoever keeps it back is told."""
    world = World.create(one_nix, tmp_path / "world", inputs="ab")
    a, b = world.upstreams["a"], world.upstreams["b"]
    start = world.locked("b")
    newer = b.commit("newer")
    tip = b.commit("does not lock", files=UNLOCKABLE["a syntax error"])
    order(world, "hold", "b", "--why", "no")
    held = world.update()
    assert (held.code, held["outcome"], world.locked("b")) == (0, "unchanged", start), held.document
    assert {one["reason"] for one in held["held"]} == {"held-by-user"}
    order(world, "hold", "b", "--at", newer, "--why", "this one")
    a.commit("more")
    assert "published" in world.update()["outcome"]
    assert world.locked("b") == newer
    order(world, "release", "b")
    last = world.update()
    assert (last.code, last["outcome"]) == (1, "rejected"), last.document
    (item,) = last["held"]
    assert (item["culprit"]["revision"], item["culprit"]["hosts"]) == (tip, []), "named each night"
    status = finish(world.start(argv=world.argv("status", "--json"))).document
    assert "flake.lock" not in json.dumps(status)


def order(world: World, *words: str) -> None:
    process = world.start(argv=world.argv(*words))
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_an_error_in_an_input_says_in_which_and_where(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path / "world", inputs="ab")
    c = Upstream.create(tmp_path, "c")
    c.commit("does not lock", files=UNLOCKABLE["a syntax error"])
    world.fleet.declare(inputs=[*world.upstreams.values(), c])
    result = world.update()
    assert result["outcome"] == "failed"
    assert "(in c, " in result["error"], result["error"]
    assert "flake.nix:1:" in result["error"]


def test_a_tarball_packed_anew_is_no_news(nix: nixes.Nix, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf", ".tar.gz")
    shelf.put("1")
    world = shelf.world(nix, tmp_path)
    before = world.head()
    for _ in range(2):
        time.sleep(1.1)  # its files are a second younger
        (shelf.directory / "content/default.nix").touch()
        shelf.put("1")
        assert world.update()["outcome"] == "unchanged"
    assert world.head() == before


def test_submodules_that_are_gone_at_the_tip(one_nix: nixes.Nix, tmp_path: Path) -> None:
    world = World.create(one_nix, tmp_path / "world", inputs="a")
    b = Upstream.create(tmp_path, "b")
    url = f"{b.url}?submodules=1"
    world.fleet.declare(inputs=[world.upstreams["a"], Input(b, url=url)])
    assert world.update()["outcome"] in ("published", "unchanged")
    good = b.commit("good")
    b.commit("a submodule that is gone", files={".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = /nowhere\n'})
    tree = b.git("ls-tree", "HEAD").splitlines()
    listing = "\n".join([*tree, f"160000 commit {good}\tx"]) + "\n"
    made = subprocess.run(
        ["git", "mktree", "--missing"], cwd=b.path, input=listing, capture_output=True, text=True, check=True
    ).stdout.strip()
    identity = ("-c", "user.name=U", "-c", "user.email=u@example.org")
    tip = b.git(*identity, "commit-tree", made, "-p", "HEAD", "-m", "a submodule that is gone").strip()
    b.git("update-ref", "refs/heads/main", tip)
    result = world.update()
    assert result.held == ["b"], result.document
    assert world.locked("b") in (good, b.git("rev-parse", "main~1").strip())


def test_a_full_disk_that_cuts_the_lock_off_is_called_by_its_name(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """Nix leaves an empty flake.lock then: that is no input's fault, nor the lock's."""
    world = World.create(one_nix, tmp_path / "world", inputs="ab")
    world.upstreams["a"].commit("more")
    world.wrap(
        "nix",
        """
        if [ "$1 $2" = "flake update" ]
        then : >flake.lock; echo "error: writing to file: No space left on device" >&2; exit 1; fi
        exec $real "$@"
        """,
    )
    result = world.update()
    assert (result.code, result["outcome"], result["held"]) == (3, "failed", []), result.document
    assert "No space left on device" in result["error"]


def test_an_input_that_is_gone_and_does_not_move_stops_nobody(one_nix: nixes.Nix, tmp_path: Path) -> None:
    """Its own flake.nix has a `follows`, for which lockbot would look at it again."""
    world = World.create(one_nix, tmp_path, inputs="ab")
    b, leaf = world.upstreams["b"], Upstream.create(tmp_path, "leaf")
    inputs = f'leaf.url = "{leaf.url}"; other.follows = "leaf";'
    flake = f"{{ inputs = {{ {inputs} }}; outputs = _: {{ lib.part = import ./part.nix; }}; }}\n"
    b.commit("follows", files={"flake.nix": flake})
    world.settings["policy"] = 'new_path = "allow"'
    first = world.update()
    assert first["outcome"] == "published", first
    b.path.rename(tmp_path / "gone")
    new = world.upstreams["a"].commit("newer")
    run = world.update()
    assert world.locked() == new, run
    assert [(one["input"], one["reason"]) for one in run["held"]] == [("b", "fetch-failed")]
