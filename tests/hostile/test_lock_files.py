"""Lock files that somebody else has written: each is read whole, or refused with line and column."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import strategies as st

from lockbot.errors import UsageError
from lockbot.nix.flakeref import FlakeRef, FlakeRefError
from lockbot.nix.lockfile import LockFile, LockFileError, diff, jsontext
from lockbot.report.block import lock_block
from tests.hostile.properties import holds
from tests.hostile.samples import CONTROL, LOCKS, TEXT, json_of, spoiled, words_of

WORDS = [
    *words_of("nix/flakeref.py", "nix/lockfile/*.py"),
    *("nodes", "root", "version", "inputs", "locked", "original", "flake", "parent", "info", "a", "b", "c"),
]


@st.composite
def changed(draw: st.DrawFn) -> str:
    """A real lock in which a few values are others."""
    document = json.loads(draw(st.sampled_from(LOCKS)))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = document
        while isinstance(place, dict | list) and place:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = draw(st.sampled_from(list(keys)))
            if not isinstance(place[key], dict | list) or not place[key] or draw(st.integers(0, 4)) == 0:
                place[key] = draw(json_of(WORDS))
                break
            place = place[key]
    return json.dumps(document)


def used(lock: LockFile) -> None:
    """Everything that is asked of a lock."""
    assert lock.version in (5, 6, 7)
    for path in lock.paths():
        found = lock.input(path)
        assert found is not None
        assert found.node in lock.graph.by_label
        assert found.why_not == "" or not found.updatable
        locked = lock.locked(path)
        assert locked is None or CONTROL.search(locked.url) is None
        assert lock.follows(path) is None
    assert set(lock.root_inputs) == {one for one in lock.root_inputs if lock.input(one) is not None}
    assert diff(lock, lock) == ()
    assert CONTROL.search(lock_block(diff(LockFile.parse(LOCKS[0]), lock)).replace("\n", "")) is None
    assert isinstance(lock.unlocked, frozenset) and isinstance(lock.refers_to_itself, bool)


@holds("lock files", spoiled(LOCKS) | changed() | json_of(WORDS).map(json.dumps) | TEXT)
def test_any_text_is_a_lock_or_refused_with_its_place(_: None, text: str) -> None:
    try:
        lock = LockFile.parse(text)
    except LockFileError as error:
        assert error.line >= 1 and error.column >= 1
        assert CONTROL.search(error.message) is None
        return
    used(lock)


@holds(
    "flake references", st.dictionaries(st.sampled_from(WORDS), TEXT | st.integers() | st.booleans(), max_size=8)
)
def test_attributes_are_a_reference_or_refused(_: None, attrs: dict[str, Any]) -> None:
    attrs = {
        name: value.encode(errors="replace").decode() if isinstance(value, str) else value
        for name, value in attrs.items()
    }
    try:
        ref = FlakeRef.from_attrs(attrs)
    except FlakeRefError as error:
        assert CONTROL.search(error.message) is None
        return
    assert CONTROL.search(str(ref)) is None and " " not in str(ref)


URLS = [
    str(FlakeRef.from_attrs(node["locked"]))
    for text in LOCKS
    for node in json.loads(text)["nodes"].values()
    if "locked" in node
]


@holds("flake references", spoiled(URLS) | TEXT)
def test_a_url_is_read_or_refused_and_read_back(_: None, text: str) -> None:
    try:
        ref = FlakeRef.read(text)
    except UsageError:
        return
    told = str(ref)
    assert FlakeRef.read(ref.argument) == FlakeRef.read(FlakeRef.read(ref.argument).argument)
    assert CONTROL.search(told) is None and not told.startswith("-")


def chain(length: int, follows: bool) -> str:
    """Inputs of inputs, or inputs that follow one another."""
    source = {"type": "github", "owner": "o", "repo": "r"}
    node = {"locked": source, "original": source}
    nodes: dict[str, Any] = {"root": {"inputs": {"n0": "n0"}}}
    for number in range(length):
        inputs = {"n": f"n{number + 1}"} if number + 1 < length else {}
        nodes[f"n{number}"] = node | {"inputs": inputs}
    if follows:
        nodes = {
            "root": {"inputs": {f"n{one}": [f"n{one + 1}"] for one in range(length)} | {f"n{length}": "n"}},
            "n": node,
        }
    return json.dumps({"nodes": nodes, "root": "root", "version": 7})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a":' * 100_000, "nested deeper than 32 levels"),
        ("[" * 1_000_000, "nested deeper than 32 levels"),
        ('{"version": ' + "9" * 1_000_000 + "}", "a number of more than 20 digits"),
        ('{"version": 7, "version": 7}', 'the key "version" occurs twice'),
        ('{"root": "\\ud800"}', "a string that is not Unicode"),
        (chain(10_000, follows=False), "inputs are nested deeper than 64"),
        (chain(10_000, follows=True), 'the input "n0" follows more than 64 others in turn'),
    ],
)
def test_what_has_no_end_is_refused(text: str, problem: str) -> None:
    with pytest.raises(LockFileError, match=problem):
        LockFile.parse(text)


def test_a_circle_is_refused() -> None:
    nodes = {"root": {"inputs": {"a": ["b"], "b": ["c"], "c": ["a"]}}}
    with pytest.raises(LockFileError, match="follows itself in a circle"):
        LockFile.parse(json.dumps({"nodes": nodes, "root": "root", "version": 7}))


def test_ten_thousand_inputs_are_read() -> None:
    source = {"type": "github", "owner": "o", "repo": "r"}
    nodes = {f"n{one}": {"locked": source, "original": source} for one in range(10_000)}
    text = json.dumps(
        {"nodes": nodes | {"root": {"inputs": {name: name for name in nodes}}}, "root": "root", "version": 7}
    )
    lock = LockFile.parse(text)
    assert len(lock.paths()) == 10_000
    assert lock.input("n9999") is not None


def test_a_lock_takes_memory_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not many times as much, whatever is in it; and not more than so many values of it."""
    text = "[" + "[]," * 20_000 + "[]]"
    tracemalloc.start()
    try:
        with pytest.raises(LockFileError):
            LockFile.parse(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200 * 20_000
    monkeypatch.setattr(jsontext, "MOST", 10_000)
    with pytest.raises(LockFileError, match="more than 10000 values"):
        LockFile.parse(text)
