"""`lockbot review`: what came on the branch since somebody looked last, and what is held now.

Where somebody has looked is kept in the history, beside the user's holds, and not in lockbot's clone: that can
only be opened while no run works, and is thrown away when it is damaged. So no run is waited for, and nothing is
fetched: the branch is told as it lies in the repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from lockbot.app import App, Place
from lockbot.commands import status
from lockbot.commands.committed import branch_tip, lock_path
from lockbot.commands.status import Row
from lockbot.errors import UsageError
from lockbot.git.commits.file_history import FileCommit, FileHistory
from lockbot.git.commits.named import find_commit
from lockbot.history.input_states import StateWord
from lockbot.history.store import History
from lockbot.model import InputChange, Run
from lockbot.nix.lockfile import EMPTY, LockFile, LockFileError, diff
from lockbot.report import words
from lockbot.report.document import Document
from lockbot.report.escape import name as shown
from lockbot.report.escape import plain
from lockbot.report.review.commits import ReviewedCommit, commit_document, commit_lines
from lockbot.report.styled_lines import Line, Style, line
from lockbot.report.trailers import parse_trailers

FIRST_TIME = 10
"""So many commits are told where nobody has said yet up to where they have looked."""
MOST = 100
"""So many are told at most: each takes some calls of git."""
_WIDTH = 100


@dataclass(frozen=True)
class News:
    """What came since, oldest first. `since` None: nobody has looked yet. `left_out`: how many older ones were not
    told. `held`: the inputs that are kept back now."""

    since: str | None
    tip: str
    commits: tuple[ReviewedCommit, ...]
    held: tuple[Row, ...]
    left_out: int = 0
    notes: tuple[str, ...] = ()
    seen: bool = False
    """Whether all of it is marked as looked at now."""


@dataclass(frozen=True)
class _Start:
    """The commit after which it begins; None: with the newest few. `note` says why, where that is not plain."""

    commit: str | None
    note: str | None = None


def look(app: App, since: str | None, *, seen: bool = False) -> News:
    """What came since a revision, or since the mark; with `seen`, the mark is set to where the branch is.

    Raises UsageError where there is no branch yet, or no such revision.
    """
    place = app.place()
    git, tip = branch_tip(app, place)
    if tip is None:
        raise UsageError(
            f"nothing is known of the branch in {place.identity} yet",
            "`lockbot update` fetches what is at a URL; in a repository, there must be a commit",
        )
    history = FileHistory(git, lock_path(app, place))
    with app.history(place) as past:
        start = _asked(history, place, tip, since) if since is not None else _marked(history, past, place, tip)
        ids = history.commits(tip, MOST if start.commit is not None else FIRST_TIME, start.commit)
        commits = tuple(_reviewed(history, past, one) for one in reversed(ids))
        if seen:
            past.mark_seen(place.flake, tip)
        notes = past.notes
    left_out = history.count(tip, start.commit) - len(ids) if len(ids) == MOST else 0
    held, trouble = _held_now(app)
    told = tuple(filter(None, (*notes, start.note, trouble)))
    return News(start.commit, tip, commits, held, left_out, told, seen)


def _held_now(app: App) -> tuple[tuple[Row, ...], str | None]:
    """The inputs that are kept back; and why that is not known, where it is not."""
    try:
        return tuple(row for row in status.look(app).rows if row.word in _HELD), None
    except LockFileError as error:
        return (), f"what is held is not known: {error.message}"


_HELD = frozenset({StateWord.HELD, StateWord.WAITING_FOR_AGE, StateWord.WAITING_FOR_CACHE, StateWord.UNREACHABLE})


def _asked(history: FileHistory, place: Place, tip: str, name: str) -> _Start:
    head = re.split("[~^]", name, maxsplit=1)[0]
    if place.repository is None and head in ("HEAD", "@", place.source.branch):
        name = tip + name[len(head) :]  # of a URL, what is called so here is not what is called so there
    return _Start(find_commit(history.git, name, place.identity))


def _marked(history: FileHistory, past: History, place: Place, tip: str) -> _Start:
    """Where somebody looked last; on a branch that was rewritten since, where it still was the same."""
    mark = past.seen(place.flake)
    if mark is None:
        return _Start(None, f"you look for the first time: these are the last commits, {FIRST_TIME} at most")
    there = history.git.resolve(mark.revision)
    fork = history.fork(there, tip) if there is not None else None
    if fork == there and fork is not None:
        return _Start(fork)
    looked = f"{words.short(mark.revision)}, where you looked last ({mark.moment:%Y-%m-%d})"
    if fork is None:
        return _Start(None, f"{looked}, is gone: history was rewritten. These are the last commits")
    return _Start(
        fork, f"{looked}, is not on this branch any more: history was rewritten after {words.short(fork)}"
    )


# -- one commit ------------------------------------------------------------------------------------------------


def _reviewed(history: FileHistory, past: History, id: str) -> ReviewedCommit:
    commit = history.read(id)
    trailers = parse_trailers(commit.message)
    try:
        changes, problem = _changes(history, commit), None
    except LockFileError as error:
        changes, problem = (), error.message
    told = ReviewedCommit(
        commit.id, commit.message, commit.author, commit.date, changes, trailers.run is not None, problem=problem
    )
    run = _run(past, trailers.run, commit.id) if trailers.run is not None else None
    if run is None:
        return replace(told, hosts=tuple((host, word) for host, word, _ in trailers.hosts))
    hosts = tuple((build.host.name, build.status.value) for build in run.hosts)
    return replace(told, run=run, hosts=hosts, changes=_counted(changes, run))


def _changes(history: FileHistory, commit: FileCommit) -> tuple[InputChange, ...]:
    new = history.content(commit.id)
    old = history.content(commit.parent) if commit.parent is not None else None
    return diff(*(LockFile.parse(text, history.path) if text is not None else EMPTY for text in (old, new)))


def _run(past: History, name: str, commit: str) -> Run | None:
    """The run that made this very commit; one that was rewritten since, or is of a series, tells for itself."""
    try:
        run = past.get(name)
    except UsageError:  # on another machine, or long ago
        return None
    return run if run.id == name and run.commit == commit else None


def _counted(changes: tuple[InputChange, ...], run: Run) -> tuple[InputChange, ...]:
    """With how many commits upstream made, which the run has asked for."""
    known = {(one.input, one.new and one.new.revision): one.commits for one in run.changes}
    return tuple(
        replace(one, commits=known.get((one.input, one.new and one.new.revision))) if one.commits is None else one
        for one in changes
    )


# -- what is told ----------------------------------------------------------------------------------------------


def document(news: News) -> Document:
    """The object of `lockbot review --json`."""
    return {
        "since": news.since,
        "tip": news.tip,
        "seen": news.seen,
        "left_out": news.left_out,
        "notes": list(news.notes),
        "commits": [commit_document(one) for one in news.commits],
        "held": [
            {
                "input": row.input,
                "reason": row.reason or None,
                "revision": row.locked.revision or None if row.locked is not None else None,
                "detail": _why(row) or None,
                "since": words.iso_time(_since(row)),
            }
            for row in news.held
        ],
    }


def lines(news: News, width: int | None) -> tuple[Line, ...]:
    notes = [line((f"note: {note}", Style.WARN)) for note in news.notes]
    if not news.commits:
        return (*notes, line(_nothing(news)))
    if news.left_out:
        notes.append(line((f"note: only the newest {MOST}: {news.left_out} more came before", Style.WARN)))
    told = [each for one in news.commits for each in (*commit_lines(one, width), line())]
    return (*notes, *([line()] if notes else []), *told, *_held(news, min(width or _WIDTH, _WIDTH)), _last(news))


def _nothing(news: News) -> str:
    since = f" since {words.short(news.since)}" if news.since is not None else ""
    held = f"; {words.count(len(news.held), 'input')} held back, `lockbot status` tells why" if news.held else ""
    return f"Nothing new{since}{held}."


def _held(news: News, width: int) -> Iterator[Line]:
    if news.held:
        yield line(("Held back now", Style.TITLE))
    for row in news.held:
        when = _since(row)
        since = f" since {when:%Y-%m-%d}" if when is not None else ""
        yield line(plain(f"  {shown(row.input)} at {words.state(row.locked)}{since}: {_why(row)}", width))
    if news.held:
        yield line()


def _since(row: Row) -> datetime | None:
    if row.hold is not None:
        return row.hold.since
    return (row.state.stuck_since or row.state.since) if row.state is not None else None


def _why(row: Row) -> str:
    if row.hold is not None:
        return f"held by you: {row.hold.why}"
    return (row.state.detail or row.reason).partition("\n")[0] if row.state is not None else ""


def _last(news: News) -> Line:
    if news.seen:
        return line(f"Marked as looked at, up to {words.short(news.tip)}.")
    return line(("Not marked as looked at: `lockbot review --seen` does that.", Style.QUIET))
