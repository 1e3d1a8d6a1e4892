"""What one lock says of its inputs: which are made from the flake itself, which nobody else can fetch, which stay
where they are; and what is read of a file at all."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lockbot.nix.lockfile import LockFile, LockFileError
from lockbot.nix.lockfile.lock import LARGEST

REV = "1" * 40
GIT = {"type": "git", "url": "https://h/x"}


def lock(root: Mapping[str, Any], **nodes: Any) -> LockFile:
    text = json.dumps({"nodes": {"root": {"inputs": root}, **nodes}, "root": "root", "version": 7})
    return LockFile.parse(text)


def at(locked: Mapping[str, Any], original: Mapping[str, Any] = GIT, **more: Any) -> dict[str, Any]:
    return {"locked": {**original, **locked}, "original": dict(original), **more}


def test_a_checkout_with_changes_in_it_is_not_locked() -> None:
    dirty = at({"dirtyRev": f"{REV}-dirty", "lastModified": 1})
    clean = at({"rev": REV}, inputs={"x": "dirty"})
    found = lock({"a": "clean", "b": ["a", "x"], "c": []}, clean=clean, dirty=dirty)
    assert found.unlocked == {"a/x"}, "told once, where it has a node of its own"
    assert lock({"a": "clean"}, clean=at({"rev": REV})).unlocked == frozenset()
    content = at({"narHash": "sha256-x"}, {"type": "tarball", "url": "https://h/x.tar.gz"})
    assert lock({"a": "a"}, a=content).unlocked == frozenset(), "its hash names the content"


@pytest.mark.parametrize(
    ("root", "nodes", "itself"),
    [
        ({"a": "a"}, {"a": at({"rev": REV})}, False),
        ({"a": "a", "b": ["a"]}, {"a": at({"rev": REV})}, False),
        ({"a": []}, {}, True),
        ({"a": "a"}, {"a": at({"rev": REV}, inputs={"self": []})}, True),
        ({"a": "a"}, {"a": at({}, {"type": "path", "path": "./sub"})}, True),
        ({"a": "a"}, {"a": at({}, {"type": "path", "path": "/elsewhere"})}, False),
    ],
)
def test_what_is_made_from_the_flake_itself(root: dict[str, Any], nodes: dict[str, Any], itself: bool) -> None:
    assert lock(root, **nodes).refers_to_itself == itself


def test_which_inputs_stay_where_they_are_and_why() -> None:
    named = GIT | {"rev": REV}
    found = lock(
        {"a": "a", "pinned": "pinned", "follows": ["a"], "self": []},
        a=at({"rev": REV}),
        pinned={"locked": named, "original": named},
    ).root_inputs
    assert {name: one.pinned for name, one in found.items()} == {
        "a": False,
        "pinned": True,
        "follows": False,
        "self": False,
    }
    assert {name: one.updatable for name, one in found.items()} == {
        "a": True,
        "pinned": True,
        "follows": False,
        "self": False,
    }
    assert found["a"].why_not == ""
    assert 'it follows "a"' in found["follows"].why_not
    assert "it follows the flake itself" in found["self"].why_not


def test_an_input_that_there_is_not_has_nothing() -> None:
    found = lock({"a": "a"}, a=at({"rev": REV}))
    for path in ("b", "a/b", "b/a"):
        assert (found.input(path), found.follows(path), found.locked(path), found.node(path)) == (None,) * 4


@pytest.mark.parametrize(("date", "told"), [(0, 0), (1, 1), (-1, None), (253402300799, 253402300799), ("5", None)])
def test_a_date_is_told_where_a_calendar_has_it(date: object, told: int | None) -> None:
    locked = lock({"a": "a"}, a=at({"rev": REV, "lastModified": date})).locked("a")
    assert locked is not None and locked.last_modified == told
    assert locked.nar_hash is None


def test_a_link_is_told_as_such_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("{}")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(LockFileError, match="the lock file is a symbolic link") as linked:
        LockFile.read(tmp_path / "link")
    assert "only a real file" in linked.value.hint
    within = tmp_path / "real" / "flake.lock"
    with pytest.raises(LockFileError) as unread:
        LockFile.read(within)
    assert unread.value.message == f"{within}: can't be read: Not a directory"
    assert (unread.value.line, unread.value.column) == (0, 0)


def test_a_file_that_no_lock_can_be_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "flake.lock"
    text = '{"version": 7, "root": "r", "nodes": {"r": {}}}'
    with path.open("w") as file:
        file.write(text)
        file.seek(LARGEST - 1)
        file.write("\n")
    with pytest.raises(LockFileError, match="after the end of the JSON"):
        LockFile.read(path)  # as large as it may be: it is read, and holds zeros
    with path.open("a") as file:
        file.write("\n")
    with pytest.raises(LockFileError, match=f"{LARGEST + 1} bytes, more than {LARGEST}"):
        LockFile.read(path)


@pytest.mark.parametrize(
    ("data", "place"), [(b"\xff", "1:1"), (b"ab\xff", "1:3"), (b"\n\xff", "2:1"), (b"a\nb\nc\xff\n", "3:2")]
)
def test_the_place_of_bytes_that_are_no_text(tmp_path: Path, data: bytes, place: str) -> None:
    path = tmp_path / "flake.lock"
    path.write_bytes(data)
    with pytest.raises(LockFileError) as caught:
        LockFile.read(path)
    assert caught.value.message == f"{path}:{place}: the lock file is not UTF-8 text"


def test_a_strangers_name_is_shown_short_and_escaped() -> None:
    def told(name: str) -> str:
        with pytest.raises(LockFileError) as caught:
            lock({name: "nosuch"})
        return caught.value.message

    assert f'the input "{"x" * 60}" is' in told("x" * 60)
    assert f'the input "{"x" * 59}…" is' in told("x" * 61)
    assert '"ü" is' in told("ü"), "what can be shown is shown"
    assert r'"\u202e" is' in told("\u202e")


# -- how deep


def test_what_is_followed_may_be_64_names_deep_and_64_others_in_turn() -> None:
    names = [f"n{number}" for number in range(63)]
    nodes = {name: at({"rev": REV}, inputs={after: after}) for name, after in itertools.pairwise(names)}
    nodes[names[-1]] = at({"rev": REV}, inputs={"x": "x"})
    deep = lock({"n0": "n0", "f": [*names, "x"]}, **nodes, x=at({"rev": REV}))
    assert deep.follows("f") == "/".join([*names, "x"])
    with pytest.raises(LockFileError, match="an input path of more than 64 names"):
        lock({"n0": "n0", "f": [*names, "x", "y"]}, **nodes, x=at({"rev": REV}))
    chain: dict[str, Any] = {f"f{number}": [f"f{number + 1}"] for number in range(64)}
    assert lock(chain | {"f64": ["a"], "a": "a"}, a=at({"rev": REV})).locked("f0") is not None
    chain |= {"f64": ["f65"], "f65": ["f66"], "f66": ["a"], "a": "a"}
    with pytest.raises(LockFileError, match="follows more than 64 others in turn"):
        lock(chain, a=at({"rev": REV}))


def test_who_follows_in_a_circle_or_to_nowhere_is_named() -> None:
    with pytest.raises(LockFileError, match='the input "b" follows itself in a circle'):
        lock({"b": ["b"]})
    with pytest.raises(LockFileError, match='the input "b" follows "c/d", which does not exist'):
        lock({"b": ["c", "d"], "c": "c"}, c=at({"rev": REV}))


@pytest.mark.parametrize(("text", "line"), [("<<<<<<< a\n", 1), ("\n<<<<<<< a\n", 2), ("{\n{\n=======\n", 3)])
def test_a_conflict_is_told_where_it_begins(text: str, line: int) -> None:
    with pytest.raises(LockFileError, match=rf"^flake\.lock:{line}:1: .*conflict markers"):
        LockFile.parse(text)


def test_an_input_is_a_flake_unless_it_says_otherwise() -> None:
    found = lock({"a": "a", "b": "b", "c": "c"}, a=at({}), b=at({}, flake=False), c=at({}, flake=True))
    flakes = {name: node.flake for name in "abc" if (node := found.node(name)) is not None}
    assert flakes == {"a": True, "b": False, "c": True}


def test_who_follows_too_many_in_turn_is_named() -> None:
    chain: dict[str, Any] = {f"f{number}": [f"f{number + 1}"] for number in range(70)}
    with pytest.raises(LockFileError, match='the input "f0" follows more than 64 others in turn'):
        lock(chain | {"f70": "a"}, a=at({"rev": REV}))


def test_inputs_may_be_nested_64_deep_and_shared() -> None:
    def nested(depth: int) -> LockFile:
        nodes = {f"n{n}": at({"rev": REV}, inputs={"x": f"n{n + 1}", "y": f"n{n + 1}"}) for n in range(depth)}
        return lock({"x": "n0", "y": "n0"}, **nodes, **{f"n{depth}": at({"rev": REV})})

    assert len(nested(63).paths()) == 2 * 64, "each node's inputs once"
    with pytest.raises(LockFileError, match="nested deeper than 64"):
        nested(64)
    shared = at({"rev": REV}, inputs={"x": "x"})
    found = lock(
        {"a": "s", "b": "s", "c": "c"}, s=shared, c=at({"rev": REV}, inputs={"z": "x"}), x=at({"rev": REV})
    )
    assert found.paths() == ("a", "b", "c", "a/x", "c/z")
