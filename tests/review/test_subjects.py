"""Which packages a subject names."""

from __future__ import annotations

import pytest

from lockbot.review.subjects import MOST_NAMES, PackageNames, named


@pytest.mark.parametrize(
    ("subject", "package"),
    [
        ("openssl: 3.0.1 -> 3.0.2", "openssl"),
        ("openssl_3: 3.0.1 -> 3.0.2", "openssl"),
        ("[Backport release-25.11] firefox: 1 -> 2", "firefox"),
        ("[25.11][security] firefox-unwrapped: 1 -> 2", "firefox"),
        ('Revert "openssl: 3.0.1 -> 3.0.2"', "openssl"),
        ("python312Packages.requests: fix build", "python3.12-requests"),
        ("python3Packages.google-auth: 1 -> 2", "python3.13-google_auth"),
        ("perlPackages.URI: 5.1 -> 5.2", "perl5.40.0-URI"),
        ("python312: 3.12.1 -> 3.12.2", "python3"),
        ("linux_6_12: 6.12.1 -> 6.12.2", "linux"),
        ("linux_{6_6,6_12}: update", "linux"),
        ("mariadb-{client,server}: update", "mariadb-server"),
        ("gtk3: 3.24.1 -> 3.24.2", "gtk+3"),
        ("nixos/nginx: add option", "nginx"),
        ("kdePackages.kwin: patch", "kwin"),
        ("curl, wget: rebuild", "wget"),
        ("curl & wget: rebuild", "curl"),
        ("curl and wget: rebuild", "curl"),
        ("{curl,wget}: rebuild", "wget"),
        ("luaPackages.lua-language-server: 1", "lua-language-server"),
        ("VSCode: 1 -> 2", "vscode"),
    ],
)
def test_names_a_package(subject: str, package: str) -> None:
    assert PackageNames([package]).match(subject)
    assert not PackageNames(["other"]).match(subject)
    assert not PackageNames([]).match(subject)


@pytest.mark.parametrize(
    ("subject", "package"),
    [
        ("openssl", "openssl"),
        ("gitea: 1 -> 2", "git"),
        ("x265: 1 -> 2", "x264"),
        ("treewide: use openssl", "openssl"),
        ("maintainers: add git", "git"),
        ("please update git and more: now", "git"),
        (": 1 -> 2", ""),
        ("---: 1 -> 2", "+-_"),
        ("", ""),
    ],
)
def test_names_another_package_or_none(subject: str, package: str) -> None:
    assert not PackageNames([package]).match(subject)


@pytest.mark.parametrize(
    "subject",
    [
        "{" * 5000 + ":",
        "[" * 5000 + ":",
        "a{b" * 5000 + ":",
        "{,}" * 90 + ": x",
        "," * 299 + ":",
        "a," * 140 + "b: x",
        " and" * 5000 + ":",
        "a{" + ",b" * 140 + "}: x",
        '"' * 299 + ":",
        "Revert " * 40 + "x:",
        "\x00\x1b[2J\u202e: 1",
        "é" * 299 + ":",
    ],
)
def test_hostile_subjects_cost_little(subject: str) -> None:
    assert len(list(named(subject))) <= MOST_NAMES
