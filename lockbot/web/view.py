"""One repository, as one request sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from lockbot.app import App, Place
from lockbot.history.store import History


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

    def link(self, *parts: str) -> str:
        """The address of a page: `link("runs", "2026…")`; each part is quoted, also a `/` in it."""
        return "/".join([self.base, *map(quoted, parts)]) if parts else self.base + "/"


def quoted(part: str) -> str:
    """One part of an address. `.` and `..`, which a browser would take for directories, are quoted, too."""
    if part in (".", ".."):
        return part.replace(".", "%2E")
    return quote(part, safe="", errors="surrogateescape")
