"""When runs are due: crontab(5) lines and intervals, in a time zone, with a delay and quiet hours.

Pure: it knows neither the clock nor what runs. Moments that come in and go out are aware datetimes.

A line with hours of its own (`30 2 * * *`) is due when the wall clock first passes that time of day. So an hour
that a day lacks is made up for at the change, once, and an hour that a day has twice counts the first time. A line
of every hour (`*/15 * * * *`) follows the clock as it is shown, or it would pause while an hour repeats.
"""

from __future__ import annotations

import hashlib
import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip
_WEEKDAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SHORTEST_LEAP_YEAR = 2024


@dataclass(frozen=True)
class Every:
    """An interval, from the start of one run to the start of the next."""

    seconds: float

    def next(self, last: datetime, zone: tzinfo) -> datetime:  # noqa: ARG002 -- the same in every zone
        return last.astimezone(UTC) + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Cron:
    """A crontab(5) line. Weekdays are 0 (Sunday) to 6; `either`: day of month OR weekday, where both are given."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Raises ValueError with the rest of a sentence that starts with the key's name."""
        line = text.strip().lower()
        if line == "@reboot":
            raise ValueError("can't be @reboot: what was missed while the machine was off is made up for anyway")
        if line.startswith("@") and line not in _SHORTHANDS:
            raise ValueError(f"must be one of {', '.join(_SHORTHANDS)}, or have five fields")
        words = _SHORTHANDS.get(line, line).split()
        if len(words) != 5:
            raise ValueError(
                'must be five fields as in crontab(5) such as "0 4 * * *", @daily and the like, or an interval '
                'such as "6h"'
            )
        minute, hour, day, month, weekday = words
        cron = cls(
            _field("minute", minute, 0, 59),
            _field("hour", hour, 0, 23),
            _field("day of the month", day, 1, 31),
            _field("month", month, 1, 12, _MONTHS),
            frozenset(number % 7 for number in _field("weekday", weekday, 0, 7, _WEEKDAYS)),
            either=not day.startswith("*") and not weekday.startswith("*"),
        )
        if not cron.either and all(min(cron.days) > _longest(month) for month in cron.months):
            raise ValueError("is never due: no such month has that day")
        return cron

    def next(self, last: datetime, zone: tzinfo) -> datetime:
        """The first moment after `last` at which it is due."""
        if len(self.hours) == 24:
            return self._next_shown(last.astimezone(UTC), zone)
        shown = last.astimezone(zone).replace(tzinfo=None, fold=0, second=0, microsecond=0)
        moments = (first_moment(wall, zone) for wall in self._walls(shown))
        return next(moment for moment in moments if moment > last.astimezone(UTC))

    def _walls(self, start: datetime) -> Iterator[datetime]:
        """The times on the wall that match, from `start` on."""
        day = start.date()
        while True:
            if self.on(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        wall = datetime.combine(day, time(hour, minute))
                        if wall >= start:
                            yield wall
            day += DAY

    def _next_shown(self, last: datetime, zone: tzinfo) -> datetime:
        moment = last.replace(second=0, microsecond=0) + MINUTE
        while True:
            wall = moment.astimezone(zone)
            if not self.on(wall.date()):
                tomorrow = wall.date() + DAY
                while not self.on(tomorrow):
                    tomorrow += DAY
                moment = max(moment + MINUTE, first_moment(datetime.combine(tomorrow, time()), zone))
            elif wall.minute in self.minutes:
                return moment
            else:
                moment += MINUTE

    def on(self, day: date) -> bool:
        """Whether it is due on this day at all."""
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.either else by_day and by_weekday


def _longest(month: int) -> int:
    return monthrange(_SHORTEST_LEAP_YEAR, month)[1]


def _field(what: str, text: str, low: int, high: int, names: Mapping[str, int] | None = None) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\*|[a-z]+|[0-9]{1,4})(?:-([a-z]+|[0-9]{1,4}))?(?:/([0-9]{1,4}))?", part)
        if match is None or (match[1] == "*" and match[2] is not None):
            raise ValueError(f"has a {what} that is no number, range, list or step: {_shown(part)}")
        first, last, step = match.groups()
        if first == "*":
            begin, end = low, high
        else:
            begin = end = _number(what, first, low, high, names)
            if last is not None:
                end = 7 if names is _WEEKDAYS and last == "sun" else _number(what, last, low, high, names)
            elif step is not None:
                raise ValueError(f"has a {what} with a step but no range: write {first}-{high}/{step}")
        if begin > end:
            raise ValueError(f"has a {what} whose range runs backwards: {part}")
        if step is not None and int(step) == 0:
            raise ValueError(f"has a {what} with a step of 0")
        found.update(range(begin, end + 1, int(step or 1)))
    return frozenset(found)


def _number(what: str, text: str, low: int, high: int, names: Mapping[str, int] | None) -> int:
    if names and text in names:
        return names[text]
    if not text.isdecimal():
        raise ValueError(f"has a {what} that is no number{' or name' if names else ''}: {_shown(text)}")
    if not low <= int(text) <= high:
        raise ValueError(f"has a {what} that is not in {low}-{high}: {text}")
    return int(text)


def _shown(text: str) -> str:
    return ascii(text[:20])


def first_moment(wall: datetime, zone: tzinfo) -> datetime:
    """When clocks in the zone first show `wall` (naive); where they leap over it, when they do. In UTC."""
    moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
        return moment
    # In the gap, fold 0 reckons by the offset before it and so comes out behind it, fold 1 the other way about.
    before, behind = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), moment
    while behind - before > MINUTE:
        middle = before + (behind - before) // 2 // MINUTE * MINUTE
        middle = max(middle, before + MINUTE)
        if middle.astimezone(zone).replace(tzinfo=None) > wall:
            behind = middle
        else:
            before = middle
    return behind


@dataclass(frozen=True)
class Quiet:
    """Hours in which no run begins, by the wall clock: from `start` up to `end`, maybe over midnight."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> Quiet:
        """`22:00-06:00`. Raises ValueError with the rest of a sentence that starts with the key's name."""
        match = re.fullmatch(
            r"([01]?\d|2[0-3]):([0-5]\d)\s*[-–]\s*(?:([01]?\d|2[0-3]):([0-5]\d)|(24):00)", text.strip()
        )
        if match is None:
            raise ValueError('must be hours such as "22:00-06:00"')
        start = time(int(match[1]), int(match[2]))
        end = time() if match[5] else time(int(match[3]), int(match[4]))
        if start == end:
            raise ValueError("must not be the whole day: to let nothing run, use `lockbot pause`")
        return cls(start, end)

    def holds(self, moment: datetime, zone: tzinfo) -> bool:
        """Whether it is quiet then."""
        shown = moment.astimezone(zone).time()
        if self.start < self.end:
            return self.start <= shown < self.end
        return shown >= self.start or shown < self.end

    def over(self, moment: datetime, zone: tzinfo) -> datetime:
        """That moment, or the end of the quiet hours that it falls in."""
        if not self.holds(moment, zone):
            return moment
        shown = moment.astimezone(zone).replace(tzinfo=None)
        wall = datetime.combine(shown.date(), self.end)
        wall += DAY if wall <= shown.replace(fold=0) else timedelta()
        first = first_moment(wall, zone)
        return first if first > moment else wall.replace(tzinfo=zone, fold=1).astimezone(UTC)


@dataclass(frozen=True)
class Timetable:
    """When something is due: a line, `delay` seconds after it, or an interval; and not in quiet hours."""

    when: Cron | Every
    zone: tzinfo
    delay: float = 0.0
    quiet: Quiet | None = None

    def next(self, last: datetime) -> datetime:
        """When it is due after it was done at `last`."""
        delay = timedelta(seconds=self.delay if isinstance(self.when, Cron) else 0)
        moment = self.when.next(last - delay, self.zone) + delay
        return self.quiet.over(moment, self.zone) if self.quiet is not None else moment

    def due(self, last: datetime | None, now: datetime) -> datetime:
        """When to do it, as seen from now: what was missed is due now, once, or when the quiet hours are over.

        `last` None: never done; an interval is then due at once, a line when it comes round. A `last` that is
        yet to come means that the clock was set back: what a line was done for is not done again within a day.
        """
        if last is None:
            last = now if isinstance(self.when, Cron) else now - timedelta(seconds=self.when.seconds)
        moment = self.next(self.believed(last, now))
        if moment < now:
            moment = self.quiet.over(now, self.zone) if self.quiet is not None else now
        return moment.astimezone(UTC)

    def believed(self, last: datetime, now: datetime) -> datetime:
        """`last`, or now where that can't be: the clock was set back since."""
        return now if last > now and (isinstance(self.when, Every) or last - now > DAY) else last

    @property
    def waits_at_first(self) -> bool:
        """Whether what was never done waits for its hour."""
        return isinstance(self.when, Cron)

    def is_quiet(self, now: datetime) -> bool:
        return self.quiet is not None and self.quiet.holds(now, self.zone)


def spread(most: float, seed: str) -> float:
    """A delay of up to `most` seconds, by chance but the same each time for the same seed."""
    return most * int.from_bytes(hashlib.sha256(seed.encode(errors="surrogateescape")).digest()[:6]) / 2**48
