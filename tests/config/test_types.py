"""The kinds of value: what is one and what is none, and that it survives being written."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockbot.config import types as parse
from lockbot.model.host import written
from tests.config.reading import QUICK


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("15min", 900),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("3d", 259200),
        ("1w", 604800),
        ("1.5h", 5400),
        ("90", 90),
        ("0", 0),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1 h 2", "1x", "1H", "--1", "1e9", "١s", "1h\n30m", [], None])
def test_durations_that_are_none(text: object) -> None:
    with pytest.raises(ValueError, match="must"):
        parse.duration(text)


@QUICK
@given(st.integers(0, parse.LONGEST))
def test_durations_survive_being_written(seconds: int) -> None:
    assert parse.duration(parse.duration_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 2**29), ("4G", 2**32), ("4 GiB", 2**32), ("1T", 2**40), ("1.5K", 1536), (7, 7)]
)
def test_sizes(text: object, size: int) -> None:
    assert parse.size(text) == size


@pytest.mark.parametrize("text", ["", "4GB", "4g", "G", "1e9", True, 1.0, None, "99999999T"])
def test_sizes_that_are_none(text: object) -> None:
    with pytest.raises(ValueError, match="must"):
        parse.size(text)


@QUICK
@given(st.integers(0, 2**50))
def test_sizes_survive_being_written(number: int) -> None:
    assert parse.size(parse.size_text(number)) == number


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("packages.x86_64-linux.tool", ("packages", "x86_64-linux", "tool")),
        ('checks.x86_64-linux."a.b"', ("checks", "x86_64-linux", "a.b")),
        (r'a."b\"c\\d"."\${x}"', ("a", 'b"c\\d', "${x}")),
        ('a."ü b"', ("a", "ü b")),
        ('a."x$y"', ("a", "x$y")),
        ("one", ("one",)),
    ],
)
def test_attribute_paths(text: str, names: tuple[str, ...]) -> None:
    assert parse.attribute_path(text) == names
    assert parse.attribute_path(written(names)) == names


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        'a."b',
        'a."b"c',
        "a b",
        ".#a",
        "#a",
        'a."${x}"',
        'a."\\\\${x}"',
        'a."x\ny"',
        "a;b",
        "a.(b)",
        'a.""',
    ],
)
def test_attribute_paths_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse.attribute_path(text)


@QUICK
@given(st.lists(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1), min_size=1))
def test_any_name_can_be_an_attribute(names: list[str]) -> None:
    names = [name for name in names if name.strip()] or ["a"]
    assert parse.attribute_path(written(tuple(names))) == tuple(names)


@pytest.mark.parametrize(
    "url",
    [
        "file:///srv/x.git",
        "ssh://git@host/x",
        "ssh://host:22/x",
        "https://host/x.git",
        "http://127.0.0.1:8080/x",
        "git@host:path/x",
        "host:x",
        "/srv/x.git",
        "https://[::1]:80/x",
        "ssh://me@host/~/x",
    ],
)
def test_urls(url: str) -> None:
    assert parse.git_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-x",
        "https://u:p@host/x",
        "https://tok@host/x",
        "ssh://u:p@host/x",
        "github:a/b",
        "git+ssh://host/x",
        "x",
        "ext::sh -c x",
        "ext::sh",
        "git://host/x",
        "ftp://h/x",
        "ssh://-oProxyCommand=x/y",
        "-oProxyCommand=x:y",
        "git@-oX:y",
        "host:-x",
        "https:///x",
        "https://host",
        "https://host/x?dir=y",
        "https://host/x#y",
        "a b:c",
        "https://host:port/x",
        "https://[::1/x",
        "~/x",
        "./x",
        "file://",
        "ssh://-l@host/x",
        "host:x\ny",
        "HTTPS://h/x",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|needs|understood"):
        parse.git_url(url)


BRANCHES = ["main", "a/b", "ä", 'a"b', "a'b", "a$(b)", "<b>", "a;b", "a.b", "x@y", "{}", "%s"]
NO_BRANCHES = ["", "-a", "a b", "a..b", "a~b", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "@", "a@{b", "a.", "a.lock"]
NO_BRANCHES += ["/a", "a/", "a//b", ".a", "a/.b", "a.lock/b", "a\tb", "a\x7fb", "HEAD"]


@pytest.mark.parametrize("name", [*BRANCHES, *NO_BRANCHES])
def test_branches_as_git_sees_them(name: str) -> None:
    """git is the judge."""
    git = subprocess.run(
        ["git", "check-ref-format", "--branch", name],
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
        cwd="/",
    )
    try:
        parse.branch_name(name)
    except ValueError:
        assert name in NO_BRANCHES
        assert git.returncode != 0 or name in ("@", "HEAD")  # which git reads as the current commit
    else:
        assert name in BRANCHES
        assert git.returncode == 0
