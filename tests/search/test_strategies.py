"""The search against imaginary fleets: as good as brute force, within its costs, honest about what it can't know.

No Nix and no git. Every world comes from a seed: a failure names it, and comes again.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from lockbot.search.conflicts import Conflict, UpdateGroup, largest
from lockbot.search.interface import (
    Finding,
    FindingReason,
    Level,
    Looking,
    Passed,
    RevisionRange,
    SearchEvent,
    SearchResult,
)
from lockbot.search.strategies import LOOKS, Strategy, groups_of, search
from tests.search.costs import MARGIN, ROWS, Row, anywhere, cost, history, most_steps, recent, steps_to_newest
from tests.search.worlds import Bench, Fault, World, all_single, broken_since, coupled, groups_at_tip, seeded

TIP = broken_since(1)
NAMES = tuple(f"i{number}" for number in range(30))


def bad(*inputs: str, hosts: Sequence[str] = ("web",), at_evaluation: bool = True, unknown: bool = False) -> Fault:
    """Broken with all of these at their tips."""
    return Fault(dict.fromkeys(inputs, TIP), frozenset(hosts), at_evaluation=at_evaluation, unknown=unknown)


def needs(one: str, other: str, hosts: Sequence[str] = ("web",)) -> Fault:
    return Fault({one: TIP}, frozenset(hosts), {other: TIP})


def world(*faults: Fault, inputs: Sequence[str] = NAMES, hosts: Sequence[str] = ("web", "db", "mail")) -> World:
    return World(dict.fromkeys(hosts, frozenset(inputs)), tuple(inputs), faults)


def solve(
    of: World,
    groups: Sequence[frozenset[str]] = (),
    strategy: Strategy = Strategy.BEST,
    watch: Callable[[SearchEvent], None] = lambda _: None,
) -> tuple[SearchResult, Bench]:
    bench = Bench(of)
    found = search(bench, of.tips, groups=groups, strategy=strategy, watch=watch)
    assert_sound(of, found, bench)
    return found, bench


def assert_sound(of: World, found: SearchResult, bench: Bench) -> None:
    """What must hold in any world: only what was judged whole and is good; a word for everything left out."""
    for step in found.steps:
        assert of.good(step)
        assert step in bench.wholes
    assert (found.steps[-1] if found.steps else {}) == found.selection
    behind = {name for name, tip in of.tips.items() if found.selection.get(name) != tip}
    told = {name for finding in found.findings for name in finding.inputs}
    assert behind <= told
    for finding in found.findings:
        for culprit in finding.culprits:
            assert culprit.first_bad != culprit.last_good


def finding(found: SearchResult, name: str) -> Finding:
    return next(item for item in found.findings if name in item.inputs)


def behind(found: SearchResult) -> set[str]:
    return {name for item in found.findings for name in item.inputs}


# -- the best set ------------------------------------------------------------------------------------------


def test_when_nothing_is_bad_one_judgement_is_enough() -> None:
    found, bench = solve(world())
    assert found == SearchResult(world().tips, (world().tips,), (), complete=True)
    assert len(bench.probes) == 1


def test_one_bad_among_thirty() -> None:
    found, bench = solve(world(bad("i7", hosts=["web", "db"])))
    assert behind(found) == {"i7"}
    (only,) = found.findings
    assert (only.reason, only.hosts, only.partners, only.revision) == (
        FindingReason.BREAKS,
        ("db", "web"),
        (),
        None,
    )
    assert bench.wholes == [world().tips, found.selection]


@pytest.mark.parametrize("count", [2, 5])
def test_several_bad_ones_on_several_hosts(count: int) -> None:
    faults = [bad(NAMES[4 * number], hosts=[["web", "db", "mail"][number % 3]]) for number in range(count)]
    found, _ = solve(world(*faults))
    assert behind(found) == {NAMES[4 * number] for number in range(count)}
    for number in range(count):
        assert finding(found, NAMES[4 * number]).hosts == (["web", "db", "mail"][number % 3],)


def test_one_host_broken_by_two_inputs_at_once() -> None:
    found, _ = solve(world(bad("i3", at_evaluation=False), bad("i20")))
    assert {item.inputs[0]: item.reason for item in found.findings} == {
        "i3": FindingReason.BREAKS,
        "i20": FindingReason.BREAKS,
    }


def test_of_two_that_break_only_together_one_is_kept_and_the_pair_is_named() -> None:
    found, _ = solve(world(bad("i3", "i20")))
    (only,) = found.findings
    assert (only.inputs, only.reason, only.partners) == (("i20",), FindingReason.BREAKS_TOGETHER, ("i3",))


def test_of_three_that_break_only_together_two_are_kept() -> None:
    found, _ = solve(world(bad("i3", "i9", "i20")))
    (only,) = found.findings
    assert (only.inputs, only.reason, only.partners) == (("i20",), FindingReason.BREAKS_TOGETHER, ("i3", "i9"))


def test_pairs_that_share_an_input_cost_that_one_alone() -> None:
    found, _ = solve(world(bad("i3", "i20"), bad("i3", "i9", hosts=["db"]), bad("i3", "i25", hosts=["mail"])))
    assert behind(found) == {"i3"}


def test_two_that_work_only_together_are_taken_also_beside_a_bad_one() -> None:
    """The bad one masks them: with everything moved their host is red, and so is it with either of them."""
    for seed in range(20):
        of = replace(world(*coupled("i3", "i20"), bad("i9")), seed=seed, hints_right=(0.2, 0.2))
        found, _ = solve(of)
        assert behind(found) == {"i9"}, seed


def test_two_that_work_only_together_where_one_has_a_bad_partner() -> None:
    found, _ = solve(world(*coupled("i3", "i20"), bad("i20", "i9")))
    assert behind(found) == {"i9"}


@pytest.mark.parametrize(
    ("faults", "dropped"),
    [
        ([needs("i2", "i1"), bad("i0", "i1")], "i0"),
        ([*coupled("i5", "i1"), bad("i2", "i5")], "i2"),
        ([needs("i4", "i5", ["web", "db"]), bad("i2", "i6"), bad("i6", "i7")], "i6"),
        ([needs("i4", "i5", ["web", "db"]), bad("i2", "i3"), bad("i2", "i7")], "i2"),
    ],
    ids=[
        "needs what breaks with another",
        "couple and a bad partner of one",
        "pairs later",
        "pairs earlier",
    ],
)
def test_what_needs_others_does_not_hide_the_one_to_drop(faults: list[Fault], dropped: str) -> None:
    for seed in range(40):  # what the errors name differs
        found, _ = solve(replace(world(*faults, inputs=NAMES[:8]), seed=seed))
        assert behind(found) == {dropped}, seed


def test_two_that_work_only_together_and_with_a_third() -> None:
    for seed in range(40):
        of = world(*coupled("i3", "i7"), needs("i3", "i1"), bad("i5"), inputs=NAMES[:9])
        found, _ = solve(replace(of, seed=seed, hints_right=(0.0, 0.0)))
        assert behind(found) == {"i5"}, seed


def test_what_needs_an_input_that_is_bad_says_so() -> None:
    found, _ = solve(world(needs("i3", "i20"), bad("i20", hosts=["db"])))
    assert behind(found) == {"i3", "i20"}
    assert finding(found, "i20").reason is FindingReason.BREAKS
    assert (finding(found, "i3").reason, finding(found, "i3").partners) == (FindingReason.NEEDS, ("i20",))


def test_a_bad_one_is_not_said_to_be_bad_together_with_another_that_is() -> None:
    for seed in range(40):
        of = world(needs("i7", "i8"), needs("i8", "i7"), bad("i7", "i8"), bad("i2", "i3", "i4"), inputs=NAMES[:9])
        found, _ = solve(replace(of, seed=seed))
        assert {item.reason for item in found.findings if "i4" not in item.inputs} == {FindingReason.BREAKS}, seed


def test_hosts_that_broke_beside_what_was_not_taken_are_not_named() -> None:
    of = world(bad("i1", "i3", hosts=["web"]), bad("i3", "i4", hosts=["db"]), needs("i4", "i3", hosts=["mail"]))
    found, _ = solve(of)
    assert behind(found) == {"i3", "i4"}
    assert finding(found, "i3").hosts == ("web",)
    assert finding(found, "i4").hosts == ("mail",)


def test_a_pair_is_not_blamed_for_what_one_of_it_breaks_by_itself() -> None:
    of = world(bad("i1", "i2"), bad("i2", at_evaluation=False))
    found, _ = solve(of)
    assert behind(found) == {"i2"}
    assert (finding(found, "i2").reason, finding(found, "i2").partners) == (FindingReason.BREAKS, ())


def test_every_input_bad() -> None:
    inputs = NAMES[:8]
    found, _ = solve(world(*(bad(name) for name in inputs), inputs=inputs))
    assert found.selection == {}
    assert found.steps == ()
    assert {item.reason for item in found.findings} == {FindingReason.BREAKS}


def test_a_group_moves_as_one_or_not_at_all() -> None:
    groups = [frozenset({"i3", "i4"}), frozenset({"i20", "absent"})]
    found, bench = solve(world(bad("i4")), groups)
    (only,) = found.findings
    assert only.inputs == ("i3", "i4")
    assert all(("i3" in selection) == ("i4" in selection) for selection in bench.wholes)


def test_groups_that_share_an_input_are_one() -> None:
    groups = groups_of(dict.fromkeys("abcd", "1"), [frozenset("ab"), frozenset("cd"), frozenset("bc")])
    assert [group.inputs for group in groups] == [tuple("abcd")]


# -- strategies, the watch and the budget ------------------------------------------------------------------


def test_together_is_all_or_nothing() -> None:
    found, bench = solve(world(bad("i3")), strategy=Strategy.TOGETHER)
    assert found.selection == {}
    assert {item.reason for item in found.findings} == {FindingReason.STRATEGY}
    assert len(bench.probes) == 1
    assert solve(world(), strategy=Strategy.TOGETHER)[0].selection == world().tips


def test_each_publishes_step_by_step_and_coupled_ones_in_one() -> None:
    inputs = NAMES[:5]
    of = world(bad("i1"), *coupled("i0", "i2"), inputs=inputs)
    found, _ = solve(of, strategy=Strategy.EACH)
    assert [sorted(step) for step in found.steps] == [["i0", "i2"], ["i0", "i2", "i3"], ["i0", "i2", "i3", "i4"]]


def test_the_watch_hears_of_all_that_could_be_published() -> None:
    heard: list[SearchEvent] = []
    of = replace(world(bad("i3"), Fault({"i4": ((6, 99),)}, frozenset({"db"}))), counts={"i4": 9})
    found, _ = solve(of, watch=heard.append)
    passed = [step.selection for step in heard if isinstance(step, Passed)]
    assert len(passed) == 2
    assert passed[-1] == found.selection
    looking = [step for step in heard if isinstance(step, Looking)]
    assert {"web", "db"} == {step.host for step in looking}
    assert all(1 <= step.probe <= step.about for step in looking)
    assert {step.inputs for step in looking if step.revisions} == {("i3",), ("i4",)} - {("i3",)}


@pytest.mark.parametrize("strategy", list(Strategy))
def test_wherever_the_budget_ends_the_best_so_far_is_the_result(strategy: Strategy) -> None:
    inputs = NAMES[:6]
    of = replace(world(bad("i1"), *coupled("i0", "i4"), bad("i2", "i3"), inputs=inputs), counts={"i1": 20})
    of = replace(of, faults=(*of.faults[1:], Fault({"i1": ((7, 99),)}, frozenset({"db"}))))
    whole = Bench(of)
    best = search(whole, of.tips, strategy=strategy)
    reached = 0
    for budget in range(len(whole.evaluated) + 1):
        bench, heard = Bench(of, budget), list[SearchEvent]()
        found = search(bench, of.tips, strategy=strategy, watch=heard.append)
        passed = [step.selection for step in heard if isinstance(step, Passed)]
        assert_sound(of, found, bench)
        assert found.complete == (budget == len(whole.evaluated))
        assert found.selection == (passed[-1] if passed else {})
        assert len(found.selection) >= reached
        reached = len(found.selection)
        for item in found.findings:
            assert item.reason is not FindingReason.BREAKS or item.inputs == ("i1",) or item.hosts == ("web",)
    assert found == best


# -- what can't be judged ----------------------------------------------------------------------------------


def test_what_can_not_be_judged_is_neither_taken_nor_blamed() -> None:
    found, _ = solve(world(bad("i3", unknown=True), bad("i9", hosts=["db"])))
    assert finding(found, "i3").reason is FindingReason.UNJUDGED
    assert finding(found, "i3").culprits == ()
    assert finding(found, "i9").reason is FindingReason.BREAKS
    assert behind(found) == {"i3", "i9"}


def test_answers_missing_at_random_put_no_blame_on_the_innocent() -> None:
    for seed in range(60):
        of = replace(world(bad("i3"), bad("i9", hosts=["db"]), inputs=NAMES[:12]), blurred=0.1, seed=seed)
        found, _ = solve(of)
        blamed = {name for item in found.findings if item.reason is FindingReason.BREAKS for name in item.inputs}
        assert blamed <= {"i3", "i9"}, seed


# -- against brute force -----------------------------------------------------------------------------------


def _random_world(chance: random.Random, *, coupling: bool, unknown: bool) -> World:
    inputs = NAMES[: chance.randint(2, 8)]
    uses = {
        f"host{number}": frozenset(chance.sample(inputs, chance.randint(1, len(inputs))))
        for number in range(chance.randint(1, 5))
    }
    faults: list[Fault] = []

    def users(names: Sequence[str]) -> list[str]:
        able = [host for host, used in uses.items() if used.issuperset(names)]
        return able if chance.random() < 0.6 else able[: chance.randint(0, len(able))]

    if coupling:
        pair = chance.sample(inputs, 2)
        faults += coupled(pair[0], pair[1], users(pair))
    for _ in range(chance.randint(0, 2 if coupling else 4)):
        names = chance.sample(inputs, 1 if coupling else min(len(inputs), chance.choice([1, 1, 2, 2, 3])))
        faults.append(
            bad(
                *names,
                hosts=users(names),
                at_evaluation=chance.random() < 0.7,
                unknown=unknown and chance.random() < 0.5,
            )
        )
    return World(uses, inputs, tuple(faults), seed=chance.randrange(2**32))


@pytest.mark.parametrize("block", range(4))
@pytest.mark.parametrize(
    ("coupling", "unknown"), [(False, False), (True, False), (False, True)], ids=["bad", "coupled", "unknown"]
)
def test_as_many_are_taken_as_brute_force_can(block: int, coupling: bool, unknown: bool) -> None:
    """Bad ones, pairs and triples in any overlap; or a coupled pair beside bad ones; or some never judged."""
    for seed in range(250 * block, 250 * (block + 1)):
        of = _random_world(seeded(seed), coupling=coupling, unknown=unknown)
        found, bench = solve(of)
        groups = all_single(of.inputs)
        assert groups_at_tip(groups, of.tips, found.selection) == of.largest(groups), seed
        for item in found.findings:
            if item.reason is not FindingReason.UNJUDGED:  # the blame is earned: without it, the hosts are good
                assert not of.good({**found.selection, **{name: of.tips[name] for name in item.inputs}}), seed
        assert bench.wholes.count(of.tips) == 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_bad_ones_are_found_within_the_costs_measured_for_the_method(row: Row) -> None:
    ours = cost(row, 60)
    assert ours.evaluations <= MARGIN * row.evaluations
    assert ours.builds <= MARGIN * row.builds


def test_in_any_world_none_that_is_left_out_could_be_added_alone() -> None:
    """Faults that any other inputs mend: the largest is not promised here, and nearly always found."""
    for seed in range(150):
        chance = seeded(seed)
        inputs = NAMES[:7]
        faults = []
        for _ in range(chance.randint(1, 6)):
            names = chance.sample(inputs, chance.randint(1, 5))
            cut = chance.randint(1, min(3, len(names)))
            within, mending = dict.fromkeys(names[:cut], TIP), dict.fromkeys(names[cut:], TIP)
            faults.append(Fault(within, frozenset({chance.choice(["web", "db"])}), mending))
        of = replace(world(*faults, inputs=inputs), seed=seed)
        found, _ = solve(of)
        for item in found.findings:
            assert not of.good({**found.selection, **{name: of.tips[name] for name in item.inputs}})


def test_the_largest_set_is_exact_with_clauses_of_both_kinds() -> None:
    chance = seeded(1)
    for _ in range(300):
        groups = [UpdateGroup(place, frozenset({(str(place), "1")})) for place in range(chance.randint(1, 7))]
        conflicts = []
        for _ in range(chance.randint(0, 8)):
            named = chance.sample(groups, chance.randint(1, len(groups)))
            cut = chance.randint(1, len(named))
            conflicts.append(Conflict(frozenset(named[:cut]), "web", Level.BUILD, frozenset(named[cut:])))
        subsets = [
            frozenset(group for bit, group in enumerate(groups) if number >> bit & 1)
            for number in range(2 ** len(groups))
        ]
        allowed = [units_ for units_ in subsets if not any(conflict.forbids(units_) for conflict in conflicts)]
        found = largest(frozenset(groups), conflicts)
        assert found in allowed
        assert len(found) == max(map(len, allowed))


# -- the newest good revision ------------------------------------------------------------------------------


def rungs(
    count: int, *faults: tuple[tuple[tuple[int, int], ...], Sequence[str]], unknown: Sequence[int] = ()
) -> World:
    """One input of so many revisions beside two that are well; each fault is ranges and the hosts they break."""
    broken = [Fault({"i1": spans}, frozenset(hosts)) for spans, hosts in faults]
    blind = Fault({"i1": tuple((number, number + 1) for number in unknown)}, frozenset({"web"}), unknown=True)
    of = world(*broken, *([blind] if unknown else []), inputs=NAMES[:3])
    return replace(of, counts={"i1": count})


@pytest.mark.parametrize("since", [1, 2, 499, 998, 1000])
def test_the_newest_good_and_the_first_bad_commit_among_a_thousand(since: int) -> None:
    found, bench = solve(rungs(1000, (broken_since(since), ["web", "db"])))
    (only,) = found.findings
    good = str(since - 1) if since > 1 else None
    assert (only.revision, found.selection.get("i1"), only.hosts) == (good, good, ("db", "web"))
    (culprit,) = only.culprits
    assert (culprit.hosts, culprit.last_good, culprit.first_bad) == (("db", "web"), good, str(since))
    assert culprit.exact
    assert len(bench.wholes) <= 3
    assert found.selection.keys() >= {"i0", "i2"}


@pytest.mark.parametrize("count", [10, 100, 1000])
@pytest.mark.parametrize("since", [anywhere, recent])
def test_a_single_break_takes_no_more_probes_than_promised(
    count: int, since: Callable[[random.Random, int], int]
) -> None:
    chance = seeded(count)
    worlds = [history(chance, count, since(chance, count)) for _ in range(80)]
    assert statistics.fmean(map(steps_to_newest, worlds)) <= most_steps(count)


def test_hosts_that_break_at_different_commits_have_their_own_culprits() -> None:
    found, _ = solve(rungs(100, (broken_since(80), ["web"]), (broken_since(31), ["db"]), (((50, 60),), ["mail"])))
    (only,) = found.findings
    assert only.revision == "30"
    assert {culprit.hosts: culprit.first_bad for culprit in only.culprits} == {("web",): "80", ("db",): "31"}
    assert all(culprit.exact for culprit in only.culprits)


def test_hosts_that_one_commit_broke_are_not_each_searched() -> None:
    hosts = [f"host{number}" for number in range(10)]
    first = Fault({"i1": broken_since(100)}, frozenset(hosts[:1]))
    later = Fault({"i1": broken_since(617)}, frozenset(hosts[1:]))
    found, bench = solve(replace(world(first, later, inputs=NAMES[:3], hosts=hosts), counts={"i1": 1000}))
    assert [culprit.hosts for culprit in found.findings[0].culprits] == [tuple(hosts[1:]), tuple(hosts[:1])]
    assert all(culprit.exact for culprit in found.findings[0].culprits)
    assert len(bench.evaluated) <= len(bench.wholes) * len(hosts) + 3 * len(hosts) + 2 * most_steps(1000)


def test_a_host_that_is_well_at_the_tip_stops_a_revision_all_the_same() -> None:
    found, _ = solve(rungs(100, (broken_since(80), ["web"]), (((40, 90),), ["db"])))
    (only,) = found.findings
    assert only.revision == "39"


def test_revisions_that_can_not_be_judged_are_stepped_over_and_the_range_is_told() -> None:
    found, _ = solve(rungs(64, (broken_since(30), ["web"]), unknown=range(28, 34)))
    (only,) = found.findings
    assert only.revision == "27"
    (culprit,) = only.culprits
    assert not culprit.exact
    assert culprit.last_good == "27"
    assert culprit.first_bad == "34"


def test_of_revisions_with_others_between_none_is_the_culprit_for_sure() -> None:
    class Tips(Bench):
        def revisions(self, input: str) -> RevisionRange:
            return replace(super().revisions(input), complete=False)

    found = search(Tips(rungs(16, (broken_since(9), ["web"]))), {"i1": "16"})
    (only,) = found.findings
    (culprit,) = only.culprits
    assert (culprit.last_good, culprit.first_bad, culprit.exact) == ("8", "9", False)


@pytest.mark.parametrize("blind", [["web"], ["web", "db", "mail"]], ids=["the one", "all"])
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "always"])
@pytest.mark.parametrize(("since", "unjudged"), [(1, 64), (30, 50), (57, 61), (63, 64)])
def test_what_was_seen_to_break_is_blamed_though_the_tip_can_not_be_judged(
    since: int, unjudged: int, blind: Sequence[str], *, alone: bool
) -> None:
    """Whether nothing above can be judged, or only not with this one by itself; and no host of which nothing bad
    was seen is called broken."""
    beside = {"i0": TIP} if alone else {}
    faults = [
        Fault({"i1": broken_since(since)}, frozenset({"web"})),
        Fault({"i1": broken_since(unjudged)}, frozenset(blind), beside, unknown=True),
        *([bad("i0")] if alone else []),
    ]
    found, _ = solve(replace(world(*faults, inputs=NAMES[:3]), counts={"i1": 64}))
    (only,) = [item for item in found.findings if item.inputs == ("i1",)]
    good = str(since - 1) if since > 1 else None
    assert (only.reason, only.hosts, only.revision) == (FindingReason.BREAKS, ("web",), good)
    (culprit,) = only.culprits
    assert (culprit.hosts, culprit.last_good, culprit.first_bad) == (("web",), good, str(since))
    assert culprit.exact


@pytest.mark.parametrize("since", [1, 60, 64])
def test_nothing_is_told_to_be_since_a_revision_where_nothing_bad_was_seen(since: int) -> None:
    found, _ = solve(rungs(64, unknown=range(since, 65)))
    (only,) = found.findings
    assert (only.reason, only.culprits) == (FindingReason.UNJUDGED, ())
    assert only.revision == (str(since - 1) if since > 1 else None)


def test_breakage_that_comes_and_goes_never_lands_what_was_not_judged() -> None:
    for seed in range(100):
        chance = seeded(seed)
        edges = sorted(chance.sample(range(1, 101), 3))
        of = rungs(100, (((edges[0], edges[1]), (edges[2], 999)), [chance.choice(["web", "db"])]))
        found, _ = solve(of)  # asserts that what is returned was judged whole, and is good
        last_good = int(found.selection.get("i1", "0"))
        assert last_good in (edges[0] - 1, edges[2] - 1)
        (culprit,) = found.findings[0].culprits
        assert culprit.exact
        assert int(culprit.first_bad) in (edges[0], edges[2])


def test_looking_at_newer_ones_sees_through_breakage_that_comes_and_goes() -> None:
    """Halving alone finds the newest good one in little more than half of these."""
    exact = {0: 0, LOOKS: 0}
    for seed in range(150):
        edges = sorted(seeded(seed).sample(range(1, 101), 3))
        of = rungs(100, (((edges[0], edges[1]), (edges[2], 999)), ["web"]))
        for looks in exact:
            exact[looks] += search(Bench(of), of.tips, looks=looks).selection.get("i1") == str(edges[2] - 1)
    assert exact[LOOKS] >= exact[0] + 20
    assert exact[LOOKS] >= 105


def test_two_that_break_together_both_move_as_far_as_they_can() -> None:
    fault = Fault({"i1": broken_since(40), "i2": broken_since(70)}, frozenset({"web"}))
    of = replace(world(fault, inputs=NAMES[:4]), counts={"i1": 100, "i2": 100})
    found, _ = solve(of)
    (only,) = found.findings
    assert (only.inputs, only.reason, only.revision) == (("i2",), FindingReason.BREAKS_TOGETHER, "69")


def test_one_that_waited_for_another_is_taken_once_that_one_moved() -> None:
    """The tip of i0 needs i2 at 50 or newer, and i2 is bad since 80."""
    waits = Fault({"i0": TIP}, frozenset({"web"}), {"i2": broken_since(50)})
    of = replace(
        world(waits, Fault({"i2": broken_since(80)}, frozenset({"db"})), inputs=NAMES[:3]), counts={"i2": 100}
    )
    found, _ = solve(of)
    assert found.selection == {"i0": "1", "i1": "1", "i2": "79"}
    assert [item.inputs for item in found.findings] == [("i2",)]
