"""Lines of text with a meaning-bearing style, and how they are written: plain, or in colour through rich.

Every piece is escaped for a terminal when it is made; rich's markup is never interpreted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO

from lockbot.report.escape import plain

if TYPE_CHECKING:
    from rich.text import Text as RichText


class Style(StrEnum):
    """What a piece of text means; the value is rich's name for how it looks."""

    PLAIN = ""
    TITLE = "bold"
    GOOD = "green"
    WARN = "yellow"
    BAD = "bold red"
    QUIET = "dim"


@dataclass(frozen=True)
class Piece:
    """Text that is safe to show; make it with `line`."""

    text: str
    style: Style = Style.PLAIN


Line = tuple[Piece, ...]


def line(*parts: str | tuple[str, Style]) -> Line:
    """One line from texts, each alone or with its style."""
    return tuple(Piece(plain(part)) if isinstance(part, str) else Piece(plain(part[0]), part[1]) for part in parts)


def text(lines: Iterable[Line]) -> str:
    """The lines without their styles, each ended by a newline."""
    return "".join("".join(piece.text for piece in one).rstrip() + "\n" for one in lines)


def write(lines: Iterable[Line], stream: TextIO, *, colour: bool = False) -> None:
    """Write lines to a stream. What its encoding can't hold is escaped; a broken pipe raises BrokenPipeError."""
    if not colour:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text(lines).encode(encoding, "backslashreplace").decode(encoding))
        return
    # Imported late: rich takes longer to load than most commands to run.
    from rich.console import Console

    class Honest(Console):
        def on_broken_pipe(self) -> None:
            # rich's own turns standard output into /dev/null and raises SystemExit.
            raise BrokenPipeError

    console = Honest(file=stream, force_terminal=True, markup=False, highlight=False, emoji=False)
    for one in lines:
        console.print(styled(one), soft_wrap=True)


def styled(one: Line) -> RichText:
    """For rich. Escaped once more: it writes past the place where all other text is."""
    from rich.text import Text

    return Text.assemble(*((plain(piece.text), piece.style.value) for piece in one))
