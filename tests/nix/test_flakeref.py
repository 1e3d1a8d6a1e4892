"""Flake references against the real Nix: it is asked to print and to parse the same ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockbot.nix import forges
from lockbot.nix.flakeref import Attr, FlakeRef, FlakeRefError
from tests import nixes

REV, OTHER = "0123456789" * 4, "a" * 40
HASH = "sha256-AAAAAAAAAAAAAAAAAAAAAAA+AAAAAAAAAAA/AAAAAAA="
ENCODED_HASH = "sha256-AAAAAAAAAAAAAAAAAAAAAAA%2BAAAAAAAAAAA/AAAAAAA%3D"

ATTRS: list[dict[str, Attr]] = [
    {"type": "github", "owner": "NixOS", "repo": "nixpkgs", "rev": REV, "narHash": HASH, "lastModified": 1},
    {"type": "github", "owner": "NixOS", "repo": "nixpkgs", "ref": "nixos-24.05", "dir": "a b/c"},
    {"type": "github", "owner": "o", "repo": "r", "ref": "v1.0+b"},
    {"type": "gitlab", "owner": "group%2Fsub", "repo": "r", "rev": REV},
    {"type": "sourcehut", "owner": "~o", "repo": "r", "ref": "main"},
    {
        "type": "git",
        "url": "file:///tmp/x%20y",
        "ref": "refs/heads/ma+in",
        "rev": REV,
        "revCount": 4,
        "narHash": HASH,
    },
    {"type": "git", "url": "https://codeberg.org/a/b?x=1", "dir": "s", "submodules": True, "shallow": True},
    {"type": "git", "url": "https://h/x?ref=old", "ref": "new", "submodules": False},
    {"type": "git", "url": "git@github.com:a/b.git"},
    {"type": "git", "url": "git://h/x", "rev": REV},
    {"type": "git", "url": "ssh://git@[::1]:22/x"},
    {"type": "git", "url": "/srv/absolute"},
    {"type": "tarball", "url": "https://h/a.tar.gz", "narHash": HASH, "lastModified": 1, "rev": REV},
    {"type": "tarball", "url": "https://h/a+b,c;d=e!f$g&h'(i)*~?x=a:b@c/d?e;f,g!h&a&=z&k=&q=a%2Bb+c", "dir": "d"},
    {"type": "tarball", "url": "file:///tmp/a%7E%20.tar.gz"},
    {"type": "file", "url": "https://h/a.txt", "narHash": HASH},
    {"type": "path", "path": "/srv/a:b@c;d,e!f'(g)*$~?#%&=+ é", "lastModified": 12, "narHash": HASH},
    {"type": "path", "path": "./sub", "dir": "d"},
    {"type": "hg", "url": "https://h/x", "ref": "default", "rev": REV},
    {"type": "indirect", "id": "nixpkgs"},
    {"type": "indirect", "id": "nixpkgs", "ref": "master", "rev": REV, "dir": "a/b"},
]
# Nix 2.26 spells these otherwise: it drops the host, knows no lfs, and decodes an encoded slash.
NEWER: list[dict[str, Attr]] = [
    {"type": "github", "owner": "o", "repo": "r", "ref": "feat/x", "host": "ghe.example.org"},
    {"type": "gitlab", "owner": "group/sub", "repo": "r", "rev": REV, "host": "gitlab.example.org"},
    {"type": "git", "url": "ssh://git@h/x", "lfs": True, "exportIgnore": True},
    {"type": "tarball", "url": "https://h/a%2Fb.tar.gz"},
]
URLS = [
    "github:o/r",
    "github:o/r/feat/x",
    "github:o/r/feat%2Fx",
    f"github:o/r/{REV}",
    f"github:o/r?rev={REV}&dir=x",
    "github:o/r?ref=a/b&host=h.example&unknown=1",
    "gitlab:g%252Fs/r",
    "gitlab:g/s/r",
    "sourcehut:~o/r",
    f"git+https://h/x?ref=main&rev={REV}",
    "git+https://h/x?submodules=1&shallow=1&y=z",
    "git+ssh://git@h/x.git",
    "git+file:///tmp/x?dir=s",
    "git://h/x",
    f"https://h/x.tar.gz?narHash={ENCODED_HASH}",
    "https://h/x",
    "tarball+https://h/x",
    "file+https://h/x",
    "file:///tmp/x.tar.gz",
    f"path:/tmp/a%20b?narHash={ENCODED_HASH}&lastModified=12",
    "path:./x",
    "nixpkgs",
    f"nixpkgs/a/{REV}",
    f"flake:nixpkgs/{REV}?dir=a",
    "hg+https://h/x",
]
BAD = [
    "github:o",
    "github:o/r#x",
    "GITHUB:o/r",
    "git+https://h/x y",
    "github:a b/c",
    "1nix",
    "./x",
    ".",
    "ssh://h/x",
]


def ask(nix: nixes.Nix, function: str, values: list[object]) -> list[object]:
    """What a builtin gives for each value."""
    program = f'map builtins.{function} (builtins.fromJSON (builtins.getEnv "IN"))'
    environment = {**nix.environment, "IN": json.dumps(values)}
    asked = nixes.Nix(nix.bin, nix.version, environment)
    answer: list[object] = json.loads(asked.run("nix", "eval", "--impure", "--json", "--expr", program).stdout)
    return answer


def is_newest(nix: nixes.Nix) -> bool:
    return int(nix.version.split(".")[1]) >= 34


def test_prints_urls_as_nix_does(nix: nixes.Nix) -> None:
    attrs = [*ATTRS, *(NEWER if is_newest(nix) else [])]
    expected = ask(nix, "flakeRefToString", list(attrs))
    assert [str(FlakeRef.from_attrs(one)) for one in attrs] == expected


def test_parses_urls_as_nix_does(nix: nixes.Nix) -> None:
    urls = [*URLS, *(["gitlab:g%2Fs/r", "git+https://h/x?lfs=1"] if is_newest(nix) else [])]
    parsed = [FlakeRef.parse(url) for url in urls]
    assert [dict(ref.attrs) | {"type": ref.type} for ref in parsed] == ask(nix, "parseFlakeRef", list(urls))


def test_what_it_prints_it_reads_back() -> None:
    for url in URLS:
        ref = FlakeRef.parse(url)
        if ref.type != "file":  # printed like a tarball, by Nix too
            assert FlakeRef.parse(str(ref)) == ref


@pytest.mark.parametrize(
    "text", ["", "-github:o/r", "--expr", "/srv/x", "git@h:a/b", "git+https://h/\n", "x\x00", *BAD]
)
def test_refuses_what_is_no_reference(text: str) -> None:
    with pytest.raises(FlakeRefError):
        FlakeRef.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "git+https://user:s3cret@h/x",
        "https://s3cret@h/x.tar.gz",
        "git+ssh://git:s3cret@h/x",
        "ssh://git:s3cret@h/x",
        "tarball+http://s3cret:@h/x",
    ],
)
def test_refuses_passwords_and_does_not_repeat_them(text: str) -> None:
    with pytest.raises(FlakeRefError) as caught:
        FlakeRef.parse(text)
    assert "s3cret" not in caught.value.message + caught.value.hint
    assert FlakeRef.parse("git+ssh://git@h/x").text("url") == "ssh://git@h/x"


@pytest.mark.parametrize(
    ("attrs", "problem"),
    [
        ({}, "no type"),
        ({"type": "github", "owner": "o"}, "no repo"),
        ({"type": "git", "url": 1}, "no url"),
        ({"type": "git", "url": "https://h/x", "rev": "--upload-pack=x"}, "not a commit's hash"),
    ],
)
def test_refuses_attributes_that_name_nothing(attrs: dict[str, Attr], problem: str) -> None:
    with pytest.raises(FlakeRefError, match=problem):
        FlakeRef.from_attrs(attrs)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("github:o/r/main?dir=d", f"github:o/r/{REV}?dir=d"),
        (f"github:o/r/{OTHER}?narHash={ENCODED_HASH}", f"github:o/r/{REV}"),
        ("gitlab:o/r?host=h.example", f"gitlab:o/r/{REV}?host=h.example"),
        ("git+https://h/x?ref=main&submodules=1", f"git+https://h/x?ref=main&rev={REV}&submodules=1"),
    ],
)
def test_pins_to_a_revision(before: str, after: str) -> None:
    assert str(FlakeRef.parse(before).with_rev(REV)) == after


def test_pins_only_what_has_revisions() -> None:
    for text in ("path:/tmp/x", "https://h/x.tar.gz", "nixpkgs"):
        with pytest.raises(FlakeRefError, match="can't be pinned"):
            FlakeRef.parse(text).with_rev(REV)
    with pytest.raises(FlakeRefError, match="not a commit's hash"):
        FlakeRef.parse("github:o/r").with_rev("main")


_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_TYPES = st.sampled_from(
    ["github", "gitlab", "sourcehut", "git", "hg", "tarball", "file", "path", "indirect", "newer"]
)
_NAMES = st.sampled_from(
    ["owner", "repo", "url", "path", "id", "ref", "dir", "host", "narHash", "lfs", "rev", "x"]
)


@given(_TYPES, st.dictionaries(_NAMES, _TEXT | st.integers() | st.booleans()))
def test_whatever_the_attributes_the_url_is_one_printable_word(kind: str, attrs: dict[str, Attr]) -> None:
    try:
        ref = FlakeRef.from_attrs(attrs | {"type": kind})
    except FlakeRefError:
        return
    assert str(ref).isascii()
    assert str(ref).isprintable()
    assert " " not in str(ref)
    forges.range_link(ref, OTHER, REV)


@given(_TEXT | st.from_regex(r"(github|git\+https|path|flake|https):(//)?[!-~]*", fullmatch=True))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        ref = FlakeRef.parse(text)
    except FlakeRefError as error:
        assert error.message
    else:
        assert str(ref).isprintable()
