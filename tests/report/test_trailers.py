"""Trailers: what is written is read back, by us and by git, whatever the names are."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockbot.model import ChangeKind, HostStatus, InputChange, Locked
from lockbot.report.trailers import NAMES_COMMIT, Trailers, parse_trailers, trailer_lines
from tests.report.examples import (
    FOLLOWED,
    HELLO,
    HOSTILE,
    HOSTS,
    KERNEL,
    NIXPKGS,
    NIXPKGS_NEW,
    NIXPKGS_OLD,
    RUN_ID,
    built,
)

ANY_NAME = st.text(max_size=60) | st.sampled_from([text for text in HOSTILE if len(text) < 1000])


def change(name: str, old: str, new: str) -> InputChange:
    before = Locked("git", "git+x", "git+x", rev=old) if old else None
    return InputChange(name, ChangeKind.UPDATED, before, Locked("git", "git+x", "git+x", rev=new))


def message(lines: tuple[str, ...]) -> str:
    return "subject\n\nbody\n\n" + "\n".join(lines) + "\n"


def test_ordinary_trailers() -> None:
    web, db, nas = HOSTS[:3]
    hosts = [replace(web, drv=HELLO), replace(db, drv=KERNEL, names_commit=True), nas]
    lines = trailer_lines(RUN_ID, [FOLLOWED, NIXPKGS], hosts, limit=10_000)
    assert lines == (
        "Lockbot-Run: 20260814T050000Z-1f2e",
        f"Lockbot-Input: nixpkgs {NIXPKGS_OLD} {NIXPKGS_NEW}",
        f"Lockbot-Input: home-manager/nixpkgs {NIXPKGS_OLD} follows:nixpkgs",
        "Lockbot-Host: db built names-commit",
        "Lockbot-Host: nas unchanged",
        f"Lockbot-Host: web built {HELLO.removeprefix('/nix/store/')}",
    )
    assert parse_trailers(message(lines)).hosts == (
        ("db", "built", NAMES_COMMIT),
        ("nas", "unchanged", None),
        ("web", "built", HELLO.removeprefix("/nix/store/")),
    )


@given(
    ANY_NAME,
    st.dictionaries(ANY_NAME, st.tuples(ANY_NAME, ANY_NAME), max_size=5),
    st.dictionaries(ANY_NAME, st.sampled_from(HostStatus), max_size=5),
)
def test_round_trip(run: str, inputs: dict[str, tuple[str, str]], hosts: dict[str, HostStatus]) -> None:
    lines = trailer_lines(
        run,
        [change(name, old, new) for name, (old, new) in inputs.items()],
        [built(name, status) for name, status in hosts.items()],
        limit=1_000_000,
    )
    text = message(lines)
    assert text.isprintable() or set(text) - {"\n"} == {c for c in text if c.isprintable()}
    read = parse_trailers(text)
    assert read.run == run
    assert {name: (old, new) for name, old, new in read.inputs} == {
        name: (old or "-", new or "-") for name, (old, new) in inputs.items()
    }
    assert {name: status for name, status, _ in read.hosts} == {
        name: str(status) for name, status in hosts.items()
    }
    assert read.left_out == (0, 0)


def test_git_reads_the_same_lines(git_environment: dict[str, str]) -> None:
    names = [name for name in HOSTILE if len(name) < 1000]
    lines = trailer_lines(
        RUN_ID, [change(name, "o", "n") for name in names], [built(name) for name in names], limit=100_000
    )
    parsed = subprocess.run(
        ["git", "interpret-trailers", "--parse"],
        input=message(lines),
        env=git_environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert parsed.stdout.splitlines() == list(lines)
    assert len(lines) == 1 + 2 * len(names)


def test_what_has_no_room_is_counted_and_never_cut() -> None:
    changes = [change(f"input-{number}", "a" * 40, "b" * 40) for number in range(100)]
    hosts = [built("x" * 5000), *(built(f"host-{number}") for number in range(10))]
    lines = trailer_lines(RUN_ID, changes, hosts, limit=2000)
    assert len("\n".join(lines)) < 2200
    read = parse_trailers(message(lines))
    assert len(read.hosts) == 10
    assert read.left_out == (100 - len(read.inputs), 1)
    assert all(old == "a" * 40 and new == "b" * 40 for _, old, new in read.inputs)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "subject",
        "subject\n\nLockbot-Run:\nLockbot-Host: web\nLockbot-Input: a b",
        'subject\n\nLockbot-Host: "web built',
        'subject\n\nLockbot-Host: "web"x built',
        "subject\n\nLockbot-Run: x\n\nSomebody wrote below.",
    ],
)
def test_what_others_wrote_or_broke_is_skipped(text: str) -> None:
    assert parse_trailers(text) == Trailers()


def test_a_sign_off_added_by_hand_does_no_harm() -> None:
    text = message(trailer_lines(RUN_ID, [], HOSTS[:1], limit=1000)) + "Signed-off-by: me <me@example.org>\n"
    assert parse_trailers(text) == Trailers(RUN_ID, hosts=(("web", "built", None),))


@pytest.mark.parametrize("between", ["", "---------\n\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_a_forge_appends_that_squashes_does_no_harm(between: str, end: str) -> None:
    text = message(trailer_lines(RUN_ID, [], HOSTS[:1], limit=1000))
    text += f"\n{between}Co-authored-by: me <me@example.org>\nSigned-off-by: you <you@example.org>\n"
    assert parse_trailers(text.replace("\n", end)) == Trailers(RUN_ID, hosts=(("web", "built", None),))
