"""Tables as aligned text. Knows widths, not what the cells say."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from lockbot.report.escape import plain, shortened
from lockbot.report.lines import Line, Piece, Style

_GAP = 2
_NARROWEST = 8


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None) -> tuple[Line, ...]:
    """A header and rows of the same length, in columns; cells are escaped.

    With `width` (a terminal's columns) the widest columns are shortened until a line fits; without it (a pipe)
    nothing is left out.
    """
    cells = [[plain(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        widths = _squeezed(widths, width)
    styles = [Style.TITLE] + [Style.PLAIN] * len(rows)
    return tuple((Piece(_row(row, widths), style),) for row, style in zip(cells, styles, strict=True))


def columns(text: str) -> int:
    """How many columns a terminal gives to a text: East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * _GAP).join(_cell(cell, size) for cell, size in zip(cells, widths, strict=True)).rstrip()


def _cell(text: str, size: int) -> str:
    limit = len(text)
    while columns(text) > size and limit > 1:
        limit -= 1
        text = shortened(text, limit)
    return text + " " * (size - columns(text))


def _squeezed(widths: Sequence[int], width: int) -> list[int]:
    squeezed = list(widths)
    while sum(squeezed) + _GAP * (len(squeezed) - 1) > width and max(squeezed) > _NARROWEST:
        squeezed[squeezed.index(max(squeezed))] -= 1
    return squeezed
