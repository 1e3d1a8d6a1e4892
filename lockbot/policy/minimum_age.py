"""How long revisions have been out: which is the newest that is old enough.

Pure. Age counts from when lockbot first saw a revision at the tip; a commit's own date is anybody's choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lockbot.history.values import SeenTip
from lockbot.model import Locked


@dataclass(frozen=True)
class Sighted:
    """A revision, and since when lockbot knows that upstream offers it; None: it does not."""

    revision: str
    since: datetime | None


@dataclass(frozen=True)
class Ripe:
    """The newest revision that is old enough, or (None) when the first will be; neither: there is none at all."""

    revision: str | None = None
    first_at: datetime | None = None


def sighted(revisions: Sequence[str], first_seen: Mapping[str, datetime]) -> tuple[Sighted, ...]:
    """Since when each of these is known, by when tips were first seen. Revisions are newest first, each the parent
    of the one before: who saw a tip saw all that it descends from."""
    found: list[Sighted] = []
    since: datetime | None = None
    for revision in revisions:
        own = first_seen.get(revision)
        since = min((time for time in (since, own) if time is not None), default=None)
        found.append(Sighted(revision, since))
    return tuple(found)


def newest_old_enough(
    revisions: Sequence[Sighted], now: datetime, minimum_age: float, *, locked: str | None
) -> Ripe:
    """The newest known for `minimum_age` seconds; newest first is given. Never the locked one or beyond."""
    waiting: list[datetime] = []
    for revision in revisions:
        if revision.revision == locked:
            break
        if revision.since is None:
            continue
        # A time to come is a clock that went wrong.
        ripe_at = later(min(revision.since, now), minimum_age)
        if ripe_at <= now:
            return Ripe(revision.revision)
        waiting.append(ripe_at)
    return Ripe(None, min(waiting, default=None))


def old_enough(revision: Sighted, now: datetime, minimum_age: float) -> bool:
    """Whether a revision has been known for so many seconds."""
    return not minimum_age or newest_old_enough([revision], now, minimum_age, locked=None).revision is not None


def tips_ahead(tips: Sequence[SeenTip], locked: Locked) -> tuple[Sighted, ...]:
    """The tips that came after the locked revision, of those seen (the one seen last first).

    Where the locked one was never seen at the tip, those whose commit is dated later: of others nothing is known.
    """
    revisions = [tip.revision for tip in tips]
    if locked.revision in revisions:
        ahead = tips[: revisions.index(locked.revision)]
    else:
        date = locked.last_modified
        ahead = [tip for tip in tips if date is not None and tip.committed is not None and tip.committed > date]
    return tuple(Sighted(tip.revision, tip.first_seen) for tip in ahead)


def later(time: datetime, seconds: float) -> datetime:
    """So many seconds later, or as late as dates go."""
    try:
        return time + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=time.tzinfo)
