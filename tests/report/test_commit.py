"""Commit messages: one that pins how they read, and what no name or size may do to them."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from lockbot.model import ChangeKind, Held, HostBuild, HostStatus, InputChange, Locked
from lockbot.report.commit import DEFAULT_SUBJECT, commit_message, unknown_placeholders
from lockbot.report.trailers import parse_trailers
from tests.report.examples import (
    ADDED,
    FOLLOWED,
    HELD,
    HELLO_FAILED,
    HOME_MANAGER,
    HOSTILE,
    HOSTS,
    LINKS,
    MOVED,
    NEEDS_HELLO,
    NEW_NIXPKGS,
    NIXPKGS,
    NOW,
    OLD_NIXPKGS,
    REMOVED,
    RUN_ID,
    built,
)

GOLDEN = """\
flake.lock: update home-manager, nixpkgs

home-manager  9f3d2c1 (2026-08-01) → 77aa0e2 (2026-08-13)
  12 days newer, 1 commit
  home-manager/nixpkgs  follows nixpkgs, no longer has its own 33ddeb9
      (2026-08-09)

nixpkgs  33ddeb9 (2026-08-09) → a1b2c3d (2026-08-14)
  5 days newer, 1234 commits
  https://github.com/NixOS/nixpkgs/compare/33ddeb9...a1b2c3d

Hosts:
  built: db, web
  unchanged: nas
  evaluated only: laptop
  broken before this update, not caused by it:
    old: build failed: linux-6.12.30
  evaluated only, not buildable here: pi (aarch64-linux)

Held back:
  nixos-hardware stays at 9f3d2c1: host web does not build with a newer
    one

Flake lock file updates:

• Updated input 'home-manager':
    'github:nix-community/home-manager/9f3d2c1222222222222222222222222222222222' (2026-08-01)
  → 'github:nix-community/home-manager/77aa0e2333333333333333333333333333333333' (2026-08-13)
• Updated input 'home-manager/nixpkgs':
    'github:NixOS/nixpkgs/33ddeb9000000000000000000000000000000000' (2026-08-09)
  → follows 'nixpkgs'
• Updated input 'nixpkgs':
    'github:NixOS/nixpkgs/33ddeb9000000000000000000000000000000000' (2026-08-09)
  → 'github:NixOS/nixpkgs/a1b2c3d111111111111111111111111111111111' (2026-08-14)

Lockbot-Run: 20260814T050000Z-1f2e
Lockbot-Input: home-manager 9f3d2c1222222222222222222222222222222222 77aa0e2333333333333333333333333333333333
Lockbot-Input: nixpkgs 33ddeb9000000000000000000000000000000000 a1b2c3d111111111111111111111111111111111
Lockbot-Input: home-manager/nixpkgs 33ddeb9000000000000000000000000000000000 follows:nixpkgs
Lockbot-Host: db built
Lockbot-Host: laptop evaluated
Lockbot-Host: nas unchanged
Lockbot-Host: old broken-before
Lockbot-Host: pi not-buildable-here
Lockbot-Host: web built
"""


def message(
    changes: Sequence[InputChange] = (NIXPKGS,),
    hosts: Sequence[HostBuild] = (),
    *,
    subject: str = DEFAULT_SUBJECT,
    links: dict[str, str] | None = None,
    held: Sequence[Held] = (),
    now: datetime = NOW,
) -> str:
    return commit_message(RUN_ID, changes, hosts, subject_template=subject, now=now, links=links or {}, held=held)


def subject_of(names: Sequence[str], template: str = DEFAULT_SUBJECT) -> str:
    return message([replace(NIXPKGS, input=name) for name in names], HOSTS, subject=template).split("\n")[0]


def test_an_ordinary_morning() -> None:
    assert message([NIXPKGS, HOME_MANAGER, FOLLOWED], HOSTS, links=LINKS, held=HELD) == GOLDEN


def test_same_values_same_bytes_in_any_order() -> None:
    changes, hosts = [NIXPKGS, HOME_MANAGER, FOLLOWED], list(HOSTS)
    shuffled = random.Random(1)  # noqa: S311  # an order, not a secret
    for _ in range(5):
        shuffled.shuffle(changes)
        shuffled.shuffle(hosts)
        assert message(changes, hosts, links=LINKS, held=HELD) == GOLDEN


def test_added_removed_and_pointed_elsewhere() -> None:
    body = message([ADDED, REMOVED, MOVED]).partition("\n\n")[2]
    assert body.startswith(
        "agenix  removed, was at 9f3d2c1 (2026-08-01)\n"
        "\n"
        "disko  added at 77aa0e2 (2026-08-13)\n"
        "\n"
        "secrets  9f3d2c1 (2026-08-01) → 77aa0e2 (2026-07-13)\n"
        "  19 days older\n"
        "  now from github:other/secrets, was github:me/secrets\n"
        "\n"
        "Flake lock file updates:\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("a", "b", "follows b, no longer a"),
        (None, "b", "follows b, no longer has its own 33ddeb9 (2026-08-09)"),
        ("a", None, "has its own a1b2c3d (2026-08-14), no longer follows a"),
    ],
)
def test_refollowed(old: str | None, new: str | None, words: str) -> None:
    change = InputChange(
        "x/y",
        ChangeKind.REFOLLOWED,
        old=None if old else OLD_NIXPKGS,
        new=None if new else NEW_NIXPKGS,
        old_follows=old,
        new_follows=new,
    )
    assert message([change]).split("\n")[2] == f"x/y  {words}"


def test_hosts_with_one_culprit_are_told_together() -> None:
    hosts = [
        built("web", HostStatus.BROKEN_BEFORE, NEEDS_HELLO),
        built("mail", HostStatus.BROKEN_BEFORE, HELLO_FAILED),
        built("x", HostStatus.BROKEN_BEFORE),
    ]
    assert (
        "Hosts:\n"
        "  broken before this update, not caused by it:\n"
        "    mail, web: build failed: hello-2.12\n"
        "    x\n\n" in message(hosts=hosts)
    )


def test_subject_names_as_many_as_fit() -> None:
    assert subject_of(["nixpkgs"]) == "flake.lock: update nixpkgs"
    names = ["agenix", "disko", "home-manager", "impermanence", "nixpkgs", "nixpkgs-unstable", "systems"]
    assert subject_of(names) == "flake.lock: update agenix, disko, home-manager and 4 more inputs"
    assert subject_of([f"{letter * 60}" for letter in "abc"]) == "flake.lock: update 3 inputs"


def test_subject_template() -> None:
    template = "chore({date}): {count} inputs for {hosts} hosts: {inputs}"
    assert subject_of(["a", "b"], template) == "chore(2026-08-14): 2 inputs for 6 hosts: a, b"
    assert subject_of(["a"], "{unknown} {inputs.__class__} {inputs}") == "{unknown} {inputs.__class__} a"
    assert subject_of(["a"], "one\nLockbot-Run: x") == "one\\nLockbot-Run: x"
    assert subject_of(["a"], "  ") == "flake.lock: update a"
    assert len(subject_of(["a"], "long " * 100)) == 120
    assert unknown_placeholders("{inputs} {cuont} {date}") == {"cuont"}


def test_a_name_is_no_placeholder() -> None:
    assert subject_of(["{date}"]) == 'flake.lock: update "{date}"'


def test_lines_are_wrapped() -> None:
    held = [Held(f"input-{number}", "x", "a reason that goes on " * 9, "a" * 40) for number in range(5)]
    hosts = [built(f"host-number-{number}") for number in range(50)]
    changes = [replace(FOLLOWED, input="home-manager/" + "n" * 20, new_follows="f" * 20)]
    prose = message(changes, hosts, held=held).partition("Flake lock file updates:")[0]
    assert max(map(len, prose.split("\n"))) <= 72
    assert prose.count("host-number-") == 50


def test_many_nested_changes_are_counted() -> None:
    nested = [replace(NIXPKGS, input=f"nixpkgs/n{number:02}") for number in range(14)]
    text = message([NIXPKGS, *nested])
    assert "  nixpkgs/n09  33ddeb9" in text
    assert "  nixpkgs/n10  33ddeb9" not in text
    assert "  … and 4 more nested inputs\n" in text
    assert len(parse_trailers(text).inputs) == 15


def hostile_message() -> tuple[str, list[str]]:
    """A message in which every value that a stranger may choose is hostile, and the names in it."""
    names = [name for name in HOSTILE if len(name) < 1000]
    changes = [
        InputChange(
            name,
            ChangeKind.UPDATED,
            Locked("git", text, text, rev=text, ref=text, last_modified=10**20),
            Locked("git", text + "x", text + "x", rev=text + "x", last_modified=-(10**20)),
        )
        for name, text in zip(names, reversed(names), strict=True)
    ]
    failure = replace(HELLO_FAILED, culprit="x\n\nCo-authored-by: evil <e@x>", message="\x1b[2J")
    hosts = [built(name, HostStatus.BROKEN_BEFORE, failure) for name in names]
    held = [Held(name, name, name + " Co-authored-by: evil <e@x> " * 5, name) for name in names]
    links = dict(zip(names, names, strict=True))
    return message(changes, hosts, links=links, held=held, subject="{inputs}"), names


def test_nothing_can_be_forged(git_environment: dict[str, str]) -> None:
    text, names = hostile_message()
    assert all(line.isprintable() for line in text.split("\n"))
    for line in text.split("\n"):
        assert not line.lower().startswith(("co-authored-by", "signed-off-by", "---", "diff ", "index:", "#"))
    assert "\nLockbot-" not in text.rpartition("\n\n")[0]
    parsed = subprocess.run(
        ["git", "interpret-trailers", "--parse"],
        input=text,
        env=git_environment,
        capture_output=True,
        text=True,
        check=True,
    )
    keys = [line.partition(":")[0] for line in parsed.stdout.splitlines()]
    assert keys == ["Lockbot-Run"] + ["Lockbot-Input"] * len(names) + ["Lockbot-Host"] * len(names)
    read = parse_trailers(text)
    assert sorted(name for name, _, _ in read.inputs) == sorted(names)
    assert sorted(name for name, _, _ in read.hosts) == sorted(names)


def test_git_keeps_the_message_as_it_is(git_environment: dict[str, str], tmp_path: Path) -> None:
    text, _ = hostile_message()

    def git(*argv: str, stdin: str = "") -> str:
        return subprocess.run(
            ["git", *argv],
            cwd=tmp_path,
            input=stdin,
            env=git_environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--file=-", stdin=text)
    assert git("log", "-1", "--format=%B") == text + "\n"
    for line in git("log", "-1", "--format=%(trailers:only,unfold)").split("\n"):
        assert line == "" or line.startswith("Lockbot-")


@pytest.mark.parametrize("name", ["input-of-a-usual-length", "n" * 200, "字" * 400, "n" * 3_000])
def test_size_stays_below_60_kb(name: str) -> None:
    changes = [replace(NIXPKGS, input=f"{name}{number // 4}/{number}") for number in range(200)]
    hosts = [
        built(f"{name}{number}", status, replace(HELLO_FAILED, message=name, culprit=f"{name}{number}"))
        for status in HostStatus
        for number in range(50 // len(HostStatus) + 1)
    ]
    held = [Held(f"{name}{number}", name, name, name) for number in range(50)]
    text = message(changes, hosts, held=held, links={one.input: LINKS["nixpkgs"] for one in changes})
    assert len(text.encode()) < 60_000
    assert "… and " in text
    read = parse_trailers(text)
    assert read.run == RUN_ID
    assert len(read.inputs) + read.left_out[0] == 200
    assert len(read.hosts) + read.left_out[1] == len(hosts)
    assert {name for name, _, _ in read.inputs} <= {one.input for one in changes}


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "https://x y",
        "https://x\nLockbot-Run: 1",
        "https://x/\u202e",
        "https://" + "x" * 400,
    ],
)
def test_links_that_are_none_are_left_away(link: str) -> None:
    assert message(links={"nixpkgs": link}) == message()
