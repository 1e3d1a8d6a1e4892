"""Tables as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockbot.report.styled_lines import text
from lockbot.report.table import columns, table

HEADER = ("input", "revision", "age")
ROWS = (("nixpkgs", "33ddeb9", "3 days"), ("home-manager/nixpkgs", "follows nixpkgs", ""))


def test_columns_are_aligned() -> None:
    assert text(table(HEADER, ROWS)) == (
        "input                 revision         age\n"
        "nixpkgs               33ddeb9          3 days\n"
        "home-manager/nixpkgs  follows nixpkgs\n"
    )


def test_the_widest_column_gives_way() -> None:
    assert text(table(HEADER, ROWS, width=40)) == (
        "input            revision         age\n"
        "nixpkgs          33ddeb9          3 days\n"
        "home-manager/n…  follows nixpkgs\n"
    )


@pytest.mark.parametrize(
    "names",
    [
        ["nixpkgs-unstable", "nixpkgs-unstab", "nixpkgs-stable"],
        ["server-in-the-rack-01", "server-in-the-rack-02", "server-in-the-rack-11"],
        ["left-" + "x" * 40 + "-right", "left-" + "x" * 20 + "y" + "x" * 19 + "-right"],
        ["字" * 30 + "a", "字" * 30 + "b", "字" * 12 + "b" + "字" * 18],
        ["e\u0301" * 30, "e\u0301" * 29 + "e"],
        ["a…", "ab" * 9, "abababab…"],
    ],
)
@pytest.mark.parametrize("width", [30, 34, 40])
def test_what_differs_stays_different(names: list[str], width: int) -> None:
    cells = [
        line.split("  ")[0]
        for line in text(table(HEADER, [(n, "f" * 30, "3 days") for n in names], width=width)).splitlines()
    ]
    assert len(set(cells)) == len(names) + 1
    assert all(columns(cell) <= width for cell in cells)


def test_no_rows() -> None:
    assert text(table(HEADER, ())) == "input  revision  age\n"


def test_wide_characters_take_two_columns() -> None:
    assert columns("字e\u0301") == 3
    assert text(table(("a", "b"), [("字字", "x"), ("ab", "y")])) == "a     b\n字字  x\nab    y\n"


@given(
    st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=4),
    st.integers(min_value=30, max_value=100),
)
def test_any_cells_fit_into_lines(rows: list[tuple[str, str, str]], width: int) -> None:
    lines = text(table(HEADER, rows, width=width)).split("\n")[:-1]
    assert len(lines) == len(rows) + 1
    assert all(columns(one) <= width and one.isprintable() for one in lines)
