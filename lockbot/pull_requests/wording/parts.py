"""A text of parts, within so many bytes: of what has no room, whole entries are left out, and counted.

Knows nothing of what the parts say. What it is given is Markdown already; it cuts nothing in the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lockbot.report import words


@dataclass(frozen=True)
class Part:
    """`entries` below one another, between `opening` and `closing`. `least`: the share of the room that it gets in
    any case, where it needs it. `noun`: what is counted, where some are left out; empty: it is all or nothing."""

    entries: tuple[str, ...]
    least: float
    opening: str = ""
    closing: str = ""
    noun: str = ""

    def within(self, room: int) -> str:
        """Empty where not even one entry has room."""
        if size(whole := self._told(self.entries)) <= room:
            return whole
        shown = self._shown(room) if self.noun else []
        return self._told(shown) if shown else ""

    def _shown(self, room: int) -> list[str]:
        shown: list[str] = []
        room -= size(self._told([_more(len(self.entries), self.noun)]))
        for entry in self.entries:
            if (room := room - size(entry) - 1) < 0:
                break
            shown.append(entry)
        left = len(self.entries) - len(shown)
        return [*shown, _more(left, self.noun)] if shown and left else shown

    def _told(self, entries: Sequence[str]) -> str:
        return self.opening + "\n".join(entries) + self.closing


def _more(left: int, noun: str) -> str:
    return f"- … and {words.count(left, f'more {noun}')}"


def size(text: str) -> int:
    """Bytes, of which there are at least as many as characters: within a limit of them is within either."""
    return len(text.encode())


_BETWEEN = "\n\n"


def fitted(parts: Sequence[Part], limit: int, more: str) -> str:
    """The parts in their order, parted by empty lines, in at most `limit` bytes. What one leaves of the room,
    those after it get. `more` stands before the last part when some part is missing altogether."""
    parts = [part for part in parts if part.entries]
    whole = _BETWEEN.join(part.within(limit) for part in parts)
    if all(part.within(limit) for part in parts) and size(whole) <= limit:
        return whole
    spare = limit - size(more) - len(_BETWEEN) * (len(parts) + 1)
    given, spare = _given(parts, spare)
    shown: list[str] = []
    for part, room in zip(parts, given, strict=True):
        spare += room
        shown.append(part.within(spare))
        spare -= size(shown[-1])
    missing = [] if all(shown) else [more]
    return _BETWEEN.join(filter(None, [*shown[:-1], *missing, shown[-1]]))


def _given(parts: Sequence[Part], limit: int) -> tuple[list[int], int]:
    """Bytes that each part gets in any case, those with the largest share first; and what is left."""
    given, spare = [0] * len(parts), limit
    for number in sorted(range(len(parts)), key=lambda number: -parts[number].least):
        part = parts[number]
        given[number] = min(size(part.within(limit)), int(limit * part.least), spare)
        spare -= given[number]
    return given, spare
