"""Whether a host speaks for an input, and which of several inputs breaks what another repairs. Real Nix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import nixes
from tests.update.site import Part, Site, broken, fine


@pytest.fixture
def site(one_nix: nixes.Nix, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as cleanup:
        made = Site(one_nix, tmp_path, cleanup)
        cleanup.callback(made.server.close)
        yield made


def held(document: dict[str, Any]) -> dict[str, str]:
    return {item["input"]: item["reason"] for item in document["held"]}


def hangs(site: Site, version: int) -> Part:
    """Leaves a line for each time that it was begun."""
    return Part(f"plain \"part-{version}\" ''echo {version} >>{site}/begun; sleep 60'' {{ }}")


_BOTH = """\
{ inputs.a = { url = "git+file://@SITE@/a"; flake = false; };
  inputs.b = { url = "git+file://@SITE@/b"; flake = false; };
  inputs.c = { url = "git+file://@SITE@/c"; flake = false; };
  outputs = { self, a, b, c }: let
    plain = name: script: more: derivation ({
      inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" script ]; site = "@SITE@";
    } // more);
    part = input: toString (import "${input}/part.nix" { inherit plain; root = ./.; });
    host = name: inputs: { config.system.build.toplevel =
      plain "nixos-system-${name}" "echo ${toString (map part inputs)} >$out" { };
    };
  in { nixosConfigurations = { alpha = host "alpha" [ a b ]; beta = host "beta" [ c ]; }; };
}
"""


def three(site: Site, a: Part, b: Part, c: Part) -> None:
    """`alpha` uses a and b, `beta` uses c."""
    for name, part in {"a": a, "b": b, "c": c}.items():
        site.commit(name, part)
    site.commit_files("flake", {"flake.nix": _BOTH.replace("@SITE@", str(site))})
    site.nix.run("nix", "flake", "lock", cwd=site.directory / "flake")
    site.commit_files("flake", {})


@pytest.mark.parametrize("gate", ["no-regression", "all-green"])
@pytest.mark.parametrize("how", ["build", "throw"])
def test_one_repairs_a_host_and_another_breaks_it_again(site: Site, how: str, gate: str) -> None:
    site.settings = {"build": {"gate": f'"{gate}"'}}
    three(site, broken(1), fine(1), fine(1))
    kept = site.locked("b")
    good, other = site.commit("a", fine(2)), site.commit("c", fine(2))
    site.commit("b", broken(2, how))
    _, document = site.lockbot("update")
    assert (document["outcome"], held(document)) == ("partly published", {"b": "breaks"}), document
    assert [site.locked(name) for name in "abc"] == [good, kept, other]
    assert document["held"][0]["culprit"]["hosts"] == ["alpha"]
    assert {host["name"]: host["answer"] for host in document["hosts"]} == {"alpha": "good", "beta": "good"}


_REPAIR = """\
{ inputs.a = { url = "git+file://@SITE@/a"; flake = false; };
  inputs.b = { url = "git+file://@SITE@/b"; flake = false; };
  outputs = { self, a, b }: let
    at = input: builtins.readFile "${input}/version";
    host = name: ok: { config.system.build.toplevel = if !ok then throw "${name} is broken" else derivation {
      name = "nixos-system-${name}"; system = "x86_64-linux"; builder = "/bin/sh";
      args = [ "-c" "echo ${at a} ${at b} @SITE@ >$out" ];
    }; };
  in { nixosConfigurations = {
    alpha = host "alpha" (at a == "2" && at b == "1");
    beta = host "beta" (at a == "1");
  }; };
}
"""


def test_a_repair_that_can_not_be_taken_holds_nothing(site: Site) -> None:
    """`a` repairs alpha and breaks beta, so it stays. Then there is nothing that `b` would spoil."""
    for name in "ab":
        site.commit_files(name, {"version": "1"})
    site.commit_files("flake", {"flake.nix": _REPAIR.replace("@SITE@", str(site))})
    site.nix.run("nix", "flake", "lock", cwd=site.directory / "flake")
    site.commit_files("flake", {})
    stays = site.locked("a")
    site.commit_files("a", {"version": "2"})
    new = site.commit_files("b", {"version": "2"})
    _, document = site.lockbot("update")
    assert (site.locked("a"), site.locked("b")) == (stays, new), document
    assert held(document) == {"a": "breaks"}
    assert document["held"][0]["culprit"]["hosts"] == ["beta"]


def test_an_input_that_only_broken_hosts_use_is_held_and_told(site: Site) -> None:
    three(site, broken(1), fine(1), fine(1))
    stays = site.locked("b")
    site.commit("b", fine(2))
    good = site.commit("c", fine(2))
    code, document = site.lockbot("update")
    assert (code, document["outcome"], held(document)) == (0, "partly published", {"b": "only-broken-hosts"})
    assert (site.locked("b"), site.locked("c")) == (stays, good)
    _, status = site.lockbot("status")
    row = next(row for row in status["inputs"] if row["input"] == "b")
    assert (row["state"], row["reason"]) == ("held", "only-broken-hosts")
    assert "alpha" in row["detail"]


_HOSTS = """\
{ inputs.a = { url = "git+file://@SITE@/a"; flake = false; };
  inputs.b = { url = "git+file://@SITE@/b"; flake = false; };
  inputs.c = { url = "git+file://@SITE@/c"; flake = false; };
  outputs = { self, a, b, c }: let
    plain = name: script: more: derivation ({
      inherit name; system = "x86_64-linux"; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
      args = [ "-c" script ]; site = "@SITE@";
    } // more);
    part = input: import "${input}/part.nix" { inherit plain; root = ./.; };
    host = name: drvs: { config.system.build.toplevel =
      plain "nixos-system-${name}" "echo ${toString drvs} ${@REV@} >$out" { };
    };
  in { nixosConfigurations = { alpha = host "alpha" [ (part a) (part b) ]; beta = host "beta" [ (part c) ]; }
    // (if builtins.pathExists "${b}/more" then { new = host "new" [ (import "${b}/more" plain) ]; } else { }); };
}
"""


def fleet(site: Site, *, rev: str = '""', **parts: Part) -> None:
    """`alpha` uses a and b, `beta` uses c; b may bring along a host `new`. Each embeds `rev`."""
    for name in "abc":
        site.commit(name, parts.get(name, fine(1)))
    site.commit_files("flake", {"flake.nix": _HOSTS.replace("@SITE@", str(site)).replace("@REV@", rev)})
    site.nix.run("nix", "flake", "lock", cwd=site.directory / "flake")
    site.commit_files("flake", {})


@pytest.mark.parametrize("how", ["exit 1", "sleep 60", "echo >$out"])
def test_a_new_host_decides_for_the_input_that_brings_it_alone(site: Site, how: str) -> None:
    site.settings = {"build": {"timeout": '"2s"'}}
    fleet(site)
    stays, good, other = site.locked("b"), site.commit("a", fine(2)), site.commit("c", fine(2))
    new = site.commit_files("b", {"more": f"plain: plain \"more\" ''{how}'' {{ }}"})
    _, document = site.lockbot("update")
    assert (site.locked("a"), site.locked("c")) == (good, other), document
    assert site.locked("b") == (new if "out" in how else stays)
    reason = {"exit 1": {"b": "breaks"}, "sleep 60": {"b": "could-not-be-judged"}}.get(how, {})
    assert held(document) == reason, document


def test_two_inputs_break_what_one_repairs(site: Site) -> None:
    three(site, broken(1), fine(1), fine(1))
    text = _BOTH.replace("@SITE@", str(site)).replace("[ a b ]", "[ a b c ]")
    site.commit_files("flake", {"flake.nix": text.replace('beta = host "beta" [ c ];', "")})
    good = site.commit("a", fine(2))
    site.commit("b", broken(2))
    site.commit("c", broken(3))
    _, document = site.lockbot("update")
    assert (site.locked("a"), held(document)) == (good, {"b": "breaks", "c": "breaks"}), document


def test_two_that_only_repair_together_land_together_each_in_turn(site: Site) -> None:
    """With a commit for each input, what is nothing by itself goes with the next."""
    site.settings = {"search": {"one_commit_per_input": "true"}}
    three(site, broken(1), broken(1), fine(1))
    new = [site.commit(name, fine(2)) for name in "ab"]
    _, document = site.lockbot("update")
    assert [site.locked(name) for name in "ab"] == new, document


@pytest.mark.parametrize("rev", ["self.rev", "self"])
def test_a_host_that_embeds_its_commit_speaks_for_its_own_inputs_alone(site: Site, rev: str) -> None:
    """It is another derivation at every commit: that alone says nothing of an input."""
    site.settings = {"build": {"timeout": '"2s"'}}
    fleet(site, rev=rev, c=hangs(site, 1))
    stays, good = site.locked("c"), site.commit("a", fine(2))
    site.commit("c", hangs(site, 2))
    _, document = site.lockbot("update")
    assert (site.locked("a"), site.locked("c")) == (good, stays), document
    assert held(document) == {"c": "could-not-be-judged"}


def test_a_build_that_hangs_is_waited_for_once(site: Site) -> None:
    """Once with the update and once without, however many questions the search has; and the search has its time
    after that."""
    site.settings = {"build": {"timeout": '"4s"'}, "search": {"time": '"6s"'}}
    fleet(site, c=hangs(site, 1))
    new = [site.commit(name, fine(2)) for name in "ab"]
    site.commit("c", hangs(site, 2))
    _, document = site.lockbot("update")
    assert [site.locked(name) for name in "ab"] == new, document
    assert sorted((site.directory / "begun").read_text().split()) == ["1", "2"]


def test_what_nothing_here_can_build_neither_speaks_nor_blocks(site: Site) -> None:
    """As the configuration says; and so in each judgement of a run, not in the first alone."""
    site.settings = {"hosts": {"unbuildable": '["beta"]'}}
    three(site, fine(1), fine(1), fine(1))
    text = _BOTH.replace("@SITE@", str(site)).replace("[ c ]", "[ c a ]")
    site.commit_files("flake", {"flake.nix": text})
    stays = site.locked("c")
    new = site.commit("a", fine(2))
    site.commit("b", broken(2))
    site.commit("c", fine(2))
    _, document = site.lockbot("update")
    assert (site.locked("a"), site.locked("c")) == (new, stays), document
    assert held(document) == {"b": "breaks", "c": "could-not-be-judged"}, document
    beta = next(host for host in document["hosts"] if host["name"] == "beta")
    assert (beta["status"], beta["answer"]) == ("not-buildable-here", "unjudged")


def test_what_is_only_evaluated_must_go_on_evaluating(site: Site) -> None:
    site.settings = {"hosts": {"unbuildable": '["beta"]'}}
    three(site, fine(1), fine(1), fine(1))
    good = site.commit("a", fine(2))
    site.commit("c", broken(2, "throw"))
    _, document = site.lockbot("update")
    assert (site.locked("a"), held(document)) == (good, {"c": "breaks"}), document
