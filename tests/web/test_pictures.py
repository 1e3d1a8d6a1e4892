"""Pictures of any values: finite, within their box, told as text, and marked at round numbers."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockbot.model import Outcome
from lockbot.web.pictures import scales
from lockbot.web.pictures.phases import phases
from lockbot.web.pictures.plot import plot, sparkline
from lockbot.web.pictures.timeline import timeline
from tests.report.examples import HOSTILE
from tests.report.test_output import bad_characters

NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
SIZES = st.none() | st.integers(0, 2**50) | st.integers(-(2**63), 2**63)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- the strategy adds the zone
POINTS = st.lists(
    st.fixed_dictionaries({"moment": MOMENTS.map(datetime.isoformat), "size": SIZES, "run": st.just("r")}),
    max_size=12,
)


def drawn(markup: str) -> ElementTree.Element:
    """The picture, checked as every one is: no style of its own, a name, and nothing outside its box."""
    root = ElementTree.fromstring(markup)  # noqa: S314 -- ours
    assert root.tag == "svg" and root.get("role") == "img"
    assert root.findtext("title") and root.findtext("desc")
    width, height = map(float, (root.get("viewBox") or "").split()[2:])
    for one in root.iter():
        assert one.tag in {"svg", "title", "desc", "rect", "circle", "path", "text"}
        assert not set(one.keys()) & {"style", "onclick", "href"}
        places = {name: float(one.get(name) or 0) for name in ("x", "y", "cx", "cy", "width", "height")}
        assert all(0 <= places[name] <= width for name in ("x", "cx"))
        assert all(0 <= places[name] <= height for name in ("y", "cy"))
        if one.tag == "rect":
            assert places["x"] + places["width"] <= width + 0.2 and places["y"] + places["height"] <= height + 0.2
        path = [float(number) for number in NUMBER.findall(one.get("d") or "")]
        assert all(0 <= x <= width for x in path[::2]) and all(0 <= y <= height for y in path[1::2])
        assert not re.search("nan|inf", one.get("d") or "")
    return root


@settings(max_examples=80, deadline=None)
@given(points=POINTS, name=st.sampled_from(HOSTILE[:12]) | st.text(max_size=9))
def test_any_sizes_are_drawn_within_the_box(points: list[dict[str, Any]], name: str) -> None:
    known = [one for one in points if one["size"] is not None]
    for draw in (plot, sparkline):
        found = draw(points, name or "x")
        assert bool(found) == bool(known)
        if found:
            root = drawn(found)
            assert bad_characters(found) == set()
            dots = root.findall("circle")
            assert len(dots) == (len(known) if draw is plot else 1)
            assert all(dot.findtext("title") for dot in dots)


def days(*sizes: int | None) -> list[dict[str, Any]]:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    return [
        {"moment": f"{start + timedelta(days=n):%Y-%m-%dT%H:%M:%SZ}", "size": size} for n, size in enumerate(sizes)
    ]


GIB = 2**30
PLOTS: dict[str, tuple[list[dict[str, Any]], int, list[str]]] = {
    "none": ([], 0, []),
    "none known": (days(None, None), 0, []),
    "one": (days(4 * GIB), 0, ["3.8 GiB", "3.9 GiB", "4.0 GiB", "4.1 GiB", "4.2 GiB"]),
    "equal": (days(4 * GIB, 4 * GIB), 1, ["3.8 GiB", "3.9 GiB", "4.0 GiB", "4.1 GiB", "4.2 GiB"]),
    "growing": (days(GIB, 2 * GIB, 3 * GIB), 1, ["1.0 GiB", "1.5 GiB", "2.0 GiB", "2.5 GiB", "3.0 GiB"]),
    "with a gap": (days(1, 2, None, 3, 4), 2, ["1 bytes", "2 bytes", "3 bytes", "4 bytes"]),
    "alone between gaps": (days(1, None, 2, None, 3), 0, ["1 bytes", "2 bytes", "3 bytes"]),
    "nothing at all": (days(0, 0), 1, ["0 bytes", "1 bytes"]),
}


@pytest.mark.parametrize("kind", PLOTS)
def test_lines_gaps_and_marks(kind: str) -> None:
    points, pieces, marks = PLOTS[kind]
    found = plot(points, "Closure")
    if not marks:
        assert found == ""
        return
    root = drawn(found)
    line = next((one.get("d") or "" for one in root.findall("path") if one.get("class") == "line"), "")
    assert line.count("M") == pieces
    said = [one.text for one in root.findall("text")]
    assert [one for one in said if one and not one.startswith("2026")] == marks
    assert said[-1] and said[-1].startswith("2026-11-0")


@settings(max_examples=120, deadline=None)
@given(values=st.lists(st.integers(0, 2**62), min_size=1))
def test_marks_are_few_apart_and_around_the_values(values: list[int]) -> None:
    scale = scales.sizes(values)
    assert scale.low <= min(values) * (1 + 1e-9) and scale.high >= max(values) * (1 - 1e-9)
    assert 2 <= len(scale.marks) <= 8
    texts = [said for _, said in scale.marks]
    assert len(set(texts)) == len(texts), "each mark has another text"
    assert scale.low == scale.marks[0][0] and abs(scale.high - scale.marks[-1][0]) <= scale.high * 1e-9


@settings(max_examples=60, deadline=None)
@given(first=st.dates(), length=st.integers(0, 10**6))
def test_days_are_marked_a_few_times(first: date, length: int) -> None:
    last = min(first.toordinal() + length, date.max.toordinal())
    found = scales.days(first, date.fromordinal(last))
    assert 1 <= len(found) <= 8 and found[0] == first and found[-1].toordinal() <= last


RUNS = st.dictionaries(st.sampled_from([*map(str, Outcome), "unfinished", "<levitated>"]), st.integers(1, 10_000))


@settings(max_examples=60, deadline=None)
@given(runs=st.lists(RUNS, max_size=70))
def test_a_timeline_has_a_bar_for_each_outcome_of_each_day(runs: list[dict[str, int]]) -> None:
    told = [{"day": f"{date(2026, 1, 1) + timedelta(days=n)}", "runs": one} for n, one in enumerate(runs)]
    found = timeline(told)
    if not told:
        assert found == ""
        return
    root = drawn(found)
    titles = [one.findtext("title") for one in root.findall("rect")]
    assert sorted(map(str, titles)) == sorted(
        f"{one['day']}: {number} {outcome}"
        for one in told
        for outcome, number in one["runs"].items()  # type: ignore[attr-defined]  # a dict
    )
    for outcome in {outcome for one in runs for outcome in one}:
        assert f"{sum(one.get(outcome, 0) for one in runs)} {outcome}" in (root.findtext("desc") or "")


def test_colour_is_not_all_that_tells_outcomes_apart() -> None:
    root = drawn(timeline([{"day": "2026-01-01", "runs": {"published": 1, "partly published": 1, "failed": 1}}]))
    widths = [float(one.get("width") or 0) for one in root.findall("rect")]
    assert len(set(widths)) == 3 and widths == sorted(widths, reverse=True)


SECONDS = st.dictionaries(st.text(max_size=9), st.none() | st.floats(), max_size=7)


@settings(max_examples=60, deadline=None)
@given(seconds=SECONDS)
def test_phases_fill_their_bar(seconds: dict[str, float | None]) -> None:
    found = phases(seconds)
    known = {name: spent for name, spent in seconds.items() if spent is not None and 0 < spent < float("inf")}
    assert bool(found) == bool(known)
    if found:
        assert len(drawn(found).findall("rect")) == len(known)
        assert bad_characters(found) == set()
