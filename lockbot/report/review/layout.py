"""Entries as lines, within a number of them: of what has no room, the items of the longest entries go first."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from lockbot.report import words
from lockbot.report.review.naming import Named, counts, named, namings
from lockbot.report.review.page import INDENT, Page
from lockbot.report.review.sentences import Entry

_ROOMS = (12, 8, 5, 4, 3, 2, 1)
"""Lines that one entry may take, tried in turn."""


def fitted(entries: Sequence[Entry], most: int, page: Page) -> list[str]:
    """Entries in at most `most` lines (at least one); what is left out is counted.

    Those of which no host may be left out, which come first, get most of the lines where they need them.
    """
    lines, _ = _in_turn([(most, [named(one, page) for one in entries[: most + 1]])], page)
    needed = len(entries)
    first = [one for one in entries if one.every_host]
    if first and sum(map(len, lines)) > most:
        rest = [one for one in entries if not one.every_host]
        lines, needed = _in_turn(_namings(first, most, len(rest), page), page)
        left = most - sum(map(len, lines))
        more, _ = _in_turn([(left, [named(one, page) for one in rest[: max(left, 0) + 1]])], page)
        lines, needed = [*lines, *more], needed + len(rest)
    return _cut(lines, needed, most)


def _cut(lines: Sequence[Sequence[str]], needed: int, most: int) -> list[str]:
    shown: list[str] = []
    for number, one in enumerate(lines):
        left = needed - number
        if len(shown) + len(one) > most - (left > 1):
            return [*shown, f"  … and {words.count(left, 'more line')}"]
        shown += one
    return shown


def _namings(entries: Sequence[Entry], most: int, rest: int, page: Page) -> Iterator[tuple[int, Sequence[Named]]]:
    """Lines, and what could be said in them: before no host is named, all lines but that which counts the rest."""
    fewer = most - min(rest, most // 4)
    for lines in (fewer, most - min(rest, 1)):
        yield from ((lines, way) for way in namings(entries, page))
    yield from ((fewer, way) for way in counts(entries, page))


def _in_turn(ways: Iterable[tuple[int, Sequence[Named]]], page: Page) -> tuple[list[list[str]], int]:
    """The first way, with the most room for each entry, that takes no more than its lines; else what is seen of
    the last. And how many entries it has."""
    lines: list[list[str]] = []
    way: Sequence[Named] = ()
    for most, way in ways:
        for room in _ROOMS:
            lines = list(_until(most, (_entry(one, room, page) for one in way)))
            if sum(map(len, lines)) <= most:
                return lines, len(way)
    return lines, len(way)


def _until(most: int, entries: Iterator[list[str]]) -> Iterator[list[str]]:
    """No more of them than show that they are too many: the rest is not even laid out."""
    for lines in entries:
        yield lines
        most -= len(lines)
        if most < 0:
            return


def _entry(one: Named, room: int, page: Page) -> list[str]:
    """As many of the items as fit into so many lines: found by halving, for more items take more room."""
    items = _that_may_fit(one.entry.items, room * page.width, page)
    fits, too_many = 0, len(items) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if len(_wrapped(_told(one, items[:middle], page), page.width)) <= room:
            fits = middle
        else:
            too_many = middle
    return _wrapped(_told(one, items[: max(fits, 1)], page), page.width)


def _that_may_fit(items: Sequence[str], columns: int, page: Page) -> list[str]:
    """Escaped. The first in any case; of thousands no more than there could be room for."""
    shown: list[str] = []
    for item in items:
        if columns < 0:
            break
        shown.append(page.item(item))
        columns -= len(shown[-1]) + len(", ")
    return shown


def _told(one: Named, items: Sequence[str], page: Page) -> str:
    label, left = page.words(one.entry.label), len(one.entry.items) - len(items)
    prefix = ": ".join(filter(None, (label, one.hosts)))
    told = ", ".join([*items, *([f"and {left} more"] if left else [])])
    if not told:
        return prefix
    return f"{prefix} ({told})" if label and one.hosts else f"{prefix}: {told}"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent="  ",
        subsequent_indent=" " * INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
