"""An input's revisions: which upstream commits lie between two of its states, and how the two are related.

Reads histories from `cache`; must not know inputs, locks or policies.

To judge one of them, Nix fetches that revision's files once more: see `benchmarks/revisions.py` for what it costs.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from lockbot.confine import UNCONFINED, Confinement
from lockbot.errors import UsageError
from lockbot.git.command import TIMEOUT
from lockbot.git.failure import RemoteError
from lockbot.git.inputs.cache import Cache, open_cache
from lockbot.git.inputs.upstream import Origin
from lockbot.model import FailureKind
from lockbot.process import CancelToken

DAY = 86_400
MARGINS = (2 * DAY, 400 * DAY)
"""How much further back than the older revision's date is fetched: clocks differ, and branches are merged late."""
_CHUNK = 40_000
"""Lines of a listing in one answer: safely less than what `process` keeps of it, with the parents of each."""
_SHOWN = 500
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Relation(StrEnum):
    """How a revision stands to an older one that one has."""

    SAME = "same"
    FORWARD = "forward"
    BACKWARD = "backward"
    DIVERGED = "diverged"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Revision:
    """An upstream commit. Dates are seconds since 1970, as its author's and committer's clocks said."""

    rev: str
    authored: int
    committed: int


@dataclass(frozen=True)
class Revisions:
    """What lies between `locked` and `tip`: commits, oldest first, each a parent of the next, `tip` the last.

    It is the line of first parents; where `locked` came into that by a merge, it goes on along what was merged:
    all of it descends from `locked`.

    Commits only where the relation is FORWARD.
    """

    relation: Relation
    commits: tuple[Revision, ...] = ()
    gone: bool = False
    """`locked` is no longer upstream (force-push); the relation is DIVERGED then."""

    @property
    def count(self) -> int:
        return len(self.commits)


@dataclass(frozen=True)
class Description:
    """What a commit says of itself. Anybody wrote this: escape it wherever it is shown."""

    rev: str
    subject: str
    author: str
    authored: int


@contextlib.contextmanager
def open_upstream(
    root: Path,
    origin: Origin,
    *,
    environ: Mapping[str, str],
    cancel: CancelToken,
    timeout: float = TIMEOUT,
    confinement: Confinement = UNCONFINED,
) -> Iterator[Upstream]:
    """The history of an origin's repository, cached below `root`, for as long as the context lasts.

    Other processes (and threads) wait for it meanwhile: ask, and leave. `timeout`: seconds for all that is asked.
    Raises SurroundingsError where `root` can't be written, and what waiting can: Cancelled, DeadlineExceeded.
    """
    with open_cache(
        root, origin, environ=environ, cancel=cancel, timeout=timeout, confinement=confinement
    ) as cache:
        yield Upstream(cache)


@dataclass(frozen=True)
class Upstream:
    """Every question is answered from the cache where that suffices; else what is missing is fetched.

    All raise RemoteError (its `kind`: NETWORK, AUTH, NOT_FOUND), Cancelled and DeadlineExceeded.
    """

    cache: Cache

    def revisions(self, locked: str, tip: str, *, since: int | None = None) -> Revisions:
        """The commits after `locked` up to `tip`. `since`: the date of `locked`, where the lock tells it.

        Without a date, the whole history is fetched (250 bytes a commit).
        """
        _check(locked, tip)
        if locked == tip:
            return Revisions(Relation.SAME)
        return self.cache.repaired(lambda: self._revisions(locked, tip, since))

    def relation(self, old: str, new: str, *, since: int | None = None) -> Relation:
        """How `new` stands to `old`, merges included; UNKNOWN where that would take longer than there is time."""
        return self.standing(old, new, since=since).relation

    def standing(self, old: str, new: str, *, since: int | None = None) -> Revisions:
        """The same, and whether `old` is gone; what lies between is fetched, but not listed."""
        _check(old, new)
        if old == new:
            return Revisions(Relation.SAME)
        return self.cache.repaired(lambda: self._settle(old, new, since))

    def describe(self, rev: str) -> Description:
        """A commit's subject, author and date. Raises RemoteError when there is no such commit."""
        _check(rev)
        return self.cache.repaired(lambda: self._describe(rev))

    # -- answers ------------------------------------------------------------------------------------------

    def _revisions(self, locked: str, tip: str, since: int | None) -> Revisions:
        # The usual case, a straight line, costs one walk; whether that is the case shows at its end.
        if self.cache.has(locked, tip) and (straight := self._straight(locked, tip)):
            return Revisions(Relation.FORWARD, straight)
        found = self._settle(locked, tip, since)
        if found.relation is not Relation.FORWARD:
            return found
        return replace(found, commits=self._straight(locked, tip) or self._through_merges(locked, tip))

    def _straight(self, locked: str, tip: str) -> tuple[Revision, ...]:
        """The line from `locked` to `tip`; empty where it does not begin there."""
        line = self._line(locked, tip)
        return line if line and self.cache.git.resolve(f"{line[0].rev}^") == locked else ()

    def _line(self, locked: str, tip: str) -> tuple[Revision, ...]:
        lines = self._walk("--first-parent", "--format=%H %at %ct", tip, f"^{locked}")
        return tuple(_revision(*line.split(" ")) for line in reversed(lines))

    def _through_merges(self, locked: str, tip: str) -> tuple[Revision, ...]:
        """A line from `locked` to `tip` by parents that descend from it: the first of these, at each commit."""
        lines = self._walk("--ancestry-path", "--format=%H %at %ct %P", tip, f"^{locked}")
        descendants = {line[:40]: line.split() for line in lines}
        found: list[Revision] = []
        at = tip
        while at != locked:
            rev, authored, committed, *parents = descendants[at]
            found.append(_revision(rev, authored, committed))
            at = next(parent for parent in parents if parent == locked or parent in descendants)
        return tuple(reversed(found))

    def _walk(self, *arguments: str) -> list[str]:
        lines: list[str] = []
        walk = ("rev-list", "--no-commit-header", f"--max-count={_CHUNK}")
        while True:
            some = self.cache.git.ask(*walk, f"--skip={len(lines)}", *arguments).splitlines()
            lines += some
            if len(some) < _CHUNK:
                return lines

    def _describe(self, rev: str) -> Description:
        if not self.cache.has(rev):
            self.cache.fetch([rev], None, "--depth=1" if self.cache.reach is None else "")
        if not self.cache.has(rev):
            raise self._missing(rev)
        date, author, subject = self._say(rev, "%at%x00%an%x00%s").split("\0", 2)
        return Description(rev, subject[:_SHOWN], author[:_SHOWN], _seconds(date))

    def _settle(self, old: str, new: str, since: int | None) -> Revisions:
        """The relation, fetching further and further back until it is certain."""
        date = self._date(old) if self.cache.has(old) else since
        if found := self._verdict(old, new, certain=self.cache.complete):
            return Revisions(found)
        starts = [date - margin for margin in MARGINS if date > margin] if date is not None else []
        for step, start in enumerate([*starts, None]):
            try:
                refused = self.cache.fetch([old, new], start)
            except RemoteError:
                self.cache.cancel.check()
                if step == 0:
                    raise
                return Revisions(Relation.UNKNOWN)
            if new in refused:
                raise self._missing(new)
            if old in refused:
                return Revisions(Relation.DIVERGED, gone=True)
            date = self._date(old) if self.cache.has(old) else date
            deep = start is not None and date is not None and start <= date - MARGINS[-1]
            apart = deep and self.cache.has(old, new) and self.cache.git.holds("merge-base", old, new)
            if found := self._verdict(old, new, certain=apart or start is None):
                return Revisions(found)
        raise self._missing(new)

    def _verdict(self, old: str, new: str, *, certain: bool) -> Relation | None:
        """What the cache can tell. It may be cut short (not `certain`): then only a path that is there proves
        anything."""
        if not self.cache.has(old, new):
            return None
        if self.cache.git.holds("merge-base", "--is-ancestor", old, new):
            return Relation.FORWARD
        if self.cache.git.holds("merge-base", "--is-ancestor", new, old):
            return Relation.BACKWARD
        return Relation.DIVERGED if certain else None

    def _date(self, rev: str) -> int:
        return _seconds(self._say(rev, "%ct"))

    def _say(self, rev: str, form: str) -> str:
        # Not by `git show`, which looks at the commit's files: there are none.
        return self.cache.git.ask("rev-list", "--no-walk", "--no-commit-header", f"--format={form}", rev)

    def _missing(self, rev: str) -> RemoteError:
        return RemoteError(
            FailureKind.NOT_FOUND, f"{self.cache.origin.url} has no commit {rev}", "was it force-pushed?"
        )


def _revision(rev: str, authored: str, committed: str) -> Revision:
    return Revision(rev, _seconds(authored), _seconds(committed))


def _seconds(text: str) -> int:
    """A date that git printed; 0 where the commit has none that can be read."""
    return int(text) if text.isascii() and text.isdigit() else 0


def _check(*revs: str) -> None:
    for rev in revs:
        if not _COMMIT.fullmatch(rev):
            raise UsageError(f"{rev[:80]!r} is not a commit of git's default format (SHA-1)")
