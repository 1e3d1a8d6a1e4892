"""Worlds of every kind at once: ranges, needs, groups, what can't be judged, budgets, strategies. Little is
promised of what comes out there, and that of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lockbot.search.cache import ResponseCache
from lockbot.search.conflicts import selection_of
from lockbot.search.interface import (
    Culprit,
    Finding,
    FindingReason,
    FrozenSelection,
    Judging,
    Level,
    Passed,
    Response,
    SearchEvent,
    SearchResult,
    Selection,
)
from lockbot.search.strategies import Strategy, groups_of, search
from lockbot.search.subset import Subset
from tests.search.worlds import FOREVER, Bench, Fault, World, seeded

HOSTS = ("web", "db", "mail", "git")


@dataclass
class Witness(Bench):
    """Remembers who was seen to be what, and what was asked though it was known."""

    red: set[tuple[str, FrozenSelection]] = field(default_factory=set)
    unjudged: set[tuple[str, FrozenSelection]] = field(default_factory=set)
    good: set[tuple[str, FrozenSelection]] = field(default_factory=set)
    needless: list[tuple[str, FrozenSelection]] = field(default_factory=list)

    def _answer(self, selection: Selection, hosts: frozenset[str] | None, *, building: bool) -> Response:
        found = super()._answer(selection, hosts, building=building)
        at = frozenset(selection.items())
        asked = self.world.uses if hosts is None else hosts
        if hosts is not None:
            self.needless += [(host, at) for host in asked if (host, at) in self.red]
        self.red |= {(host, at) for host in found.red}
        self.unjudged |= {(host, at) for host in found.unknown}
        self.good |= {(host, at) for host in asked if host not in found.red | found.unknown}
        return found


class Searched(NamedTuple):
    seed: int
    strategy: Strategy
    groups: list[frozenset[str]]
    bench: Witness
    found: SearchResult
    heard: list[SearchEvent]

    @property
    def passed(self) -> list[Selection]:
        return [event.selection for event in self.heard if isinstance(event, Passed)]


def any_world(seed: int) -> World:
    chance = seeded("any", seed)
    size = 2 + seed % 5
    inputs = tuple(f"i{number}" for number in range(chance.randint(1, size)))
    hosts = HOSTS[: chance.randint(1, min(4, 1 + size // 2))]
    counts = {name: chance.choice((1, 1, 2, 4, 7)) for name in inputs} if chance.random() < 0.6 else {}
    mended, blind = chance.random() < 0.6, chance.random() < 0.4

    def spans(names: list[str]) -> dict[str, tuple[tuple[int, int], ...]]:
        found: dict[str, tuple[tuple[int, int], ...]] = {}
        for name in names:
            low = chance.randint(1, counts.get(name, 1))
            end = FOREVER if chance.random() < 0.6 else chance.randint(low + 1, counts.get(name, 1) + 1)
            found[name] = ((low, end),)
        return found

    faults = []
    for _ in range(chance.randint(1, 2 + size // 2)):
        names = chance.sample(inputs, min(len(inputs), chance.choice((1, 1, 1, 2, 2, 3))))
        rest = [name for name in inputs if name not in names]
        menders = chance.sample(rest, min(len(rest), chance.choice((0, 1, 1, 2)) if mended else 0))
        broken = frozenset(chance.sample(hosts, chance.randint(1, len(hosts))))
        unknown = blind and chance.random() < 0.5
        faults.append(Fault(spans(names), broken, spans(menders), chance.random() < 0.6, unknown))
    uses = dict.fromkeys(hosts, frozenset(inputs))
    hints = (chance.random(), chance.random())
    return World(uses, inputs, tuple(faults), counts, hints, seed, chance.choice((0, 0, 0, 0.1)))


def searched(start: int, count: int) -> Iterator[Searched]:
    for seed in range(start, start + count):
        of, chance = any_world(seed), seeded("search", seed)
        groups = [frozenset(chance.sample(of.inputs, 2))] if len(of.inputs) > 2 and chance.random() < 0.3 else []
        strategy = chance.choice((Strategy.BEST, Strategy.BEST, Strategy.EACH, Strategy.EACH, Strategy.TOGETHER))
        bench, heard = Witness(of, chance.choice((FOREVER, FOREVER, chance.randint(0, 40)))), list[SearchEvent]()
        looks = chance.choice((3, 3, 0))
        found = search(bench, of.tips, groups=groups, strategy=strategy, looks=looks, watch=heard.append)
        yield Searched(seed, strategy, groups, bench, found, heard)


def test_what_is_returned_told_and_published_was_judged_whole_and_is_good() -> None:
    for one in searched(0, 600):
        of, found = one.bench.world, one.found
        for selection in (*found.steps, *one.passed):
            assert of.good(selection) and selection in one.bench.wholes, one.seed
        assert found.selection == (found.steps[-1] if found.steps else {}), one.seed
        assert found.selection == (one.passed[-1] if one.passed else {}), one.seed
        for step, further in zip(found.steps, found.steps[1:], strict=False):
            assert step.keys() < further.keys(), one.seed
        judged = [event.selection for event in one.heard if isinstance(event, Judging)]
        assert judged[: len(one.bench.wholes)] == one.bench.wholes, one.seed


def test_nothing_is_asked_whose_answer_is_known() -> None:
    """What fails to evaluate is not built, nor the fleet judged twice; and nobody asks about what is locked."""
    for one in searched(1000, 600):
        assert not one.bench.needless, one.seed
        wholes = [frozenset(selection.items()) for selection in one.bench.wholes]
        assert len(wholes) == len(set(wholes)), one.seed
        assert frozenset() not in {selection for selection, _ in one.bench.probes}, one.seed


def test_each_that_stays_behind_is_told_once_and_whether_more_might_be_found() -> None:
    for one in searched(2000, 600):
        of, found = one.bench.world, one.found
        behind = [
            group.inputs
            for group in groups_of(of.tips, one.groups)
            if not group.moves <= set(found.selection.items())
        ]
        assert [item.inputs for item in found.findings] == behind, one.seed
        assert found.complete or one.bench.budget < FOREVER, one.seed
        assert not (found.complete and any(item.ended for item in found.findings)), one.seed
        assert (
            found.complete or one.strategy is not Strategy.TOGETHER or all(item.ended for item in found.findings)
        )


def test_who_is_blamed_was_seen_to_be_bad_and_who_could_not_be_judged_is_told_so() -> None:
    for one in searched(3000, 600):
        for item in one.found.findings:
            red = {host for host, at in one.bench.red if _concerns(item, at)}
            unjudged = {host for host, at in one.bench.unjudged if _concerns(item, at)}
            if item.reason.blames:
                assert item.hosts and set(item.hosts) <= red, one.seed
            if item.reason is FindingReason.UNJUDGED:
                assert item.hosts and set(item.hosts) <= unjudged, one.seed
            if item.reason is FindingReason.BREAKS_TOGETHER:
                assert item.partners and set(item.partners) <= one.found.selection.keys(), one.seed
            if item.reason is FindingReason.NEEDS:
                tips = one.bench.world.tips
                assert any(one.found.selection.get(name) != tips[name] for name in item.partners), one.seed
            for culprit in item.culprits:
                _assert_seen(one, item, culprit)
            named = [host for culprit in item.culprits for host in culprit.hosts]
            assert len(named) == len(set(named)) and set(named) <= set(item.hosts), one.seed


def _concerns(item: Finding, at: FrozenSelection) -> bool:
    return any(name in item.inputs for name, _ in at)


def _assert_seen(one: Searched, item: Finding, culprit: Culprit) -> None:
    (name,) = item.inputs
    good, bad = culprit.last_good, culprit.first_bad
    assert culprit.exact == (int(bad) - int(good or 0) == 1), one.seed
    assert int(good or 0) >= int(item.revision or 0), one.seed
    for host in culprit.hosts:
        assert any(host == other and (name, bad) in at for other, at in one.bench.red), one.seed
        assert good is None or any(host == other and (name, good) in at for other, at in one.bench.good), one.seed


def test_the_blame_is_earned_without_it_the_fleet_is_good_and_with_it_the_hosts_are_not() -> None:
    """Where all can be judged; and nearly every host that broke is named by somebody."""
    named, broken = 0, 0
    for one in searched(5000, 1200):
        of, found = one.bench.world, one.found
        if of.blurred or not found.complete or one.strategy is Strategy.TOGETHER:
            continue
        if any(fault.unknown for fault in of.faults):
            continue
        for item in found.findings:
            at = {**found.selection, **{name: of.tips[name] for name in item.inputs}}
            told = {host for culprit in item.culprits for host in culprit.hosts}
            assert item.reason.blames and not of.good(at), one.seed
            assert all(host in told or of.showing(host, at) for host in item.hosts), one.seed
            if any(fault.mended_by for fault in of.faults):
                continue
            alone = {name: of.tips[name] for name in item.inputs}
            beside = alone | {name: of.tips[name] for name in item.partners}
            assert any(of.showing(host, beside) for host in item.hosts), one.seed
            assert item.reason is not FindingReason.BREAKS or not item.partners, one.seed
        red = {host for host in of.uses if of.showing(host, of.tips)}
        broken += len(red)
        named += len(red & {host for item in found.findings for host in item.hosts})
    assert broken - named <= broken / 100, f"{named} of {broken}"


def test_none_could_be_added_alone_to_the_largest_set_and_no_conflict_claims_too_much() -> None:
    """Where all can be judged: seen bad with exactly those, and not with one less; but where it says no more than
    that this very set is bad."""
    for seed in range(800):
        of = any_world(seed)
        if of.blurred or any(fault.unknown for fault in of.faults):
            continue
        groups = frozenset(groups_of(of.tips, ()))
        subset = Subset(ResponseCache(Bench(of), lambda _: None), tuple(groups))
        subset.run()
        assert of.good(dict(selection_of(subset.best))), seed
        for group in groups - subset.best:
            assert not of.good(dict(selection_of(subset.best | {group}))), seed
        for conflict in subset.conflicts:
            if conflict.moved | conflict.unmoved == groups:
                continue
            less = [conflict.moved - {group} for group in conflict.moved]
            shown = [of.showing(conflict.host, dict(selection_of(some))) for some in (conflict.moved, *less)]
            deep = conflict.level is Level.BUILD
            bad = [fault is not None and (deep or fault.at_evaluation) for fault in shown]
            assert bad == [True, *(False for _ in less)], seed
