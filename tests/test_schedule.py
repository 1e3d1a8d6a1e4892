"""When runs are due, against an oracle that looks at the clock minute by minute."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockbot.schedule import Cron, Every, Quiet, Timetable, first_moment, spread

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    BERLIN,
    *map(ZoneInfo, ("America/New_York", "Australia/Lord_Howe", "UTC", "Pacific/Apia", "Asia/Kathmandu")),
]
CHANGES = [
    datetime(2026, 3, 29, tzinfo=UTC),  # Berlin
    datetime(2026, 10, 25, tzinfo=UTC),
    datetime(2026, 3, 8, tzinfo=UTC),  # New York
    datetime(2026, 11, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 12, tzinfo=UTC),  # Lord Howe, by half an hour
    datetime(2026, 10, 3, 12, tzinfo=UTC),
    datetime(2011, 12, 30, tzinfo=UTC),  # Apia had no 30th
    datetime(2026, 12, 31, tzinfo=UTC),
    datetime(2028, 2, 28, tzinfo=UTC),
]

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


# -- the oracle: crontab(5), read as simply as can be


@functools.cache
def fits(field: str, value: int, low: int, high: int, names: tuple[str, ...] = ()) -> bool:
    def number(text: str) -> int:
        return names.index(text) + low if names and text in names else int(text)

    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin, end = (low, high) if first == "*" else (number(first), number(last or first))
        if value in range(begin, end + 1) and (value - begin) % int(step or 1) == 0:
            return True
    return False


def matches(line: str, wall: datetime) -> bool:
    minute, hour, day, month, weekday = line.split()
    if not (fits(minute, wall.minute, 0, 59) and fits(hour, wall.hour, 0, 23)):
        return False
    if not fits(month, wall.month, 1, 12, MONTHS):
        return False
    on_day = fits(day, wall.day, 1, 31)
    sunday_too = [wall.isoweekday(), 0] if wall.isoweekday() == 7 else [wall.isoweekday()]
    on_weekday = any(fits(weekday, number, 0, 7, WEEKDAYS) for number in sunday_too)
    if day.startswith("*") or weekday.startswith("*"):
        return on_day and on_weekday
    return on_day or on_weekday


def brute(line: str, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Look at the clock each minute; what it has passed and shown for the first time is due."""
    every_hour = all(fits(line.split()[1], hour, 0, 23) for hour in range(24))
    highest = (start - DAY).astimezone(zone).replace(tzinfo=None, fold=0)
    moment = start - DAY + MINUTE  # a day early: to know what was shown before
    while moment <= end:
        shown = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        if every_hour:
            due = matches(line, shown)
        else:
            passed = int((shown - highest) / MINUTE)
            due = any(matches(line, shown - back * MINUTE) for back in range(passed))
        highest = max(highest, shown)
        if due and moment > start:
            yield moment
        moment += MINUTE


def found(line: str, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    cron, moment = Cron.parse(line), start
    while (moment := cron.next(moment, zone)) <= end:
        yield moment


def item(low: int, high: int, names: tuple[str, ...]) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    word = st.one_of(number.map(str), st.sampled_from(names)) if names else number.map(str)
    pairs = st.tuples(number, number).map(sorted).map(lambda pair: f"{pair[0]}-{pair[1]}")
    steps = st.integers(1, high + 3)
    stepped = st.tuples(st.one_of(st.just("*"), pairs), steps).map(lambda both: f"{both[0]}/{both[1]}")
    return st.one_of(word, pairs, stepped)


def field(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    items = st.lists(item(low, high, names), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), items)


LINES = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12, MONTHS), field(0, 7, WEEKDAYS[:7])).map(
    " ".join
)


@settings(max_examples=60, deadline=None)
@given(LINES, st.sampled_from(ZONES), st.sampled_from(CHANGES), st.integers(-600, 600))
def test_lines_are_due_when_the_clock_says_so(line: str, zone: ZoneInfo, near: datetime, shift: int) -> None:
    try:
        Cron.parse(line)
    except ValueError as error:
        assert "never due" in str(error)
        return
    start = near + shift * MINUTE
    end = start + timedelta(hours=30)
    assert list(found(line, zone, start, end)) == list(brute(line, zone, start, end))


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize(
    "line",
    ["30 2 * * *", "0 * * * *", "*/15 * * * *", "15 2,3 * * *", "0 */2 * * *", "5 1-2 * * sun", "45 1 1,30 * 6"],
)
def test_no_change_of_the_clocks_skips_or_doubles(line: str, zone: ZoneInfo) -> None:
    for change in CHANGES:
        start, end = change - timedelta(hours=6), change + timedelta(hours=30)
        assert list(found(line, zone, start, end)) == list(brute(line, zone, start, end)), change


@pytest.mark.parametrize(
    "zone", [ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "UTC")], ids=str
)
@pytest.mark.parametrize("line", ["30 2 * * *", "0 2 * * *", "59 1 * * *", "0 3 * * *"])
def test_a_daily_line_is_due_once_a_day_all_year(line: str, zone: ZoneInfo) -> None:
    start = datetime(2026, 1, 1, tzinfo=zone).astimezone(UTC)
    days = [moment.astimezone(zone).date() for moment in found(line, zone, start, start + 365 * DAY)]
    assert len(days) == len(set(days)) == 365


def test_what_the_clocks_leap_over_is_due_at_the_leap() -> None:
    before = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert Cron.parse("30 2 * * *").next(before, BERLIN) == datetime(2026, 3, 29, 1, tzinfo=UTC)  # 3:00, not 2:30
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    leap = Cron.parse("10 2 * * *").next(datetime(2026, 10, 3, 12, tzinfo=UTC), lord_howe)
    assert leap.astimezone(lord_howe).strftime("%d %H:%M") == "04 02:30"


def test_what_the_clocks_show_twice_is_due_the_first_time() -> None:
    day = datetime(2026, 10, 24, 12, tzinfo=UTC)
    first = Cron.parse("30 2 * * *").next(day, BERLIN)
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert Cron.parse("30 2 * * *").next(first, BERLIN) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_a_whole_day_that_a_zone_lacks() -> None:
    apia = ZoneInfo("Pacific/Apia")
    noon_of_no_day = datetime(2011, 12, 30, 12)  # noqa: DTZ001 -- what a clock would show
    assert first_moment(noon_of_no_day, apia) == datetime(2011, 12, 30, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("short", "line"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("0 4 * * 7", "0 4 * * 0"),
        ("0 4 * * SUN", "0 4 * * 0"),
        ("0 4 * * mon-fri", "0 4 * * 1-5"),
        ("0 4 * * fri-sun", "0 4 * * 0,5,6"),
        ("0 4 * * 5-7", "0 4 * * 0,5,6"),
        ("0 4 * JAN,Jul *", "0 4 * 1,7 *"),
        ("*/20 4 * * *", "0,20,40 4 * * *"),
    ],
)
def test_ways_to_write_the_same(short: str, line: str) -> None:
    one, other = Cron.parse(short), Cron.parse(line)
    assert (one.minutes, one.hours, one.days, one.months, one.weekdays) == (
        (other.minutes, other.hours, other.days, other.months, other.weekdays)
    )


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("", "must be five fields"),
        ("0 4 * *", "must be five fields"),
        ("0 0 4 * * *", "must be five fields"),
        ("@reboot", "@reboot"),
        ("@fortnightly", "must be one of @yearly"),
        ("60 4 * * *", "a minute that is not in 0-59: 60"),
        ("0 24 * * *", "hour that is not in 0-23: 24"),
        ("0 4 0 * *", "day of the month that is not in 1-31: 0"),
        ("0 4 * 13 *", "month that is not in 1-12: 13"),
        ("0 4 * * 8", "weekday that is not in 0-7: 8"),
        ("0 4 * * 5-1", "range runs backwards: 5-1"),
        ("*/0 4 * * *", "step of 0"),
        ("5/20 4 * * *", "write 5-59/20"),
        ("0 4 L * *", "no number: 'l'"),
        ("0 4 * * 5#2", "no number, range, list or step: '5#2'"),
        ("0 4 * foo *", "no number or name: 'foo'"),
        ("0 4 , * *", "no number, range, list or step: ''"),
        ("*-5 4 * * *", "no number, range, list or step"),
        ("0 4 ²  * *", "no number"),
        ("0 0 31 2 *", "is never due"),
        ("0 0 30 2 */2", "is never due"),
        ("0 0 31 2,4,6,9,11 *", "is never due"),
    ],
)
def test_lines_that_are_refused(line: str, what: str) -> None:
    with pytest.raises(ValueError, match=re.escape(what)):
        Cron.parse(line)


@pytest.mark.parametrize("line", ["0 0 29 2 *", "0 0 31 2 mon", "0 0 29 2 */7", "0 0 31 1,2 *"])
def test_lines_that_are_seldom_due_are_due(line: str) -> None:
    assert Cron.parse(line).next(datetime(2026, 11, 22, tzinfo=UTC), BERLIN).year < 2060


# -- timetables


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


NIGHTLY = Timetable(Cron.parse("0 4 * * *"), BERLIN)
SIX_HOURS = Timetable(Every(6 * 3600), BERLIN)


def test_the_first_time() -> None:
    now = at("2026-11-22 10:00")
    assert NIGHTLY.due(None, now) == at("2026-11-23 04:00")
    assert SIX_HOURS.due(None, now) == now


def test_what_was_missed_is_made_up_for_once() -> None:
    now = at("2026-11-22 10:00")
    for timetable in (NIGHTLY, SIX_HOURS):
        due = timetable.due(at("2026-11-01 04:00"), now)
        assert due == now
        assert timetable.due(due, now) > now


def test_a_clock_that_is_set_back_neither_doubles_nor_waits_for_ever() -> None:
    done = at("2026-11-22 04:00")
    assert NIGHTLY.due(done, at("2026-11-22 03:30")) == at("2026-11-23 04:00"), "not twice"
    assert NIGHTLY.due(at("2036-11-22 04:00"), at("2026-11-22 03:30")) == at("2026-11-22 04:00"), (
        "not in ten years"
    )
    assert SIX_HOURS.due(at("2036-11-22 04:00"), done) == done + timedelta(hours=6)


def test_an_interval_does_not_mind_daylight_saving() -> None:
    done = datetime(2026, 3, 29, 0, 30, tzinfo=BERLIN)
    assert SIX_HOURS.next(done) - done.astimezone(UTC) == timedelta(hours=6)


def test_the_delay_comes_after_the_line_and_stays_the_same() -> None:
    delay = spread(1800, "this machine: main")
    assert delay == spread(1800, "this machine: main") != spread(1800, "that machine: main")
    assert 0 <= delay < 1800
    table = Timetable(NIGHTLY.when, BERLIN, delay=delay)
    first = table.due(None, at("2026-11-22 03:59"))
    assert first == at("2026-11-22 04:00") + timedelta(seconds=delay)
    assert table.next(first) == first + DAY


def test_delays_are_spread() -> None:
    delays = sorted(spread(100, str(seed)) for seed in range(500))
    assert all(after - before < 5 for before, after in itertools.pairwise(delays))


@pytest.mark.parametrize(
    ("text", "clock", "quiet", "over"),
    [
        ("22:00-06:00", "2026-11-22 22:00", True, "2026-11-23 06:00"),
        ("22:00-06:00", "2026-11-22 05:59", True, "2026-11-22 06:00"),
        ("22:00-06:00", "2026-11-22 06:00", False, "2026-11-22 06:00"),
        ("22:00-06:00", "2026-11-22 21:59", False, "2026-11-22 21:59"),
        ("8:00 - 17:30", "2026-11-22 12:00", True, "2026-11-22 17:30"),
        ("20:00-24:00", "2026-11-22 23:59", True, "2026-11-23 00:00"),
        ("20:00-24:00", "2026-11-22 00:00", False, "2026-11-22 00:00"),
        ("22:00-02:30", "2026-03-29 01:00", True, "2026-03-29 03:00"),  # clocks go from 2 to 3
        ("22:00-02:30", "2026-10-25 02:10", True, "2026-10-25 02:30"),
    ],
)
def test_quiet_hours(text: str, clock: str, quiet: bool, over: str) -> None:
    hours, moment = Quiet.parse(text), at(clock)
    assert hours.holds(moment, BERLIN) is quiet
    assert hours.over(moment, BERLIN) == at(over)


def test_quiet_hours_that_the_clocks_show_twice() -> None:
    again = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=BERLIN).astimezone(UTC)
    assert Quiet.parse("22:00-02:30").over(again, BERLIN) == again + timedelta(minutes=20)


@pytest.mark.parametrize("text", ["", "22-6", "24:00-06:00", "22:60-06:00", "22:00", "00:00-24:00", "9:00-9:00"])
def test_quiet_hours_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        Quiet.parse(text)


def test_what_falls_into_quiet_hours_is_due_once_after_them() -> None:
    table = Timetable(Cron.parse("*/30 * * * *"), BERLIN, quiet=Quiet.parse("22:00-06:00"))
    moment = table.next(at("2026-11-22 21:30"))
    assert moment == at("2026-11-23 06:00")
    assert table.next(moment) == at("2026-11-23 06:30")
    assert table.due(at("2026-11-20 12:00"), at("2026-11-22 23:00")) == moment, "made up for, but not in the night"


@settings(max_examples=30, deadline=None)
@given(LINES, st.sampled_from(ZONES), st.sampled_from(CHANGES), st.integers(0, 7200), st.booleans())
def test_each_moment_is_after_the_last_and_not_quiet(
    line: str, zone: ZoneInfo, start: datetime, delay: int, quiet: bool
) -> None:
    try:
        cron = Cron.parse(line)
    except ValueError:
        return
    table = Timetable(cron, zone, delay, Quiet.parse("22:00-06:00") if quiet else None)
    moment = start
    for _ in range(8):
        later = table.next(moment)
        assert later > moment
        assert not table.is_quiet(later)
        assert table.due(moment, later) == later
        moment = later
