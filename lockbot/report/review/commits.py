"""One commit that moved inputs, told on one screen, in one line, or as JSON.

From the record of the run that made it; where there is none, from what the commit's own message says: then it is
somebody's word, of any length, and shown within the same bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from lockbot.model import Held, HostStatus, InputChange, Run, UpstreamChanges
from lockbot.report import grouping, words
from lockbot.report.document import Document, change_documents, run_document
from lockbot.report.escape import name, plain
from lockbot.report.review import sentences
from lockbot.report.review.grouping import side_by_side
from lockbot.report.review.layout import fitted
from lockbot.report.review.page import Page
from lockbot.report.review.sentences import Entry
from lockbot.report.styled_lines import Line, Style, line

_PAGE = 100
"""Columns where there is no terminal."""
_SCREEN = 39
"""Lines, that of the title included; the one that parts it from the next comes on top."""
_MESSAGE_PARTS = {"What changes:": 7, "When you switch:": 6, "Warnings:": 2, "Held back:": 3}
"""The parts of a message that say what the record does, and lines that each gets in any case."""


@dataclass(frozen=True)
class ReviewedCommit:
    """A commit of lockbot's or of a person's (`by_lockbot` False), and what it changes in flake.lock.

    `run`: the record of the run that made it; None: there is none here, and `message` has to do. `hosts`: how they
    fared, names and words, as the record or the message says. `problem`: why its flake.lock can't be read.
    """

    id: str
    message: str
    author: str
    date: int
    changes: tuple[InputChange, ...]
    by_lockbot: bool
    run: Run | None = None
    hosts: tuple[tuple[str, str], ...] = ()
    problem: str | None = None

    @property
    def subject(self) -> str:
        return self.message.strip().partition("\n")[0]


def commit_document(one: ReviewedCommit) -> Document:
    """One of `commits` of `lockbot review --json`."""
    return {
        "commit": one.id,
        "subject": one.subject,
        "author": one.author,
        "date": words.iso_seconds(one.date),
        "by_lockbot": one.by_lockbot,
        "run": run_document(one.run) if one.run is not None else None,
        "inputs": change_documents(one.changes),
        "hosts": [{"name": host, "status": status} for host, status in one.hosts],
        "problem": one.problem,
    }


def commit_lines(one: ReviewedCommit, width: int | None) -> tuple[Line, ...]:
    """At most 40 lines of `width` columns, or of 100; one of a person's commit."""
    page = _page(one, min(width or _PAGE, _PAGE))
    if not one.by_lockbot:
        return (line(_fit(f"{_head(one)}{plain(one.author, 30)}: {_moves(one)} ({plain(one.subject)})", page)),)
    head = _head(one)
    title = line((head, Style.QUIET), (plain(one.subject, max(page.width - len(head), 20)), Style.TITLE))
    parts = [*_in_any_case(one, page), *(_of_run(one, one.run, page) if one.run is not None else _of_message(one))]
    return (title, *_laid_out([part for part in parts if part.lines(1)], page))


def _page(one: ReviewedCommit, width: int) -> Page:
    everyone = tuple(sorted({host for host, _ in one.hosts}))
    page = Page(width, everyone, (), name, lambda text: plain(text, 300))
    if one.run is None:
        return page
    side = side_by_side(one.run.differences, one.run.hosts)
    return replace(page, changing=side.changing, names_kept=f"lockbot show {one.run.id} names them")


def _head(one: ReviewedCommit) -> str:
    return " ".join(filter(None, [words.short(one.id), words.date(one.date)])) + "  "


@dataclass(frozen=True)
class _Part:
    """Part of a screen. `least`: lines that it gets in any case, where it needs them; `lines`: itself, in at
    most so many. None: there is nothing to tell."""

    title: str
    least: int
    lines: Callable[[int], Sequence[str]]


def _laid_out(parts: Sequence[_Part], page: Page) -> Iterator[Line]:
    """What one part leaves of its lines, the next ones that need more get."""
    needs = [len(part.lines(_SCREEN)) for part in parts]
    given = [min(need, part.least) for need, part in zip(needs, parts, strict=True)]
    spare = _SCREEN - 1 - sum(given) - sum(bool(part.title) for part in parts)
    for number, need in enumerate(needs):
        more = min(spare, need - given[number])
        given[number] += more
        spare -= more
    for part, most in zip(parts, given, strict=True):
        if part.title:
            yield line((part.title, Style.TITLE))
        # Also what no space lets break: a line too long for the terminal is two there.
        yield from (line(_fit(told, page)) for told in part.lines(most))


def _entries(title: str, least: int, entries: Sequence[Entry], page: Page) -> _Part:
    return _Part(title, least, lambda most: fitted(entries, most, page) if entries else ())


def _in_any_case(one: ReviewedCommit, page: Page) -> Iterator[_Part]:
    inputs = [Entry(name(change.input), (), (_move(change),)) for change in _heads(one)]
    if one.problem is not None:
        inputs.append(Entry("its flake.lock can't be read", (), (one.problem,)))
    yield _entries("", 6, inputs, page)
    by_status: dict[str, list[str]] = {}
    for host, status in one.hosts:
        by_status.setdefault(_status(status), []).append(host)
    hosts = [Entry(plain(status, 60), tuple(sorted(names))) for status, names in by_status.items()]
    yield _entries("", 4, hosts, page)


def _heads(one: ReviewedCommit) -> list[InputChange]:
    return [family.head for family in grouping.families(one.changes)]


def _move(change: InputChange) -> str:
    told = [grouping.move(change), *grouping.progress(change), grouping.moved_source(change)]
    return ", ".join(filter(None, told))


def _moves(one: ReviewedCommit) -> str:
    """What a person's commit did, in short."""
    if one.problem is not None:
        return f"its flake.lock can't be read: {plain(one.problem)}"
    moves = [f"{name(change.input, 40)} {grouping.move(change)}" for change in _heads(one)[:5]]
    return ", ".join(moves) or "nothing of what is locked"


def _status(word: str) -> str:
    """In words, where it is one that this lockbot knows."""
    return words.status(HostStatus(word)) if word in frozenset(HostStatus) else word


def _fit(text: str, page: Page) -> str:
    return plain(text, page.width)


def _of_run(one: ReviewedCommit, run: Run, page: Page) -> Iterator[_Part]:
    side = side_by_side(run.differences, run.hosts)
    yield _entries("What changes", 7, sentences.what_changes(side), page)
    yield _entries("When you switch", 6, sentences.when_you_switch(side), page)
    yield _entries("Warnings", 2, sentences.warnings(side), page)
    moved = {change.input for change in one.changes}
    upstream = [entry for done in run.upstream if done.input in moved for entry in _upstream(done)]
    yield _entries("Upstream's commits", 5, upstream, page)
    yield _entries("Held back", 3, [_held(each) for each in sorted(run.held, key=lambda each: each.input)], page)


def _upstream(done: UpstreamChanges) -> Iterator[Entry]:
    if done.commits or done.note:
        which = ", those that touch these hosts" if done.chosen else ""
        count = words.count(done.count, "commit") if done.count is not None else "commits"
        yield Entry(f"{name(done.input)}: {count}{which}", (), (done.note,) if done.note else ())
    for commit in done.commits:
        yield Entry(f"  {plain(words.short(commit.revision))}", (), (plain(commit.subject, 80),))


def _held(held: Held) -> Entry:
    stays = f" stays at {plain(words.short(held.revision))}" if held.revision else ""
    return Entry(f"{name(held.input)}{stays}", (), (held.detail or held.reason,))


def _of_message(one: ReviewedCommit) -> Iterator[_Part]:
    """What a message says of it, line by line."""
    parts: dict[str, str] = {}
    for part in one.message.split("\n\n"):
        title, _, rest = part.strip("\n").partition("\n")
        parts.setdefault(title, rest)
    for title, least in _MESSAGE_PARTS.items():
        if title in parts:
            told = parts[title].split("\n")
            yield _Part(title.removesuffix(":"), least, partial(_cut, told))


def _cut(told: Sequence[str], most: int) -> Sequence[str]:
    left = len(told) - most + 1
    return told if left <= 1 else [*told[: most - 1], f"  … and {words.count(left, 'more line')}"]
