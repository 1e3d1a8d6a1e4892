"""Logs on a page: colours by classes, everything else as text, within bounds."""

from __future__ import annotations

import html.parser
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from lockbot.report.escape import log_line
from lockbot.web.logs import ansi
from lockbot.web.logs.lines import log_lines, tail_lines
from lockbot.web.pages.past.logs import MOST_BYTES, log_document

SEQUENCES = (
    *("\x1b[0m", "\x1b[1;31m", "\x1b[m", "\x1b[38;5;196m", "\x1b[48;2;1;2;3m", "\x1b[38:2::9:9:9m"),
    *("\x1b[99999m", "\x1b[38;5m", "\x1b[38m", "\x1b[;;m", "\x1b[1:2:3;4m", "\x1b[?25h", "\x1b[2K", "\x1b[1A"),
    *("\x1b[>4m", "\x1b[", "\x1b]0;title\x07", "\x1b(B", "\x9b31m"),
)
ACTS = ("\r", "\r\n", "\n", "\t", "\0", "\x85", "\u2028", "\u202e", "\udcff")
MARKUP = ("<script>", "</span></pre>", '" onclick="', "&amp;", "{{ 7 }}")
SECRETS = ("token=hunter2hunter2", "tok\x1b[1men=x1y2z3")
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=6)
PIECES = st.sampled_from([*SEQUENCES, *ACTS, *MARKUP, *SECRETS]) | ANYTHING
TEXTS = st.lists(PIECES, max_size=25).map("".join)


class Read(html.parser.HTMLParser):
    """What a browser makes of it: tags with their attributes, and text without line numbers."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(str(markup))  # of Markup, pieces would be escaped when they are put together
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("link", "meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "a" not in self.open:
            self.text += data


def storable(text: str) -> str:
    """As a log comes out of the file that it was kept in."""
    return text.encode(errors="backslashreplace").decode()


@settings(max_examples=120, deadline=None)
@given(text=TEXTS)
@example(text="\n\n")
@example(text="the end\r\n\n")
def test_only_our_tags_and_the_text_without_escapes(text: str) -> None:
    """Whatever a builder writes: what is read is what `lockbot show --log` prints, and nothing is made of it."""
    text = storable(text)
    read = Read(log_lines(log_document(text)))
    for tag, attributes in read.tags:
        if tag == "a":
            assert set(attributes) == {"id", "href", "tabindex", "class"}
            assert re.fullmatch(r"L[0-9]+", attributes["id"] or "")
        else:
            assert tag == "span" and set(attributes) == {"class"}
            assert re.fullmatch(r"ansi-(\d+|on-\d+|[a-z]+)( ansi-(\d+|on-\d+|[a-z]+))*", attributes["class"] or "")
    lines = text.removesuffix("\n").split("\n")
    assert read.text == "".join(f"{log_line(line, None)}\n" for line in lines)
    assert len([tag for tag, _ in read.tags if tag == "a"]) == len(lines)


@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_styles_lie_within_their_lines_one_after_the_other(text: str) -> None:
    for line in ansi.styled_lines(storable(text).split("\n")):
        at = 0
        for start, end, classes in line.styles:
            assert at <= start < end <= len(line.text) and classes
            at = end


@pytest.mark.parametrize(
    ("written", "classes"),
    {
        "1": "ansi-bold",
        "31": "ansi-1",
        "91": "ansi-9",
        "1;31": "ansi-bold ansi-1",
        "41": "ansi-on-1",
        "101": "ansi-on-9",
        "38;5;1": "ansi-1",
        "38;5;196": "ansi-9",
        "38;5;232": "ansi-0",
        "38;5;255": "ansi-7",
        "48;5;46": "ansi-on-10",
        "38;2;250;5;5": "ansi-9",
        "38:2::250:5:5": "ansi-9",
        "38:2:250:5:5": "ansi-9",
        "38:5:2": "ansi-2",
        "38;5;1;4": "ansi-underline ansi-1",
        "38;2;300;0;0": "",
        "38;5;256": "",
        "38;5": "",
        "38": "",
        "58;1": "ansi-bold",
        "999999999999": "",
        "1;;31": "ansi-1",
        "1;22": "",
        "31;39": "",
        "41;49": "",
        "3;9;7;23;29;27": "",
        "1;2;3;4;7;9": "ansi-bold ansi-faint ansi-inverse ansi-italic ansi-strike ansi-underline",
    }.items(),
)
def test_what_a_sequence_says(written: str, classes: str) -> None:
    assert ansi.applied(ansi.Style(), written).classes == classes
    (line,) = ansi.styled_lines([f"a\x1b[{written}mb\x1b[0mc"])
    assert line.styles == (((1, 2, classes),) if classes else ())


def test_a_style_lasts_over_lines_until_it_is_taken_back() -> None:
    lines = list(ansi.styled_lines(["\x1b[32mone", "two\rthree\x1b[mfour", "five"]))
    assert [(one.text, one.styles) for one in lines] == [
        ("one", ((0, 3, "ansi-2"),)),
        ("threefour", ((0, 5, "ansi-2"),)),
        ("five", ()),
    ]


def test_a_secret_that_shows_only_without_its_colours_is_hidden() -> None:
    document = log_document("first\nhttps://me:\x1b[1mhunter\x1b[0m2@host/x\nlast")
    assert "hunter" not in str(document) and document["lines"][0] == "first"  # type: ignore[index]  # a list
    assert "hunter" not in tail_lines(["https://me:\x1b[1mhunter\x1b[0m2@host/x"])


LONG = {
    "bytes": "x" * (3 * MOST_BYTES),
    "lines": "\n" * MOST_BYTES,
    "styles": "\x1b[1mx\x1b[2my" * 150_000,
    "controls": "\x01" * 500_000,
    "sequences that never end": "\x1b[" * 300_000,
    "parameters": "\x1b[" + "1;" * 500_000 + "m",
}


@pytest.mark.parametrize("kind", LONG)
def test_a_page_has_an_end_whatever_a_log_is(kind: str) -> None:
    """Its beginning and its end are there, and what is between is counted."""
    document = log_document(f"BEGIN{LONG[kind]}\nEND")
    shown = log_lines(document)
    assert len(shown) < 8 * MOST_BYTES
    text = Read(shown).text
    assert text.startswith("BEGIN") and text.endswith("END\n")
    numbers = [int(one) for one in re.findall(r'id="L(\d+)"', shown)]
    assert len(numbers) <= ansi.MOST_LINES
    if kind == "lines":
        assert numbers[-1] == MOST_BYTES + 1 - MOST_BYTES % 2 or "left out" in text
        assert numbers == sorted(set(numbers))
    if kind == "bytes":
        assert "bytes left out" in text


def test_markup_is_made_of_text_alone() -> None:
    assert isinstance(tail_lines(["<b>\x1b[1m&"]), Markup)
    assert tail_lines(["<b>\x1b[1m&"]) == '&lt;b&gt;<span class="ansi-bold">&amp;</span>'
