"""Each check: what it finds in a lock, in which words, and what to paste; and that it is silent otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from lockbot.lint import CHECKS, Finding, Kind, Severity, Subject, examine
from lockbot.lint.files import Presence, absent
from lockbot.lint.flake_lines import attribute
from tests.lint.locks import HASH, github, node, subject

ERROR, WARNING = Severity.ERROR, Severity.WARNING
REV = "1" * 40
PLAIN = {"type": "tarball", "url": "http://h/"}
GIT = {"type": "git", "url": "https://h/it"}
UNSTABLE = github("NixOS/nixpkgs", "nixos-unstable")
R2605 = github("NixOS/nixpkgs", "nixos-26.05")


def nested(inner: Any, *, outer: str = "tool", **more: Any) -> dict[str, Any]:
    return {outer: github(outer, inputs={"nixpkgs": "nixpkgs_2"}), "nixpkgs_2": inner} | more


# Name → nodes, what else is known; the kind, how bad, which input, a part of the message, the fix.
Expected = tuple[Kind, Severity, str | None, str, str]
FOUND: dict[str, tuple[Subject, Expected]] = {
    "a release that has ended": (
        subject({"nixpkgs": github("NixOS/nixpkgs", "nixos-25.11")}),
        (Kind.END_OF_LIFE, ERROR, "nixpkgs", "no security fixes since 2026-06-30",
         'inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";'),
    ),
    "one for a Mac, by git": (
        subject({"darwin": node({"type": "git", "url": "https://github.com/NixOS/nixpkgs.git", "rev": REV},
                                {"type": "git", "url": "https://github.com/NixOS/nixpkgs.git",
                                 "ref": "nixpkgs-25.05-darwin"})}),
        (Kind.END_OF_LIFE, ERROR, "darwin", "since 2025-12-31",
         'inputs.darwin.url = "git+https://github.com/NixOS/nixpkgs.git?ref=nixpkgs-26.05-darwin";'),
    ),
    "a channel's tarball": (
        subject({"nixpkgs": node({"type": "tarball", "url": "https://nixos.org/channels/nixos-25.05/nixexprs.tar.xz"})}),
        (Kind.END_OF_LIFE, ERROR, "nixpkgs", "since 2025-12-31",
         'inputs.nixpkgs.url = "https://nixos.org/channels/nixos-26.05/nixexprs.tar.xz";'),
    ),
    "FlakeHub": (
        subject({"nixpkgs": node({"type": "tarball", "url": "https://flakehub.com/f/NixOS/nixpkgs/0.2505.tar.gz"})}),
        (Kind.END_OF_LIFE, ERROR, "nixpkgs", "NixOS 25.05",
         'inputs.nixpkgs.url = "https://flakehub.com/f/NixOS/nixpkgs/0.2605.tar.gz";'),
    ),
    "another flake's release that has ended": (
        subject({"nixpkgs": R2605} | nested(github("NixOS/nixpkgs", "nixos-23.11"))),
        (Kind.END_OF_LIFE, WARNING, "tool/nixpkgs", "since 2024-06-30",
         'inputs.tool.inputs.nixpkgs.follows = "nixpkgs";'),
    ),
    "another flake's, with none to follow": (
        subject(nested(github("NixOS/nixpkgs", "nixos-23.11"))),
        (Kind.END_OF_LIFE, WARNING, "tool/nixpkgs", "since 2024-06-30",
         'inputs.tool.inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";'),
    ),
    "Home Manager of another release": (
        subject({"nixpkgs": R2605, "hm": github("nix-community/home-manager", "release-25.11",
                                                inputs={"nixpkgs": ["nixpkgs"]})}),
        (Kind.RELEASE_MISMATCH, WARNING, "hm", "made for NixOS 25.11, and the nixpkgs that it gets is of NixOS 26",
         'inputs.hm.url = "github:nix-community/home-manager/release-26.05";'),
    ),
    "Stylix of a release, with unstable": (
        subject({"nixpkgs": UNSTABLE, "stylix": github("nix-community/stylix", "release-26.05")}),
        (Kind.RELEASE_MISMATCH, WARNING, "stylix", "is of nixos-unstable",
         'inputs.stylix.url = "github:nix-community/stylix";'),
    ),
    "a nixpkgs of last month": (
        subject({"nixpkgs": github("NixOS/nixpkgs", "nixos-unstable", days=31)}),
        (Kind.STALE, WARNING, "nixpkgs", "31 days old", "lockbot update --input nixpkgs"),
    ),
    "http": (
        subject({"it": node({"type": "tarball", "url": "http://example.org/it.tar.gz"})}),
        (Kind.INSECURE, ERROR, "it", "http:// has no transport security",
         'inputs.it.url = "https://example.org/it.tar.gz";'),
    ),
    "git+http, of another flake": (
        subject(nested(node({"type": "git", "url": "http://h/x?a=b", "rev": REV}, {"type": "git", "url": "http://h/x"}))),
        (Kind.INSECURE, ERROR, "tool/nixpkgs", "http://", 'inputs.tool.inputs.nixpkgs.url = "git+https://h/x";'),
    ),
    "git's own protocol": (
        subject({"it": node({"type": "git", "url": "git://h/x", "rev": REV}, {"type": "git", "url": "GIT://h/x"})}),
        (Kind.INSECURE, ERROR, "it", "git:// has no", 'inputs.it.url = "git+https://h/x";'),
    ),
    "a path": (
        subject({"it": node({"type": "path", "path": "/home/me/it"})}),
        (Kind.LOCAL_PATH, WARNING, "it", "/home/me/it lies on this machine only",
         '# push it to where others can fetch it, and name that\ninputs.it.url = "…";'),
    ),
    "a repository at a path": (
        subject({"it": node({"type": "git", "url": "file:///srv/it", "rev": REV}, {"type": "git", "url": "file:///srv/it"})}),
        (Kind.LOCAL_PATH, WARNING, "it", "/srv/it lies",
         '# push it to where others can fetch it, and name that\ninputs.it.url = "…";'),
    ),
    "a registry": (
        subject({"it": github("it", ref=None) | {"original": {"type": "indirect", "id": "it"}}}),
        (Kind.REGISTRY, WARNING, "it", "it is looked up in a registry", 'inputs.it.url = "github:o/it";'),
    ),
    "a commit in flake.nix": (
        subject({"it": github("it") | {"original": {"type": "github", "owner": "o", "repo": "it", "rev": REV}}}),
        (Kind.PINNED, WARNING, "it", "itself names the commit 1111111: no update moves it",
         'inputs.it.url = "github:o/it";\n# to keep it where it is for a time: lockbot hold'),
    ),
    "no hash, and no commit": (
        subject({"it": node({"type": "tarball", "url": "https://h/it.tar.gz", "narHash": None})}),
        (Kind.UNLOCKED, ERROR, "it", "there is no narHash", "nix flake update it"),
    ),
    "no hash, of a file": (
        subject({"it": node({"type": "file", "url": "https://h/it", "narHash": None}, flake=False)}),
        (Kind.UNLOCKED, ERROR, "it", "there is no narHash", "nix flake update it"),
    ),
    "changes that are not committed": (
        subject({"it": node(GIT | {"dirtyRev": REV}, GIT)}),
        (Kind.UNLOCKED, ERROR, "it", "a checkout with changes in it", "# commit there\nnix flake update it"),
    ),
    "a commit, and no hash": (
        subject(nested(node({"type": "github", "owner": "o", "repo": "x", "rev": REV, "narHash": None}))),
        (Kind.NO_HASH, WARNING, "tool/nixpkgs", "is not checked", "nix flake update tool/nixpkgs"),
    ),
    "an old format": (
        subject({"nixpkgs": UNSTABLE}, version=6),
        (Kind.OLD_VERSION, WARNING, None, "the old format 6", "lockbot update"),
    ),
    "one thing by two names": (
        subject({"a": github("it"), "b": github("it")}),
        (Kind.SAME_SOURCE, WARNING, "b", "the same as a: github:o/it", 'inputs.b.follows = "a";'),
    ),
    "lacking": (
        subject({"a": github("a")}, declared={"a": {"url": "github:o/a"}, "b": {"url": "github:o/b"}}),
        (Kind.OUT_OF_DATE, ERROR, "b", "flake.lock does not have it", "nix flake lock"),
    ),
    "left over": (
        subject({"a": github("a"), "b": github("b")}, declared={"a": {"url": "github:o/a"}}),
        (Kind.OUT_OF_DATE, ERROR, "b", "flake.nix does not ask for it", "nix flake lock"),
    ),
    "from elsewhere": (
        subject({"a": github("a")}, declared={"a": {"url": "github:o/a/next"}}),
        (Kind.OUT_OF_DATE, ERROR, "a", "asks for github:o/a/next, and flake.lock has it from github:o/a",
         "nix flake lock"),
    ),
    "does not follow": (
        subject({"nixpkgs": UNSTABLE} | nested(github("x/y")),
                declared={"nixpkgs": {}, "tool": {"inputs": {"nixpkgs": {"follows": "nixpkgs"}}}}),
        (Kind.OUT_OF_DATE, ERROR, "tool/nixpkgs", "lets it follow nixpkgs", "nix flake lock"),
    ),
    "follows, and should not": (
        subject({"nixpkgs": UNSTABLE, "tool": github("tool", inputs={"nixpkgs": ["nixpkgs"]})},
                declared={"nixpkgs": {}, "tool": {"inputs": {"nixpkgs": {"url": "github:o/x"}}}}),
        (Kind.OUT_OF_DATE, ERROR, "tool/nixpkgs", "asks for github:o/x, and flake.lock lets it follow nixpkgs",
         "nix flake lock"),
    ),
    "an override of nothing": (
        subject({"a": github("a")}, declared={"a": {"inputs": {"gone": {"follows": "a"}}}}),
        (Kind.NO_SUCH_INPUT, WARNING, "a/gone", "a has no input gone", "# remove: inputs.a.inputs.gone"),
    ),
    "a name that is no name": (
        subject({"nixpkgs": R2605} | nested(github("NixOS/nixpkgs", "nixos-23.11"), outer='a"b ${x}/\n')),
        (Kind.END_OF_LIFE, WARNING, 'a"b ${x}%2F\n/nixpkgs', "",
         'inputs."a\\"b \\${x}/\n".inputs.nixpkgs.follows = "nixpkgs";'),
    ),
    "a command with such a name": (
        subject({"a; reboot": node({"type": "tarball", "url": "https://h/it.tar.gz", "narHash": None})}),
        (Kind.UNLOCKED, ERROR, "a; reboot", "", "nix flake update 'a; reboot'"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_it_is_found_and_nothing_else(name: str) -> None:
    looked_at, (kind, severity, input, said, fix) = FOUND[name]
    (found,) = examine(looked_at)
    assert (found.kind, found.severity, found.input, found.fix) == (kind, severity, input, fix)
    assert said in found.message


SOUND: dict[str, Subject] = {
    "what most have": subject(
        {"nixpkgs": R2605,
         "hm": github("nix-community/home-manager", "release-26.05", inputs={"nixpkgs": ["nixpkgs"]})},
        declared={
            "nixpkgs": {"url": "github:NixOS/nixpkgs/nixos-26.05"},
            "hm": {"url": "github:nix-community/home-manager/release-26.05",
                   "inputs": {"nixpkgs": {"follows": "nixpkgs"}}},
        },
    ),
    "no inputs": subject({}, declared={}),
    "stable and unstable, on purpose": subject({"nixpkgs": R2605, "unstable": UNSTABLE}),
    "two flakes of one repository": subject({"a": github("it"), "b": node(
        {"type": "github", "owner": "o", "repo": "it", "dir": "b", "rev": "2" * 40},
        {"type": "github", "owner": "o", "repo": "it", "dir": "b"},
    )}),
    "loopback": subject({"it": node({"type": "tarball", "url": "http://127.0.0.1:80/it.tar.gz"})}),
    "http with its hash in flake.nix": subject(
        {"it": node(PLAIN, PLAIN | {"narHash": HASH})}
    ),
    "a relative path": subject({"part": node({"type": "path", "path": "./part", "narHash": None}, parent=[])}),
    "a git commit without a hash": subject(
        {"it": node(GIT | {"rev": REV, "narHash": None}, GIT)}
    ),
    "no date, or one that is to come": subject(
        {"nixpkgs": github("NixOS/nixpkgs", "nixos-unstable", days=-400),
         "it": node({"type": "tarball", "url": "https://h/nixpkgs/", "lastModified": None})}
    ),
    "a date that no commit has": subject(
        {"nixpkgs": UNSTABLE | {"locked": UNSTABLE["locked"] | {"lastModified": -(10**18)}}}
    ),
    "something else that is old": subject({"it": github("it", days=900)}),
    "a release of something else": subject({"it": github("it", "release-20.03")}),
    "follows by an empty path": subject(
        {"tool": github("tool", inputs={"root": []})}, declared={"tool": {"inputs": {"root": {"follows": ""}}}}
    ),
    "spelled in another way": subject(
        {"it": node(GIT | {"rev": REV}, GIT | {"ref": "a"})},
        declared={"it": {"url": "git+https://h/it?ref=a"}},
    ),
    "what can't be compared": subject(
        {"it": node({"type": "path", "path": "./x"}), "other": github("a")},
        declared={"it": {"url": "./y"}, "other": {"url": "no reference\n"}},
    ),
    "overrides of what is no flake": subject(
        {"it": github("it", flake=False)}, declared={"it": {"inputs": {"x": {"follows": "it"}}}}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_said_of_what_is_in_order(name: str) -> None:
    assert examine(SOUND[name]) == ()


def test_every_check_finds_something_here() -> None:
    """One that no lock above makes speak is not tested: `duplicates` and `unused` have files of their own."""
    silent = {check.__name__ for check in CHECKS if not any(map(_speaks(check), FOUND.values()))}
    assert silent == {"duplicates", "unused"}


def _speaks(check: Any) -> Any:
    return lambda case: bool(tuple(check(case[0])))


@pytest.mark.parametrize(
    ("path", "spelled"),
    [
        (("a",), "inputs.a"),
        (("a-b'", "_c"), "inputs.a-b'.inputs._c"),
        (("with", "1x"), 'inputs."with".inputs."1x"'),
        (('"', "${x}"), 'inputs."\\"".inputs."\\${x}"'),
        (("", "ü"), 'inputs."".inputs."ü"'),
    ],
)
def test_a_name_is_spelled_as_nix_takes_it(path: tuple[str, ...], spelled: str) -> None:
    assert attribute(path) == spelled


def test_a_message_has_an_end() -> None:
    (found,) = examine(subject({"it": node({"type": "path", "path": "/" + "x" * 100_000})}))
    assert len(found.message) == 1000


def test_errors_come_first() -> None:
    found = examine(
        subject({"a": node({"type": "path", "path": "/a"}), "b": node({"type": "tarball", "url": "http://b/"})})
    )
    assert [finding.severity for finding in found] == [ERROR, WARNING]


# -- where it is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("presence", "needed", "kinds"),
    [
        (Presence.NOWHERE, True, [Kind.NO_LOCK]),
        (Presence.NOWHERE, False, []),
        (Presence.NOT_COMMITTED, False, [Kind.NOT_COMMITTED]),
        (Presence.IGNORED, True, [Kind.IGNORED]),
        (Presence.THERE, True, []),
    ],
)
def test_a_lock_that_is_not_committed(presence: Presence, needed: bool, kinds: Sequence[Kind]) -> None:
    found = absent(presence, needed=needed)
    assert [finding.kind for finding in found] == kinds
    assert all(finding.severity is ERROR and "git add flake.lock" in finding.fix for finding in found)


def test_a_lock_of_2000_inputs() -> None:
    """All of one repository, each at a revision of its own, every tenth deep within others."""
    nodes: dict[str, Any] = {"nixpkgs": UNSTABLE}
    for number in range(1000):
        nodes[f"tool{number}"] = github(f"tool{number}", inputs={"nixpkgs": f"nixpkgs_{number}"})
        nodes[f"nixpkgs_{number}"] = github("NixOS/nixpkgs", "nixos-22.05", rev=f"{number % 8 + 2}")
        if number % 10:
            nodes[f"nixpkgs_{number - 1}"]["inputs"] = {"deep": f"tool{number}"}
    roots = {label: label for label in nodes if label == "nixpkgs" or (label[:4] == "tool" and label[-1] == "0")}
    found = examine(subject(nodes, root=roots))
    kinds = [finding.kind for finding in found]
    assert (kinds.count(Kind.END_OF_LIFE), kinds.count(Kind.DUPLICATE)) == (1000, 1)
    assert only(found, Kind.DUPLICATE).message.endswith("which saves 1900 of 2001 nodes")


def only(found: Sequence[Finding], kind: Kind) -> Finding:
    (one,) = [finding for finding in found if finding.kind is kind]
    return one
