"""Each named breakage does on real Nix what it says: the ground that the other tests stand on."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import get_args

import pytest

from tests.fleet import Breakage, Fleet, HostSpec, Input, Upstream, apart, since, together
from tests.nixes import Nix
from tests.upstream import BuildFailure, EvaluationFailure

EVALUATION = {
    "throw": "error: broken on purpose",
    "assert": r"assertion '.*' failed",
    "assertion": r"Failed assertions:\s+- broken on purpose",
    "abort": "aborted with the following error message: 'broken on purpose'",
    "missing-attribute": """attribute '"?broken on purpose"?' missing""",
    "missing-file": "no-such-file.nix' does not exist",
    "type": "cannot add a string to an integer|cannot coerce|expected an integer but found a string",
    "infinite-recursion": "infinite recursion encountered",
    "import-from-derivation": r"(builder for '[^']+-broken.drv' failed|Cannot build '[^']+-broken.drv')",
}
BUILD = {
    "build": (100, "broken on purpose"),
    "dependency": (100, r"1 dependenc(y|ies)( of derivation '[^']+')? failed"),
    "deep-dependency": (100, r"1 dependenc(y|ies)( of derivation '[^']+')? failed"),
    "hash-mismatch": (102, "hash mismatch in fixed-output derivation"),
    "timeout": (101, r"timed out after 1 seconds"),
    "silent": (101, r"timed out after 1 seconds"),
    "killed": (100, r"failed due to signal 9"),
    "no-output": (1, "failed to produce output path"),
    "flaky": (100, "broken on purpose"),
}


def realise(nix: Nix, *words: str) -> subprocess.CompletedProcess[str]:
    return nix.run("nix-store", "--realise", "--keep-going", *words, check=False)


def fails(fleet: Fleet, host: HostSpec) -> str:
    """The error of an evaluation that must fail."""
    with pytest.raises(AssertionError) as caught:
        fleet.derivation(host, fleet.head())
    return str(caught.value)


def test_every_kind_is_tried_here() -> None:
    assert set(EVALUATION) | {"endless-evaluation"} == set(get_args(EvaluationFailure))
    assert set(BUILD) == set(get_args(BuildFailure))


def test_evaluation_failures(nix: Nix, tmp_path: Path) -> None:
    hosts = [HostSpec(kind, failure=kind) for kind in get_args(EvaluationFailure) if kind in EVALUATION]
    fleet = Fleet.create(tmp_path / "fleet", nix, hosts=[*hosts, HostSpec("fine")])
    for host in hosts:
        assert re.search(EVALUATION[host.name], fails(fleet, host)), host.name
    assert realise(nix, fleet.derivation(fleet.hosts[-1])).returncode == 0


def test_an_endless_evaluation_ends_only_when_it_is_killed(one_nix: Nix, tmp_path: Path) -> None:
    host = HostSpec("endless", failure="endless-evaluation")
    fleet = Fleet.create(tmp_path / "fleet", one_nix, hosts=[host])
    argv = [
        "nix",
        "eval",
        "--raw",
        f"{fleet.url(fleet.head())}#nixosConfigurations.endless.{'.'.join(host.attribute[2:])}",
    ]
    child = subprocess.Popen(argv, env=one_nix.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.7)
    child.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.3)
    child.kill()
    assert child.wait() == -9


def test_build_failures(nix: Nix, tmp_path: Path) -> None:
    kinds = [kind for kind in get_args(BuildFailure) if kind not in ("timeout", "silent")]
    hosts = [HostSpec(kind, failure=kind) for kind in kinds]
    fleet = Fleet.create(tmp_path / "fleet", nix, hosts=hosts)
    for host in hosts:
        code, words = BUILD[host.name]
        done = realise(nix, fleet.derivation(host))
        assert done.returncode == code, host.name
        assert re.search(words, done.stderr), host.name


def test_a_timeout_and_a_silence_are_two_things(nix: Nix, tmp_path: Path) -> None:
    timeout, silent = HostSpec("timeout", failure="timeout"), HostSpec("silent", failure="silent")
    fleet = Fleet.create(tmp_path / "fleet", nix, hosts=[timeout, silent])
    done = realise(nix, "--timeout", "1", fleet.derivation(timeout))
    assert (done.returncode, "timed out after 1 seconds" in done.stderr) == (101, True)
    assert done.stderr.count("still at it") >= 3, "it talks all the time: no silence would end it"
    done = realise(nix, "--max-silent-time", "1", fleet.derivation(silent))
    assert (done.returncode, "timed out after 1 seconds" in done.stderr) == (101, True)


def test_a_flaky_build_works_the_second_time(nix: Nix, tmp_path: Path) -> None:
    host = HostSpec("flaky", failure="flaky")
    fleet = Fleet.create(tmp_path / "fleet", nix, hosts=[host])
    drv = fleet.derivation(host)
    assert [realise(nix, drv).returncode for _ in range(2)] == [100, 0]
    assert fleet.built() == ["host-flaky", "host-flaky"]


def test_a_foreign_system_cannot_be_built_here(nix: Nix, tmp_path: Path) -> None:
    host = HostSpec("arm", system="riscv64-linux")
    fleet = Fleet.create(tmp_path / "fleet", nix, hosts=[host])
    done = realise(nix, fleet.derivation(host))
    assert done.returncode != 0
    assert re.search("is required to build|Reason: platform mismatch", done.stderr), done.stderr


def test_an_input_breaks_the_hosts_that_use_it_from_one_commit_to_another(nix: Nix, tmp_path: Path) -> None:
    a, b = (Upstream.create(tmp_path, name) for name in ("a", "b"))
    web, mail = HostSpec("web", uses=["a", "b"]), HostSpec("mail", uses=["b"])
    fleet = Fleet.create(tmp_path / "fleet", nix, inputs=[a, b], hosts=[web, mail])
    before = [fleet.derivation(host) for host in (web, mail)]

    broken = a.break_evaluation()
    fleet.update()
    assert fleet.locked("a") == broken
    assert "broken by the input" in fails(fleet, web)
    assert fleet.derivation(mail) == before[1], "mail does not use it"

    a.fix()
    fleet.update("a")
    assert realise(nix, fleet.derivation(web)).returncode == 0

    b.break_build(hosts=["mail"])
    fleet.update("b")
    assert realise(nix, fleet.derivation(web)).returncode == 0
    assert realise(nix, fleet.derivation(mail)).returncode == 100


def test_two_inputs_that_break_only_together_or_work_only_together(one_nix: Nix, tmp_path: Path) -> None:
    a, b = (Upstream.create(tmp_path, name) for name in ("a", "b"))
    moved = {"a": "2", "b": "2"}
    pair = HostSpec("pair", uses=["a", "b"], failure=Breakage("throw", together(moved)))
    couple = HostSpec("couple", uses=["a", "b"], failure=Breakage("throw", apart(moved)))
    third = HostSpec("third", uses=["a"], failure=Breakage("throw", since({"a": 3})))
    fleet = Fleet.create(tmp_path / "fleet", one_nix, inputs=[a, b], hosts=[pair, couple, third])

    def broken() -> set[str]:
        return {host.name for host in fleet.hosts if _breaks(fleet, host)}

    assert broken() == set()
    a.commit("a moves")
    fleet.update()
    assert broken() == {"couple"}
    b.commit("b follows")
    fleet.update()
    assert broken() == {"pair"}
    a.commit("a moves on")
    fleet.update()
    assert broken() == {"couple", "third"}


def _breaks(fleet: Fleet, host: HostSpec) -> bool:
    try:
        fleet.derivation(host)
    except AssertionError as error:
        assert "broken on purpose" in str(error)
        return True
    return False


def test_hosts_of_every_kind_and_with_hostile_names(nix: Nix, tmp_path: Path) -> None:
    names = [
        "dotted.name",
        "with space",
        'quote"d',
        "ünïcode",
        "${dollar}",
        "back\\slash",
        "new\nline",
        "--option",
    ]
    hosts = [HostSpec(name) for name in names]
    hosts += [HostSpec("mac", kind="darwin"), HostSpec("me@home", kind="home"), HostSpec("tool", kind="package")]
    fleet = Fleet.create(tmp_path / "fleet", nix, hosts=hosts)
    drvs = {fleet.derivation(host) for host in hosts}
    assert len(drvs) == len(hosts)


def test_equal_derivations_stay_equal_and_self_rev_never_does(one_nix: Nix, tmp_path: Path) -> None:
    a = Upstream.create(tmp_path, "a")
    plain, branded = HostSpec("plain", uses=["a"]), HostSpec("branded", uses=["a"], uses_self_rev=True)
    fleet = Fleet.create(tmp_path / "fleet", one_nix, inputs=[a], hosts=[plain, branded])
    before = [fleet.derivation(host, fleet.head()) for host in fleet.hosts]
    a.commit("documentation", value=a.value, files={"README": "words"})
    fleet.update()
    after = [fleet.derivation(host, fleet.head()) for host in fleet.hosts]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False]


def test_shared_packages_are_built_once_and_chains_in_order(fresh_nix: Nix, tmp_path: Path) -> None:
    a = Upstream.create(tmp_path, "a")
    hosts = [HostSpec("one", uses=["a"], chain=2), HostSpec("two", uses=["a"])]
    fleet = Fleet.create(tmp_path / "fleet", fresh_nix, inputs=[a], hosts=hosts)
    assert realise(fresh_nix, *(fleet.derivation(host) for host in hosts)).returncode == 0
    built = fleet.built()
    assert sorted(built) == ["a", "host-one", "host-one-1", "host-one-2", "host-two"]
    assert built.index("host-one-1") < built.index("host-one-2") < built.index("host-one")


def test_nested_inputs_follows_and_plain_trees(nix: Nix, tmp_path: Path) -> None:
    base = Upstream.create(tmp_path, "base")
    plain = Upstream.create(tmp_path, "plain", flake=False)
    a = Upstream.create(tmp_path, "a", inputs={"base": base})
    b = Upstream.create(tmp_path, "b", inputs={"base": base})
    host = HostSpec("web", uses=["a", "b", "plain"])
    inputs: list[Upstream | Input] = [base, plain, a, Input(b, follows={"base": "base"})]
    fleet = Fleet.create(tmp_path / "fleet", nix, inputs=inputs, hosts=[host])
    nodes = fleet.lock()["nodes"]
    assert nodes["b"]["inputs"]["base"] == ["base"]
    assert nodes["a"]["inputs"]["base"] in nodes
    assert nodes["plain"]["flake"] is False
    fleet.derivation(host)
    base.break_evaluation(text="deep down")
    fleet.update("base")
    assert "deep down" in fails(fleet, host), "b follows the root's base"


def test_upstreams_are_the_same_in_every_run(tmp_path: Path) -> None:
    first, second = (Upstream.create(tmp_path / name, "a") for name in ("one", "two"))
    for upstream in (first, second):
        upstream.commit("more", files={"docs/x y": "text"})
        upstream.break_build("timeout")
    assert first.head() == second.head()
    assert first.git("show", "HEAD:docs/x y") == "text"
    assert first.git("log", "-1", "--format=%cI").strip() == "2023-11-15T00:13:20+00:00"


def test_history_branches_and_a_force_push(tmp_path: Path) -> None:
    upstream = Upstream.create(tmp_path, "a")
    start = upstream.head()
    revisions = upstream.history(f"commit {number}" for number in range(500))
    assert upstream.git("rev-list", "--count", "main").strip() == "501"
    assert upstream.head() == revisions[-1]
    side = upstream.commit("aside", branch="side")
    assert upstream.head() == revisions[-1]
    assert upstream.git("rev-parse", "side^").strip() == revisions[-1]
    upstream.break_evaluation()
    upstream.reset(start)
    assert upstream.head() == start
    again = upstream.commit("another way")
    assert upstream.git("rev-parse", f"{again}^").strip() == start
    assert '"kind": null' in upstream.git("show", f"{again}:part.json"), "the reset took the breakage back"
    assert side != again


def test_the_fleet_is_a_real_repository(one_nix: Nix, tmp_path: Path) -> None:
    a = Upstream.create(tmp_path, "a")
    fleet = Fleet.create(tmp_path / "fleet", one_nix, inputs=[a], hosts=[HostSpec("web")], flake_dir="nix/flake")
    remote = fleet.add_remote()
    assert fleet.git("ls-remote", str(remote), "refs/heads/main").split()[0] == fleet.head()
    assert fleet.git("status", "--porcelain") == ""
    assert fleet.locked("a") == a.head()
    fleet.declare(hosts=[HostSpec("web"), HostSpec("mail")])
    fleet.commit({"README": "hello"}, "a word")
    assert fleet.git("rev-list", "--count", "HEAD").strip() == "3"
    assert fleet.derivation(fleet.hosts[1], fleet.head()).endswith("-host-mail.drv")


def test_a_large_fleet_is_written_at_once(one_nix: Nix, tmp_path: Path) -> None:
    inputs = [Upstream.create(tmp_path, f"input-{number}") for number in range(30)]
    hosts = [HostSpec(f"host-{number}", uses=[f"input-{number % 30}"]) for number in range(50)]
    fleet = Fleet.create(tmp_path / "fleet", one_nix, inputs=inputs, hosts=hosts, lock=False)
    assert len(fleet.git("ls-files").split()) == 4
