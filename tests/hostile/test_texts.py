"""Texts of strangers on their way to a terminal, a commit, a page or a log, and back: nothing in them acts, no
secret gets through, and what is written for machines is read back as it was."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from lockbot.closure import versions
from lockbot.closure.names import Role, identify
from lockbot.errors import LockbotError
from lockbot.model.closure import StorePath
from lockbot.model.difference import PackageMark
from lockbot.nix import closures
from lockbot.redact import HIDDEN, redact, redact_url, without_secrets
from lockbot.report import escape, trailers
from lockbot.web.logs import ansi
from tests.hostile.properties import holds
from tests.hostile.samples import CONTROL, TEXT, spoiled, words_of
from tests.report.test_output import bad_characters

SINKS = {
    "plain": escape.plain,
    "visible": escape.visible,
    "commit": escape.commit,
    "name": escape.name,
    "log line": escape.log_line,
    "code": escape.markdown_code,
    "html": escape.html,
}


@holds("what is shown", st.tuples(st.sampled_from(sorted(SINKS)), TEXT))
def test_nothing_acts_wherever_it_is_shown(_: None, example: tuple[str, str]) -> None:
    sink, text = example
    told = SINKS[sink](text)
    assert CONTROL.search(told) is None and bad_characters(told) == set()
    assert "<" not in told or sink != "html"
    told.encode()


CANARY = "c4n4ry7d1f"
SHAPES = [
    "https://{}@example.org/x",
    "https://user:{}@example.org/x",
    "https://example.org/x?token={}",
    "git+https://example.org/x?access_token={}&ref=main",
    "ssh://user:{}@example.org/x",
    "access-tokens = github.com={}",
    "Authorization: Bearer {}",
    "curl -u user:{} https://example.org",
    "PASSWORD={}",
    "https%3A%2F%2Fuser%3A{}%40example.org",
]
AROUND = st.lists(
    st.sampled_from(["\n", " ", "error: ", "(", ") ", "'", "> ", "\x1b[0m", "a", "1", "\t", ": ", "-"]), max_size=5
)


@holds(
    "what is kept secret",
    st.tuples(AROUND.map("".join), st.sampled_from(SHAPES), AROUND.map("".join)),
    examples=100,
)
def test_no_secret_gets_through(_: None, example: tuple[str, str, str]) -> None:
    before, shape, behind = example
    told = redact(f"{before} {shape.format(CANARY)} {behind}")
    assert CANARY not in told and HIDDEN in told
    for sink in SINKS.values():
        assert CANARY not in sink(f"{before} {shape.format(CANARY)} {behind}") or sink is escape.visible


@holds("what is kept secret", TEXT | spoiled([shape.format(CANARY) for shape in SHAPES]))
def test_what_is_hidden_stays_hidden(_: None, text: str) -> None:
    once = redact(text)
    assert redact(once) == once
    assert redact(redact_url(text)) == redact_url(text)
    assert isinstance(without_secrets(text), str)


KEYS = [
    *words_of("report/trailers.py"),
    "Lockbot-Run: ",
    "Lockbot-Input: ",
    "Lockbot-Host: ",
    "Lockbot-Left-Out: ",
    '"',
    "-",
]
MESSAGES = st.lists(
    st.tuples(st.sampled_from(KEYS), TEXT).map(lambda pair: f"{pair[0]}{pair[1]}")
    | st.just("\n\n")
    | st.just("9" * 5000 + " 1"),
    max_size=8,
).map("\n".join)


@holds("commit messages", MESSAGES | TEXT, examples=100)
def test_any_message_has_trailers_or_none(_: None, message: str) -> None:
    found = trailers.parse_trailers(message)
    assert all(count >= 0 for count in found.left_out)
    assert all(len(one) == 3 for one in (*found.inputs, *found.hosts))


@holds("commit messages", st.lists(TEXT.filter(bool), min_size=3, max_size=3))
def test_what_a_trailer_says_is_read_back(_: None, names: list[str]) -> None:
    line = trailers._line(trailers.INPUT, *names)
    assert "\n" not in line and CONTROL.search(line) is None
    assert trailers.parse_trailers(f"x\n\n{line}").inputs == (tuple(map(redact, names)),)


@holds(
    "logs on a page",
    st.lists(
        TEXT
        | st.lists(st.sampled_from(["\x1b[", "9" * 5000, ";", "m", "38;5;", "K", "\r", "\b", "a", "1"])).map(
            "".join
        ),
        max_size=5,
    ),
)
def test_any_log_is_text_with_styles(_: None, lines: list[str]) -> None:
    styled = list(ansi.styled_lines(lines))
    assert len(styled) == len(lines)


PATH = f"/nix/store/{'a' * 32}-x-1.0"
DUMP = f"{PATH}\nsha256:ab\n120\n/nix/store/{'b' * 32}-x.drv\n1\n{PATH}\n"


@holds("closure listings", spoiled([DUMP, DUMP * 3]) | TEXT)
def test_any_listing_is_closures_or_refused(_: None, text: str) -> None:
    try:
        paths = closures._read_paths(text.split("\n"))
        for root in paths:
            found = closures._closure(root, paths)
            assert root in found.paths
    except LockbotError as error:
        assert "nix-store --dump-db" in error.message


@holds("closure listings", st.lists(TEXT, max_size=6))
def test_any_name_is_a_package(_: None, names: list[str]) -> None:
    for name in names:
        told = identify(StorePath(f"/nix/store/{'a' * 32}-{name}", name, 1, frozenset()))
        assert isinstance(told.role, Role)
    assert sorted(versions.sort(names)) == sorted(set(names))
    for old in names:
        for new in names:
            there, back = versions.direction(old, new), versions.direction(new, old)
            assert (there is PackageMark.UP) == (back is PackageMark.DOWN)


def test_a_count_that_no_number_is_long_enough_for_is_none() -> None:
    assert trailers.parse_trailers(f"x\n\nLockbot-Left-Out: {'9' * 5000} 1").left_out == (0, 0)
    assert trailers.parse_trailers("x\n\nLockbot-Left-Out: 3 1").left_out == (3, 1)


def test_a_listing_that_is_cut_off_is_refused() -> None:
    lines = DUMP.split("\n")
    with pytest.raises(LockbotError, match="cannot read what `nix-store --dump-db` prints"):
        closures._closure(PATH, closures._read_paths([*lines[:-2], "/nix/store/other"]))
