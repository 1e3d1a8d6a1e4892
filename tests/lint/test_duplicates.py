"""One repository at several revisions: which inputs could follow which, and what that saves."""

from __future__ import annotations

from typing import Any

import pytest

from lockbot.lint import Finding, Subject
from lockbot.lint.duplicates import duplicates
from tests.lint.locks import github, node, subject

NIXPKGS = github("NixOS/nixpkgs", "nixos-unstable")


def other(rev: str, **more: Any) -> dict[str, Any]:
    return github("NixOS/nixpkgs", "nixpkgs-unstable", rev=rev, **more)


def tool(name: str, **inputs: Any) -> dict[str, Any]:
    return github(name, inputs=inputs)


def git(rev: str) -> dict[str, Any]:
    url = {"type": "git", "url": "ssh://git@github.com/nixos/nixpkgs.git"}
    return node(url | {"rev": rev * 40}, url)


TWO = {"nixpkgs": NIXPKGS, "a": tool("a", nixpkgs="nixpkgs_1"), "b": tool("b", nixpkgs="nixpkgs_2")}

# What there is → the input, the lines to paste, a part of the message; None: nothing is said.
CASES: dict[str, tuple[Subject, tuple[str | None, list[str], str] | None]] = {
    "one that could follow": (
        subject({"nixpkgs": NIXPKGS, "a": tool("a", nixpkgs="nixpkgs_1"), "nixpkgs_1": other("2")}),
        ("a/nixpkgs", ['inputs.a.inputs.nixpkgs.follows = "nixpkgs";'],
         "NixOS/nixpkgs is locked at 2 revisions: a/nixpkgs can follow nixpkgs, which saves 1 of 3 nodes"),
    ),
    "two": (
        subject(TWO | {"nixpkgs_1": other("2"), "nixpkgs_2": other("3")}),
        (None, ['inputs.a.inputs.nixpkgs.follows = "nixpkgs";', 'inputs.b.inputs.nixpkgs.follows = "nixpkgs";'],
         "at 3 revisions: a/nixpkgs, b/nixpkgs can follow nixpkgs, which saves 2 of 5 nodes"),
    ),
    "one of them at the same revision": (
        subject(TWO | {"nixpkgs_1": other("1"), "nixpkgs_2": other("3")}),
        ("b/nixpkgs", ['inputs.b.inputs.nixpkgs.follows = "nixpkgs";'], "at 2 revisions"),
    ),
    "all at one revision": (subject(TWO | {"nixpkgs_1": other("1"), "nixpkgs_2": other("1")}), None),
    "the flake has none of its own": (
        subject({"a": TWO["a"], "b": TWO["b"], "nixpkgs_1": other("2"), "nixpkgs_2": other("3")}),
        ("b/nixpkgs", ['inputs.b.inputs.nixpkgs.follows = "a/nixpkgs";'], "can follow a/nixpkgs"),
    ),
    "the one that is called so": (
        subject({"aaa": other("4"), "nixpkgs": NIXPKGS, "b": tool("b", nixpkgs="nixpkgs_1"),
                 "nixpkgs_1": other("2")}),
        ("b/nixpkgs", ['inputs.b.inputs.nixpkgs.follows = "nixpkgs";'], "at 3 revisions"),
    ),
    "with what hangs on it": (
        subject({"u": github("u"), "a": tool("a", u="u_1"), "u_1": github("u", rev="2", inputs={"s": "s_1"}),
                 "s_1": github("s")}),
        ("a/u", ['inputs.a.inputs.u.follows = "u";'], "saves 2 of 4 nodes"),
    ),
    "one within another": (
        subject({"u": github("u"), "a": tool("a", u="u_1"), "u_1": github("u", rev="2", inputs={"u": "u_2"}),
                 "u_2": github("u", rev="3")}),
        ("a/u", ['inputs.a.inputs.u.follows = "u";'], "saves 2 of 4 nodes"),
    ),
    "one within itself": (
        subject({"u": github("u", inputs={"u": "u_1"}), "u_1": github("u", rev="2")}), None,
    ),
    "another way to fetch it": (
        subject({"nixpkgs": NIXPKGS, "a": tool("a", nixpkgs="nixpkgs_1"), "nixpkgs_1": git("2")}),
        ("a/nixpkgs", ['inputs.a.inputs.nixpkgs.follows = "nixpkgs";'], "NixOS/nixpkgs"),
    ),
    "another flake of it": (
        subject({"nixpkgs": NIXPKGS, "a": tool("a", lib="lib_1"), "lib_1": node(
            {"type": "github", "owner": "NixOS", "repo": "nixpkgs", "dir": "lib", "rev": "2" * 40})}),
        None,
    ),
    "only its files": (
        subject({"nixpkgs": NIXPKGS, "a": tool("a", nixpkgs="nixpkgs_1"), "nixpkgs_1": other("2", flake=False)}),
        None,
    ),
    "two branches of its own": (subject({"nixpkgs": NIXPKGS, "stable": other("2")}), None),
    "what no follows can name": (
        subject({"x/y": github("u"), "a": tool("a", u="u_1"), "u_1": github("u", rev="2")}), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_could_follow(name: str) -> None:
    looked_at, expected = CASES[name]
    found = list(duplicates(looked_at))
    if expected is None:
        assert found == []
        return
    ((input, lines, said),) = [(one.input, one.fix.split("\n"), one.message) for one in found]
    assert (input, lines) == expected[:2]
    assert expected[2] in said


@pytest.mark.parametrize(("size", "said"), [(0, "nodes"), (5 << 20, " and 5 MiB"), (3 << 29, " and 1.5 GiB")])
def test_the_size_of_what_the_store_has(size: int, said: str) -> None:
    nodes = TWO | {"nixpkgs_1": other("2"), "nixpkgs_2": other("3")}
    asked: list[str] = []

    def sizes(hashes: Any) -> dict[str, int]:
        asked.extend(hashes)
        return {hashes[0]: size} if size else {}

    (found,) = duplicates(subject(nodes, sizes=sizes))
    assert found.message.endswith(said)
    assert asked == sorted({node["locked"]["narHash"] for node in (other("2"), other("3"))})


def test_what_is_kept_all_the_same_is_not_saved() -> None:
    """Another commit with the same files in it."""
    same = other("2")
    same["locked"]["narHash"] = NIXPKGS["locked"]["narHash"]
    nodes = {"nixpkgs": NIXPKGS, "a": tool("a", nixpkgs="nixpkgs_1"), "nixpkgs_1": same}
    (found,) = duplicates(subject(nodes, sizes=lambda hashes: dict.fromkeys(hashes, 1 << 30)))
    assert found.message.endswith("nodes")


def test_many_are_counted() -> None:
    nodes: dict[str, Any] = {"u": github("u")}
    for number in range(6):
        nodes |= {f"t{number}": tool(f"t{number}", u=f"u_{number}"), f"u_{number}": github("u", rev="2")}
    found: Finding
    (found,) = duplicates(subject(nodes))
    assert "t0/u, t1/u, t2/u and 3 more can follow u" in found.message
    assert len(found.fix.split("\n")) == 6
