"""What pages ask of the history, against the same worked out from the runs themselves."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockbot.errors import UsageError
from lockbot.history import codec, schema
from lockbot.history.store import History
from lockbot.history.summaries import hosts, packages, timeline
from lockbot.history.summaries.packages import Search
from lockbot.history.summaries.timeline import Filter
from lockbot.model import (
    Answer,
    ChangeKind,
    ClosureSize,
    Difference,
    Host,
    HostBuild,
    HostStatus,
    InputChange,
    Judgement,
    Outcome,
    PackageChange,
    PackageMark,
    Run,
    SwitchEffects,
)
from tests.history.samples import FLAKE, NOON, built, clock, full_run, host, locked, run

_Told = TypeVar("_Told")
HOSTS = ("web", "db", "nas")
PACKAGES = ("openssl", "openssl-legacy", "libopenssl", "curl", "100%", "a_b", "a.b", "größe", "*")
OTHER = "/srv/other?ref=main"


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(tmp_path / "history", clock) as opened:
        yield opened


def toplevel(name: str, version: int, status: HostStatus = HostStatus.BUILT) -> HostBuild:
    answer = {HostStatus.FAILED: Answer.BAD, HostStatus.UNJUDGED: Answer.UNJUDGED}.get(status, Answer.GOOD)
    path = f"/nix/store/{version}-{name}"
    return replace(built(name), status=status, drv=f"{path}.drv", out=path, here=Judgement(answer, "built"))


# -- any history

MOVES = st.lists(st.tuples(st.sampled_from(PACKAGES), st.integers(1, 3)), max_size=3, unique_by=lambda one: one[0])


@st.composite
def pasts(draw: st.DrawFn) -> list[Run]:
    """Runs of two flakes, each with some inputs, hosts and differences."""
    made = []
    for number in range(draw(st.integers(0, 12))):
        outcome = draw(st.sampled_from([Outcome.PUBLISHED, Outcome.REJECTED, Outcome.UNCHANGED, None]))
        groups = draw(st.lists(st.tuples(st.sets(st.sampled_from(HOSTS), min_size=1), MOVES), max_size=3))
        seen: set[str] = set()
        told = []
        for names, moves in groups:
            names, seen = names - seen, seen | names
            changes = tuple(PackageChange(name, PackageMark.UP, ("0",), (str(v),)) for name, v in moves)
            told.append(Difference(tuple(host(name).installable for name in sorted(names)), changes))
        statuses = st.sampled_from([HostStatus.BUILT, HostStatus.FAILED, HostStatus.UNJUDGED])
        judged = draw(st.dictionaries(st.sampled_from(HOSTS), st.tuples(st.integers(1, 2), statuses)))
        inputs = draw(st.sets(st.sampled_from(["nixpkgs", "disko"])))
        made.append(
            run(
                number,
                flake=draw(st.sampled_from([FLAKE, FLAKE, OTHER])),
                outcome=outcome,
                commit="c" * 40 if outcome is Outcome.PUBLISHED else None,
                changes=tuple(
                    InputChange(one, ChangeKind.UPDATED, new=locked("2" * 40)) for one in sorted(inputs)
                ),
                hosts=tuple(toplevel(name, *judged[name]) for name in HOSTS if name in judged),
                differences=tuple(one for one in told if one.hosts),
            )
        )
    return made


anything = settings(max_examples=25, deadline=None)


def kept(runs: list[Run]) -> sqlite3.Connection:
    raw = sqlite3.connect(":memory:", isolation_level=None)
    raw.row_factory = sqlite3.Row
    raw.deserialize(_empty())
    raw.execute("PRAGMA foreign_keys = ON")
    for one in runs:
        codec.write_run(raw, one)
    return raw


@cache
def _empty() -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        schema.migrate(raw)
        return raw.serialize()


def here(runs: list[Run]) -> list[Run]:
    """Those of the flake, the newest first."""
    return [one for one in reversed(runs) if one.flake == FLAKE]


def through(page: Callable[[str | None], tuple[list[_Told], str | None]]) -> list[_Told]:
    """All pages, one after the other."""
    found, before = page(None)
    while before is not None:
        more, before = page(before)
        found += more
    return found


# -- runs


@anything
@given(
    runs=pasts(),
    outcome=st.sampled_from([None, "published", "unfinished", "rejected"]),
    input=st.sampled_from([None, "nixpkgs"]),
    name=st.sampled_from([None, *HOSTS]),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 20)),
)
def test_pages_of_runs_are_all_that_are_wanted_once(
    runs: list[Run], outcome: str | None, input: str | None, name: str | None, sizes: tuple[int, int]
) -> None:
    """However long a page is, and however many runs are looked at for one."""
    expected = [
        one.id
        for one in here(runs)
        if (outcome is None or (one.outcome or "unfinished") == outcome)
        and (input is None or any(change.input == input for change in one.changes))
        and (name is None or any(build.host.name == name for build in one.hosts))
    ]
    wanted = Filter(outcome, input, host(name).attribute if name is not None else None)
    with closing(kept(runs)) as raw, pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline, "LOOKED_THROUGH", sizes[1])

        def page(before: str | None) -> tuple[list[timeline.ListedRun], str | None]:
            found = timeline.page_of_runs(raw, FLAKE, wanted, sizes[0], before)
            assert len(found.runs) <= sizes[0]
            return list(found.runs), found.older

        found = through(page)
    assert [one.run.id for one in found] == expected
    by_id = {one.id: one for one in runs}
    for one in found:
        whole = by_id[one.run.id]
        assert list(one.inputs) == [change.input for change in whole.changes]
        assert one.run.failed == sum(build.status is HostStatus.FAILED for build in whole.hosts)


@anything
@given(runs=pasts(), minutes=st.integers(0, 12))
def test_runs_are_counted_by_the_day_that_they_began_on(runs: list[Run], minutes: int) -> None:
    spread = [replace(one, started=NOON + timedelta(hours=9 * number)) for number, one in enumerate(runs)]
    since = NOON + timedelta(hours=9 * minutes)
    with closing(kept(spread)) as raw:
        found = timeline.runs_by_day(raw, FLAKE, since)
    expected = Counter((one.started.date(), one.outcome) for one in here(spread) if one.started >= since)
    assert {(one.day, one.outcome): one.runs for one in found} == expected
    assert [one.day for one in found] == sorted(one.day for one in found)


@pytest.mark.parametrize(
    ("wanted", "before", "told"),
    [
        (Filter(outcome="levitated"), None, "does not end 'levitated'"),
        (Filter(), "nobody", "no run 'nobody' here"),
        (Filter(), "r00009", "no run 'r00009' here"),
        (Filter(), "'; --\udcff", "no run"),
    ],
)
def test_what_can_not_be_asked_of_runs(history: History, wanted: Filter, before: str | None, told: str) -> None:
    history.save(run(1))
    history.save(run(9, flake=OTHER))
    with pytest.raises(UsageError, match=told):
        history.ask(lambda raw: timeline.page_of_runs(raw, FLAKE, wanted, 5, before))


# -- hosts


@anything
@given(runs=pasts())
def test_how_each_host_stands_is_what_the_runs_say(runs: list[Run]) -> None:
    judged = [one for one in here(runs) if one.hosts]
    with closing(kept(runs)) as raw:
        found = hosts.hosts_now(raw, FLAKE)
    assert [one.build.host for one in found] == [build.host for build in judged[0].hosts] if judged else not found
    for one in found:
        mine = [(each, build) for each in judged for build in each.hosts if build.host == one.build.host]
        assert (one.run.id, one.build) == (mine[0][0].id, mine[0][1])
        assert (one.since.id, one.exact) == _since(mine, lambda build: build.here and build.here.answer)
        published = [pair for pair in mine if pair[0].commit is not None]
        if not published:
            assert one.landed is None
        else:
            assert one.landed is not None
            assert (one.landed.drv, one.landed.out) == (published[0][1].drv, published[0][1].out)
            assert (one.landed.run.id, one.landed.exact) == _since(published, lambda build: build.drv)


def _since(pairs: list[tuple[Run, HostBuild]], what: Callable[[HostBuild], object]) -> tuple[str, bool]:
    """By going back until it was otherwise."""
    last = pairs[0][0].id
    for one, build in pairs:
        if what(build) != what(pairs[0][1]):
            return last, True
        last = one.id
    return last, False


@anything
@given(runs=pasts(), name=st.sampled_from(HOSTS), limit=st.integers(1, 4))
def test_pages_of_a_host_are_all_runs_that_judged_it(runs: list[Run], name: str, limit: int) -> None:
    expected = [(one, build) for one in here(runs) for build in one.hosts if build.host.name == name]
    with closing(kept(runs)) as raw:

        def page(before: str | None) -> tuple[list[hosts.HostAt], str | None]:
            found = hosts.page_of_host(raw, FLAKE, host(name), limit, before)
            return list(found.runs), found.older

        found = through(page)
        sizes = hosts.changes_of_host(raw, FLAKE, host(name), 99)
    assert [(one.run.id, one.status, one.drv) for one in found] == [(r.id, b.status, b.drv) for r, b in expected]
    for number, one in enumerate(found):
        landed = next((build.drv for r, build in expected[number + 1 :] if r.commit is not None), None)
        assert one.changed == (None if landed is None else one.drv != landed)
        assert one.packages == _packages(expected[number][0], name)
    landed_runs = [one for one in here(runs) if one.commit is not None]
    told = [(r.id, _packages(r, name)) for r in landed_runs if _packages(r, name) is not None]
    assert [(one.run.id, one.packages) for one in sizes] == told


def _packages(one: Run, name: str) -> int | None:
    found = [each for each in one.differences if host(name).installable in each.hosts]
    return len(found[0].packages) if found else None


def test_a_host_is_found_by_its_attribute_or_its_name_and_also_when_it_is_gone(history: History) -> None:
    dotted = Host('a."b', ("nixosConfigurations", 'a."b', "${x}"))
    same = Host("web", ("homeConfigurations", "web"))
    history.save(run(1, hosts=(HostBuild(dotted, HostStatus.BUILT), toplevel("old", 1))))
    history.save(run(2, hosts=(toplevel("web", 1), HostBuild(same, HostStatus.BUILT))))
    history.save(run(3, flake=OTHER, hosts=(toplevel("theirs", 1),)))
    asked = {
        dotted.installable: dotted,
        'a."b': dotted,
        "old": host("old"),
        "web": host("web"),
        same.installable: same,
        "theirs": None,
        "": None,
        "%": None,
        "we\udcffb": None,
    }
    for name, expected in asked.items():
        assert history.ask(partial(hosts.find_host, flake=FLAKE, name=name)) == expected, name
    assert history.ask(lambda raw: hosts.host_names(raw, FLAKE)) == {
        host("web").installable: "web",
        same.installable: "web",
    }


def test_sizes_and_reboots_of_a_host_come_back_also_where_they_are_not_known(history: History) -> None:
    web = (host("web").installable,)
    landed = partial(run, commit="c" * 40)
    history.save(landed(1, differences=(Difference(web, closure=ClosureSize((1, 2), (3, 4))),)))
    history.save(landed(2, differences=(Difference(web, switch=SwitchEffects(reboot=("kernel é",))),)))
    history.save(landed(3, differences=(Difference(web, unknown="why"),)))
    for number in range(4, 20):  # of another branch, and what came to nothing: neither takes the place of these
        more = {"flake": OTHER, "commit": "d" * 40} if number % 2 else {}
        history.save(run(number, differences=(Difference(web, closure=ClosureSize((7, 8), (9, 9))),), **more))
    found = history.ask(lambda raw: hosts.changes_of_host(raw, FLAKE, host("web"), 9))
    assert [(one.size, one.reboot) for one in found] == [
        ((None, None), None),
        ((None, None), ("kernel é",)),
        ((1, 2), None),
    ]


# -- packages


@anything
@given(
    runs=pasts(),
    text=st.sampled_from([*PACKAGES, "ssl", "OPENSSL", "%", "_", ".", "ß", "nothing"]),
    name=st.sampled_from([None, *HOSTS]),
    everything=st.booleans(),
    limit=st.integers(1, 3),
)
def test_a_package_is_found_with_all_its_changes(
    runs: list[Run], text: str, name: str | None, everything: bool, limit: int
) -> None:
    wanted = Search(text, host(name).installable if name is not None else None, everything, limit=limit)
    expected = _changes(runs, name, everything)
    with closing(kept(runs)) as raw:
        found = packages.search(raw, FLAKE, wanted)
        names = [one for one in expected if text.lower() in one.lower()]
        ranks = [(one != text, not one.lower().startswith(text.lower()), len(one), one) for one in names]
        assert [one.name for one in found] == [rank[3] for rank in sorted(ranks)]
        for one in found:
            if one.name == text:
                told, older = list(one.changes), one.older
                while older is not None:
                    (more,) = packages.search(raw, FLAKE, replace(wanted, before=older)) or (None,)
                    told, older = (told + list(more.changes), more.older) if more else (told, None)
            else:
                told = list(one.changes)
            assert [_key(change) for change in told] == expected[one.name][: len(told)]
            assert len(told) == len(expected[one.name]) or (one.name != text and len(told) == packages.FEW)


_Change = tuple[str, frozenset[str], tuple[str, ...]]


def _key(change: packages.Change) -> _Change:
    return change.run, frozenset(change.hosts), change.new


def _changes(runs: list[Run], name: str | None, everything: bool) -> dict[str, list[_Change]]:
    """By package, the newest first; within a run the one that is told first there last."""
    found: dict[str, list[_Change]] = {}
    for one in here(runs):
        where: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for told in one.differences:
            for change in told.packages:
                where.setdefault((change.name, change.new), []).extend(told.hosts)
        for (package, new), attributes in reversed(where.items()):
            if (everything or one.commit) and (name is None or host(name).installable in attributes):
                found.setdefault(package, []).append((one.id, frozenset(attributes), new))
    return found


@anything
@given(runs=pasts(), name=st.sampled_from([None, *HOSTS]), limit=st.integers(1, 9))
def test_what_changed_last_is_of_the_newest_runs(runs: list[Run], name: str | None, limit: int) -> None:
    wanted = Search("", host(name).installable if name is not None else None, limit=limit)
    with closing(kept(runs)) as raw:
        found = packages.newest_changes(raw, FLAKE, wanted)
    expected = _changes(runs, name, everything=False)
    assert len(found) == min(limit, len(expected))
    for one in found:
        (change,) = one.changes
        assert change.run == expected[one.name][0][0]
        assert _key(change) in expected[one.name]
    newest = sorted((changes[0][0] for changes in expected.values()), reverse=True)[:limit]
    assert [one.changes[0].run for one in found] == newest


def test_a_change_is_told_with_the_inputs_that_moved_in_its_run(history: History) -> None:
    change = InputChange("nixpkgs", ChangeKind.UPDATED, locked("1" * 40), locked("2" * 40))
    history.save(full_run())
    history.save(run(7, commit="e" * 40, changes=(change,), differences=full_run().differences))
    (found,) = history.ask(lambda raw: packages.search(raw, FLAKE, Search("openssl")))
    assert [one.run for one in found.changes] == ["r00007", "full"]
    assert found.changes[0].inputs == (packages.Moved("nixpkgs", "1" * 40, "2" * 40),)
    assert [one.input for one in found.changes[1].inputs] == ["nixpkgs", "a/b", "c"]
    assert found.changes[1].old == ("3.0.1", "3.0.2") and found.changes[1].commit == "d" * 40


# -- what they cost


PLANS: list[Callable[[sqlite3.Connection], Any]] = [
    lambda raw: timeline.runs_by_day(raw, FLAKE, NOON),
    lambda raw: timeline.page_of_runs(raw, FLAKE, Filter("published", "x", ("a",)), 5),
    lambda raw: timeline.page_of_runs(raw, FLAKE, Filter(), 5, "full"),
    lambda raw: hosts.hosts_now(raw, FLAKE),
    lambda raw: hosts.page_of_host(raw, FLAKE, full_run().hosts[0].host, 5),
    lambda raw: hosts.changes_of_host(raw, FLAKE, full_run().hosts[0].host, 5),
    lambda raw: packages.search(raw, FLAKE, Search("openssl", full_run().hosts[0].host.installable)),
    lambda raw: packages.newest_changes(raw, FLAKE, Search("")),
]


@pytest.mark.parametrize("number", range(len(PLANS)))
def test_no_question_reads_a_whole_table(number: int) -> None:
    """But names of packages, and of those so many at most: whatever there is, a page takes as long."""
    statements: list[str] = []
    with closing(kept([full_run()])) as raw:
        raw.set_trace_callback(statements.append)
        PLANS[number](raw)
        raw.set_trace_callback(None)
        scans = [
            plan[3]
            for statement in statements
            for plan in raw.execute(f"EXPLAIN QUERY PLAN {statement}")
            if plan[3].startswith("SCAN ") and plan[3].split()[1] in _tables(raw)
        ]
    assert statements
    assert set(scans) <= {"SCAN packages"}


def _tables(raw: sqlite3.Connection) -> set[str]:
    return {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
