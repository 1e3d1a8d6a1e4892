"""One corpus of hostile text through every sink, and each sink judged by what reads it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from lockbot.report import escape
from tests.report.examples import HOSTILE
from tests.report.forge_links import FORGE_LINKS, LINKED

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)
SINKS = (escape.plain, escape.commit, escape.name, escape.log_line, escape.html, escape.markdown_code)


def shows_everything(text: str) -> bool:
    """One line, nothing in it that a terminal acts upon or that can't be seen."""
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return not any(unicodedata.category(character) in hidden for character in text)


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("text", HOSTILE)
def test_corpus_leaves_no_control_character(sink: Callable[[str], str], text: str) -> None:
    assert shows_everything(sink(text))


@given(ANY_TEXT)
def test_any_text_becomes_one_visible_line(text: str) -> None:
    for sink in SINKS:
        assert shows_everything(sink(text))
    assert shows_everything(escape.markdown(text).replace("\u200b", ""))


@given(ANY_TEXT, st.integers(min_value=1, max_value=40))
def test_limits_hold(text: str, limit: int) -> None:
    assert len(escape.plain(text, limit)) <= limit
    assert escape.plain(text, limit) in (escape.plain(text), escape.plain(text)[: limit - 1] + "…")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nixpkgs", "nixpkgs"),
        ("größe 字", "größe 字"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\u202egnp", r"\u202egnp"),
        ("\x9b\u200b\u2069\ufeff", r"\x9b\u200b\u2069\ufeff"),
        ("\ud800", r"\ud800"),
        ("\u3164", r"\u3164"),
        ("C:\\dir", "C:\\dir"),
    ],
)
def test_plain(text: str, shown: str) -> None:
    assert escape.plain(text) == shown


def test_a_huge_name_is_cut() -> None:
    assert escape.plain("n" * 10_000, 20) == "n" * 19 + "…"
    assert escape.name("n" * 10_000).startswith('"nnn')  # quoted: the sign for the cut is no part of a name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ping @everyone", r"ping \x40everyone"),
        ("(@a)", r"(\x40a)"),
        ("fixes #12, GH-7", r"fixes \x2312, GH\x2d7"),
        ("closes https://forge.example/a/b/issues/12", r"closes https://forge.example/a/b/issues\x2f12"),
        ("https://github.com/a/b/pull/12 is merged", r"https://github.com/a/b/pull\x2f12 is merged"),
        (
            "https://h/a/b/pulls/1 https://h/a/-/merge_requests/2",
            r"https://h/a/b/pulls\x2f1 https://h/a/-/merge_requests\x2f2",
        ),
        ("git+ssh://git@host/repo?ref=main", "git+ssh://git@host/repo?ref=main"),
    ],
)
def test_commit_makes_a_forge_do_nothing(text: str, shown: str) -> None:
    assert escape.commit(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("home-manager/nixpkgs", "home-manager/nixpkgs"),
        ("a.b", "a.b"),
        ("größe", "größe"),
        ("two words", '"two words"'),
        ("Signed-off-by:", '"Signed-off-by:"'),
        ("---", '"---"'),
        ("--option", '"--option"'),
        ("", '""'),
        ('say "hi"', '"say \\"hi\\""'),
    ],
)
def test_names_are_bare_only_when_harmless(text: str, shown: str) -> None:
    assert escape.name(text) == shown


def test_log_lines_lose_colour_and_overwritten_progress() -> None:
    assert escape.log_line("\x1b[1;31mError\x1b[0m:\tno\n") == "Error:  no"
    assert escape.log_line("10%\r 50%\r100% done\r\n") == "100% done"
    assert escape.log_line("\x1b]0;title\x07x") == r"\x1b]0;title\x07x"
    assert len(escape.log_line("x" * 5000)) == 240


class Markup(HTMLParser):
    """Gathers what a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(ANY_TEXT | st.sampled_from(HOSTILE))
def test_html_is_read_back_as_text_and_attribute(text: str) -> None:
    parser = Markup()
    parser.feed(f'<p title="{escape.html(text)}">{escape.html(text)}</p>')
    parser.close()
    assert parser.tags == [("p", [("title", escape.plain(text))])]
    assert parser.text == escape.plain(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**a** <b> [c](d)", r"\*\*a\*\* \<b\> \[c\](d)"),
        ("two\nlines", r"two\\nlines"),
        ("openssl 3.0.1 → 3.0.2 (2026-08-14)", "openssl 3.0.1 → 3.0.2 (2026-08-14)"),
        ("- list", r"\- list"),
        ("12. list", r"12\. list"),
        ("/close", r"\/close"),
        ("[ ] task", "&#91; ] task"),
        ("   code", "code"),
    ],
)
def test_markdown_has_no_live_punctuation(text: str, shown: str) -> None:
    assert escape.markdown(text).replace("\u200b", "").replace(r"\]", "]") == shown.replace(r"\]", "]")


DRAFT = re.compile(r"\W*(draft|wip)\b", re.IGNORECASE)


def rendered(text: str) -> list[Token]:
    """The inline tokens of Markdown that is one paragraph."""
    opened, line, closed = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    assert (opened.type, line.type, closed.type) == ("paragraph_open", "inline", "paragraph_close")
    return line.children or []


@given(
    st.one_of(ANY_TEXT, st.sampled_from([*HOSTILE, *LINKED]), st.text("-+=:/1.) [x]`*_<>!@#w|~\\&", max_size=12))
)
def test_markdown_is_read_back_as_text_and_nothing_else(text: str) -> None:
    if not (plain := escape.plain(text).strip(" ")):
        return
    tokens = rendered(escape.markdown(text))
    assert {token.type for token in tokens} == {"text"}
    shown = "".join(token.content for token in tokens)
    assert shown.replace("\u200b", "") == plain
    assert not FORGE_LINKS.search(shown)


@given(st.one_of(ANY_TEXT, st.sampled_from([*HOSTILE, *LINKED])), st.integers(min_value=20, max_value=255))
def test_a_title_links_nothing_and_makes_no_draft(text: str, limit: int) -> None:
    title = escape.request_title(text, limit)
    assert len(title) <= limit
    assert shows_everything(title.replace("\u200b", ""))
    assert not FORGE_LINKS.search(title)
    assert not DRAFT.match(title)
    assert not set("`*<>[]|~") & set(title)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("x", "`x`"), ("a`b", "``a`b``"), ("`id`", "`` `id` ``"), ("", "` `"), ("```", "```` ``` ````")],
)
def test_markdown_code_spans_can_not_be_left(text: str, shown: str) -> None:
    assert escape.markdown_code(text) == shown
