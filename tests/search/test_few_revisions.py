"""One input with few revisions, in every way in which hosts can be good, bad or unjudged with them: what is
claimed of the revisions is compared with what they are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from lockbot.search.interface import Culprit, Finding, FindingReason, Judging, Looking, SearchEvent, SearchResult
from lockbot.search.strategies import search
from tests.search.costs import most_steps, steps_to_newest
from tests.search.worlds import Bench, Fault, World, broken_since

G, B, U = "good", "bad", "unknown"


def ladder(hosts: Mapping[str, Sequence[str]]) -> World:
    """The input `a`: what each host is with each of its revisions, the oldest first; and `b`, which is well."""
    faults = []
    for host, states in hosts.items():
        for what in (B, U):
            spans = tuple((at, at + 1) for at, state in enumerate(states, 1) if state == what)
            if spans:
                faults.append(Fault({"a": spans}, frozenset({host}), unknown=what == U))
    (count,) = {len(states) for states in hosts.values()}
    uses = dict.fromkeys(hosts, frozenset({"a", "b"}))
    return World(uses, ("a", "b"), tuple(faults), {"a": count})


def newest(hosts: Mapping[str, Sequence[str]]) -> int:
    """The newest revision with which every host is good; 0: the locked one."""
    count = len(next(iter(hosts.values())))
    good = [at for at in range(1, count + 1) if all(states[at - 1] == G for states in hosts.values())]
    return max(good, default=0)


def solved(hosts: Mapping[str, Sequence[str]], looks: int = 3) -> tuple[SearchResult, Finding | None, Bench]:
    """And whatever is claimed is so."""
    bench, heard = Bench(ladder(hosts)), list[SearchEvent]()
    found = search(bench, bench.world.tips, looks=looks, watch=heard.append)
    assert [dict(event.selection) for event in heard if isinstance(event, Judging)] == bench.wholes
    assert all(bench.wholes.count(whole) == 1 for whole in bench.wholes), "nothing is asked twice"
    assert {} not in bench.wholes, "nobody asks about what is locked"
    assert bench.world.good(found.selection) and (not found.selection or dict(found.selection) in bench.wholes)
    assert found.selection["b"] == "1", "what is well moves, whatever becomes of the other"
    (finding,) = found.findings or (None,)
    assert (finding is None) == (found.selection.get("a") == bench.world.tips["a"])
    if finding is not None:
        assert finding.revision == found.selection.get("a")
        for culprit in finding.culprits:
            claims(hosts, culprit, int(finding.revision or "0"))
        if finding.culprits and not any(U in states for states in hosts.values()):
            assert finding.culprits[-1].last_good == finding.revision, "the last is what keeps it where it is"
    return found, finding, bench


def claims(hosts: Mapping[str, Sequence[str]], culprit: Culprit, taken: int) -> None:
    low, high = int(culprit.last_good or "0"), int(culprit.first_bad)
    assert taken <= low < high
    for host in culprit.hosts:
        assert low == 0 or hosts[host][low - 1] == G
        assert hosts[host][high - 1] == B
        assert all(state == U for state in hosts[host][low : high - 1]), "nothing between could be judged"
    assert culprit.exact == (high - low == 1)


def since(number: int, count: int) -> list[str]:
    return [G] * (number - 1) + [B] * (count - number + 1)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17])
def test_wherever_it_broke_that_commit_is_found(count: int) -> None:
    for first in range(1, count + 1):
        _, finding, _ = solved({"web": since(first, count), "db": [G] * count})
        assert finding is not None and (finding.reason, finding.hosts) == (FindingReason.BREAKS, ("web",))
        good = str(first - 1) if first > 1 else None
        assert (finding.revision, finding.culprits) == (good, (Culprit(("web",), good, str(first), exact=True),))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 64])
def test_a_single_break_takes_no_more_questions_than_promised_wherever_it_is(count: int) -> None:
    uses = {"host": frozenset({"a"})}
    for first in range(1, count + 1):
        fault = Fault({"a": broken_since(first)}, frozenset(uses))
        assert steps_to_newest(World(uses, ("a",), (fault,), {"a": count})) <= most_steps(count), first


def test_whichever_hosts_broke_wherever_each_has_its_own_commit() -> None:
    count = 7
    for one, other, third in itertools.product(range(1, count + 1), range(1, count + 1), (2, 5, 8)):
        hosts = {"db": since(other, count), "mail": since(third, count), "web": since(one, count)}
        _, finding, _ = solved(hosts)
        assert finding is not None
        assert finding.revision == (str(min(one, other, third) - 1) if min(one, other, third) > 1 else None)
        broken = {"web": one, "db": other} | ({"mail": third} if third <= count else {})
        assert finding.hosts == tuple(sorted(broken))
        assert {host: int(each.first_bad) for each in finding.culprits for host in each.hosts} == broken
        firsts = [int(each.first_bad) for each in finding.culprits]
        assert firsts == sorted(set(firsts), reverse=True), "one for each commit, the latest first"
        assert all(each.exact for each in finding.culprits)


@pytest.mark.parametrize("count", [4, 6])
def test_where_goodness_comes_and_goes_something_good_is_taken_and_nothing_wrong_is_said(count: int) -> None:
    right = 0
    patterns = [(*states, B) for states in itertools.product((G, B), repeat=count - 1)]
    for states in patterns:
        found, finding, _ = solved({"web": states, "db": [G] * count})
        assert finding is not None and len(finding.culprits) == 1 and finding.culprits[0].exact
        assert finding.reason is FindingReason.BREAKS
        right += int(found.selection.get("a", "0")) == newest({"web": states})
        assert solved({"web": states}, looks=0)[0].selection.get("a", "0") <= found.selection.get("a", "0")
    assert right >= {4: 8, 6: 28}[count], f"the newest of all in {right} of {len(patterns)}"


def test_two_hosts_may_come_and_go_as_they_like() -> None:
    count = 4
    for *web, db_tip in itertools.product((G, B), repeat=count):
        for db in itertools.product((G, B), repeat=count - 1):
            hosts = {"web": [*web, B], "db": [*db, db_tip]}
            found, finding, _ = solved(hosts)
            assert finding is not None and finding.reason is FindingReason.BREAKS
            told = {host: culprit for culprit in finding.culprits for host in culprit.hosts}
            assert "web" in told and all(culprit.exact for culprit in told.values())
            assert db_tip == G or "db" in told
            taken = int(found.selection.get("a", "0"))
            assert (hosts["web"][taken], hosts["db"][taken]) != (G, G), "one more was to be had"


def test_a_host_that_could_not_be_judged_on_the_way_is_blamed_for_what_was_seen_at_the_tip() -> None:
    """Beside another input that is bad by itself: of the tip without that one nothing is known yet."""
    of = ladder({"web": since(6, 6), "db": [G, G, G, G, U, B], "mail": [G] * 6})
    of = replace(of, inputs=("a", "b", "c"), uses=dict.fromkeys(of.uses, frozenset({"a", "b", "c"})))
    of = replace(of, faults=(*of.faults, Fault({"c": broken_since(1)}, frozenset({"mail"}))))
    found = search(Bench(of), of.tips)
    assert dict(found.selection) == {"a": "4", "b": "1"}
    (about_a,) = [finding for finding in found.findings if finding.inputs == ("a",)]
    assert about_a.hosts == ("db", "web")
    told = {host: (each.last_good, each.first_bad) for each in about_a.culprits for host in each.hosts}
    assert told == {"web": ("5", "6"), "db": ("4", "6")}


def test_what_can_not_be_judged_is_stepped_over_and_never_taken_or_blamed() -> None:
    for states in itertools.product((G, B, U), repeat=5):
        if states[-1] == G:
            continue
        _, finding, _ = solved({"web": states, "db": [G] * 5})
        assert finding is not None
        if B not in states:
            assert (finding.reason, finding.culprits) == (FindingReason.UNJUDGED, ())
        if states[-1] == B:
            assert (finding.reason, finding.hosts) == (FindingReason.BREAKS, ("web",))
            assert len(finding.culprits) == 1
        first = min((at for at, state in enumerate(states) if state != G), default=5)
        if all(state != G for state in states[first:]):  # good up to there, and never after
            assert finding.revision == (str(first) if first else None)


def test_a_host_that_is_broken_for_a_while_stops_the_others_tip_below_it() -> None:
    count = 6
    for first, last in itertools.combinations(range(1, count + 1), 2):
        for end in range(1, count + 1):
            hosts = {
                "web": since(end, count),
                "db": [B if first <= at < last else G for at in range(1, count + 1)],
            }
            found, finding, _ = solved(hosts)
            at = int(found.selection.get("a", "0"))
            if first <= end - 1 < last:
                assert finding is not None
                assert {host for culprit in finding.culprits for host in culprit.hosts} == {"web", "db"}
            assert at == 0 or all(states[at - 1] == G for states in hosts.values())
            if not first <= end - 1 < last:
                assert at == end - 1, (first, last, end)
            else:
                assert at >= first - 1


@pytest.mark.parametrize("run", [1, 2, 5, 8, 9, 40])
def test_of_a_run_that_can_not_be_judged_only_some_are_asked_about(run: int) -> None:
    """A few in a row hide nothing; beyond that it ends, and the range is told as it is known."""
    states = [G] * 5 + [U] * run + [B] * 5
    bench = Bench(ladder({"web": states}))
    (finding,) = search(bench, bench.world.tips).findings
    (culprit,) = finding.culprits
    low, high = int(culprit.last_good or "0"), int(culprit.first_bad)
    assert int(finding.revision or "0") == low <= 5 and high >= 6 + run and not culprit.exact
    if run <= 5:
        assert (low, high) == (5, 6 + run)
    blind = {dict(selection).get("a", "0") for selection, _ in bench.probes}
    assert sum(6 <= int(at) < 6 + run for at in blind) <= 16


def test_what_is_told_of_the_search_counts_its_questions() -> None:
    heard: list[SearchEvent] = []
    of = ladder({"web": since(40, 64)})
    search(Bench(of), of.tips, watch=heard.append)
    looking = [event for event in heard if isinstance(event, Looking) and event.revisions]
    assert [event.probe for event in looking] == list(range(1, len(looking) + 1))
    assert {(event.host, event.inputs) for event in looking} == {("web", ("a",))}
    assert abs(looking[0].about - len(looking)) <= 2, "a guess, and not far off"
    assert all(event.about >= event.probe for event in looking)


def test_the_revision_taken_is_on_top_of_what_else_moved() -> None:
    """Of two that break, each is bisected beside the other's newest good one."""
    first = Fault({"a": broken_since(4)}, frozenset({"web"}))
    other = Fault({"b": broken_since(3)}, frozenset({"db"}))
    both = Fault({"a": broken_since(2), "b": broken_since(2)}, frozenset({"mail"}))
    hosts = dict.fromkeys(("web", "db", "mail"), frozenset({"a", "b"}))
    of = World(hosts, ("a", "b"), (first, other, both), {"a": 6, "b": 6})
    found = search(Bench(of), of.tips)
    assert of.good(found.selection)
    assert dict(found.selection) in ({"a": "3", "b": "1"}, {"a": "1", "b": "2"})
    apart = replace(of, faults=(first, other))
    assert dict(search(Bench(apart), apart.tips).selection) == {"a": "3", "b": "2"}
