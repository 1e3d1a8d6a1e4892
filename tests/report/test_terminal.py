"""What a person reads after a run."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace

import pytest

from lockbot.model import Failure, FailureKind, HostStatus, Outcome, RequestDone, RequestStep, Run
from lockbot.report.styled_lines import Style, line, text, write
from lockbot.report.terminal import headline, summary
from tests.report.examples import (
    HELLO,
    HELLO_FAILED,
    HOSTILE,
    HOSTS,
    MORNING,
    MOVED,
    NEEDS_HELLO,
    NIXPKGS,
    built,
)

GOLDEN = """\
Published ccccccc to main and pushed it, with 1 input held back.

Inputs
  home-manager            9f3d2c1 (2026-08-01) → 77aa0e2 (2026-08-13), 12 days newer, 1 commit
    home-manager/nixpkgs  follows nixpkgs, no longer has its own 33ddeb9 (2026-08-09)
  nixpkgs                 33ddeb9 (2026-08-09) → a1b2c3d (2026-08-14), 5 days newer, 1234 commits

Hosts
  built (2): db, web
  unchanged (1): nas
  evaluated only (1): laptop
  broken before this update, not caused by it (1): old
  evaluated only, not buildable here (1): pi [aarch64-linux]

Broken before this update
  old: build failed: linux-6.12.30
      builder for '/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-linux-6.12.30.drv' failed with exit code 1
      /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-linux-6.12.30.drv

Held back
  nixos-hardware stays at 9f3d2c1: host web does not build with a newer one

Notes
  • web is built by hand since May

Run 20260814T050000Z-1f2e, 2026-08-14 05:00 UTC, took 5 min 3 s (sync 1.2 s, judge 4 min 50 s)
"""

REJECTED = """\
Rejected: 2 hosts would no longer build; main stands as it was.

Inputs that were tried
  secrets  9f3d2c1 (2026-08-01) → 77aa0e2 (2026-07-13), 19 days older
    now from github:other/secrets, was github:me/secrets

Hosts
  failed (2): mail, web
  built (1): db

Failures
  mail, web: build failed: hello-2.12
      builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-hello-2.12.drv' failed with exit code 2
      /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-hello-2.12.drv
      │ checking for gcc... yes
      │ make: *** [Makefile:12: all] Error 2

Run 20260814T050000Z-1f2e, 2026-08-14 05:00 UTC, took 5 min 3 s (sync 1.2 s, judge 4 min 50 s)
"""

REJECTION = replace(
    MORNING,
    outcome=Outcome.REJECTED,
    commit=None,
    pushed=False,
    changes=(MOVED,),
    hosts=(
        built("db"),
        built("web", HostStatus.FAILED, NEEDS_HELLO),
        built("mail", HostStatus.FAILED, HELLO_FAILED),
    ),
    held=(),
    notes=(),
)


def test_an_ordinary_morning() -> None:
    assert text(summary(MORNING)) == GOLDEN


def test_a_rejection_tells_each_cause_once() -> None:
    assert text(summary(REJECTION)) == REJECTED


def test_a_failure_of_the_surroundings() -> None:
    run = replace(
        MORNING,
        outcome=Outcome.FAILED,
        commit=None,
        changes=(),
        hosts=(),
        held=(),
        notes=(),
        seconds={},
        error="could not fetch the branch\ngit fetch origin main\nfatal: unable to connect",
        hint="check the network, then run it again",
    )
    assert text(summary(run)) == (
        "Failed: could not fetch the branch\n"
        "  git fetch origin main\n"
        "  fatal: unable to connect\n"
        "  → check the network, then run it again\n"
        "\n"
        "Run 20260814T050000Z-1f2e, 2026-08-14 05:00 UTC, took 5 min 3 s\n"
    )


PUBLISHED = replace(MORNING, outcome=Outcome.PUBLISHED, held=(), pushed=False)


def requested(*steps: RequestStep) -> Run:
    done = tuple(RequestDone(step, "lockbot/update-main") for step in steps)
    return replace(PUBLISHED, outcome=Outcome.REQUESTED, commit=None, requests=done)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (PUBLISHED, "Published ccccccc to main."),
        (replace(PUBLISHED, pushed=True), "Published ccccccc to main and pushed it."),
        (replace(PUBLISHED, commit=None, dry_run=True), "Dry run: would publish ccccccc to main."),
        (replace(requested(), dry_run=True), "Dry run: a pull request would ask to take ccccccc."),
        (
            replace(PUBLISHED, parked="lockbot/update"),
            "Built ccccccc and parked it on lockbot/update: main could not be moved.",
        ),
        (
            replace(PUBLISHED, outcome=Outcome.PARTLY_PUBLISHED),
            "Published ccccccc to main, and not all that was judged.",
        ),
        (replace(PUBLISHED, outcome=Outcome.UNCHANGED), "Nothing to update."),
        (replace(MORNING, outcome=Outcome.UNCHANGED), "Nothing changed: 1 input held back."),
        (replace(PUBLISHED, outcome=Outcome.INTERRUPTED, commit=None), "Interrupted: main stands as it was."),
        (
            replace(PUBLISHED, outcome=Outcome.INTERRUPTED),
            "Interrupted, when ccccccc had been pushed already.",
        ),
        (replace(REJECTION, hosts=()), "Rejected: nothing could be taken; main stands as it was."),
        (replace(PUBLISHED, outcome=Outcome.FAILED), "Failed: no reason was recorded"),
        (replace(PUBLISHED, outcome=Outcome.FAILED, error="\n"), "Failed: no reason was recorded"),
        (
            replace(PUBLISHED, outcome=Outcome.STALE),
            "Stale: main kept moving while hosts were built; nothing was published.",
        ),
        (
            replace(PUBLISHED, outcome=Outcome.STALE, error="main has diverged\nmore"),
            "Stale: main has diverged",
        ),
        (
            replace(PUBLISHED, outcome=None, finished=None),
            "Not finished: still at work, or killed before it could say.",
        ),
        (replace(PUBLISHED, outcome=None), "Ended without an outcome."),
        (requested(RequestStep.OPENED), "A pull request asks to take what was judged."),
        (
            requested(RequestStep.OPENED, RequestStep.UNCHANGED, RequestStep.CLOSED),
            "2 pull requests ask to take what was judged.",
        ),
        (
            requested(RequestStep.WAITING),
            "Judged and pushed, for you to open a pull request: main stands as it was.",
        ),
        (requested(RequestStep.REFUSED), "Judged, and left to people: main stands as it was."),
    ],
)
def test_headlines(run: Run, said: str) -> None:
    assert headline(run)[0] == said


def hostile_run() -> Run:
    tail = tuple(HOSTILE)
    hosts = [
        built(name, status, replace(HELLO_FAILED, culprit=name or None, message=name, tail=tail))
        for name in HOSTILE
        for status in HostStatus
    ]
    return replace(
        MORNING,
        id="\x1b[2J",
        outcome=Outcome.FAILED,
        branch="\x1b[2J\n",
        changes=tuple(replace(NIXPKGS, input=name) for name in HOSTILE),
        hosts=tuple(hosts),
        held=tuple(replace(MORNING.held[0], input=name, detail=name) for name in HOSTILE),
        notes=HOSTILE,
        error="".join(HOSTILE),
        hint="\x1b[2J",
        seconds={"\x1b[2J": 5.0},
    )


def test_nothing_hostile_reaches_the_terminal() -> None:
    shown = text(summary(hostile_run()))
    assert set(shown) - {"\n"} == {character for character in shown if character.isprintable()}


def test_colour_changes_nothing_but_colour() -> None:
    plain_out, colour_out = io.StringIO(), io.StringIO()
    lines = summary(hostile_run())
    write(lines, plain_out)
    write(lines, colour_out, colour=True)
    without = re.sub(r"\x1b\[[0-9;]*m", "", colour_out.getvalue())
    assert [one.rstrip() for one in without.split("\n")] == plain_out.getvalue().split("\n")
    assert "\x1b[1m" in colour_out.getvalue()
    assert "[bold]markup" in without


def test_no_colour_without_asking() -> None:
    out = io.StringIO()
    write([line(("x", Style.BAD))], out)
    assert out.getvalue() == "x\n"


class Broken(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("colour", [False, True])
def test_a_broken_pipe_is_told_and_standard_output_stays(
    *, colour: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BrokenPipeError):
        write(summary(MORNING), Broken(), colour=colour)
    os.write(1, b"still here")
    assert capfd.readouterr().out == "still here"


def test_a_poor_encoding_is_no_error() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    write(summary(MORNING), out)
    out.seek(0)
    assert "33ddeb9 (2026-08-09) \\u2192 a1b2c3d" in out.read()


def test_every_kind_of_failure_has_words() -> None:
    for kind in FailureKind:
        run = replace(
            MORNING, hosts=(built("web", HostStatus.FAILED, replace(HELLO_FAILED, kind=kind, culprit=None)),)
        )
        assert re.search(r"^  web: [a-zN]", text(summary(run)), re.MULTILINE), kind


def test_long_logs_and_messages_are_cut() -> None:
    failure = replace(HELLO_FAILED, message="m\n" * 50, tail=tuple(f"log {number}" for number in range(100)))
    shown = text(summary(replace(MORNING, hosts=(built("web", HostStatus.FAILED, failure),))))
    assert "log 99" in shown
    assert "log 89" not in shown
    assert shown.count("      m\n") == 10


def test_hosts_are_all_named() -> None:
    shown = text(summary(replace(MORNING, hosts=HOSTS)))
    assert all(build.host.name in shown for build in HOSTS)


def test_what_could_not_be_judged_is_told_with_its_reason() -> None:
    late = Failure(FailureKind.TIMEOUT, "timed out after 5 seconds", HELLO)
    run = replace(
        MORNING,
        outcome=Outcome.UNJUDGED,
        commit=None,
        pushed=False,
        hosts=(built("web", HostStatus.UNJUDGED, late), built("db", HostStatus.UNCHANGED)),
        error="the update could not be judged: web: timed out (timed out after 5 seconds)",
    )
    told = text(summary(run))
    assert told.startswith("Not judged: nothing could be found out; main stands as it was.\n")
    assert "\n  could not be judged (1): web\n" in told
    assert "Could not be judged\n  web: timed out: hello-2.12\n      timed out after 5 seconds\n" in told
