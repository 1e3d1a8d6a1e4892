"""Realising real derivations: who failed, why, and whose fault it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lockbot.errors import SurroundingsError
from lockbot.model import DerivationStarted, DerivationStopped, Event, Failure, Retrying
from lockbot.nix import command
from lockbot.nix.build import Builder, Limits, Target
from lockbot.process import CancelToken
from tests import nixes

LIMITS = Limits(timeout=30, silence=30, retries=1, delay=0.05)

DERIVATIONS = """
let
  plain = name: script: attributes: derivation ({
    inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" script ]; salt = "SALT";
  } // attributes);
  fixed = {
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = "0000000000000000000000000000000000000000000000000000";
  };
in rec {
  fine = plain "fine" "echo ok >$out" { };
  outputs = derivation { name = "two"; system = "x86_64-linux"; builder = "/bin/sh"; outputs = [ "out" "dev" ];
    args = [ "-c" "echo a >$out; echo b >$dev" ]; salt = "SALT"; };
  fetch = plain "source" "echo 'curl: (6) Could not resolve host: example.invalid'; exit 1" fixed;
  needs-fetch = plain "needs-fetch" "echo $src >$out" { src = fetch; };
  gone = plain "gone" "echo 'curl: (22) The requested URL returned error: 404'; exit 1" fixed;
  talks = plain "talks" "
    echo 'error: unable to download: Could not resolve host'; echo 'No space left on device'; exit 1
  " { };
  foreign = plain "foreign" "echo >$out" { system = "aarch64-linux"; };
  needs-foreign = plain "needs-foreign" "echo $dep >$out" { dep = foreign; };
  crashes = plain "crashes" "kill -9 $$" { };
  killed-once = plain "killed-once" "
    if [ ! -e STATE/once ]; then : >STATE/once; kill -9 $$; fi; echo ok >$out
  " { };
  flaky = plain "flaky" "if [ ! -e STATE/fl ]; then : >STATE/fl; exit 1; fi; echo ok >$out" { };
  needs-flaky = plain "needs-flaky" "echo $dep >$out" { dep = flaky; };
  wrong = plain "wrong" "echo >$out" fixed;
  broken = plain "broken" "echo one; echo two; exit 7" { };
  shares-a = plain "shares-a" "echo $dep >$out" { dep = broken; };
  shares-b = plain "shares-b" "echo $dep >$out" { dep = broken; };
  loud = plain "loud" "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; exit 1" { };
}
"""


class Bench:
    def __init__(self, nix: nixes.Nix, tmp: Path, cancel: CancelToken) -> None:
        self.events: list[Event] = []
        self._tmp = tmp
        self._raw = nix
        self.nix = command.find(nix.environment, cancel, tmp / "data", {})

    def target(self, name: str) -> Target:
        file = self._tmp / "all.nix"
        file.write_text(DERIVATIONS.replace("SALT", str(self._tmp)).replace("STATE", str(self._tmp)))
        words = self._raw.run(
            "nix-instantiate",
            "--eval",
            "--read-write-mode",
            "--strict",
            "--json",
            "--expr",
            f"""
          let d = (import {file}).{name}; in [ d.drvPath d.outPath d.system ]
        """,
        ).stdout
        drv, out, system = words.strip().strip("[]").replace('"', "").split(",")
        return Target(drv, out, f"{drv}!out", system)

    def build(self, *names: str, limits: Limits = LIMITS) -> Mapping[str, Failure | None]:
        targets = {name: self.target(name) for name in names}
        with Builder(self.nix, limits, self.events.append) as builder:
            for target in targets.values():
                builder.want(target)
            results = builder.results()
        return {name: results[target.drv] for name, target in targets.items()}


@pytest.fixture
def bench(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> Bench:
    return Bench(nix, tmp_path, cancel)


def kinds(results: Mapping[str, Failure | None]) -> dict[str, str | None]:
    return {name: failure.kind.value if failure else None for name, failure in results.items()}


def test_everything_at_once_keeps_apart(bench: Bench) -> None:
    """A foreign dependency aborts Nix 2.26's whole batch; the others still get their own verdict."""
    results = bench.build("fine", "outputs", "needs-foreign", "wrong", "shares-a", "shares-b", "gone", "talks")
    assert kinds(results) == {
        "fine": None,
        "outputs": None,
        "needs-foreign": "platform",
        "wrong": "hash-mismatch",
        "shares-a": "build",
        "shares-b": "build",
        "gone": "build",
        "talks": "build",
    }
    failures = {name: failure for name, failure in results.items() if failure is not None}
    assert (failures["shares-a"].culprit or "").endswith("-broken.drv")
    assert failures["shares-a"].culprit == failures["shares-b"].culprit
    assert failures["shares-a"].tail == ("one", "two")
    assert (failures["needs-foreign"].culprit or "").endswith("-foreign.drv")


def test_a_fetcher_without_a_network_is_the_surroundings(bench: Bench) -> None:
    with pytest.raises(SurroundingsError, match="Could not resolve host"):
        bench.build("needs-fetch", "fine")
    assert sum(isinstance(event, Retrying) for event in bench.events) == LIMITS.retries


def test_a_killed_build_gets_another_chance(bench: Bench) -> None:
    assert kinds(bench.build("killed-once")) == {"killed-once": None}
    assert kinds(bench.build("crashes")) == {"crashes": "killed"}


def test_a_dead_builder_host_is_the_surroundings(bench: Bench) -> None:
    options = {"builders": "ssh-ng://nobody@127.0.0.1?remote-program=/nonexistent x86_64-linux", "max-jobs": "0"}
    with pytest.raises(SurroundingsError):
        bench.build("fine", limits=replace(LIMITS, options=options))


def test_a_long_log_is_kept_whole_and_told_short(bench: Bench) -> None:
    failure = bench.build("loud")["loud"]
    assert failure is not None
    assert failure.tail[-1] == "line 2999"
    assert len(failure.tail) <= 20
    assert failure.log.splitlines()[0] == "line 0"


def test_what_is_built_is_told_while_it_is(bench: Bench) -> None:
    bench.build("shares-a", "fine")
    started = [event.drv for event in bench.events if isinstance(event, DerivationStarted)]
    stopped = [event.drv for event in bench.events if isinstance(event, DerivationStopped)]
    assert sorted(started) == sorted(stopped)
    assert {Path(drv).name.partition("-")[2] for drv in started} == {"broken.drv", "fine.drv"}


def test_what_is_there_is_not_built_again(bench: Bench) -> None:
    bench.build("fine")
    bench.events.clear()
    assert kinds(bench.build("fine")) == {"fine": None}
    assert bench.events == []


def test_a_flaky_build_is_recognised(bench: Bench) -> None:
    """It fails, then passes unchanged; what fails twice is broken; what worked at once is neither."""
    targets = {name: bench.target(name) for name in ("flaky", "needs-flaky", "broken", "fine")}
    with Builder(bench.nix, replace(LIMITS, second_chance=True), bench.events.append) as builder:
        builder.want(targets["needs-flaky"])
        builder.results()
        for target in targets.values():
            builder.want(target)
        results = builder.results()
        assert builder.flaky == {targets["flaky"].drv}
    assert kinds({name: results[target.drv] for name, target in targets.items()}) == {
        "flaky": None,
        "needs-flaky": None,
        "broken": "build",
        "fine": None,
    }


def test_what_is_known_to_fail_is_not_built(bench: Bench) -> None:
    first = bench.build("shares-a")["shares-a"]
    assert first is not None and first.culprit is not None
    bench.events.clear()
    wanted = {name: bench.target(name) for name in ("shares-b", "fine")}
    with Builder(bench.nix, LIMITS, bench.events.append, {first.culprit: first}) as builder:
        for target in wanted.values():
            builder.want(target)
        results = builder.results()
    assert results[wanted["shares-b"].drv] == first
    assert results[wanted["fine"].drv] is None
    started = [event.drv for event in bench.events if isinstance(event, DerivationStarted)]
    assert started == [wanted["fine"].drv]
