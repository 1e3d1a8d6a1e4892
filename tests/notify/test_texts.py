"""Messages: bounded, plain, and nothing in them acts upon whoever reads them."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from lockbot.model import ChangeKind, InputChange, Notice, NoticeKind, Outcome
from lockbot.notify.texts import BODY, TITLE, message, published
from tests.history.samples import full_run, locked

TEXT = st.text(alphabet=st.characters() | st.sampled_from("@!<>]([\n\t\x1b\u202e\u200b\ud800"), max_size=300)
HOSTILE = (
    "\x1b[31m@everyone <!here> <@U1> [click](https://evil) \u202e https://me:hunter2@host/ token=s3cret-token"
)


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8), st.integers(1, 4000))
def test_whatever_is_in_it(texts: list[tuple[str, str]], limit: int) -> None:
    notices = [Notice(NoticeKind.BROKE, title, body, run=title) for title, body in texts]
    told = message(notices, "lockbot for x", "a1b2c3", limit)
    assert len(told.title) <= TITLE and len(told.body) <= max(min(limit, BODY), len("a1b2c3"))
    assert "a1b2c3" in told.body
    text = told.title + told.body
    assert not {
        one for one in text.replace("\u200b", "") if one not in "\n\t" and unicodedata.category(one)[0] == "C"
    }
    assert all(text[at + 1 : at + 2] in ("\u200b", "") or at + 1 == len(told.title) for at in _all(text, "@"))
    assert "](" not in text
    text.encode()


def _all(text: str, what: str) -> list[int]:
    return [at for at, one in enumerate(text) if one == what]


def test_hostile_words() -> None:
    told = message([Notice(NoticeKind.BROKE, HOSTILE, HOSTILE)], "lockbot", "ref")
    for text in (told.title, told.body):
        assert "\\x1b[31m" in text and "@e" not in text and "!h" not in text and "@U" not in text
        assert "hunter2" not in text and "s3cret" not in text


def test_it_is_cut_at_a_line_and_says_so() -> None:
    lines = [f"line {number}" for number in range(1000)]
    told = message([Notice(NoticeKind.BROKE, "x", "\n".join(lines), run="r1")], "lockbot for x", "ref")
    *kept, more, empty, show, last = told.body.split("\n")
    assert kept == lines[: len(kept)] and len(kept) > 300 and empty == ""
    assert more == f"… and {1000 - len(kept)} more lines"
    assert (show, last) == ("lockbot show r1", "lockbot for x, message ref")
    assert BODY - 40 < len(told.body) <= BODY


def test_a_service_that_takes_little() -> None:
    told = message([Notice(NoticeKind.BROKE, "x", "much\n" * 50, run="r1")], "lockbot for x", "ref", 30)
    assert told.body.endswith("ref") and len(told.body) <= 30


def test_what_was_published() -> None:
    moves = tuple(
        InputChange(f"input{number}", ChangeKind.UPDATED, locked("1" * 40), locked("2" * 40))
        for number in range(30)
    )
    run = full_run()
    told = published(
        type(run)(**{**run.__dict__, "changes": moves, "dry_run": False, "outcome": Outcome.PUBLISHED})
    )
    assert told.kind is NoticeKind.PUBLISHED and "ddddddd" in told.title
    assert "input0 1" in told.body and " → 2" in told.body and "… and 18 more inputs" in told.body
    assert "needs a reboot" in told.body and "kernel 6.12.1 → 6.12.2" in told.body
