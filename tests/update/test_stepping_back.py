"""Where an input goes when it can't go to its tip: policy holds for that revision as for any other."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

from lockbot.commands import hold
from lockbot.history.input_states import StateWord
from lockbot.model import Outcome, Run
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import Breakage, HostSpec, Upstream, apart, together
from tests.sampling import some
from tests.update.inside import World
from tests.upstream import TEMPLATES


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


@pytest.mark.parametrize(
    ("rule", "on", "own"),
    some(product(["hold", "refuse"], [0, 2], [False, True]), 5),
)
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
    bad = world.state("a").culprit
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
    hold.accept(world.app(), "a", None)
    upstream.break_build(hosts=["web"])
    world.update(settings=settings)
    assert world.fleet.locked("a", "main") == taken_back


# -- cost


KERNEL = ["linux-6.2", *(f"linux-module-{number}" for number in range(6))]
PATTERNS = {"LOCKBOT_POLICY__NEVER_COMPILE": '["linux-*"]'}
NUMBER = {"LOCKBOT_POLICY__MAX_BUILDS": "5"}


def dear(upstream: Upstream, *names: str) -> str:
    """A commit with which every host that uses the input needs these derivations, too; the next is as before."""
    compiled = "\n".join(
        f'(derivation {{ name = "{name}"; inherit system; builder = "/bin/sh"; salt = state;\n'
        f"""  args = [ "-c" "echo {name} >>'${{state}}/builds'; : >$out" ]; }})"""
        for name in names or KERNEL
    )
    plain = (TEMPLATES / "part.nix").read_text()
    revision = upstream.commit("dear", files={"part.nix": plain.replace("[ package ]", f"[ package {compiled} ]")})
    del upstream._files["part.nix"]
    return revision


def compiled(world: World) -> list[str]:
    return [name for name in world.fleet.built() if name in KERNEL]


@pytest.fixture
def unmoved(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> World:
    """Locked at the only commits of `a` and `b`."""
    return World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"]), HostSpec("db", ["b"])], "ab", moved=False)


@pytest.mark.parametrize(("rule", "how"), [(PATTERNS, "throw"), (NUMBER, "build")], ids=["patterns", "number"])
def test_what_is_too_costly_is_not_even_tried(unmoved: World, rule: dict[str, str], how: str) -> None:
    """The tip breaks, at evaluation (then nothing of it can be weighed) or when it is built; what lies before it
    waits for a cache as the tip would."""
    world, a = unmoved, unmoved.upstreams["a"]
    middle = dear(a)
    if how == "throw":
        a.break_evaluation("throw", hosts=["web"])
    else:
        a.break_build(hosts=["web"])
    world.upstreams["b"].commit("second")
    for night in range(2):
        run = world.update(settings=rule)
        assert world.moved() == {"a": "1", "b": "2"}
        assert reasons(run) == {"a": "breaks"}
        assert compiled(world) == [], "nothing is compiled to find out"
        (said,) = [note for note in run.notes if "not tried" in note]
        assert middle[:7] in said and "waiting for a cache, at most until 2026-01-04" in said
        state = world.state("a")
        assert state.culprit is not None and not state.culprit.exact
        assert state.cache_since is not None and state.next_try == state.cache_since + timedelta(days=3)
        world.now += timedelta(days=1 - night)
    world.now += timedelta(days=2, minutes=5)
    run = world.update(settings=rule)
    assert world.moved() == {"a": "2", "b": "2"}, "at most so long"
    assert sorted(compiled(world)) == sorted(KERNEL)
    assert any("compiled here" in note for note in run.notes)


@pytest.mark.parametrize("rule", [PATTERNS, NUMBER, {}], ids=["patterns", "number", "none"])
def test_what_is_too_costly_is_stepped_over(unmoved: World, rule: dict[str, str]) -> None:
    world, a = unmoved, unmoved.upstreams["a"]
    a.commit("second")
    dear(a)
    if not rule:
        a.break_build(hosts=["web"])
        world.update()
        assert world.moved()["a"] == "3"
        return
    a.commit("fourth")
    dear(a)
    a.break_build(hosts=["web"])
    run = world.update(settings=rule)
    assert world.moved()["a"] == "4"
    assert compiled(world) == []
    assert reasons(run) == {"a": "breaks"}


@pytest.mark.parametrize(("inputs", "whose"), some(product(["ab", "cab"], ["everybody's", "a's"]), 3))
def test_what_would_be_compiled_only_of_two_together_waits(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, whose: str, inputs: str
) -> None:
    """Neither can be evaluated alone, so that nothing is seen by looking at each."""
    couple = Breakage("throw", apart({"a": "2", "b": "2"}))
    hosts = [HostSpec("web", ["a", "b"], failure=couple), HostSpec("db", ["c"])]
    world = World(one_nix, tmp_path, cancel, hosts, "abc", moved=False)
    dear(world.upstreams["a"])
    for name in inputs.replace("a", ""):
        world.upstreams[name].commit("second")
    own = {"LOCKBOT_INPUT": json.dumps({"a": {"never_compile": ["linux-*"]}})}
    rule = PATTERNS if whose == "everybody's" else own
    run = world.update(settings=rule)
    assert compiled(world) == []
    assert world.moved() == {"a": "1", "b": "1", "c": "2" if "c" in inputs else "1"}
    waits = [item.input for item in run.held if item.reason == "waiting-for-cache"]
    assert len(waits) == 1 and world.state(waits[0]).state is StateWord.WAITING_FOR_CACHE
    world.now += timedelta(days=3, minutes=5)
    world.update(settings=rule)
    assert world.moved() == {"a": "2", "b": "2", "c": "2" if "c" in inputs else "1"}


MORE_HOSTS = """
outputs = inputs: let
  fleet = import ./fleet.nix inputs;
  state = (builtins.fromJSON (builtins.readFile ./fleet.json)).state;
  more = inputs.a + "/more.nix";
in fleet // {
  nixosConfigurations = fleet.nixosConfigurations // (if builtins.pathExists more then import more state else { });
};
"""
KERNEL_HOST = """state: { new.config.system.build.toplevel = derivation {
  name = "linux-6.2"; system = "x86_64-linux"; builder = "/bin/sh";
  args = [ "-c" "echo linux-6.2 >>'${state}/builds'; : >$out" ];
}; }"""


def test_a_host_that_comes_with_an_update_is_weighed_before_it_is_built(unmoved: World) -> None:
    """Which hosts there are is known only once everything is judged together."""
    world, fleet = unmoved, unmoved.fleet
    flake = (fleet.flake / "flake.nix").read_text()
    fleet.commit({"flake.nix": flake.replace("outputs = inputs: import ./fleet.nix inputs;", MORE_HOSTS)}, "more")
    world.upstreams["a"].commit("a host more", files={"more.nix": KERNEL_HOST})
    world.upstreams["b"].commit("second")
    run = world.update(settings=PATTERNS)
    assert (world.moved(), compiled(world)) == ({"a": "1", "b": "2"}, [])
    assert reasons(run) == {"a": "waiting-for-cache"}
    assert world.state("a").state is StateWord.WAITING_FOR_CACHE
    world.now += timedelta(days=3, minutes=5)
    assert world.update(settings=PATTERNS).outcome is Outcome.PUBLISHED
    assert compiled(world) == ["linux-6.2"]


def test_what_one_input_may_compile_is_not_put_to_the_account_of_another(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """`b` must not have a kernel compiled, and does not; `a` may. Also where the search tries older ones."""
    world = World(
        one_nix, tmp_path, cancel, [HostSpec("web", ["a", "b"]), HostSpec("db", ["b"])], "ab", moved=False
    )
    dear(world.upstreams["a"])
    world.upstreams["b"].commit("second")
    world.upstreams["b"].break_build(hosts=["db"])
    run = world.update(settings={"LOCKBOT_INPUT": json.dumps({"b": {"never_compile": ["linux-*"]}})})
    assert world.moved() == {"a": "2", "b": "2"}
    assert reasons(run) == {"b": "breaks"}


def test_two_that_are_cheap_each_move_together(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    """The number is each input's own, as ever."""
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a", "b"])], "ab", moved=False)
    for name in "ab":
        dear(world.upstreams[name], f"{name}-one", f"{name}-two")
    assert world.update(settings=NUMBER).outcome is Outcome.PUBLISHED
    assert world.moved() == {"a": "2", "b": "2"}


def test_what_would_be_compiled_can_be_accepted(unmoved: World) -> None:
    dear(unmoved.upstreams["a"])
    assert reasons(unmoved.update(settings=PATTERNS)) == {"a": "waiting-for-cache"}
    hold.accept(unmoved.app(PATTERNS), "a", None)
    assert unmoved.update(settings=PATTERNS).outcome is Outcome.PUBLISHED
    assert unmoved.moved()["a"] == "2"


# -- the user's word


@pytest.mark.parametrize("news", ["none", "of another", "of its own"])
def test_an_input_held_at_an_older_revision_goes_there(world: World, news: str) -> None:
    """Also from upstream's tip, where it has no news of its own; and is told truly."""
    first = world.upstreams["a"].git("rev-list", "--max-parents=0", "main").strip()
    if news != "none":
        world.upstreams["b" if news == "of another" else "a"].commit("third")
    hold.hold(world.app(), "a", "the second is slow", None, first)
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved() == {"a": "1", "b": "3" if news == "of another" else "2"}
    assert [(item.input, item.reason, item.revision) for item in run.held] == [("a", "held-by-user", first)]
    (said,) = [note for note in run.notes if note.startswith("a ")]
    assert "would go back" in said and "descends" not in said
    assert (world.state("a").state, world.state("a").locked) == (StateWord.HELD, first)
    assert world.update().outcome is Outcome.UNCHANGED
    assert world.moved()["a"] == "1"
    hold.release(world.app(), "a")
    assert world.update().outcome is Outcome.PUBLISHED
    assert world.moved()["a"] == ("3" if news == "of its own" else "2")


def test_a_revision_that_is_held_at_is_judged_like_any_other(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    hosts = [HostSpec("web", ["a"], failure=Breakage("build", together({"a": "1"})))]
    world = World(one_nix, tmp_path, cancel, hosts, "ab")
    first = world.fleet.locked("a", "main")
    assert world.update().outcome is Outcome.PUBLISHED
    hold.hold(world.app(), "a", "a mistake", None, first)
    run = world.update()
    assert run.outcome is Outcome.REJECTED
    assert world.moved() == {"a": "2", "b": "2"}
    assert "breaks" in {item.reason for item in run.held}


def test_what_the_configuration_refuses_no_hold_permits(world: World) -> None:
    first = world.upstreams["a"].git("rev-list", "--max-parents=0", "main").strip()
    hold.hold(world.app(), "a", "the second is slow", None, first)
    run = world.update(settings={"LOCKBOT_POLICY__BACKWARDS": "refuse"})
    assert run.outcome is Outcome.UNCHANGED
    assert world.moved()["a"] == "2"
    assert "backwards" in {item.reason for item in run.held}


def test_an_input_that_is_where_it_is_held_is_no_news(world: World) -> None:
    hold.hold(world.app(), "a", "good as it is", None, world.upstreams["a"].head())
    hold.hold(world.app(), "b", "good as it is", None, None)
    run = world.update()
    assert (run.outcome, run.held) == (Outcome.UNCHANGED, ())
