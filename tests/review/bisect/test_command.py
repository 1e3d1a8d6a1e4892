"""The command of a bisection: what its end means, and what it is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lockbot.errors import LockbotError
from lockbot.process import CancelToken
from lockbot.review.bisect.command import Command
from lockbot.review.bisect.result import Ended, Limit, Result

GOOD, BAD, SKIPPED = Result.GOOD, Result.BAD, Result.SKIPPED
TOLD = {"LOCKBOT_TOPLEVEL": "/nix/store/x y"}


def run(directory: Path, cancel: CancelToken, *argv: str, limit: Limit | None = None) -> tuple[Ended, list[str]]:
    lines: list[str] = []
    command = Command(argv, {"PATH": "/usr/bin:/bin", "OWN": "kept"}, directory, limit or Limit())
    return command.run(TOLD, cancel, lines.append), lines


@pytest.mark.parametrize(
    ("code", "result"), [(0, GOOD), (1, BAD), (124, BAD), (125, SKIPPED), (126, BAD), (127, BAD)]
)
def test_exit_codes_mean_what_they_do_for_git(
    tmp_path: Path, cancel: CancelToken, code: int, result: Result
) -> None:
    assert run(tmp_path, cancel, "sh", "-c", f"exit {code}")[0] == Ended(result, f"it ended with {code}")


@pytest.mark.parametrize(
    ("end", "said"),
    [("exit 128", "ended with 128"), ("exit 255", "ended with 255"), ("kill -9 $$", "was killed by signal 9")],
)
def test_any_other_end_stops_the_bisection(tmp_path: Path, cancel: CancelToken, end: str, said: str) -> None:
    with pytest.raises(LockbotError) as raised:
        run(tmp_path, cancel, "sh", "-c", end)
    assert raised.value.message == f"the command {said}, which says neither good nor bad: sh -c '{end}'"
    assert "LOCKBOT_TOPLEVEL='/nix/store/x y'" in raised.value.hint and raised.value.exit_code == 3


def test_it_runs_where_and_with_what_its_caller_does(tmp_path: Path, cancel: CancelToken) -> None:
    script = 'pwd; echo "$OWN $LOCKBOT_TOPLEVEL"; echo to stderr >&2; cat; echo "$1"'
    ended, lines = run(tmp_path, cancel, "sh", "-c", script, "sh", "$(x);\n*")
    assert ended.result is GOOD
    assert sorted(lines) == sorted([str(tmp_path), "kept /nix/store/x y", "to stderr", "$(x);", "*"])


@pytest.mark.parametrize(("is_bad", "result"), [(False, SKIPPED), (True, BAD)])
def test_one_that_takes_too_long_says_nothing_or_is_bad(
    tmp_path: Path, cancel: CancelToken, is_bad: bool, result: Result
) -> None:
    limit = Limit(0.05, is_bad)
    assert run(tmp_path, cancel, "sleep", "600", limit=limit)[0] == Ended(
        result, "it took longer than 0.1 s", 0.05
    )


def test_what_it_prints_takes_bounded_memory(tmp_path: Path, cancel: CancelToken) -> None:
    ended, lines = run(tmp_path, cancel, sys.executable, "-c", "print('x' * 10_000_000)")
    assert (ended.result, [len(line) for line in lines]) == (GOOD, [65536])
