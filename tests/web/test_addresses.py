"""What a request asks for: whatever its bytes are, and whatever a name is that a link leads to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lockbot.history.texts import storable
from lockbot.web import addresses
from lockbot.web.addresses import Address, BadAddress
from lockbot.web.view import Frame

NOW = datetime(2026, 11, 26, tzinfo=UTC)
BASES = st.sampled_from(["", "/lockbot", "/a/b"])


@given(st.binary(max_size=60), st.binary(max_size=60), BASES)
@example(b"/%", b"", "")
@example(b"/\xff", b"\xff=%ff", "")
@example(b"", b"", "/lockbot")
def test_no_bytes_are_worse_than_a_bad_address(path: bytes, query: bytes, base: str) -> None:
    try:
        found = addresses.read(path, query, base)
    except BadAddress as error:
        assert 400 <= error.status < 500
        return
    assert all(part not in ("", ".", "..") for part in found.parts)
    assert not any("\0" in one for pair in found.query.items() for one in pair)


NAMES = st.text(min_size=1, max_size=20) | st.sampled_from(
    [
        ".",
        "..",
        "...",
        "a.json",
        ".json",
        ".html",
        "x.json.html",
        "a/b",
        "a%2Fb",
        "?",
        "#",
        "%",
        "\0",
        "\udcff",
        "é/ü",
    ]
)


@given(NAMES, BASES)
def test_a_link_leads_to_its_name_with_the_prefix_and_without(name: str, base: str) -> None:
    link = Frame(NOW, base, base).link("inputs", name)
    assert link.isascii()
    for path in {link, link.removeprefix(base)}:
        found = addresses.read(path.encode(), b"", base)
        matched = addresses.match({"/inputs/{name}": 1, "/inputs": 2}, found.page)
        assert matched == ("/inputs/{name}", 1, {"name": storable(name)})
        assert not found.is_json
        as_json = addresses.read(f"{path}.json".encode(), b"", base)
        if not link.endswith(".html"):
            assert as_json.is_json
            assert as_json.page == found.page


@given(NAMES)
def test_a_browser_takes_no_link_for_a_directory(name: str) -> None:
    last = Frame(NOW).link("inputs", name).rpartition("/")[2]
    assert last.lower().replace("%2e", ".") not in ("", ".", "..")


@given(st.lists(st.text(alphabet="ab%", min_size=1, max_size=4), min_size=1, max_size=3))
def test_slashes_of_a_name_need_not_be_quoted(parts: list[str]) -> None:
    """A proxy that takes the prefix away may unquote the rest."""
    table = {"/hosts/{attribute}/feed.atom": 1, "/hosts/{attribute}": 2, "/hosts": 3}
    found = addresses.match(table, ("hosts", *parts, "feed.atom"))
    assert found == ("/hosts/{attribute}/feed.atom", 1, {"attribute": "/".join(parts)})
    assert addresses.match(table, ("hosts", "/".join(parts))) == (
        "/hosts/{attribute}",
        2,
        {"attribute": "/".join(parts)},
    )
    assert addresses.match(table, ("hosts",)) == ("/hosts", 3, {})
    assert addresses.match(table, ()) is None


@pytest.mark.parametrize(
    ("path", "base", "parts", "is_json", "page"),
    [
        (b"/", "", (), False, ()),
        (b"/.json", "", (".json",), True, ()),
        (b"/.html", "", (".html",), False, ()),
        (b"/index.json", "", ("index.json",), True, ()),
        (b"/inputs/index.json", "", ("inputs", "index.json"), True, ("inputs", "index")),
        (b"/lockbot", "/lockbot", (), False, ()),
        (b"/lockbot/", "/lockbot", (), False, ()),
        (b"/lockbotx", "/lockbot", ("lockbotx",), False, ("lockbotx",)),
        (b"/lockbot/inputs.json", "/lockbot", ("inputs.json",), True, ("inputs",)),
        (b"/inputs/", "", ("inputs",), False, ("inputs",)),
        (b"/r/a%2Fb/inputs", "", ("r", "a/b", "inputs"), False, ("r", "a/b", "inputs")),
    ],
)
def test_forms(path: bytes, base: str, parts: tuple[str, ...], is_json: bool, page: tuple[str, ...]) -> None:
    found = addresses.read(path, b"", base)
    assert (found.parts, found.is_json, found.page) == (parts, is_json, page)


def test_of_what_stands_twice_behind_the_question_mark_the_first_counts() -> None:
    assert addresses.read(b"/", b"a=1&a=2&b=&c", "") == Address((), {"a": "1", "b": "", "c": ""})
