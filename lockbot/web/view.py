"""One repository, as one request sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

from lockbot.app import App, Place
from lockbot.history.store import History
from lockbot.history.texts import storable
from lockbot.web.remembered import Remembered


@dataclass(frozen=True)
class Frame:
    """What stands around a page, whatever it is about."""

    now: datetime
    root: str = ""
    base: str | None = ""
    label: str = ""

    def link(self, *parts: str) -> str:
        """As `View.link`; where a page is about no repository, from the root."""
        start = self.root if self.base is None else self.base
        return "/".join([start, *map(quoted, parts[:-1]), *map(_quoted_end, parts[-1:])]) if parts else start + "/"


@dataclass(frozen=True)
class View:
    """`app` only reads; `history` is open for as long as the request takes."""

    app: App
    place: Place
    history: History
    now: datetime
    base: str = ""
    """What the addresses of its pages begin with: nothing, or `/lockbot/r/main`."""
    label: str = ""
    """What people know the repository by, where there are several."""
    root: str = ""
    """What every address begins with, this repository's or not: nothing, or `/lockbot`."""
    remembered: Remembered = field(default_factory=Remembered)
    """What this repository's pages found out just now, and need not ask again."""

    @property
    def frame(self) -> Frame:
        return Frame(self.now, self.root, self.base, self.label)

    def link(self, *parts: str) -> str:
        """The address of a page: `link("runs", "2026…")`; each part is quoted, also a `/` in it.

        A name is written as the history has it (`texts.storable`), and is to be looked for as that.
        """
        return self.frame.link(*parts)


ENDINGS = (".json", ".html")
"""What may stand behind an address, and says how the page is wanted."""


def quoted(part: str) -> str:
    """A part of an address that others follow."""
    return quote(storable(part), safe="")


def _quoted_end(part: str) -> str:
    """With the ending that says it is a page, where a name could be taken for something else: what has such an
    ending itself, and `.` and `..`, which browsers take for directories."""
    plain = quoted(part)
    return plain + ".html" if part.endswith(ENDINGS) or part in (".", "..") else plain
