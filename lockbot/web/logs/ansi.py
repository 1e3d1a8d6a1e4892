"""A log's colours: what a terminal would show of it, as lines of text and the styles within them.

Knows ECMA-48's SGR (`ESC [ 1 ; 31 m`), in the forms that compilers and build tools write, and a page's bounds.
Everything else that acts upon a terminal is resolved or shown as `report.escape.log_line` does. Of all colours the
nearest of the sixteen remains: those are the style sheet's, and can be read on its grounds.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from lockbot.redact import redact
from lockbot.report.escape import CONTROL_SEQUENCE, log_line, visible

MOST_LINES = 20_000
"""Lines of a log that are shown: so many from its beginning and its end together."""
MOST_STYLES = 20_000
"""Changes of style that are heeded; what follows is plain."""

_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_MOST_PARAMETERS = 32


@dataclass(frozen=True)
class Style:
    """How text is written. Colours are of the sixteen; None: the page's own."""

    colour: int | None = None
    ground: int | None = None
    on: frozenset[str] = frozenset()
    """bold, faint, italic, underline, strike, inverse."""

    @cached_property
    def classes(self) -> str:
        """The style sheet's: `ansi-bold ansi-1`."""
        names = sorted(self.on)
        names += [str(self.colour)] if self.colour is not None else []
        names += [f"on-{self.ground}"] if self.ground is not None else []
        return " ".join(f"ansi-{name}" for name in names)


@dataclass(frozen=True)
class StyledLine:
    """A line as it is shown, harmless but for HTML, and its styles: from where to where, and the classes."""

    text: str
    styles: tuple[tuple[int, int, str], ...] = ()


def styled_lines(lines: Sequence[str]) -> Iterator[StyledLine]:
    """One of each. They hold no secrets, but for what shows only when colours are gone."""
    secretive = redact(shown := CONTROL_SEQUENCE.sub("", "\n".join(lines))) != shown
    reader = _Reader()
    for line in lines:
        styled = reader.read(line)
        if secretive and redact(bare := CONTROL_SEQUENCE.sub("", line)) != bare:
            styled = StyledLine(log_line(line, None))
        yield styled


class _Reader:
    """Reads line by line: a style lasts until it is taken back."""

    def __init__(self) -> None:
        self._style = Style()
        self._left = MOST_STYLES

    def read(self, line: str) -> StyledLine:
        if "\x1b" not in line and not self._style.classes:
            return StyledLine(visible(line.rstrip("\r").rpartition("\r")[2].expandtabs()))
        return _laid_out(_as_left(self._pieces(line)))

    def _pieces(self, line: str) -> Iterator[tuple[str, str]]:
        """Texts and their classes."""
        start = 0
        for found in CONTROL_SEQUENCE.finditer(line):
            if self._left == 0:
                break
            yield line[start : found.start()], self._style.classes
            start = found.end()
            if (told := _SGR.fullmatch(found[0])) is not None:
                self._left -= 1
                self._style = applied(self._style, told[1]) if self._left else Style()
        yield CONTROL_SEQUENCE.sub("", line[start:]), self._style.classes


def _as_left(pieces: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Without what a carriage return has overwritten; at the end it overwrites nothing."""
    told = list(pieces)
    if not any("\r" in text for text, _ in told):
        yield from told
        return
    whole = "".join(text for text, _ in told).rstrip("\r")
    begin, end, at = whole.rfind("\r") + 1, len(whole), 0
    for text, classes in told:
        left = text[max(begin - at, 0) : max(end - at, 0)]
        at += len(text)
        if left:
            yield left, classes


def _laid_out(pieces: Iterable[tuple[str, str]]) -> StyledLine:
    """With tabs as spaces, and what can't be seen written out."""
    shown: list[str] = []
    styles: list[tuple[int, int, str]] = []
    column = end = 0
    for text, classes in pieces:
        if "\t" in text:
            indent = column % _TAB
            text = (" " * indent + text).expandtabs(_TAB)[indent:]
        column += len(text)
        shown.append(visible(text))
        start, end = end, end + len(shown[-1])
        if classes and text:
            styles.append((start, end, classes))
    return StyledLine("".join(shown), tuple(styles))


_TAB = 8


# -- what a sequence says


@lru_cache(maxsize=1024)
def applied(style: Style, parameters: str) -> Style:
    """The style after `ESC [ parameters m`. What is unknown or malformed changes nothing."""
    numbers = iter(_numbers(parameters))
    for one in numbers:
        match one[0]:
            case 38 | 48 as which:
                told = one[1:] if len(one) > 1 else _next_colour(numbers)
                colour = _of_sixteen(told)
                if colour is not None:
                    style = replace(style, colour=colour) if which == 38 else replace(style, ground=colour)
            case number:
                style = _switched(style, number)
    return style


_UNKNOWN = -1


def _numbers(parameters: str) -> list[list[int]]:
    """`1;38:5:9` → [[1], [38, 5, 9]]; nothing is 0, and what has more digits than a colour is unknown."""
    return [
        [_UNKNOWN if len(part) > 3 else int(part or "0") for part in one.split(":", _MOST_PARAMETERS)]
        for one in parameters.split(";", _MOST_PARAMETERS)[:_MOST_PARAMETERS]
    ]


def _next_colour(numbers: Iterator[list[int]]) -> list[int]:
    """What belongs to a 38 or 48 in the form with semicolons."""
    kind = next(numbers, [_UNKNOWN])[0]
    rest = {5: 1, 2: 3}.get(kind, 0)
    return [kind, *(one[0] for one in itertools.islice(numbers, rest))]


def _of_sixteen(told: list[int]) -> int | None:
    """`5, n` of 256 colours, `2, r, g, b` (or `2, space, r, g, b`): the nearest of sixteen; None: no colour."""
    match told:
        case [5, number] if 0 <= number < 256:
            return number if number < 16 else _nearest(_of_256(number))
        case [2, red, green, blue] | [2, _, red, green, blue, *_] if all(
            0 <= one < 256 for one in (red, green, blue)
        ):
            return _nearest((red, green, blue))
        case _:
            return None


def _of_256(number: int) -> tuple[int, int, int]:
    """xterm's: a cube of 6 × 6 × 6, then 24 greys."""
    if number >= 232:
        return (8 + 10 * (number - 232),) * 3
    red, rest = divmod(number - 16, 36)
    red, green, blue = (0 if one == 0 else 55 + 40 * one for one in (red, *divmod(rest, 6)))
    return red, green, blue


_SIXTEEN = (
    *((0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0)),
    *((0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229)),
    *((127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0)),
    *((92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255)),
)
"""xterm's."""


@lru_cache(maxsize=4096)
def _nearest(colour: tuple[int, int, int]) -> int:
    def distance(number: int) -> int:
        return sum((one - other) ** 2 for one, other in zip(colour, _SIXTEEN[number], strict=True))

    return min(range(16), key=distance)


_ON = {1: "bold", 2: "faint", 3: "italic", 4: "underline", 7: "inverse", 9: "strike"}
_OFF = {
    22: frozenset({"bold", "faint"}),
    23: frozenset({"italic"}),
    24: frozenset({"underline"}),
    27: frozenset({"inverse"}),
    29: frozenset({"strike"}),
}


def _switched(style: Style, number: int) -> Style:
    if number == 0:
        return Style()
    if number in _ON:
        return replace(style, on=style.on | {_ON[number]})
    if number in _OFF:
        return replace(style, on=style.on - _OFF[number])
    for first, bright in ((30, 0), (90, 8)):
        if first <= number < first + 8:
            return replace(style, colour=number - first + bright)
        if first + 10 <= number < first + 18:
            return replace(style, ground=number - first - 10 + bright)
    if number in (39, 49):
        return replace(style, colour=None) if number == 39 else replace(style, ground=None)
    return style
