"""Several failures below one derivation: the answer is always the same, whatever the hashes and the version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lockbot.model import Failure, FailureKind
from lockbot.nix import blame
from lockbot.nix.build import Builder, Limits
from lockbot.process import CancelToken
from tests import nixes
from tests.nix.test_build import LIMITS, Bench, kinds
from tests.sampling import nix_by_turns

HASHES = range(6)
"""As many pairs, each with hashes of its own: by chance alone, all are in one order once in 32 times."""
AT_ONCE = replace(LIMITS, retries=0)
SHORT = replace(AT_ONCE, timeout=1)


@pytest.fixture
def bench(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> Bench:
    return Bench(nix, tmp_path, cancel)


def pairs(first: str, second: str, *, fetched: bool = False) -> str:
    """`fetched`: the first of each pair is a fixed-output derivation."""
    text = ""
    for number in HASHES:
        hashed = f'outputHash = "{number:052d}"; outputHashAlgo = "sha256"; outputHashMode = "flat";'
        text += (
            f'top-{number} = plain "top" "echo $p $q >$out" {{'
            f' p = plain "p" "{first} # {number}" {{ {hashed if fetched else ""} }};'
            f' q = plain "q" "{second} # {number}" {{ }}; }};'
        )
    return text


def found(bench: Bench, extra: str, limits: Limits = AT_ONCE) -> set[tuple[str, str]]:
    """What became of each pair: kind, and name of the culprit."""
    results = bench.build(*(f"top-{number}" for number in HASHES), limits=limits, extra=extra)
    failures = [failure for failure in results.values() if failure is not None]
    assert len(failures) == len(HASHES)
    return {(failure.kind.value, Path(failure.culprit or "").name.partition("-")[2]) for failure in failures}


@nix_by_turns(
    ("other", "fetched"),
    {
        "137": ("exit 137", False),
        "killed": ("kill -9 $$", False),
        "disk": ("echo 'No space left on device'; exit 1", False),
        "source": ("exit 1", True),
    },
)
def test_a_failure_of_its_own_is_preferred(bench: Bench, other: str, fetched: bool) -> None:
    assert found(bench, pairs(other, "exit 1", fetched=fetched)) == {("build", "q.drv")}


def test_a_failure_of_its_own_is_preferred_to_one_that_takes_too_long(bench: Bench) -> None:
    assert found(bench, pairs("/bin/sleep 20", "exit 1"), SHORT) == {("build", "q.drv")}


def test_among_equals_the_name_decides(bench: Bench) -> None:
    assert found(bench, pairs("exit 3", "exit 1")) == {("build", "p.drv")}
    assert found(bench, pairs("exit 137", "exit 143")) == {("killed", "p.drv")}


@nix_by_turns((), {"": ()})
def test_among_those_that_take_too_long_the_name_decides(bench: Bench) -> None:
    """2.34 names none of them."""
    assert found(bench, pairs("/bin/sleep 20", "/bin/sleep 21"), SHORT) == {("timeout", "p.drv")}


def test_of_what_is_known_to_fail_its_own_is_preferred(bench: Bench) -> None:
    extra = pairs("exit 137", "exit 1")
    broken: dict[str, Failure] = {}
    for number in HASHES:
        for name, kind in (("p", FailureKind.KILLED), ("q", FailureKind.BUILD)):
            drv = bench.target(f"top-{number}.{name}", extra).drv
            broken[drv] = Failure(kind, "known", culprit=drv)
    targets = [bench.target(f"top-{number}", extra) for number in HASHES]
    with Builder(bench.nix, LIMITS, bench.events.append, broken) as builder:
        for target in targets:
            builder.want(target)
        results = builder.results()
    assert set(kinds(results).values()) == {"build"}
    assert bench.events == []


def test_known_failures_in_any_order() -> None:
    first, second, other = "/s/9-a.drv", "/s/1-b.drv", "/s/0-z.drv"
    broken = {drv: Failure(FailureKind.TIMEOUT, drv, drv) for drv in (second, other, first)}
    assert blame.known_to_fail(broken, frozenset(broken)) == broken[first]
    broken[other] = Failure(FailureKind.BUILD, other, other)
    assert blame.known_to_fail(broken, frozenset(broken)) == broken[other]
    assert blame.known_to_fail(broken, frozenset({first, "/s/2-c.drv"})) == broken[first]
    assert blame.known_to_fail(broken, frozenset({"/s/2-c.drv"})) is None
