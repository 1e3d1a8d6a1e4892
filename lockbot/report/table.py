"""Tables as aligned text. Knows widths, not what the cells say."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

from lockbot.report.escape import DIGEST, plain
from lockbot.report.styled_lines import Line, Piece, Style

_GAP = 2
_NARROWEST = 8


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None) -> tuple[Line, ...]:
    """A header and rows of the same length, in columns; cells are escaped.

    With `width` (a terminal's columns) the widest columns are shortened until a line fits, and what differs in a
    column stays different; without it (a pipe) nothing is left out.
    """
    cells = [[plain(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        widths = _squeezed(widths, width)
        cells = [list(row) for row in zip(*map(apart, zip(*cells, strict=True), widths), strict=True)]
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
    return text + " " * (size - columns(text))


def apart(texts: Sequence[str], size: int) -> list[str]:
    """Texts in at most so many columns each: by their heads, unless two that differ would look the same."""
    shown: list[str] = []
    for shorten in (_by_head, _by_both_ends, _by_digest):
        shown = [text if columns(text) <= size else shorten(text, size) for text in texts]
        if len(set(shown)) == len(set(texts)):
            break
    return shown


def _by_head(text: str, size: int) -> str:
    return _fitting(text, size - 1) + "…"


def _by_both_ends(text: str, size: int) -> str:
    tail = _fitting(text[::-1], size // 2)[::-1]
    return f"{_fitting(text, size - 1 - columns(tail))}…{tail}"


def _by_digest(text: str, size: int) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[: min(size - 2, DIGEST)]
    return f"{_fitting(text, size - 1 - len(digest))}…{digest}"


def _fitting(text: str, size: int) -> str:
    """As much of a text's head as fits into so many columns."""
    while columns(text) > size:
        text = text[: max(size, 0)] if len(text) > max(size, 0) else text[:-1]
    return text


def _squeezed(widths: Sequence[int], width: int) -> list[int]:
    squeezed = list(widths)
    while sum(squeezed) + _GAP * (len(squeezed) - 1) > width and max(squeezed) > _NARROWEST:
        squeezed[squeezed.index(max(squeezed))] -= 1
    return squeezed
