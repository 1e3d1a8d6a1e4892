"""Minimum release age: how long revisions have been out, and which is the newest that is old enough.

Pure, and the one place for the rule: for the tip, for an older revision that is taken instead, and for the day
that upstream's checks get to report. Since when a revision has been out is a clock's to say; so far there is one,
`FirstSeen`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lockbot.model import InputChange
from lockbot.policy.decisions import Hold, HoldReason
from lockbot.report import words


@dataclass(frozen=True)
class Aged:
    """A revision, and since when it has been out by the clock; None: that is not known."""

    revision: str
    since: datetime | None


@dataclass(frozen=True)
class FirstSeen:
    """The clock: when lockbot first saw a revision at the tip. A commit's own date is anybody's choice.

    `times`: revision → then. `parents`: the revisions asked about are each the parent of the one before, so who
    saw one saw all that come after it.
    """

    times: Mapping[str, datetime]
    parents: bool = False

    def aged(self, revisions: Sequence[str]) -> tuple[Aged, ...]:
        """Since when each of these (newest first) has been out."""
        found: list[Aged] = []
        since: datetime | None = None
        for revision in revisions:
            own = self.times.get(revision)
            known = (since, own) if self.parents else (own,)
            since = min((time for time in known if time is not None), default=None)
            found.append(Aged(revision, since))
        return tuple(found)


@dataclass(frozen=True)
class OldEnough:
    """The newest revision that is old enough, if one is. `first_at`: when the first of the newer ones will be;
    None: none of them waits for that."""

    revision: str | None = None
    first_at: datetime | None = None


def old_enough_at(revision: Aged, now: datetime, minimum_age: float) -> datetime:
    """When a revision has been out for `minimum_age` seconds. One that the clock does not know is out since now,
    and so is one that is out since a time to come: a clock went wrong."""
    return later(min(revision.since or now, now), minimum_age)


def newest_old_enough(
    revisions: Sequence[Aged], now: datetime, minimum_age: float, *, locked: str | None
) -> OldEnough:
    """The newest known for `minimum_age` seconds; newest first is given. Never the locked one or beyond."""
    waiting: list[datetime] = []
    for revision in revisions:
        if revision.revision == locked:
            break
        if revision.since is None:
            continue
        at = old_enough_at(revision, now, minimum_age)
        if at <= now:
            return OldEnough(revision.revision, min(waiting, default=None))
        waiting.append(at)
    return OldEnough(None, min(waiting, default=None))


def old_enough(revision: Aged, now: datetime, minimum_age: float) -> bool:
    """Whether a revision has been known for so many seconds."""
    return not minimum_age or (revision.since is not None and old_enough_at(revision, now, minimum_age) <= now)


def young_until(change: InputChange, since: datetime | None, now: datetime, minimum_age: float) -> datetime | None:
    """Until when an input's new revision is too young to move to; None: it is not. `since`: since when it has been
    out; None: that is not known."""
    old, new = change.old, change.new
    if new is None or new.type == "path" or (old is not None and old.revision == new.revision):
        return None
    at = old_enough_at(Aged(new.revision, since), now, minimum_age)
    return None if at <= now else at


def too_young(first_at: datetime, minimum_age: float) -> Hold:
    """The hold of an input of which nothing is old enough yet."""
    detail = f"nothing newer has been out for {words.age(minimum_age)} yet: first at {first_at:%Y-%m-%d %H:%M} UTC"
    return Hold(HoldReason.AGE, detail, first_at)


def later(time: datetime, seconds: float) -> datetime:
    """So many seconds later, or as late as dates go."""
    try:
        return time + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=time.tzinfo)
