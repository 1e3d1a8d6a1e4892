"""Which of two versions is newer: by the pairs on which other tools err, by law, and by Nix's own word."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockbot.closure.versions import direction, sort
from lockbot.model.difference import PackageMark
from tests import nixes

UP, DOWN, CHANGED = PackageMark.UP, PackageMark.DOWN, PackageMark.CHANGED

UPWARDS = """
    1.9.17 1.9.17p1
    9.9p9 9.9p10
    0.9.2 0.9.2-unstable-2026-01-01
    9f 10
    7.1.1 7.1.1a
    6.18-rc7 6.18
    6.18-rc7 6.18.1
    6.18-rc7 6.18-zen1
    6.18-rc9 6.18-rc10
    258-rc4 258
    3.6.0-beta1 3.6.0
    3.6.0-alpha2 3.6.0-beta1
    1.0pre3 1.0
    1.0-preview2 1.0
    1.0.dev4 1.0
    1.0-RC1 1.0
    1.0_rc1 1.0
    1.0~beta 1.0
    1.0rc1 1.0a
    2.9 2.10
    2.09 2.10
    1.1.1w 3.0.13
    99999999999999999999 100000000000000000000
    2025b 2026a
    2025.12.3 2026.1.0
    2026-01-02 2026-01-10
    20260102 2026-01-10
    unstable-2026-01-31 2026-02-01
    0-unstable-2026-01-31 0-unstable-2026-02-01
    25.11.20260101.abc1234 25.11.20260102.0bc1234
    20240101 20240101a
    0-unstable-2026-01-01 0.1
    cafe cafe1
"""
NEITHER = """
    9f3c2d1 a1b2c3d
    1234567 a1b2c3d
    9f3c2d1e55aa07bbccddeeff00112233445566aa 0f3c2d1e55aa07bbccddeeff00112233445566aa
    0.1-9f3c2d1 0.1-0f3c2d1
    0.1+g9f3c2d1 0.1+g0f3c2d1
    25.11.20260101.abc1234 25.11.20260101.0bc1234
    9f3c2d1 1.2.3
    2026-01-01 1.2
    20260101 1.2
    unstable-2026-01-01 1.2
    2021.1.0 0.118.5
    20260101 2026-01-01
    1.0 1-0
    1.0 1.00
    1.0 1.0
"""


def pairs(table: str) -> list[tuple[str, ...]]:
    return [tuple(line.split()) for line in table.strip().splitlines()]


@pytest.mark.parametrize(("old", "new"), pairs(UPWARDS))
def test_what_is_newer(old: str, new: str) -> None:
    assert (direction(old, new), direction(new, old)) == (UP, DOWN)
    assert sort([new, old, new]) == (old, new)


@pytest.mark.parametrize(("old", "new"), pairs(NEITHER))
def test_what_has_no_order(old: str, new: str) -> None:
    assert (direction(old, new), direction(new, old)) == (CHANGED, CHANGED)
    assert len(sort([old, new])) == len({old, new})


_NUMBERS = ("1", "2", "10", "007", "2026-01-02", "20260102", "abcdef1", "1234567")
_WORDS = st.sampled_from([*_NUMBERS, "a", "p1", "rc1", "beta", "pre", "dev", "-", ".", "_", "unstable-"])
_VERSIONS = st.lists(_WORDS, max_size=6).map("".join) | st.text(max_size=12)


@given(_VERSIONS, _VERSIONS)
def test_back_is_the_other_way_round(old: str, new: str) -> None:
    opposite = {UP: DOWN, DOWN: UP, CHANGED: CHANGED}
    assert direction(new, old) is opposite[direction(old, new)]


@given(st.lists(_VERSIONS, max_size=8))
def test_sorting_does_not_depend_on_the_order(versions: list[str]) -> None:
    assert sort(versions) == sort(reversed(versions))
    assert set(sort(versions)) == set(versions)


def test_what_has_no_order_is_sorted_by_its_letters() -> None:
    assert sort(["1.0", "1-0", "01.0", "1..0", "1.00"]) == ("01.0", "1-0", "1..0", "1.0", "1.00")


@given(st.lists(_VERSIONS, min_size=3, max_size=3))
def test_what_is_sorted_goes_up(versions: list[str]) -> None:
    found = sort(versions)
    assert all(direction(a, b) is not DOWN for a, b in itertools.pairwise(found))


def test_it_is_nix_s_own_order(one_nix: nixes.Nix) -> None:
    """Of numbers, however many and with what words between them, but for the corrections of this module."""
    parts = [
        "0",
        "1",
        "2",
        "9",
        "10",
        "1.2",
        "1.10",
        "1.2.3",
        "1.2.0",
        "0.1.2.3",
        "12.04",
        "1a",
        "1.2p1",
        "1.2p10",
    ]
    parts += ["1.2pre1", "3-4", "3.4", "2147483647", "1.2-zen1", "1..2", "-1", "1.", "1.2.a", "x", "x.1"]
    expression = "vs: map (a: map (b: builtins.compareVersions a b) vs) vs"
    done = one_nix.run(
        "nix", "eval", "--json", "--expr", f"({expression}) (builtins.fromJSON ''{json.dumps(parts)}'')"
    )
    asked = {
        (a, b): order
        for a, row in zip(parts, json.loads(done.stdout), strict=True)
        for b, order in zip(parts, row, strict=True)
    }
    marks = {-1: UP, 0: CHANGED, 1: DOWN}
    assert {pair: direction(*pair) for pair in asked} == {pair: marks[order] for pair, order in asked.items()}


@pytest.mark.parametrize("part", ["1.", "a1", "1", "a", "-", "A-", "rc-", "_", "2026-01-", "abcdef1."])
def test_a_version_of_any_length_is_compared(part: str) -> None:
    long = part * (100_000 // len(part))
    assert direction(long, long) is CHANGED
    assert direction(long + "1", long + "2") in (UP, CHANGED)
