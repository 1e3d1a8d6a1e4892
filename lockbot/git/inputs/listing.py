"""The commits between two revisions of an input, with what each says of itself.

They are those that a forge's page of the range shows: all that the one has and the other has not, through merges.
Reads what `revisions` has fetched; must not know files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lockbot.git.failure import RemoteError
from lockbot.git.inputs.cache import Cache
from lockbot.git.inputs.revisions import MARGINS, Description, Relation, Upstream
from lockbot.process import Listener

MOST_COMMITS = 20_000
"""So many are looked at, the newest: half a year of nixpkgs."""
MOST_CHARACTERS = 200
"""Of a subject, and of an author's name."""
MOST_DIGITS = 11
"""Of a date: what is younger than the year 5000 has no meaning."""
_LINE = re.compile(r"([0-9a-f]{40})\0([0-9]*)\0([^\0]*)(?:\0(.*))?", re.DOTALL)
_FORMAT = "--format=%H%x00%at%x00%<(200,trunc)%an%x00%s"


@dataclass(frozen=True)
class Listing:
    """Which commits make the difference. `commits`: the newest first, at most MOST_COMMITS, without merges.

    Where the relation is BACKWARD they are those that are taken back; DIVERGED, those that only the new one has.
    """

    relation: Relation
    count: int | None = None
    """Of all of them, merges too; None: it is not known."""
    commits: tuple[Description, ...] = ()
    whole: bool = True
    """False: what was merged reaches further back than was fetched; there may be more."""
    gone: bool = False
    """The old revision is no longer upstream."""


def list_commits(upstream: Upstream, old: str, new: str, *, since: int | None = None) -> Listing:
    """What lies between. `since`: the date of `old`, where the lock tells it. Raises as Upstream does."""
    found = upstream.standing(old, new, since=since)
    match found.relation:
        case Relation.SAME:
            return Listing(Relation.SAME, 0)
        case Relation.BACKWARD:
            tip, without = old, new
        case Relation.UNKNOWN:
            return Listing(found.relation)
        case _ if found.gone:
            return Listing(found.relation, gone=True)
        case _:
            tip, without = new, old
    return upstream.cache.repaired(lambda: _list(upstream.cache, found.relation, tip, without))


def _list(cache: Cache, relation: Relation, tip: str, without: str) -> Listing:
    whole = _is_whole(cache, tip, without) or _is_whole(_reaching_back(cache, tip, without), tip, without)
    count = int(cache.git.ask("rev-list", "--count", tip, f"^{without}"))
    return Listing(relation, count, tuple(_commits(cache, tip, without)), whole)


def _is_whole(cache: Cache, tip: str, without: str) -> bool:
    """Whether no commit of the range is one at which fetching stopped: what is behind that is not known."""
    if cache.complete:
        return True
    ends = frozenset((cache.directory / "shallow").read_text().split())
    # A commit whose parents were not fetched looks like a first one.
    first = cache.git.ask("rev-list", "--max-parents=0", tip, f"^{without}").split()
    return ends.isdisjoint(first)


def _reaching_back(cache: Cache, tip: str, without: str) -> Cache:
    """The cache, when what is merged late was fetched, too."""
    date = cache.git.ask("rev-list", "--no-walk", "--no-commit-header", "--format=%ct", without)
    start = max(int(date) - MARGINS[-1], 1) if date.isascii() and date.isdigit() else 1
    if cache.reach is None or cache.reach > start:
        try:
            cache.fetch([tip, without], start)
        except RemoteError:
            cache.cancel.check()  # what is there will do
    return cache


def _commits(cache: Cache, tip: str, without: str) -> list[Description]:
    found: list[Description] = []

    def heard(line: str) -> None:
        # One by one: a line may be as long as its author likes, all of them together as long as nobody likes.
        if said := _description(line):
            found.append(said)

    walk = ("rev-list", "--no-merges", f"--max-count={MOST_COMMITS}", "--no-commit-header", _FORMAT)
    cache.git.run(*walk, tip, f"^{without}", listener=Listener(on_stdout=heard))
    return found


def _description(line: str) -> Description | None:
    if (match := _LINE.fullmatch(line)) is None:
        return None
    rev, date, author, subject = match.groups()
    shown = (subject or "").strip()[:MOST_CHARACTERS], author.strip()[:MOST_CHARACTERS]
    return Description(rev, *shown, int(date) if 0 < len(date) <= MOST_DIGITS else 0)
