"""What flake.nix asks for and flake.lock has not is locked whatever else may move, with real Nix."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lockbot.errors import LockbotError, SurroundingsError
from lockbot.lock.propose import Limits, Proposal, propose
from lockbot.lock.request import UpdateRequest
from lockbot.model import ChangeKind
from lockbot.nix import installed
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import Fleet, HostSpec, Input, Upstream
from tests.lock.revisions import NoRevisions, anything
from tests.sampling import nix_by_turns
from tests.update.world import World

Old = Callable[[Upstream, Path], Input | None]
"""What flake.nix has asked for before, locked: an input that can't move, or none."""


def _path(_one: Upstream, tmp: Path) -> Input:
    local = tmp / "local"
    local.mkdir()
    (local / "flake.nix").write_text("{ outputs = _: { }; }\n")
    return Input(_one, name="old", url=f"path:{local}")


def _pinned(one: Upstream, _tmp: Path) -> Input:
    return Input(one, name="old", url=f"{one.url}?rev={one.head()}")


def _gone(one: Upstream, _tmp: Path) -> Input:
    return Input(one, name="old")


OLD: dict[str, Old] = {
    "none": lambda _one, _tmp: None,
    "path": _path,
    "pinned in flake.nix": _pinned,
    "apart": _gone,
    "gone upstream": _gone,
}


class Bench:
    def __init__(self, nix: nixes.Nix, tmp: Path, cancel: CancelToken, old: str) -> None:
        self.one, self.new = Upstream.create(tmp, "old"), Upstream.create(tmp, "new")
        made = OLD[old](self.one, tmp)
        self.inputs: Sequence[Input | Upstream] = [made] if made is not None else []
        self.fleet = Fleet.create(tmp / "fleet", nix, inputs=self.inputs)
        self.lock = self.fleet.flake / "flake.lock"
        if made is None:  # as Nix leaves it when the last input is removed
            self.lock.write_text('{\n  "nodes": {\n    "root": {}\n  },\n  "root": "root",\n  "version": 7\n}\n')
            self.fleet.commit({}, "no inputs any more")
        if old == "gone upstream":
            shutil.rmtree(self.one.path)
        self.request = UpdateRequest(apart=frozenset({"old"} if old == "apart" else ()))
        self._nix = installed.find(nix.environment, cancel, tmp / "data", {})

    def ask_for_more(self) -> None:
        self.fleet.declare(inputs=[*self.inputs, self.new])

    def propose(self) -> Proposal:
        return propose(
            self._nix,
            self.fleet.flake,
            self.request,
            Limits(60, retries=0),
            lambda _: None,
            NoRevisions(),
            anything(self._nix),
        )


@nix_by_turns("old", {name: name for name in OLD})
def test_what_is_lacking_is_locked_though_nothing_can_move(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, old: str
) -> None:
    bench = Bench(nix, tmp_path, cancel, old)
    bench.ask_for_more()
    (change,) = bench.propose().changes
    assert (change.input, change.kind) == ("new", ChangeKind.ADDED)
    assert bench.fleet.locked("new") == bench.new.head()


@nix_by_turns("old", {name: name for name in OLD if name != "gone upstream"})
def test_where_nothing_is_lacking_the_lock_stays(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, old: str
) -> None:
    bench = Bench(nix, tmp_path, cancel, old)
    before, text = bench.lock.stat(), bench.lock.read_bytes()
    assert bench.propose().changes == ()
    after = bench.lock.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert bench.lock.read_bytes() == text


@nix_by_turns("old", {name: name for name in OLD})
def test_what_is_lacking_and_cannot_be_had_is_no_success(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, old: str
) -> None:
    bench = Bench(nix, tmp_path, cancel, old)
    bench.ask_for_more()
    before = bench.lock.read_bytes()
    shutil.rmtree(bench.new.path)
    with pytest.raises(LockbotError):
        bench.propose()
    assert bench.lock.read_bytes() == before


@nix_by_turns("old", {name: name for name in OLD if name != "gone upstream"})
def test_what_is_lacking_and_no_flake_is_no_success(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, old: str
) -> None:
    bench = Bench(nix, tmp_path, cancel, old)
    bench.ask_for_more()
    bench.new.commit("half a file", files={"flake.nix": "{ inputs = \n"})
    before = bench.lock.read_bytes()
    with pytest.raises(LockbotError, match="cannot lock the flake") as caught:
        bench.propose()
    assert not isinstance(caught.value, SurroundingsError), "waiting mends nothing"
    assert bench.lock.read_bytes() == before


def test_what_is_lacking_is_published_by_any_run(nix: nixes.Nix, tmp_path: Path) -> None:
    """A run of the rest, while the only locked input is in a group that is left apart; then one of nothing."""
    world = World.create(nix, tmp_path, inputs="a", hosts=[])
    world.settings["[group]"] = 'name = "g"\ninputs = ["a"]'
    b = Upstream.create(tmp_path, "b")
    world.fleet.declare(inputs=[world.upstreams["a"], b], hosts=[HostSpec("web", ["a", "b"])])
    world.upstreams["a"].commit("not now")
    was = world.fleet.locked("a")
    result = world.update("--apart-from", "g")
    assert result["outcome"] == "published", result.stderr
    assert [change["input"] for change in result["changes"]] == ["b"]
    assert (world.fleet.locked("a", "main"), world.fleet.locked("b", "main")) == (was, b.head())
    assert world.update("--apart-from", "g")["outcome"] == "unchanged"
