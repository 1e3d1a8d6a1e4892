"""docs/troubleshooting.md and the pages about forges: each message that they quote is one that the program can
print."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.docs.pages import DOCS, coded, rows
from tests.nixes import PROJECT

PAGE = DOCS["troubleshooting"]
QUOTED = re.findall(r"^\| `([^`]+)` \|", PAGE.text, re.MULTILINE)
OF_FORGES = sorted(
    {
        message
        for name, page in DOCS.items()
        if name.startswith("forges")
        for cells in rows(page.section("What it says"))
        for message in coded(cells[0])
    }
)


@cache
def said() -> tuple[str, ...]:
    """Every text in the program; what is put into it later is `…`."""
    return tuple(
        text
        for path in sorted((PROJECT / "lockbot").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for text in _text(node)
    )


def _text(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)


def can_be_said(message: str) -> bool:
    """Whether one text has all parts of the message, in their order."""
    parts = [re.escape(part.strip()) for part in message.split("…") if part.strip()]
    wanted = re.compile(".*".join(parts), re.DOTALL)
    return any(wanted.search(text) for text in said())


@pytest.mark.parametrize("message", [*QUOTED, *OF_FORGES])
def test_a_quoted_message_is_one_of_the_programs(message: str) -> None:
    assert can_be_said(message)


def test_one_that_is_not_would_be_found() -> None:
    assert len(QUOTED) > 40 and len(OF_FORGES) > 30
    assert not can_be_said("another lockbot works on this repository: …")


def test_the_bug_message() -> None:
    assert can_be_said(coded(PAGE.section("A bug"))[0])


def test_no_message_says_less_than_three_words() -> None:
    """Else it would be found anywhere."""
    short = [message for message in (*QUOTED, *OF_FORGES) if len(re.findall(r"\w+", message)) < 2]
    assert not short
