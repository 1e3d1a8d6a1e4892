"""Which release a branch is of, until when it gets fixes, and which is the newest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from lockbot.lint import Kind, Severity
from lockbot.lint.releases import Release, end_of_life, is_nixpkgs, newest, release_of, stale
from lockbot.nix.flakeref import FlakeRef
from tests.lint.locks import github, subject


@pytest.mark.parametrize(
    ("release", "ends"),
    [
        ("20.03", "2020-10-31"),
        ("20.09", "2021-06-30"),
        ("21.05", "2021-12-31"),
        ("24.11", "2025-06-30"),
        ("25.05", "2025-12-31"),
        ("25.11", "2026-06-30"),
        ("99.11", "2100-06-30"),
    ],
)
def test_a_release_ends_a_month_after_the_next(release: str, ends: str) -> None:
    year, month = map(int, release.split("."))
    assert Release(year, month).ends == date.fromisoformat(ends)


@pytest.mark.parametrize(
    ("today", "expected"),
    [("2026-05-31", "25.11"), ("2026-06-01", "26.05"), ("2026-11-26", "26.05"), ("2026-12-01", "26.11")],
)
def test_the_newest_release_that_is_out(today: str, expected: str) -> None:
    assert str(newest(date.fromisoformat(today))) == expected


@pytest.mark.parametrize(
    ("text", "release", "nixpkgs"),
    [
        ("github:NixOS/nixpkgs/nixos-25.05", "25.05", True),
        ("github:me/nixpkgs/release-25.05", "25.05", True),
        ("github:NixOS/nixpkgs/nixos-25.05-small", "25.05", True),
        ("github:NixOS/nixpkgs/nixpkgs-25.05-darwin", "25.05", True),
        ("github:NixOS/nixpkgs?ref=refs/heads/nixos-25.05", "25.05", True),
        ("git+https://github.com/NixOS/nixpkgs?ref=nixos-25.05", "25.05", True),
        ("https://channels.nixos.org/nixos-25.05/nixexprs.tar.xz", "25.05", True),
        ("https://github.com/NixOS/nixpkgs/archive/nixos-25.05.tar.gz", "25.05", True),
        ("https://flakehub.com/f/NixOS/nixpkgs/0.2505.806/x.tar.gz", "25.05", True),
        ("https://flakehub.com/f/NixOS/nixpkgs/0.1.tar.gz", None, True),
        ("flake:nixpkgs/nixos-25.05", "25.05", True),
        ("github:nix-darwin/nix-darwin/nix-darwin-25.05", "25.05", False),
        ("github:nix-community/home-manager/release-25.05", "25.05", False),
        ("github:NixOS/nixpkgs/nixos-unstable", None, True),
        ("github:NixOS/nixpkgs", None, True),
        ("github:NixOS/nixpkgs/my-nixos-25.05", None, True),
        ("github:NixOS/nixpkgs/nixos-25.050", None, True),
        ("github:NixOS/nixpkgs/nixos-25.05.1", None, True),
        ("github:NixOS/nixpkgs/nixos-25.07", None, True),
        ("github:o/tool/nixos", None, False),
        ("path:/nixos-25.05/nixpkgs", None, False),
    ],
)
def test_what_a_branch_says(text: str, release: str | None, nixpkgs: bool) -> None:
    ref = FlakeRef.read(text)
    found = release_of(ref)
    assert (str(found) if found else None, is_nixpkgs(ref)) == (release, nixpkgs)


@pytest.mark.parametrize(
    ("today", "severity"),
    [
        ("2026-05-30", None),
        ("2026-05-31", Severity.WARNING),
        ("2026-06-30", Severity.WARNING),
        ("2026-07-01", Severity.ERROR),
    ],
)
def test_the_end_is_told_a_month_before(today: str, severity: Severity | None) -> None:
    now = datetime.fromisoformat(today).replace(hour=23, tzinfo=UTC)
    looked_at = replace(subject({"nixpkgs": github("NixOS/nixpkgs", "nixos-25.11")}), now=now)
    found = [(one.kind, one.severity) for one in end_of_life(looked_at)]
    assert found == ([(Kind.END_OF_LIFE, severity)] if severity is not None else [])
    if severity is Severity.WARNING:
        (one,) = end_of_life(looked_at)
        assert "until 2026-06-30 only (a month after 26.05, if that comes when it should)" in one.message


@pytest.mark.parametrize(("days", "told"), [(30, False), (31, True)])
def test_a_month_is_old(days: int, told: bool) -> None:
    looked_at = subject({"nixpkgs": github("NixOS/nixpkgs", "nixos-unstable", days=days)})
    assert bool(list(stale(looked_at))) is told
