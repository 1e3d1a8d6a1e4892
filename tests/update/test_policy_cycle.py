"""Policy in real runs: what may not move stays, the others go on, and the ledger says why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from lockbot.commands import hold
from lockbot.history.input_states import StateWord, UserHold
from lockbot.model import HostStatus, Outcome
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import Breakage, HostSpec, Input, Upstream, together
from tests.update.inside import World


def test_nothing_is_taken_before_its_age(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab")
    rule = {"LOCKBOT_POLICY__MINIMUM_AGE": "3d"}
    run = world.update(settings=rule)
    assert run.outcome is Outcome.UNCHANGED, "waiting is no error"
    assert {item.reason for item in run.held} == {"waiting-for-age"}
    assert world.moved() == {"a": "1", "b": "1"}
    assert world.state("a").state is StateWord.WAITING_FOR_AGE
    assert world.state("a").next_try is not None
    due = world.state("a").next_try
    world.now += timedelta(days=2)
    world.upstreams["a"].commit("third")
    run = world.update(settings=rule)
    assert world.state("a").next_try == due, "the second is old enough then, whatever came after it"
    (waiting,) = [item.detail for item in run.held if item.input == "a"]
    assert due is not None and f"first at {due:%Y-%m-%d %H:%M} UTC" in waiting
    world.now += timedelta(days=1, minutes=5)
    run = world.update(settings=rule)
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved() == {"a": "2", "b": "2"}, "the newest that is old enough; a's third is a day old"
    assert world.state("a").state is StateWord.WAITING_FOR_AGE
    world.now += timedelta(days=3)
    assert world.update(settings=rule).outcome is Outcome.PUBLISHED
    assert world.moved() == {"a": "3", "b": "2"}


def test_a_backdated_commit_waits_all_the_same(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "a")
    world.upstreams["a"].commit("from long ago", date=1_000_000_000)
    run = world.update(settings={"LOCKBOT_POLICY__MINIMUM_AGE": "1h"})
    assert run.outcome is Outcome.UNCHANGED
    assert world.moved() == {"a": "1"}


def test_a_force_pushed_input_is_held_until_it_is_accepted(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    world = World(nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab")
    upstream = world.upstreams["a"]
    first = upstream.git("rev-list", "--max-parents=0", "main").strip()
    assert world.update().outcome is Outcome.PUBLISHED
    locked = world.fleet.locked("a", "main")
    upstream.reset(first)
    rewritten = upstream.commit("another second")
    world.upstreams["b"].commit("third")
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.fleet.locked("a", "main") == locked
    assert world.moved()["b"] == "3", "the others move"
    (held,) = run.held
    assert (held.input, held.reason, held.revision) == ("a", "backwards", locked)
    assert world.state("a").state is StateWord.HELD
    hold.accept(world.app(), "a", None)
    assert world.update().outcome is Outcome.PUBLISHED
    assert world.fleet.locked("a", "main") == rewritten
    upstream.reset(first)
    assert world.update().outcome is Outcome.UNCHANGED, "the acceptance was for one step"
    assert world.fleet.locked("a", "main") == rewritten


def test_what_the_user_holds_stays(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab")
    middle = world.upstreams["b"].head()
    world.upstreams["b"].commit("third")
    hold.hold(world.app(), "a", "waiting for a release", None, None)
    hold.hold(world.app(), "b", "the third is bad", None, middle)
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved() == {"a": "1", "b": "2"}, "and one that is held at a revision goes there"
    assert {item.input: item.reason for item in run.held} == {"a": "held-by-user", "b": "held-by-user"}
    assert "waiting for a release" in world.state("a").detail
    hold.release(world.app(), "a")
    hold.release(world.app(), "b")
    assert world.update().outcome is Outcome.PUBLISHED
    assert world.moved() == {"a": "2", "b": "3"}


def test_an_unreachable_input_is_in_the_ledger(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab")
    shutil.rmtree(world.upstreams["b"].path)
    begun = world.now + timedelta(minutes=1)
    assert world.update().outcome is Outcome.PARTLY_PUBLISHED
    world.now += timedelta(days=2)
    world.update()
    state = world.state("b")
    assert (state.state, state.unreachable_since) == (StateWord.UNREACHABLE, begun)
    assert state.last_success is None
    assert world.state("a").state is StateWord.CURRENT


def test_what_would_be_compiled_for_long_waits_for_a_cache(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"]), HostSpec("db", ["b"])], "ab")
    rule = {"LOCKBOT_POLICY__NEVER_COMPILE": '["host-web*"]', "LOCKBOT_POLICY__WAIT_FOR_CACHE": "3d"}
    run = world.update(settings=rule)
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved() == {"a": "1", "b": "2"}
    assert [(item.input, item.reason) for item in run.held] == [("a", "waiting-for-cache")]
    assert world.state("a").state is StateWord.WAITING_FOR_CACHE
    assert "host-web" not in world.fleet.built(), "nothing was built to find out"
    world.now += timedelta(days=3, minutes=5)
    assert world.update(settings=rule).outcome is Outcome.PUBLISHED, "at most so long"
    assert world.moved() == {"a": "2", "b": "2"}


def _gone(world: World) -> None:
    shutil.rmtree(world.upstreams["b"].path)


def _rewritten(world: World) -> None:
    world.update()
    b = world.upstreams["b"]
    b.reset(b.git("rev-list", "--max-parents=0", "main").strip())
    for name in "abcde":
        world.upstreams[name].commit("another")


def _unlockable(world: World) -> None:
    b = world.upstreams["b"]
    b.reset(b.git("rev-list", "--max-parents=0", "main").strip())
    b.commit("no flake", files={"flake.nix": "{"})


def _held_by_the_user(world: World) -> None:
    hold.hold(world.app(), "b", "not now", None, None)


def _expensive(_: World) -> None:
    pass


@pytest.mark.parametrize(
    ("keep_back", "reason"),
    [
        (_gone, "fetch-failed"),
        (_rewritten, "backwards"),
        (_unlockable, "cannot-be-locked"),
        (_held_by_the_user, "held-by-user"),
        (_expensive, "waiting-for-cache"),
    ],
)
def test_a_group_that_moves_as_one_waits_for_each_of_its_inputs(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, keep_back: Callable[[World], None], reason: str
) -> None:
    """Also for what is not known to break anything. What overlaps with the group waits, too; the others go on."""
    groups = [("g", "ab"), ("over", "ad"), ("other", "ce")]
    settings = {
        "LOCKBOT_GROUP": json.dumps(
            [{"name": name, "inputs": list(inputs), "strategy": "together"} for name, inputs in groups]
        )
    }
    if keep_back is _expensive:
        settings["LOCKBOT_POLICY__NEVER_COMPILE"] = '["host-db*"]'
    hosts = [HostSpec("web", ["a", "c"]), HostSpec("db", ["b"])]
    world = World(one_nix, tmp_path, cancel, hosts, "abcde", settings)
    keep_back(world)
    before = {name: world.fleet.locked(name, "main") for name in "abcde"}
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert {name for name in "abcde" if world.fleet.locked(name, "main") != before[name]} == {"c", "e"}
    waits = "waiting-for-group"
    assert {item.input: item.reason for item in run.held} == {"a": waits, "b": reason, "d": waits}
    details = {item.input: item.detail for item in run.held}
    assert "moves together with b" in details["a"] and "moves together with a" in details["d"]
    assert world.state("a").state is StateWord.HELD


def test_what_flake_nix_asks_for_moves_though_its_group_waits(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """No lock without it would fit flake.nix."""
    group = {"LOCKBOT_GROUP": '[{"name": "g", "inputs": ["a", "b", "c"], "strategy": "together"}]'}
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a", "b"])], "abc", group)
    hold.hold(world.app(), "a", "not now", None, None)
    moved_house = Upstream.create(tmp_path, "other")
    world.fleet.declare(inputs=[world.upstreams["a"], Input(moved_house, "b"), world.upstreams["c"]])
    before = {name: world.fleet.locked(name, "main") for name in "ac"}
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert {name: world.fleet.locked(name, "main") for name in "abc"} == before | {"b": moved_house.head()}
    assert {item.input: item.reason for item in run.held} == {"a": "held-by-user", "c": "waiting-for-group"}


def test_what_is_not_expensive_moves_as_a_whole(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    """Each is looked at by itself, in a lock of its own: none of those is what lands."""
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a", "b"])], "ab")
    assert world.update(settings={"LOCKBOT_POLICY__NEVER_COMPILE": '["linux-*"]'}).outcome is Outcome.PUBLISHED
    assert world.moved() == {"a": "2", "b": "2"}


def test_what_flake_nix_newly_asks_for_lands_though_all_else_waits(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ac")
    new = Upstream.create(tmp_path, "new")
    world.fleet.declare(inputs=[world.upstreams["a"], new])
    run = world.update(settings={"LOCKBOT_POLICY__MINIMUM_AGE": "3d"})
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert {item.input: item.reason for item in run.held}["a"] == "waiting-for-age"
    assert set(world.fleet.lock("main")["nodes"]["root"]["inputs"]) == {"a", "new"}
    assert world.fleet.locked("new", "main") == new.head()
    assert world.update(settings={"LOCKBOT_POLICY__MINIMUM_AGE": "3d"}).outcome is Outcome.UNCHANGED


def test_nothing_excuses_what_breaks_beside_an_input_that_flake_nix_newly_asks_for(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """Without the update no host can be asked, for flake.lock lacks the input: it lands first."""
    hosts = [HostSpec("web", ["a"]), HostSpec("db", ["b"])]
    world = World(nix, tmp_path, cancel, hosts, "ab", moved=False)
    world.upstreams["a"].break_build(hosts=["web"])
    new = Upstream.create(tmp_path, "new")
    world.fleet.declare(inputs=[*world.upstreams.values(), new])
    before = world.fleet.locked("a", "main")
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert [(item.input, item.reason) for item in run.held] == [("a", "could-not-be-judged")]
    assert (world.fleet.locked("a", "main"), world.fleet.locked("new", "main")) == (before, new.head())
    assert {build.host.name: build.status for build in run.hosts} == dict.fromkeys(("web", "db"), HostStatus.BUILT)
    run = world.update()
    assert (run.outcome, [(item.input, item.reason) for item in run.held]) == (
        Outcome.REJECTED,
        [("a", "breaks")],
    )


def test_what_failed_is_remembered_for_a_while(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    bad = Breakage("build", together({"a": "2"}))
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"], failure=bad)], "a")

    def builds() -> int:
        return world.fleet.built().count("host-web")

    assert world.update().outcome is Outcome.REJECTED
    first = builds()
    assert first == 3, "the candidate twice (a second chance), the base once"
    assert world.update().outcome is Outcome.REJECTED
    assert builds() == first, "known to fail: not built again"
    assert world.update(retry_failed=True).outcome is Outcome.REJECTED
    assert builds() == first + 2
    world.now += timedelta(days=8)
    assert world.update().outcome is Outcome.REJECTED
    assert builds() == first + 4, "after a week it is tried again"


def test_good_then_bad_then_good_again(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab")
    upstream = world.upstreams["a"]
    assert world.update().outcome is Outcome.PUBLISHED
    good = upstream.head()
    culprit = upstream.break_build(hosts=["web"])
    run = world.update()
    assert run.outcome is Outcome.REJECTED
    state = world.state("a")
    assert (state.state, state.reason) == (StateWord.HELD, "breaks")
    assert state.culprit is not None
    assert (state.culprit.revision, state.culprit.after, state.last_good) == (culprit, good, good)
    assert state.culprit.hosts == ("web",)
    fixed = upstream.fix()
    assert world.update().outcome is Outcome.PUBLISHED
    assert world.fleet.locked("a", "main") == fixed
    state = world.state("a")
    assert (state.state, state.culprit) == (StateWord.CURRENT, None)


def test_a_revision_that_cannot_be_had_stops_nobody_else(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab")
    app = world.app()
    with app.history() as past:
        past.ledger(app.place().flake).hold(UserHold("a", "a typing error", world.now, at="0" * 40))
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved() == {"a": "1", "b": "2"}
    assert {(item.input, item.reason) for item in run.held} == {("a", "held-by-user"), ("a", "fetch-failed")}


def test_an_input_that_is_gone_leaves_the_ledger(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab")
    world.update()
    world.fleet.git("reset", "--quiet", "--hard")
    world.fleet.declare(inputs=[world.upstreams["a"]])
    world.upstreams["a"].commit("third")
    assert world.update().outcome is Outcome.PUBLISHED
    app = world.app()
    with app.history() as past:
        assert past.ledger(app.place().flake).states().keys() == {"a"}
