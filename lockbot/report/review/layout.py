"""Entries as lines, within a number of them: of what has no room, the items of the longest entries go first."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lockbot.report import words
from lockbot.report.review.grouping import Hosts
from lockbot.report.review.sentences import Entry

Escape = Callable[[str], str]

_ROOMS = (12, 8, 5, 4, 3, 2, 1)
"""Lines that one entry may take, tried in turn."""
_MANY = 5
"""More hosts than these are counted, where they need not all be named."""


@dataclass(frozen=True)
class Page:
    """Where entries are shown: its columns, all hosts that there are (which can be told together), and how names
    and items are escaped there."""

    width: int
    everyone: Hosts
    name: Escape
    item: Escape


def fitted(entries: Sequence[Entry], most: int, page: Page) -> list[str]:
    """Entries in at most `most` lines (at least one); what is left out is counted."""
    lines: list[list[str]] = []
    for room in _ROOMS:
        lines = [_entry(one, room, page) for one in entries]
        if sum(map(len, lines)) <= most:
            break
    shown: list[str] = []
    for number, one in enumerate(lines):
        left = len(lines) - number
        if len(shown) + len(one) > most - (left > 1):
            return [*shown, f"  … and {words.count(left, 'more line')}"]
        shown += one
    return shown


def _entry(entry: Entry, room: int, page: Page) -> list[str]:
    """As many of the items as fit into so many lines: found by halving, for more items take more room."""
    prefix = _prefix(entry, page)
    items = [page.item(item) for item in entry.items]
    fits, too_many = 0, len(items) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if len(_wrapped(_told(entry, prefix, items, middle), page.width)) <= room:
            fits = middle
        else:
            too_many = middle
    return _wrapped(_told(entry, prefix, items, max(fits, min(len(items), 1))), page.width)


def _prefix(entry: Entry, page: Page) -> str:
    hosts = [page.name(host) for host in entry.hosts]
    if not hosts:
        return entry.label
    if len(hosts) > _MANY and entry.hosts == page.everyone:
        named = f"all {len(hosts)} hosts"
    else:
        named = ", ".join(hosts) if entry.every_host else words.listed(hosts)
    return f"{entry.label}: {named}" if entry.label else named


def _told(entry: Entry, prefix: str, items: Sequence[str], shown: int) -> str:
    left = len(items) - shown
    told = ", ".join([*items[:shown], *([f"and {left} more"] if left else [])])
    if not told:
        return prefix
    return f"{prefix} ({told})" if entry.label and entry.hosts else f"{prefix}: {told}"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
