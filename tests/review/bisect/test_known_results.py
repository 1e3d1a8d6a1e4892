"""What is remembered of a command's runs: as much as holds for the next one, and no more than fits."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lockbot import retention
from lockbot.review.bisect import known_results
from lockbot.review.bisect.known_results import KnownResults
from lockbot.review.bisect.result import Ended, Limit, Result

NOW = datetime(2026, 11, 26, tzinfo=UTC)
DAY = 86400.0
BAD = Ended(Result.BAD, "it ended with 1")
LATE = Ended(Result.SKIPPED, "it took longer than 60 s", 60.0)
ANY = Limit()


def opened(path: Path, *command: str, days: float = 0) -> KnownResults:
    return KnownResults(path, command or ("test",), NOW + timedelta(days=days), 90 * DAY)


def test_it_is_of_that_command_and_that_system(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    opened(path, "a", "b").learn("/store/x", BAD)
    assert opened(path, "a", "b").find("/store/x", ANY) == BAD
    assert opened(path, "a", "b").find("/store/y", ANY) is None
    for other in (("a b",), ("a", "b", ""), ("b", "a")):
        assert opened(path, *other).find("/store/x", ANY) is None
    assert (len(opened(path, "a", "b")), len(opened(path, "a"))) == (1, 0)
    assert "/store/x" not in path.read_text() and path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("limit", "found"),
    [
        (Limit(60), LATE),
        (Limit(10), LATE),
        (Limit(60, is_bad=True), Ended(Result.BAD, LATE.why, 60.0)),
        (Limit(61), None),
        (Limit(), None),
    ],
)
def test_one_that_was_ended_may_say_more_when_it_has_longer(
    tmp_path: Path, limit: Limit, found: Ended | None
) -> None:
    opened(tmp_path / "known.json").learn("/store/x", LATE)
    assert opened(tmp_path / "known.json").find("/store/x", limit) == found


def test_what_is_forgotten_is_that_commands(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    for command in ("a", "b"):
        opened(path, command).learn("/store/x", BAD)
    opened(path, "a").forget()
    assert opened(path, "a").find("/store/x", ANY) is None
    assert opened(path, "b").find("/store/x", ANY) == BAD


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_results, "MOST_BISECTED", 3)
    assert retention.MOST_BISECTED > 100
    path = tmp_path / "known.json"
    for day in range(5):
        opened(path, days=day).learn(f"/store/{day}", BAD)
    assert [opened(path, days=4).find(f"/store/{day}", ANY) is not None for day in range(5)] == [
        *(False, False, True, True, True)
    ]
    assert len(opened(path, days=93)) == 1, "older ones than 90 days are gone"
    assert len(opened(path, days=-1)) == 0, "nothing is believed that comes from the future"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        "[]",
        '{"a": 1}',
        '{"a": [1, "splendid", "", null]}',
        '{"a": [1e999, "bad", "", null]}',
        '{"a": [{}, "bad", "", null]}',
    ],
)
def test_a_file_that_cannot_be_read_costs_only_time(tmp_path: Path, text: str) -> None:
    path = tmp_path / "known.json"
    path.write_text(text)
    known = opened(path)
    assert known.find("/store/x", ANY) is None
    known.learn("/store/x", BAD)
    assert opened(path).find("/store/x", ANY) == BAD
    assert json.loads(path.read_text())


def test_a_place_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.symlink_to(tmp_path / "elsewhere")
    known = opened(path)
    known.learn("/store/x", BAD)
    assert known.find("/store/x", ANY) == BAD and not (tmp_path / "elsewhere").exists()
