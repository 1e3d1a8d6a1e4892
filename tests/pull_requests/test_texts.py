"""A request's title, its one comment, and the news in it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockbot.model import Move
from lockbot.pull_requests.wording import news
from lockbot.pull_requests.wording.texts import COMMENT_MARK, comment, title
from tests.pull_requests.parsing import is_folded_well, parse
from tests.report.examples import HOME_NEW, HOSTILE, NIXPKGS, NIXPKGS_NEW, NOW
from tests.report.forge_links import FORGE_LINKS, LINKED

LIMIT = 65536
NIXPKGS_MOVE = Move.of(NIXPKGS)


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("flake.lock: update home-manager, nixpkgs", "flake.lock: update home-manager, nixpkgs"),
        ("", "flake.lock: update"),
        ("  ", "flake.lock: update"),
        ("Draft: nixpkgs", "D\u200braft: nixpkgs"),
        ("update `id` **b** [c](d)", r"update \x60id\x60 \x2a\x2ab\x2a\x2a \x5bc\x5d(d)"),
        ("two\nlines", r"two\nlines"),
        ("x" * 300, "x" * 254 + "…"),
    ],
)
def test_a_title_is_one_line_that_forges_leave_alone(subject: str, shown: str) -> None:
    assert title(subject, 255) == shown


def test_the_comment_has_the_newest_first() -> None:
    told = comment([(NOW, news.closed()), (NOW + timedelta(days=1), news.landed("main", NIXPKGS_NEW))], LIMIT)
    assert told == (
        f"{COMMENT_MARK}\n"
        "\n"
        "lockbot keeps this comment up to date:\n"
        "\n"
        "- 2026-08-15 05:00 UTC: it has landed: main is at a1b2c3d, the very commit that was judged\n"
        "- 2026-08-14 05:00 UTC: it was closed: lockbot does not propose these revisions again"
    )


def test_a_moment_is_told_in_utc_wherever_it_was_read() -> None:
    there = timezone(timedelta(hours=2))
    told = comment([(datetime(2026, 8, 14, 7, tzinfo=there), "b"), (NOW.replace(tzinfo=None, hour=4), "a")], LIMIT)
    assert [line[:23] for line in told.split("\n")[-2:]] == ["- 2026-08-14 05:00 UTC:", "- 2026-08-14 04:00 UTC:"]


CRABS = "\U0001f980" * 500
STRANGERS = st.one_of(st.sampled_from([*HOSTILE, *LINKED, "-->", COMMENT_MARK, CRABS]), st.text(max_size=80))
MOMENTS = st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis adds it


@given(st.lists(st.tuples(MOMENTS, STRANGERS), min_size=1), st.integers(500, LIMIT))
def test_strangers_have_no_say_in_the_comment(told: list[tuple[datetime, str]], limit: int) -> None:
    text = comment(told, limit)
    assert len(text.encode()) <= limit
    assert text.startswith(COMMENT_MARK)
    assert text.count(COMMENT_MARK) == 1
    seen = parse(text)
    assert (seen.others, seen.links, seen.html) == (set(), [], [f"{COMMENT_MARK}\n"])
    assert is_folded_well(seen.html)
    assert [one for one in seen.text if FORGE_LINKS.search(one)] == []
    newest = max(moment for moment, _ in told)
    shown = re.findall(r"^- (\d{4}-\d\d-\d\d \d\d:\d\d) UTC: ", text, re.M)
    assert shown[0] == newest.strftime("%Y-%m-%d %H:%M")
    (left,) = re.findall(r"^- … and (\d+) more lines?$", text, re.M) or ("0",)
    assert len(shown) + int(left) == len(told)


def test_a_sentence_that_has_no_room_is_shortened_rather_than_left_out() -> None:
    told = comment([(NOW, CRABS)], 500)
    assert told.endswith("…")
    assert len(told.encode()) <= 500


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        (
            news.replaced(NIXPKGS_NEW, [Move("disko", None, HOME_NEW), NIXPKGS_MOVE]),
            "a newer candidate took its place, a1b2c3d: disko nothing → 77aa0e2, nixpkgs 33ddeb9 → a1b2c3d",
        ),
        (
            news.judged_anew("main", NIXPKGS_NEW, []),
            "main has moved; it was judged again on top of it, and is a1b2c3d now, with the same inputs",
        ),
        (
            news.judged_anew("main", NIXPKGS_NEW, [NIXPKGS_MOVE]),
            "main has moved; it was judged again on top of it, and is a1b2c3d now: nixpkgs 33ddeb9 → a1b2c3d",
        ),
        (
            news.left_alone("lockbot/update", HOME_NEW),
            "lockbot/update has a commit that is not lockbot's (77aa0e2): lockbot leaves it alone, and proposes"
            " nothing else until this request is merged or closed, and the branch deleted",
        ),
        (
            news.retargeted("main", "other branch"),
            'it asks to be merged into "other branch" now, not into main: lockbot leaves it alone',
        ),
        (
            news.branch_deleted("lockbot/update"),
            "its branch lockbot/update was deleted: lockbot takes that for a no to these revisions",
        ),
        (news.closed(), "it was closed: lockbot does not propose these revisions again"),
        (
            news.merged_as(NIXPKGS_NEW, HOME_NEW),
            "it was merged as 77aa0e2, not as a1b2c3d, which was judged: the next run judges what came of it",
        ),
        (
            news.merged_as(NIXPKGS_NEW, None),
            "it was merged as another commit, not as a1b2c3d, which was judged:"
            " the next run judges what came of it",
        ),
        (news.overtaken("#12"), "#12 has taken its place"),
        (
            news.empty("main", ["nixpkgs", "disko"]),
            "main has moved nixpkgs and disko itself: nothing of it is left",
        ),
    ],
)
def test_news(sentence: str, told: str) -> None:
    assert sentence == told


def test_of_many_moves_some_are_named() -> None:
    many = [NIXPKGS_MOVE, *(Move(f"input{number}", NIXPKGS_NEW, HOME_NEW) for number in range(9))]
    assert news.replaced(NIXPKGS_NEW, many).endswith("→ 77aa0e2, and 5 more inputs")


def test_what_moved_is_told_from_what_was_asked_for_before() -> None:
    one, two, three = "1" * 40, "2" * 40, "3" * 40
    old = [Move("a", one, two), Move("b", one, two), Move("c", one, two)]
    new = [Move("a", one, three), Move("c", one, two), Move("d", None, one)]
    assert news.between(old, new) == (Move("a", two, three), Move("b", two, one), Move("d", None, one))
