"""The search on real Nix: what can move moves, as far as it builds, and the rest is held with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockbot.model import HostEvaluating, HostStatus, Looking, Outcome, Run
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import Breakage, Fleet, HostSpec, apart, together
from tests.update.inside import World
from tests.upstream import run_git


def statuses(run: Run) -> set[HostStatus]:
    return {build.status for build in run.hosts}


def test_one_bad_input_does_not_hold_back_the_others(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    bad = Breakage("build", together({"b": "2"}))
    world = World(nix, tmp_path, cancel, [HostSpec("web", ["a", "b"], failure=bad), HostSpec("db", ["c", "d"])])
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved() == {"a": "2", "b": "1", "c": "2", "d": "2"}
    (held,) = run.held
    assert (held.input, held.reason) == ("b", "breaks")
    assert "breaks web" in held.detail
    assert '"second"' in held.detail, "the culprit, by its subject"
    assert run.commit == world.fleet.head("main")
    assert statuses(run) == {HostStatus.BUILT}
    message = world.fleet.git("log", "-1", "--format=%B", "main")
    assert "Held back:" in message and "b stays" in message
    assert any(isinstance(event, Looking) for event in world.events)
    again = world.update()
    assert again.outcome is Outcome.REJECTED, "only the bad one is left"
    assert world.moved()["b"] == "1"


def test_the_newest_revision_that_builds_is_landed(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    world = World(nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab")
    upstream = world.upstreams["a"]
    upstream.history([f"fine {n}" for n in range(5)])
    good = upstream.head()
    culprit = upstream.break_evaluation(hosts=["web"])
    upstream.history([f"later {n}" for n in range(6)])
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.fleet.locked("a", "main") == good
    assert world.moved()["b"] == "2"
    (held,) = run.held
    assert held.revision == good
    assert culprit[:7] in held.detail
    state = world.state("a")
    assert state.culprit is not None
    assert (state.culprit.revision, state.culprit.after, state.culprit.exact) == (culprit, good, True)
    fixed = upstream.fix()
    assert world.update().outcome is Outcome.PUBLISHED
    assert world.fleet.locked("a", "main") == fixed, "the next run goes on from there by itself"


def test_hosts_that_broke_at_different_commits_are_told_apart(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """The commit that keeps the input where it is comes first, and is the one that is remembered."""
    hosts = [HostSpec("web", ["a"]), HostSpec("db", ["a"])]
    world = World(one_nix, tmp_path, cancel, hosts, "a", moved=False)
    upstream = world.upstreams["a"]
    good = upstream.commit("good")
    first = upstream.break_build(hosts=["db"])
    upstream.history(["later", "still later"])
    second = upstream.break_build(hosts=["db", "web"])
    run = world.update()
    assert world.fleet.locked("a", "main") == good
    (held,) = run.held
    assert held.detail.startswith(f"breaks db since {first[:7]} "), held.detail
    assert f" and web since {second[:7]} " in held.detail
    assert held.culprit is not None
    assert (held.culprit.revision, held.culprit.hosts, held.culprit.after) == (first, ("db",), good)
    assert world.state("a").culprit == held.culprit


def test_what_was_seen_to_break_is_named_though_the_tip_alone_can_not_be_had(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """One repository twice, with and without its submodules; of the newest commit's submodule there is no such
    commit, and Nix locks it only where it lies checked out."""
    fleet = Fleet.create(tmp_path / "fleet", nix, hosts=[HostSpec("web")])
    environment = dict(nix.environment)
    for name in ("sub", "part"):
        (tmp_path / name).mkdir()
        run_git(tmp_path / name, environment, "init", "--quiet", "--initial-branch=main")
        run_git(tmp_path / name, environment, "commit", "--quiet", "--allow-empty", "--message", "first")

    def part(version: int, script: str, *more: str) -> str:
        build = f'args = [ "-c" "{script}" ]; builder = "/bin/sh"; system = "x86_64-linux"; site = "{tmp_path}";'
        text = f'{{ outputs = _: {{ part = derivation {{ name = "part-{version}"; {build} }}; }}; }}'
        (tmp_path / "part" / "flake.nix").write_text(text)
        run_git(tmp_path / "part", environment, "add", "flake.nix", *more)
        return commit(f"part {version}")

    def commit(subject: str) -> str:
        run_git(tmp_path / "part", environment, "commit", "--quiet", "--message", subject)
        return run_git(tmp_path / "part", environment, "rev-parse", "HEAD").strip()

    allow = ("-c", "protocol.file.allow=always")
    run_git(tmp_path / "part", environment, *allow, "submodule", "--quiet", "add", f"{tmp_path}/sub", "sub")
    part(1, "echo 1 >$out")
    inputs = (
        f'inputs = {{ m.url = "git+file://{tmp_path}/part?submodules=1"; n.url = "git+file://{tmp_path}/part"; }};'
    )
    build = 'builder = "/bin/sh"; args = [ "-c" "echo ${m.part} ${n.part} >$out" ];'
    host = f'derivation {{ name = "host"; system = "x86_64-linux"; {build} }}'
    outputs = f"outputs = {{ self, m, n }}: {{ nixosConfigurations.web.config.system.build.toplevel = {host}; }};"
    fleet.commit({"flake.nix": f"{{ {inputs} {outputs} }}\n"}, "the same twice")
    nix.run("nix", "flake", "lock", cwd=fleet.flake)
    fleet.commit({}, "locked")
    world = World(nix, tmp_path, cancel, [], "", of=fleet)
    bad = part(2, "exit 1")
    run = world.update()
    assert {
        held.input: (held.reason, held.culprit and held.culprit.revision) for held in run.held
    } == dict.fromkeys("mn", ("breaks", bad))
    run_git(tmp_path / "part", environment, "update-index", "--cacheinfo", f"160000,{'1' * 40},sub")
    commit("a submodule's commit that is nowhere")
    again = world.update()
    assert {
        held.input: (held.reason, held.culprit and held.culprit.revision) for held in again.held
    } == dict.fromkeys("mn", ("breaks", bad))


def test_two_that_break_only_together(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    bad = Breakage("throw", together({"a": "2", "b": "2"}))
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a", "b", "c"], failure=bad)])
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    moved = world.moved()
    assert sorted([moved["a"], moved["b"]]) == ["1", "2"], "one of them is kept"
    assert (moved["c"], moved["d"]) == ("2", "2")
    (held,) = run.held
    assert held.reason == "breaks-together-with"
    assert f"together with {'b' if held.input == 'a' else 'a'}" in held.detail, "and the pair is named"


def test_two_that_work_only_together(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    pair = Breakage("throw", apart({"a": "2", "b": "2"}))
    bad = Breakage("build", together({"c": "2"}))
    hosts = [HostSpec("web", ["a", "b"], failure=pair), HostSpec("db", ["c", "a"], failure=bad)]
    world = World(one_nix, tmp_path, cancel, hosts)
    assert world.update().outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved() == {"a": "2", "b": "2", "c": "1", "d": "2"}


def test_every_input_bad(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    hosts = [HostSpec(f"h-{n}", [n], failure=Breakage("throw", together({n: "2"}))) for n in "abc"]
    world = World(one_nix, tmp_path, cancel, hosts, "abc")
    before = world.fleet.head("main")
    run = world.update()
    assert run.outcome is Outcome.REJECTED
    assert {item.input for item in run.held} == {"a", "b", "c"}
    assert world.fleet.head("main") == before
    assert run.commit is None


def test_the_budget_ends_the_search_and_the_best_so_far_is_published(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    bad = Breakage("build", together({"b": "2"}))
    world = World(
        one_nix,
        tmp_path,
        cancel,
        [HostSpec("web", ["a", "b"], failure=bad), HostSpec("db", ["c", "d"])],
        settings={"LOCKBOT_SEARCH__PROBES": "1"},
    )
    run = world.update()
    assert run.outcome is Outcome.REJECTED
    assert world.moved() == dict.fromkeys("abcd", "1")
    assert {held.reason for held in run.held} == {"budget"}
    assert all("goes on in the next run" in held.detail for held in run.held)


def test_what_is_held_says_that_the_budget_ended_before_a_newer_one_was_sought(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """Two inputs are bad, and how far each can go is sought for as long as the budget lasts, night by night."""
    hosts = [HostSpec("web", ["a"]), HostSpec("db", ["b"])]
    world = World(one_nix, tmp_path, cancel, hosts, "ab", {"LOCKBOT_SEARCH__PROBES": "5"})
    culprit: dict[str, str] = {}
    for name, upstream in world.upstreams.items():
        upstream.history([f"good {number}" for number in range(3)])
        culprit[name] = upstream.break_build()
        upstream.history([f"bad {number}" for number in range(3)])
    told: list[bool] = []
    for _ in range(20):
        ended = {held.input: "goes on in the next run" in held.detail for held in world.update().held}
        known = {name: bad for name in culprit if (bad := world.state(name).culprit) and bad.exact}
        found = {name for name, value in world.moved().items() if value == "5" and name in known}
        assert found >= {name for name, early in ended.items() if not early}
        told.append(any(ended.values()))
        if not told[-1]:
            break
    assert told[0] and not told[-1]
    assert {name: bad.revision for name, bad in known.items()} == culprit
    assert world.moved() == {"a": "5", "b": "5"}


@pytest.mark.parametrize("strategy", ["together", "best"])
def test_strategies(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, strategy: str) -> None:
    bad = Breakage("build", together({"b": "2"}))
    world = World(
        one_nix,
        tmp_path,
        cancel,
        [HostSpec("web", ["a", "b"], failure=bad)],
        "ab",
        {"LOCKBOT_SEARCH__STRATEGY": strategy},
    )
    run = world.update()
    assert run.outcome is (Outcome.REJECTED if strategy == "together" else Outcome.PARTLY_PUBLISHED)
    assert world.moved() == {"a": "1" if strategy == "together" else "2", "b": "1"}


def test_a_commit_for_each_input(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    bad = Breakage("build", together({"b": "2"}))
    world = World(
        one_nix,
        tmp_path,
        cancel,
        [HostSpec("web", ["a", "b"], failure=bad), HostSpec("db", ["c"])],
        "abc",
        {"LOCKBOT_SEARCH__ONE_COMMIT_PER_INPUT": "true"},
    )
    base = world.fleet.head("main")
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved() == {"a": "2", "b": "1", "c": "2"}
    subjects = world.fleet.git("log", "--format=%s", f"{base}..main").splitlines()
    assert sorted(subjects) == ["flake.lock: update a", "flake.lock: update c"]
    assert {change.input for change in run.changes} == {"a", "c"}
    assert (run.base, run.commit) == (base, world.fleet.head("main"))
    assert [item.input for item in run.held] == ["b"]
    assert world.app().history().latest(run.flake) == run


def test_a_flaky_build_is_named_and_nobody_is_blamed(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    world = World(
        one_nix, tmp_path, cancel, [HostSpec("web", ["a"], failure=Breakage("flaky", together({"a": "2"})))]
    )
    run = world.update()
    assert run.outcome is Outcome.PUBLISHED
    assert any(note.startswith("flaky: host-web") for note in run.notes)


def test_no_host_is_evaluated_twice(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    """Though the commit's message is written when all is known."""
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"]), HostSpec("db", ["b"])], "ab")

    def evaluations() -> list[tuple[str, str]]:
        world.events.clear()
        assert world.update("a").outcome is Outcome.PUBLISHED
        return [(event.host, event.at) for event in world.events if isinstance(event, HostEvaluating)]

    assert sorted(evaluations()) == [(host, at) for host in ("db", "web") for at in ("base", "candidate")]
    world.upstreams["a"].commit("third")
    assert sorted(evaluations()) == [("db", "candidate"), ("web", "candidate")]


def test_all_green_blames_nobody_for_what_was_broken_before(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    hosts = [HostSpec("web", ["a"]), HostSpec("old", ["b"], failure="build")]
    world = World(one_nix, tmp_path, cancel, hosts, "ab", {"LOCKBOT_BUILD__GATE": "all-green"})
    run = world.update()
    assert run.outcome is Outcome.REJECTED
    assert run.held == (), "no input is at fault"
    assert {build.host.name: build.status for build in run.hosts} == {
        "web": HostStatus.BUILT,
        "old": HostStatus.BROKEN_BEFORE,
    }
    assert not any(isinstance(event, Looking) for event in world.events)


def test_between_tips_no_commit_is_blamed_for_sure(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    world = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "a", {"LOCKBOT_POLICY__REVISIONS": "tips"})
    assert world.update().outcome is Outcome.PUBLISHED
    good = world.upstreams["a"].head()
    world.upstreams["a"].commit("never seen as a tip")
    bad = world.upstreams["a"].break_evaluation(hosts=["web"])
    assert world.update().outcome is Outcome.REJECTED
    culprit = world.state("a").culprit
    assert culprit is not None
    assert (culprit.revision, culprit.after, culprit.exact) == (bad, good, False)
    assert "somewhere after" in world.state("a").detail
