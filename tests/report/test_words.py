"""Dates, ages and names of things, as people say them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lockbot.report import words
from tests.report.examples import HELLO, NIXPKGS_OLD, NOW


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "less than a minute"),
        (59, "less than a minute"),
        (60, "1 minute"),
        (3599, "59 minutes"),
        (3600, "1 hour"),
        (47 * 3600, "47 hours"),
        (2 * 86400, "2 days"),
        (59.9 * 86400, "59 days"),
        (61 * 86400, "2 months"),
        (729 * 86400, "23 months"),
        (731 * 86400, "2 years"),
    ],
)
def test_ages(seconds: float, said: str) -> None:
    assert words.age(seconds) == said


def test_ago() -> None:
    assert words.ago(NOW - timedelta(days=3), NOW) == "3 days ago"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "1970-01-01"), (1_786_680_000, "2026-08-14"), (None, ""), (10**20, ""), (-(10**20), "")],
)
def test_dates(seconds: int | None, said: str) -> None:
    assert words.date(seconds) == said


def test_revisions() -> None:
    assert words.short(NIXPKGS_OLD) == "33ddeb9"
    assert words.short("sha256-LSrxrQHAHV/GVX3Mbc3tTgnMheZQiAp3TKOBoCKLQYE=") == "sha256-LSrxrQH"
    assert words.short("") == words.short(None) == "unknown"


def test_derivations() -> None:
    assert words.derivation(HELLO) == "hello-2.12"
    assert words.derivation("/elsewhere/store/" + "a" * 32 + "-x.drv") == "x"
    assert words.derivation("no path") == "no path"
