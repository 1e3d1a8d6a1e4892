"""What an update means for hosts, as a list in Markdown. Knows nothing of what the entries say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lockbot.pull_requests.wording.parts import size
from lockbot.report.review.naming import Named, counts, named, namings
from lockbot.report.review.page import Page
from lockbot.report.review.sentences import Entry

_ITEMS_SHARE = 4
"""One entry's items get no more than one in so many of the list's bytes."""


def entry_lines(entries: Sequence[Entry], *, page: Page, room: int) -> tuple[str, ...]:
    """One line each. Those of which no host may be left out, which come first, are told in the plainest way in
    which they have `room` together, in bytes; of each, the items that have room."""
    first = [one for one in entries if one.every_host]
    rest = [named(one, page) for one in entries if not one.every_host]
    return (*_every_host(first, page, room), *(_line(one, page, room) for one in rest))


def _every_host(entries: Sequence[Entry], page: Page, room: int) -> tuple[str, ...]:
    lines: tuple[str, ...] = ()
    for way in (*namings(entries, page), *counts(entries, page)) if entries else ():
        lines = tuple(_line(one, page, room) for one in way)
        if sum(map(size, lines)) <= room:
            break
    return lines


def _line(one: Named, page: Page, room: int) -> str:
    items = list(_items(one.entry.items, page, room // _ITEMS_SHARE))
    if left := len(one.entry.items) - len(items):
        items.append(f"and {left} more")
    told, label = ", ".join(items), one.entry.label
    if label and one.hosts:
        return f"- **{label}**: {one.hosts}" + (f" ({told})" if told else "")
    return f"- **{label or one.hosts}**" + (f": {told}" if told else "")


def _items(items: Sequence[str], page: Page, room: int) -> Iterator[str]:
    """The first in any case."""
    for number, item in enumerate(items):
        shown = page.item(item)
        if (room := room - size(shown) - 2) < 0 and number:
            return
        yield shown
