"""Which hosts an entry is about, in words: all of them by their names, or, where that has no room, in fewer words
from which one can still tell for each host whether it is one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lockbot.report import words
from lockbot.report.review.grouping import Hosts
from lockbot.report.review.page import Page
from lockbot.report.review.sentences import Entry

_MANY = 5
"""More hosts than these are counted, where they need not all be named."""
_RUN = 3
"""So many numbers in a row are told by the first and the last."""


@dataclass(frozen=True)
class Named:
    """An entry, and the words for its hosts."""

    entry: Entry
    hosts: str


def named(entry: Entry, page: Page) -> Named:
    """All of them, if that is what the entry asks for; else some, and how many more."""
    return _each(entry, page) if entry.every_host else Named(entry, _some(entry, page))


def namings(entries: Sequence[Entry], page: Page) -> Iterator[Sequence[Named]]:
    """Ways to tell entries of which no host may be left out, the plainest first: by name; the largest as `the
    other 25`; numbered names as `web-{01..07, 09}`; the entries of one label as one.

    No host is in two of them, and all that change are in one.
    """
    merged = _merged(entries)
    for told in (entries, *([merged] if len(merged) < len(entries) else [])):
        for way in (_each, _numbered):
            yield [way(one, page) for one in told]
            if len(told) > 1:
                largest = max(range(len(told)), key=lambda number: (len(told[number].hosts), number))
                yield [
                    _other(one, page) if number == largest else way(one, page) for number, one in enumerate(told)
                ]


def counts(entries: Sequence[Entry], page: Page) -> Iterator[Sequence[Named]]:
    """Ways to tell them without any name, in one line for each label: with reasons, and without."""
    counted = [_counted(one, page) for one in _merged(entries)]
    kept = [Named(Entry(page.names_kept, ()), "")] if page.names_kept else []
    yield [*counted, *kept]
    yield [*(replace(one, entry=replace(one.entry, items=())) for one in counted), *kept]


def _together(hosts: Hosts, page: Page) -> str:
    if len(hosts) > _MANY and hosts == page.everyone:
        return f"all {len(hosts)} hosts"
    return f"all {len(hosts)} that change" if len(hosts) > _MANY and hosts == page.changing else ""


def _some(entry: Entry, page: Page) -> str:
    if not entry.hosts:
        return ""
    return _together(entry.hosts, page) or words.listed(
        [page.name(host) if number < _MANY else host for number, host in enumerate(entry.hosts)]
    )


def _each(entry: Entry, page: Page) -> Named:
    return Named(entry, _together(entry.hosts, page) or ", ".join(map(page.name, entry.hosts)))


def _numbered(entry: Entry, page: Page) -> Named:
    return Named(
        entry, _together(entry.hosts, page) or ", ".join(_by_number(list(map(page.name, entry.hosts)), page))
    )


def _other(entry: Entry, page: Page) -> Named:
    which = "" if page.changing == page.everyone else " that change"
    return Named(entry, f"the other {len(entry.hosts)}{which}")


def _counted(entry: Entry, page: Page) -> Named:
    return Named(entry, f"{len(entry.hosts)} of {words.count(len(page.everyone), 'host')}")


def _merged(entries: Sequence[Entry]) -> list[Entry]:
    """One for each label; who wants to know which reason is whose has to look at the run."""
    by_label: dict[str, list[Entry]] = {}
    for one in entries:
        by_label.setdefault(one.label, []).append(one)
    return [
        same[0]
        if len(same) == 1
        else replace(
            same[0], hosts=tuple(sorted(host for one in same for host in one.hosts)), items=("reasons differ",)
        )
        for same in by_label.values()
    ]


def _by_number(names: Sequence[str], page: Page) -> Iterator[str]:
    """`web-{01, 03..07}`, as shells write it. A name that has a brace of its own is quoted, and stays as it is."""
    numbers: dict[tuple[str, bool], list[str]] = {}
    for name in names:
        # Without a stem, or with one that has no room beside a number: by itself.
        split = re.fullmatch(r"([^\"].*?)([0-9]+)", name)
        fits = split and len(name) + len(split[2]) + len("{..}") <= page.longest_word
        stem, number = split.groups() if split and fits else (name, "")
        numbers.setdefault((stem, bool(number)), []).append(number)
    for (stem, _), found in numbers.items():
        yield stem + found[0] if len(found) == 1 else f"{stem}{{{', '.join(_runs(found))}}}"


def _runs(numbers: Sequence[str]) -> Iterator[str]:
    runs: list[list[str]] = []
    for number in sorted(numbers, key=lambda one: (len(one), one)):
        if runs and len(number) == len(runs[-1][-1]) and int(number) == int(runs[-1][-1]) + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    for run in runs:
        yield from [f"{run[0]}..{run[-1]}"] if len(run) >= _RUN else run
