"""A culprit in the middle of an input's 20,000 commits, on real Nix."""

from __future__ import annotations

import math
from pathlib import Path

from lockbot.model import HostStatus, Looking, Outcome
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import HostSpec
from tests.update.inside import World

EACH_SIDE = 10_000


def test_a_culprit_among_twenty_thousand_commits(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "a")
    upstream = world.upstreams["a"]
    upstream.history(f"before {n}" for n in range(EACH_SIDE))
    good = upstream.head()
    culprit = upstream.break_evaluation(hosts=["web"])
    upstream.history(f"after {n}" for n in range(EACH_SIDE))
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.fleet.locked("a", "main") == good, "the newest that builds"
    state = world.state("a")
    assert state.culprit is not None
    assert (state.culprit.revision, state.culprit.exact) == (culprit, True)
    assert {build.status for build in run.hosts} == {HostStatus.BUILT}
    asked = sum(isinstance(event, Looking) and event.what.startswith("which revision") for event in world.events)
    assert asked <= math.ceil(math.log2(2 * EACH_SIDE)) + 3
