"""Where an input goes when it can't go to its tip: policy holds for that revision as for any other."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from lockbot import orders
from lockbot.model import Outcome, Run
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import HostSpec, Upstream
from tests.update.inside import World


def merge(upstream: Upstream, *parents: str, tree: str) -> str:
    """A merge with the files of another commit; the branch is there then."""
    words = [word for parent in parents for word in ("-p", parent)]
    made = upstream.git("commit-tree", *words, "-m", "merge", f"{tree}^{{tree}}").strip()
    upstream.reset(made)
    return made


@pytest.fixture
def world(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> World:
    """Locked at the second commit of `a`, which is its tip."""
    made = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab")
    assert made.update().outcome is Outcome.PUBLISHED
    return made


def reasons(run: Run) -> dict[str, str]:
    return {item.input: item.reason for item in run.held}


# -- backwards


@pytest.mark.parametrize("rule", ["hold", "refuse"])
@pytest.mark.parametrize("on", [0, 2], ids=["the merge is the tip", "more on top"])
@pytest.mark.parametrize("own", [False, True], ids=["merged as it is", "merged with more"])
def test_a_merge_the_wrong_way_round_loses_no_commit(world: World, rule: str, on: int, own: bool) -> None:
    """Upstream merged its branch into another, which is the branch now; what lies on that one lacks what is
    locked. What was on the branch before is a candidate still."""
    upstream = world.upstreams["a"]
    locked = upstream.head()
    newer = upstream.commit("third") if own else locked
    upstream.reset(upstream.git("rev-list", "--max-parents=0", "main").strip())
    side = upstream.history(["side one", "side two"])[-1]
    broken = upstream.break_build(hosts=["web"])
    culprit = merge(upstream, side, newer, tree=broken)
    for number in range(on):
        upstream.commit(f"on top {number}")
    run = world.update(settings={"LOCKBOT_POLICY__BACKWARDS": rule})
    assert world.fleet.locked("a", "main") == newer
    assert reasons(run) == {"a": "breaks"}
    bad = world.state("a").first_bad
    assert bad is not None and (bad.revision, bad.after, bad.exact) == (culprit, newer, True)


def test_a_commit_merged_into_the_branch_goes_on_along_it(world: World) -> None:
    """Locked to a commit of a side branch: everything from the merge on has it, nothing before."""
    upstream = world.upstreams["a"]
    locked = upstream.head()
    upstream.reset(upstream.git("rev-list", "--max-parents=0", "main").strip())
    line = upstream.history(["other", "another"])[-1]
    merged = merge(upstream, line, locked, tree=line)
    upstream.break_build(hosts=["web"])
    run = world.update()
    assert world.fleet.locked("a", "main") == merged
    assert reasons(run) == {"a": "breaks"}


@pytest.mark.parametrize("rule", ["hold", "refuse", "allow"])
@pytest.mark.parametrize("why", ["breaks", "too young"])
def test_a_tip_that_upstream_took_back_is_no_way_out(world: World, rule: str, why: str) -> None:
    """It was seen, and does not descend from what is locked: the search steps over it, and no age makes it fit."""
    settings = {
        "LOCKBOT_POLICY__REVISIONS": "tips",
        "LOCKBOT_POLICY__BACKWARDS": rule,
        "LOCKBOT_POLICY__MINIMUM_AGE": "3d" if why == "too young" else "0d",
    }
    upstream = world.upstreams["a"]
    locked = upstream.head()
    upstream.reset(upstream.git("rev-list", "--max-parents=0", "main").strip())
    taken_back = upstream.commit("thrown away")
    world.update(settings=settings | {"LOCKBOT_POLICY__BACKWARDS": "hold"})
    assert world.fleet.locked("a", "main") == locked
    upstream.reset(locked)
    if why == "breaks":
        upstream.break_build(hosts=["web"])
    else:
        upstream.commit("third")
        world.now += timedelta(days=4)
    world.update(settings=settings)
    assert world.fleet.locked("a", "main") == (taken_back if rule == "allow" else locked)


def test_a_tip_that_upstream_took_back_may_be_accepted(world: World) -> None:
    upstream = world.upstreams["a"]
    upstream.reset(upstream.git("rev-list", "--max-parents=0", "main").strip())
    taken_back = upstream.commit("thrown away")
    settings = {"LOCKBOT_POLICY__REVISIONS": "tips"}
    world.update(settings=settings)
    orders.accept(world.app(), "a", None)
    upstream.break_build(hosts=["web"])
    world.update(settings=settings)
    assert world.fleet.locked("a", "main") == taken_back
