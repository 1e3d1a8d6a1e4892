"""What a bisection found, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockbot.commands.review.bisected import bisected_document, bisected_lines
from lockbot.model import ChangeKind, CulpritCommit, InputChange, Locked
from lockbot.report.styled_lines import text
from lockbot.review.bisect.result import BadCommit, BadInput, Bisected, Blame, Result, Source, Trial

EVIL = "x\x1b[2J\n"


def change(name: str, old: str, new: str) -> InputChange:
    def locked(digit: str, date: int) -> Locked:
        return Locked("github", f"github:o/it/{digit * 40}", "github:o/it", digit * 40, last_modified=date)

    return InputChange(name, ChangeKind.UPDATED, locked(old, 1_760_000_000), locked(new, 1_770_000_000))


A, B = change("a", "1", "2"), change("b", "3", "4")
BAD = BadCommit("c" * 40, "b" * 40, "flake.lock: update a, b", 1_770_000_000, changes_more=False)
UPSTREAM = CulpritCommit("e" * 40, "it: 1 -> 2", "Somebody", 1_765_000_000, after="f" * 40)
TRIED = (
    Trial(Source.of("a" * 40), "/nix/store/x-web", Result.GOOD, "it ended with 0", known=True),
    Trial(Source("a" * 40, "d" * 40, {"a": "2" * 40}), "/nix/store/y-web", Result.BAD, "it ended with 1"),
    Trial(Source.of("c" * 40), "/nix/store/y-web", Result.BAD, "it ended with 1"),
    Trial(Source.of("d" * 40), None, Result.SKIPPED, "build failed"),
)
BISECTED = Bisected("web", ("./test", "a b"), BAD, (), Blame.LOCK, BadInput(A), UPSTREAM, tried=TRIED)


def said(found: Bisected) -> list[str]:
    return text(bisected_lines(found)).splitlines()


def test_all_that_was_found() -> None:
    assert said(BISECTED) == [
        "./test 'a b' fails on web since this commit:",
        f"  {'c' * 40} (2026-02-02)",
        "  flake.lock: update a, b",
        "This input is to blame:",
        "  a: 1111111 (2025-10-09) → 2222222 (2026-02-02)",
        f"      https://github.com/o/it/compare/{'1' * 40}...{'2' * 40}",
        "And of that, this upstream commit:",
        f'  {"e" * 40} "it: 1 -> 2" by Somebody (2025-12-06)',
        "To have it back as it was, and keep it there:",
        f"  lockbot hold a --at {'f' * 40} --why 'see lockbot bisect'",
        "2 systems tried, 1 of them known from before.",
    ]


CASES: dict[str, tuple[Bisected, str]] = {
    "nothing": (Bisected("web", ("x",), reason="it fails already"), "Not found: x on web: it fails already"),
    "one of": (replace(BISECTED, among=("d" * 40, "c" * 40), reason="why"), "since one of these; why:\n  ddd"),
    "files": (replace(BISECTED, blame=Blame.FILES), "in other files than flake.lock is to blame."),
    "unknown": (replace(BISECTED, blame=Blame.UNKNOWN), "or another of its files is to blame can't be told."),
    "no input": (
        replace(BISECTED, input=None, reason="why"),
        "Its flake.lock is to blame.\nNothing more is known: why.",
    ),
    "together": (
        replace(BISECTED, input=BadInput(A, (B,)), upstream=None),
        "These inputs are to blame, which do not go together:\n  a: ",
    ),
    "unsure": (replace(BISECTED, input=BadInput(A, exact=False)), "to blame, as far as that could be told:"),
    "a range": (
        replace(BISECTED, upstream=replace(UPSTREAM, exact=False)),
        "an upstream commit after fffffff, up to this one:",
    ),
    "no upstream": (replace(BISECTED, upstream=None), f"hold a --at {'1' * 40}"),
}


@pytest.mark.parametrize(("found", "words"), CASES.values(), ids=CASES)
def test_what_is_not_known_is_told_as_such(found: Bisected, words: str) -> None:
    assert words in "\n".join(said(found))


@pytest.mark.parametrize(
    ("found", "exact"),
    [
        (BISECTED, True),
        *((CASES[name][0], False) for name in ("nothing", "one of", "unknown", "unsure", "a range")),
    ],
)
def test_only_what_is_sure_is_exact(found: Bisected, exact: bool) -> None:
    assert bisected_document(found)["exact"] is exact


def test_no_name_acts_upon_a_terminal_or_a_shell() -> None:
    evil = replace(A, input="$(x)")
    found = replace(
        BISECTED,
        host=EVIL,
        command=(EVIL,),
        first_bad=replace(BAD, subject=EVIL),
        input=BadInput(evil),
        upstream=replace(UPSTREAM, subject=EVIL, author=EVIL),
    )
    lines = said(found)
    assert "\x1b" not in "".join(lines) and len(lines) == len(said(BISECTED))
    assert any("lockbot hold '$(x)' --at" in line for line in lines)


def test_of_many_commits_that_it_may_be_the_newest_are_listed() -> None:
    among = tuple(f"{number:040}" for number in range(500))
    lines = said(replace(BISECTED, among=among, reason="why"))
    assert lines[-2] == "  … and 490 before these" and lines[1] == f"  {490:040}"
