"""What is told of two locks where Nix itself tells nothing: commits counted, tarballs packed anew, and what one
side leaves out. And the edges of what is read at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from lockbot.model import ChangeKind
from lockbot.nix.lockfile import LockFile, LockFileError, diff

REV, OTHER = "1" * 40, "2" * 40
GIT = {"type": "git", "url": "https://h/x"}


def lock(root: Mapping[str, Any], **nodes: Any) -> LockFile:
    text = json.dumps({"nodes": {"root": {"inputs": root}, **nodes}, "root": "root", "version": 7})
    return LockFile.parse(text)


def at(locked: Mapping[str, Any], original: Mapping[str, Any] = GIT, **more: Any) -> dict[str, Any]:
    return {"locked": {**original, **locked}, "original": dict(original), **more}


def one(node: Mapping[str, Any]) -> LockFile:
    return lock({"a": "a"}, a=node)


# -- what becomes of an input


@pytest.mark.parametrize("rev", [REV, OTHER])
def test_an_input_that_gets_a_node_of_its_own_is_refollowed_whatever_it_is_locked_at(rev: str) -> None:
    follows = lock({"a": "a", "x": ["a"]}, a=at({"rev": REV}))
    own = lock({"a": "a", "x": "x"}, a=at({"rev": REV}), x=at({"rev": rev}))
    (gained,), (lost,) = diff(follows, own), diff(own, follows)
    assert (gained.input, gained.kind, gained.old_follows, gained.new_follows) == (
        "x",
        ChangeKind.REFOLLOWED,
        "a",
        None,
    )
    assert gained.old is not None and gained.new is not None
    assert (gained.old.rev, gained.new.rev) == (REV, rev)
    assert (lost.kind, lost.old_follows, lost.new_follows) == (ChangeKind.REFOLLOWED, None, "a")


@pytest.mark.parametrize(
    ("old", "new", "commits"),
    [
        ({"revCount": 5}, {"revCount": 8}, 3),
        ({"revCount": 5}, {"revCount": 6}, 1),
        ({"revCount": 8}, {"revCount": 5}, None),  # it went back, or aside
        ({"revCount": 5}, {"revCount": 5}, None),
        ({}, {"revCount": 8}, None),
        ({"revCount": 5}, {}, None),
        ({"revCount": "5"}, {"revCount": 8}, None),
        ({"revCount": 5}, {"revCount": "8"}, None),
    ],
)
def test_commits_between_are_counted_where_nix_counted_them(
    old: dict[str, Any], new: dict[str, Any], commits: int | None
) -> None:
    (change,) = diff(one(at({"rev": REV} | old)), one(at({"rev": OTHER} | new)))
    assert change.commits == commits


def test_commits_of_two_sources_are_not_counted_together() -> None:
    elsewhere = at({"rev": OTHER, "revCount": 8}, {"type": "git", "url": "https://h/fork"})
    (change,) = diff(one(at({"rev": REV, "revCount": 5})), one(elsewhere))
    assert change.commits is None
    added, removed = diff(lock({}), one(elsewhere)), diff(one(elsewhere), lock({}))
    assert [change.commits for change in (*added, *removed)] == [None, None]
    itself = diff(lock({"a": []}), one(elsewhere))
    assert [change.commits for change in itself] == [None], "what follows the flake itself has no commits"


@pytest.mark.parametrize("kind", ["tarball", "file"])
def test_the_same_content_from_another_address_is_no_change(kind: str) -> None:
    original = {"type": kind, "url": "https://h/latest"}

    def from_(url: str, **more: str) -> LockFile:
        return one(at({"url": url, **more}, original))

    first = from_("https://h/1", narHash="sha256-x")
    assert diff(first, from_("https://mirror/1", narHash="sha256-x")) == ()
    assert len(diff(first, from_("https://h/1", narHash="sha256-y"))) == 1
    assert len(diff(first, from_("https://h/1"))) == 1
    assert len(diff(from_("https://h/1"), from_("https://h/2"))) == 1, "nothing says that it is the same content"
    other = {"tarball": "file", "file": "tarball"}[kind]
    packed = one({"locked": {"type": other, "url": "https://h/1", "narHash": "sha256-x"}, "original": original})
    assert len(diff(first, packed)) == 1, "the hash of a file is not that of what a tarball holds"


def test_the_same_content_at_another_commit_is_a_change() -> None:
    assert len(diff(one(at({"rev": REV, "narHash": "x"})), one(at({"rev": OTHER, "narHash": "x"})))) == 1


@pytest.mark.parametrize("left_out", [{"lastModified": 1}, {"narHash": "x"}, {"revCount": 1}])
def test_what_either_side_leaves_out_is_no_change(left_out: dict[str, Any]) -> None:
    whole, short = one(at({"rev": REV} | left_out)), one(at({"rev": REV}))
    assert diff(whole, short) == diff(short, whole) == ()


# -- the edges of what is read


def test_a_number_may_have_twenty_digits() -> None:
    text = '{{"version": 7, "nodes": {{"r": {{"x": {}}}}}, "root": "r"}}'
    assert LockFile.parse(text.format("9" * 20)).version == 7
    with pytest.raises(LockFileError, match="more than 20 digits"):
        LockFile.parse(text.format("9" * 21))


@pytest.mark.parametrize(("text", "place"), [("x", "1:1"), ("\nx", "2:1"), ("\n x", "2:2"), ("\n\n\nx", "4:1")])
def test_the_place_of_an_error_counts_every_line(text: str, place: str) -> None:
    with pytest.raises(LockFileError, match=rf"^flake\.lock:{place}: "):
        LockFile.parse(text)
