"""What a run leaves in the ledger, the record and the commit is true, also where an input went another way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lockbot.app import Options
from lockbot.commands import hold, update
from lockbot.commands import status as standing
from lockbot.history.input_states import StateWord
from lockbot.lock.request import UpdateRequest
from lockbot.model import Outcome
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import Breakage, HostSpec, together
from tests.update.inside import World


def row(world: World, name: str) -> standing.Row:
    (found,) = [one for one in standing.look(world.app()).rows if one.input == name]
    return found


def test_a_commit_for_each_input_leaves_the_ledger_as_one_commit_does(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    each = {"LOCKBOT_SEARCH__ONE_COMMIT_PER_INPUT": "true"}
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a", "b"])], "ab", each)
    good = world.upstreams["b"].head()
    culprit = world.upstreams["b"].break_build(hosts=["web"])
    run = world.update()
    assert world.moved() == {"a": "2", "b": "2"}
    assert [held.revision for held in run.held] == [good]
    state = world.state("b")
    assert (state.state, state.reason) == (StateWord.HELD, "breaks")
    assert state.culprit is not None
    assert state.culprit.revision == culprit
    newest = row(world, "b").newest
    assert newest is not None
    assert newest.revision == culprit, "where the branch is, not what was pinned"
    first, second = (world.fleet.git("log", "-1", "--format=%B", ref) for ref in ("main~1", "main"))
    assert "Held back" not in first, "there, b is not yet where it stays"
    assert f"b stays at {good[:7]}" in second


def test_a_revision_that_was_asked_for_is_no_tip(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "a")
    upstream = world.upstreams["a"]
    asked, tip = upstream.head(), upstream.commit("third")
    world.update(settings={"LOCKBOT_POLICY__MINIMUM_AGE": "1d"})
    run = update.update(world.app(), UpdateRequest(None, {"a": f"{upstream.url}?rev={asked}"}), Options())
    assert run.outcome is Outcome.PUBLISHED
    assert world.moved() == {"a": "2"}
    found = row(world, "a")
    assert found.newest is not None
    assert found.newest.revision == tip
    assert found.behind


def test_the_search_lands_nothing_that_the_policy_refuses(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab")
    upstream = world.upstreams["a"]
    own = tmp_path / "own"
    own.mkdir()
    as_before = upstream.git("show", "main:flake.nix")
    good = upstream.commit("fine")
    upstream.commit(
        "brings a path",
        files={
            "flake.nix": f'{{ inputs.own = {{ url = "path:{own}"; flake = false; }};'
            "outputs = inputs: { lib.part = given: import ./part.nix given; }; }"
        },
    )
    upstream.break_build(hosts=["web"])
    upstream.commit("without it", files={"flake.nix": as_before})
    run = world.update()
    assert world.fleet.locked("a", "main") == good
    assert "own" not in world.fleet.lock("main")["nodes"]
    assert [held.revision for held in run.held] == [good]
    allowed = world.update(settings={"LOCKBOT_POLICY__NEW_PATH": "allow"})
    assert allowed.outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved()["a"] == "4"


def test_an_input_held_at_a_revision_goes_there_or_nowhere(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab")
    bad = world.upstreams["a"].break_build(hosts=["web"])
    world.upstreams["a"].fix()
    hold.hold(world.app(), "a", "only this one will do", None, bad)
    world.update()
    assert world.moved() == {"a": "1", "b": "2"}


def test_what_is_held_is_said_to_be_where_it_is(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a", "b"])], "ab")
    upstreams = world.upstreams
    at = upstreams["a"].head()
    upstreams["a"].commit("third")
    hold.hold(world.app(), "a", "the third is bad", None, at)
    run = world.update()
    assert world.moved() == {"a": "2", "b": "2"}
    assert [(held.input, held.revision) for held in run.held] == [("a", at)]
    assert f"a stays at {at[:7]}" in world.fleet.git("log", "-1", "--format=%B", "main")


def test_a_build_that_is_flaky_in_the_middle_of_a_search_puts_no_blame_on_an_input(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    flaky = Breakage("flaky", together({"a": "2", "b": "2", "c": "1"}))
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a", "b", "c"], failure=flaky)], "abc")
    world.upstreams["c"].reset(world.upstreams["c"].git("rev-list", "--max-parents=0", "main").strip())
    world.upstreams["c"].break_build(hosts=["web"])
    run = world.update()
    assert [held.input for held in run.held] == ["c"]
    assert world.moved() == {"a": "2", "b": "2", "c": "1"}
    assert any(note.startswith("flaky: host-web") for note in run.notes)


def test_a_group_is_blamed_as_one(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    group = {"LOCKBOT_GROUP": '[{"name": "g", "inputs": ["a", "b"], "strategy": "together"}]'}
    bad = Breakage("throw", together({"b": "2"}))
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a", "b"], failure=bad)], "abc", group)
    run = world.update()
    assert {held.input: held.detail.partition(":")[0] for held in run.held} == {
        "a": "breaks web, moving together with b",
        "b": "breaks web, moving together with a",
    }


def test_without_a_history_no_commit_is_blamed_for_sure(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab")
    wrapper = Wrapper(tmp_path / "wrappers", one_nix)
    wrapper.around("git", 'case "$*" in *--filter=tree:0*) echo "fatal: no such service" >&2; exit 128;; esac')
    locked = world.fleet.locked("a", "main")
    world.upstreams["a"].break_build(hosts=["web"])
    tip = world.upstreams["a"].commit("later")
    world.update(settings={"PATH": wrapper.path})
    assert world.moved() == {"a": "1", "b": "2"}
    bad = world.state("a").culprit
    assert bad is not None
    assert (bad.after, bad.revision, bad.exact) == (locked, tip, False)


def test_where_the_network_goes_away_the_run_says_so(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    bad = Breakage("throw", together({"b": "2"}))
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a", "b"], failure=bad)], "ab")
    wrapper = Wrapper(tmp_path / "wrappers", one_nix)
    lost = "error: unable to download 'https://example.org': Could not resolve host: example.org"
    once = tmp_path / "once"  # to lock the tips; then it is a search that asks
    asked = f'[ ! -e {once} ] && : > {once} || {{ echo "{lost}" >&2; exit 1; }}'
    wrapper.around("nix", f'case "$*" in *--override-input*) {asked};; esac')
    run = world.update(settings={"PATH": wrapper.path})
    assert run.outcome is Outcome.FAILED
    assert run.error is not None
    assert "Could not resolve host" in run.error
    assert world.update().outcome is Outcome.PARTLY_PUBLISHED


def test_a_revision_that_is_gone_upstream_does_not_end_the_search(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """A tip that was seen once and then was force-pushed away."""
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab", {"LOCKBOT_POLICY__REVISIONS": "tips"})
    upstream = world.upstreams["a"]
    young = {"LOCKBOT_POLICY__MINIMUM_AGE": "1d"}
    good = upstream.head()
    world.update(settings=young)
    upstream.commit("seen, then gone")
    world.update(settings=young)
    upstream.reset(good)
    upstream.git("reflog", "expire", "--expire=now", "--all")
    upstream.git("gc", "--quiet", "--prune=now")
    upstream.break_build(hosts=["web"])
    shutil.rmtree(Path(one_nix.environment["XDG_CACHE_HOME"]) / "nix", ignore_errors=True)
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.fleet.locked("a", "main") == good
    assert world.moved()["b"] == "2"


class Wrapper:
    """Programs on lockbot's PATH that do something else first."""

    def __init__(self, directory: Path, nix: nixes.Nix) -> None:
        directory.mkdir()
        self._directory = directory
        self._before = nix.environment["PATH"]
        self.path = f"{directory}{os.pathsep}{self._before}"

    def around(self, program: str, script: str) -> None:
        real = shutil.which(program, path=self._before)
        wrapper = self._directory / program
        wrapper.write_text(f'#!/bin/sh\nPATH={self._before}\n{script}\nexec {real} "$@"\n')
        wrapper.chmod(0o755)
