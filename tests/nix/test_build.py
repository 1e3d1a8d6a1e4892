"""Realising real derivations: who failed, why, and whose fault it is not."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lockbot import process
from lockbot.errors import SurroundingsError
from lockbot.model import Answer, DerivationStarted, DerivationStopped, Event, Failure, FailureKind, Retrying
from lockbot.nix import command, installed
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
        self.nix = installed.find(nix.environment, cancel, tmp / "data", {})

    def target(self, name: str, extra: str = "") -> Target:
        file = self._tmp / "all.nix"
        text = DERIVATIONS.rstrip().removesuffix("}") + extra + "}"
        file.write_text(text.replace("SALT", str(self._tmp)).replace("STATE", str(self._tmp)))
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

    def build(self, *names: str, limits: Limits = LIMITS, extra: str = "") -> Mapping[str, Failure | None]:
        targets = {name: self.target(name, extra) for name in names}
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
        "gone": "network",
        "talks": "disk-full",
    }
    failures = {name: failure for name, failure in results.items() if failure is not None}
    assert (failures["shares-a"].culprit or "").endswith("-broken.drv")
    assert failures["shares-a"].culprit == failures["shares-b"].culprit
    assert failures["shares-a"].tail == ("one", "two")
    assert (failures["needs-foreign"].culprit or "").endswith("-foreign.drv")


def test_a_fetcher_without_a_network_is_waited_for_and_nobody_fault(bench: Bench) -> None:
    results = bench.build("needs-fetch", "fine")
    assert kinds(results) == {"needs-fetch": "network", "fine": None}
    failure = results["needs-fetch"]
    assert failure is not None and "Could not resolve host" in failure.message
    assert sum(isinstance(event, Retrying) for event in bench.events) == LIMITS.retries


FETCHERS = {
    "curl-503": "curl: (22) The requested URL returned error: 503",
    "curl-tls": "curl: (60) SSL certificate problem: unable to get local issuer certificate",
    "wget": "wget: unable to resolve host address 'example.invalid'",
    "go": "go: example.invalid/x@v1: dial tcp: lookup example.invalid: no such host",
    "npm": "npm error code ECONNREFUSED",
    "cargo": "error: failed to get `x` as a dependency of package `y`",
    "pip": "ERROR: No matching distribution found for x",
    "git": "fatal: unable to access https://example.invalid/: Could not resolve host: example.invalid",
    "curl-404": "curl: (22) The requested URL returned error: 404",
    "says-nothing": "",
    "forged": "error: hash mismatch in fixed-output derivation /x.drv",
    "ended": "exit code 3",
}


def test_no_fetcher_that_fails_is_evidence(bench: Bench) -> None:
    """Whatever it says: what it is decides."""
    extra = "".join(
        f'{name} = plain "{name}" {json.dumps(f"echo {chr(39)}{words}{chr(39)}; exit 3")}'
        f' (fixed // {{ url = "https://x/{name}"; }});'
        for name, words in FETCHERS.items()
    )
    results = bench.build(*FETCHERS, extra=extra)
    assert set(kinds(results).values()) <= {"network", "source"}
    for name, failure in results.items():
        assert failure is not None and f"https://x/{name}" in failure.message
        assert failure.answer is Answer.UNJUDGED
    assert sum(isinstance(event, Retrying) for event in bench.events) == LIMITS.retries  # once for all of them


ENDED = {
    "shell-kill": ("exit 137", "killed"),
    "shell-term": ("exit 143", "killed"),
    "disk": ("echo 'write error: No space left on device'; exit 1", "disk-full"),
    "quota": ("echo 'Disk quota exceeded'; exit 1", "disk-full"),
    "compiler": ("echo 'c++: fatal error: Killed signal terminated program cc1plus'; exit 1", "out-of-memory"),
    "rust": ("echo 'memory allocation of 4096 bytes failed'; exit 101", "out-of-memory"),
    "make": ("echo 'make: *** [all] Error 137'; exit 2", "out-of-memory"),
    "cargo": ("echo 'process did not exit successfully: x (signal: 9, SIGKILL: kill)'; exit 101", "out-of-memory"),
    "cargo-again": ("echo 'rustc exited with signal: 9 (SIGKILL)'; exit 101", "out-of-memory"),
    "java": ("echo 'Exception in thread x java.lang.OutOfMemoryError: Java heap space'; exit 1", "out-of-memory"),
    "jvm": ("echo 'There is insufficient memory for the Java Runtime Environment'; exit 1", "out-of-memory"),
    "python": ("echo 'Traceback:'; echo MemoryError; exit 1", "out-of-memory"),
    "python-says": ("echo 'MemoryError: Unable to allocate 8 GiB for an array'; exit 1", "out-of-memory"),
    "node": ("echo 'FATAL ERROR: heap limit: JavaScript heap out of memory'; exit 134", "out-of-memory"),
    "linker": ("echo 'ld: final link failed: memory exhausted'; exit 1", "out-of-memory"),
    "memory-by-name": ("echo 'compiling MemoryError.hs: parse error'; exit 1", "build"),
    "aborts": ("exit 134", "build"),
    "crashes-at-once": ("exit 139", "build"),
    "ordinary": ("echo 'error: cannot connect to socket at /x'; exit 1", "build"),
    "forged-kill": ("echo 'builder failed due to signal 9 (Killed.)'; exit 3", "build"),
    "no-output": ("exit 0", "build"),
}


def test_how_a_builder_ended_and_what_ran_out(bench: Bench) -> None:
    extra = "".join(f'{name} = plain "{name}" {json.dumps(script)} {{ }};' for name, (script, _) in ENDED.items())
    assert kinds(bench.build(*ENDED, extra=extra)) == {name: kind for name, (_, kind) in ENDED.items()}


def test_a_forbidden_reference_is_the_derivation_own(bench: Bench) -> None:
    extra = """refers = plain "refers" "echo $dep >$out" { dep = fine; allowedReferences = [ ]; };
        above = plain "above" "echo $dep >$out" { dep = refers; };"""
    failure = bench.build("above", extra=extra)["above"]
    assert failure is not None and failure.kind.value == "build"
    assert (failure.culprit or "").endswith("-refers.drv")


def test_a_hash_mismatch_is_tried_twice(bench: Bench) -> None:
    assert kinds(bench.build("wrong", limits=replace(LIMITS, second_chance=True))) == {"wrong": "hash-mismatch"}
    assert [event.drv for event in bench.events if isinstance(event, DerivationStarted)] == [
        bench.target("wrong").drv
    ] * 2


def test_what_failed_in_another_run_needs_no_second_try(bench: Bench) -> None:
    target = bench.target("broken")
    limits = replace(LIMITS, second_chance=True)
    broken = {target.drv: Failure(FailureKind.BUILD, "another time", target.drv)}
    with Builder(bench.nix, limits, bench.events.append, broken) as builder:
        failure = builder.why(target)
    assert failure is not None and failure.kind.own
    assert sum(isinstance(event, DerivationStarted) for event in bench.events) == 1


def test_what_was_waited_for_in_vain_is_not_waited_for_again(bench: Bench) -> None:
    seen: dict[str, Failure] = {}
    wanted = {name: bench.target(name) for name in ("needs-fetch", "fetch")}
    for target in wanted.values():
        with Builder(bench.nix, LIMITS, bench.events.append, seen=seen) as builder:
            failure = builder.why(target)
        assert failure is not None and failure.culprit == wanted["fetch"].drv
    assert set(seen) == {wanted["fetch"].drv}
    assert sum(isinstance(event, Retrying) for event in bench.events) == LIMITS.retries


def test_users_to_build_as_that_are_not_there(bench: Bench) -> None:
    results = bench.build("fine", limits=replace(LIMITS, options={"build-users-group": "nosuchgroup"}))
    assert kinds(results) == {"fine": "refused"}


FAR = """#!/bin/sh
export NIX_STATE_DIR=PLACE/state NIX_LOG_DIR=PLACE/log NIX_REMOTE=
exec unshare -mr /bin/sh -c 'mount --bind PLACE/store STORE; exec nix-daemon "$@"' x "$@"
"""


@pytest.fixture
def far(bench: Bench, tmp_path: Path) -> Limits:
    """Everything is built by another daemon, with a store of its own, which ssh-ng://localhost starts."""
    place = tmp_path / "far"
    for name in ("store", "state"):
        (place / name).mkdir(parents=True)
    program = tmp_path / "far.sh"
    program.write_text(FAR.replace("PLACE", str(place)).replace("STORE", bench.nix.environ["NIX_STORE_DIR"]))
    program.chmod(0o755)
    if subprocess.run(["unshare", "-mr", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT TESTED: no namespaces here, so there is no second store")
    builders = f"ssh-ng://localhost?remote-program={program} x86_64-linux - 4 1 - - -"
    return replace(LIMITS, options={"builders": builders, "max-jobs": "0"})


REMOTE = {
    "far-fine": ("echo ok >$out", None),
    "far-broken": ("echo one; exit 3", "build"),
    "far-kill": ("exit 137", "killed"),
    "far-signal": ("kill -9 $$", "killed"),
    "far-disk": ("echo 'No space left on device'; exit 1", "disk-full"),
    "far-lost": ("kill -9 $PPID; read x", "builder-host"),
}


def test_a_remote_builder_tells_its_failures_and_may_be_lost(bench: Bench, far: Limits) -> None:
    for name, (script, kind) in REMOTE.items():
        extra = f'{name} = plain "{name}" {json.dumps(script)} {{ }};'
        assert kinds(bench.build(name, limits=far, extra=extra)) == {name: kind}
    assert kinds(bench.build("wrong", limits=far)) == {"wrong": "hash-mismatch"}


def test_a_daemon_that_restarts_in_the_middle_is_waited_for(bench: Bench, tmp_path: Path) -> None:
    socket = tmp_path / "socket"
    daemon = bench.nix.nix.parent / "nix-daemon"
    environment = {**bench.nix.environ, "NIX_DAEMON_SOCKET_PATH": str(socket)}
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        socket.unlink(missing_ok=True)
        argv = [str(daemon), "--daemon"]
        running.append(subprocess.Popen(argv, env={**environment, "NIX_REMOTE": "local"}, start_new_session=True))

    def stop() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running[-1].pid, signal.SIGKILL)
        running[-1].wait()

    def restarted() -> None:
        while not (tmp_path / "building").exists():
            time.sleep(0.01)
        for pid, _ in process.descendants(running[-1].pid):
            process.kill(pid)
        stop()
        time.sleep(1)
        start()

    once = f": >{tmp_path}/building; read x <{tmp_path}/never"
    slow = f"if [ ! -e {tmp_path}/building ]; then {once}; fi; echo ok >$out"
    os.mkfifo(tmp_path / "never")
    bench.nix = replace(bench.nix, environ={**environment, "NIX_REMOTE": "daemon"})
    target = bench.target("slow", f'slow = plain "slow" {json.dumps(slow)} {{ }};')
    start()
    meddler = threading.Thread(target=restarted)
    meddler.start()
    try:
        with Builder(bench.nix, replace(LIMITS, delay=2), bench.events.append) as builder:
            assert builder.why(target) is None
    finally:
        meddler.join()
        stop()
    assert any(isinstance(event, Retrying) for event in bench.events)


def test_a_daemon_that_stays_away_is_named(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "DAEMON_DELAY", 0.01)
    gone = {**bench.nix.environ, "NIX_REMOTE": "daemon", "NIX_DAEMON_SOCKET_PATH": str(tmp_path / "none")}
    with pytest.raises(SurroundingsError, match="store cannot be reached"):
        replace(bench.nix, environ=gone).invalid([bench.target("fine").out])


def test_a_killed_build_gets_another_chance(bench: Bench) -> None:
    assert kinds(bench.build("killed-once")) == {"killed-once": None}
    assert kinds(bench.build("crashes")) == {"crashes": "killed"}


def test_a_dead_builder_host_is_nobody_fault(bench: Bench) -> None:
    options = {"builders": "ssh-ng://nobody@127.0.0.1?remote-program=/nonexistent x86_64-linux", "max-jobs": "0"}
    assert kinds(bench.build("fine", limits=replace(LIMITS, options=options))) == {"fine": "builder-host"}


OTHER = "ssh-ng://nobody@127.0.0.1 aarch64-darwin"


@pytest.mark.parametrize("builders", ["", OTHER], ids=["none", "of another system"])
@pytest.mark.parametrize("names", [("fine",), ("fine", "shares-a")], ids=["one", "two"])
def test_settings_by_which_nothing_is_built_here_are_not_waited_for(
    bench: Bench, builders: str, names: Sequence[str]
) -> None:
    options = {"builders": builders, "max-jobs": "0"}
    results = bench.build(*names, limits=replace(LIMITS, options=options, retries=2, second_chance=True))
    assert kinds(results) == dict.fromkeys(names, "refused")
    for failure in results.values():
        assert failure is not None
        assert "max-jobs = 0, and no builder is there for its system: nothing can be built here" in failure.message
    assert not any(isinstance(event, Retrying) for event in bench.events)


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


SLOW = 'slow = plain "slow" ": >STATE/begun; /bin/sleep 600; echo ok >$out" { };'


def test_what_turns_out_not_to_be_needed_is_given_up(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    bench = Bench(one_nix, tmp_path, cancel)
    slow, fine = bench.target("slow", SLOW), bench.target("fine", SLOW)
    with Builder(bench.nix, replace(LIMITS, timeout=3600, silence=3600), bench.events.append) as builder:
        builder.try_meanwhile(slow)
        while not (tmp_path / "begun").exists():
            time.sleep(0.05)
        builder.want(fine)
        builder.give_up(slow.drv)
        assert builder.results() == {fine.drv: None}


def test_what_was_begun_meanwhile_and_is_wanted_is_built_once(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    bench = Bench(one_nix, tmp_path, cancel)
    targets = [bench.target(name) for name in ("fine", "broken", "outputs")]
    with Builder(bench.nix, LIMITS, bench.events.append) as builder:
        for target in targets:
            builder.try_meanwhile(target)
        for target in targets:
            builder.want(target)
        results = builder.results()
    assert {drv: failure is None for drv, failure in results.items()} == {
        targets[0].drv: True,
        targets[1].drv: False,
        targets[2].drv: True,
    }
    begun = [event.drv for event in bench.events if isinstance(event, DerivationStarted)]
    assert sorted(begun) == sorted(target.drv for target in targets)
