"""Whole fleets against a reading of the gate's table by brute force: what is taken, and for what no host votes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from lockbot.judge import gate
from lockbot.judge.gate import Vote
from lockbot.judge.verdict import Baseline, Judged
from lockbot.model import (
    Answer,
    Candidate,
    Gate,
    HostBuild,
    HostStatus,
    Verdict,
)
from lockbot.search import interface
from lockbot.search.interface import FindingReason, RevisionRange, Selection
from lockbot.update.votes import best_supported
from tests.judge.test_gate import BAD, BLAMES, BLOCKS, FOR, GOOD, TABLE, UNJUDGED, build_of


@dataclass(frozen=True)
class Fleet:
    """Each host's answer is a function of which of the inputs that it uses are moved."""

    inputs: tuple[str, ...]
    uses: Mapping[str, tuple[str, ...]]
    answers: Mapping[tuple[str, frozenset[str]], Answer]
    bound: frozenset[str] = frozenset()
    """Hosts that are another derivation at every commit."""

    def answer(self, host: str, moved: frozenset[str]) -> Answer:
        return self.answers[host, moved & frozenset(self.uses[host])]

    def build(self, host: str, moved: frozenset[str]) -> HostBuild:
        mine = moved & frozenset(self.uses[host])
        base, now = self.answer(host, frozenset()), self.answer(host, moved)
        return build_of(
            host, base, now, changed=bool(mine), drv=f"/{host}-{sorted(moved if host in self.bound else mine)}.drv"
        )

    def votes(self, moved: frozenset[str]) -> Mapping[str, Vote]:
        """The table, read by hand."""
        return {
            host: TABLE[self.answer(host, frozenset()), self.answer(host, moved)]
            for host in self.uses
            if moved & frozenset(self.uses[host])
        }

    def passes(self, moved: frozenset[str]) -> bool:
        """No host blocks, and each input is spoken for by a host that it changes, or changes none."""
        votes = self.votes(moved)
        if {BLOCKS, BLAMES} & set(votes.values()):
            return False
        reached = {name: [votes[host] for host in votes if name in self.uses[host]] for name in moved}
        return all(not said or FOR in said for said in reached.values())


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    inputs = tuple("abcd"[: draw(st.integers(1, 4))])
    uses = {
        f"h{number}": tuple(sorted(draw(st.sets(st.sampled_from(inputs)))))
        for number in range(draw(st.integers(1, 4)))
    }
    likely = draw(st.sampled_from([(GOOD, BAD, UNJUDGED), (GOOD, GOOD, GOOD, BAD, UNJUDGED), (GOOD, UNJUDGED)]))
    answers = {
        (host, moved): draw(st.sampled_from(likely))
        for host, mine in uses.items()
        for moved in map(frozenset, _subsets(mine))
    }
    return Fleet(inputs, uses, answers)


def _subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for size in range(len(names) + 1):
        yield from combinations(names, size)


@dataclass
class HostOracle:
    """What a search asks, answered from a Fleet."""

    fleet: Fleet
    repairable: frozenset[str] = frozenset()
    by_commit_alone: frozenset[str] | None = frozenset()
    """What is another at every commit; None: nobody can tell."""
    trouble: str | None = None
    wholes: dict[frozenset[str], Judged] = field(default_factory=dict)

    def probe(self, selection: Selection, hosts: frozenset[str] | None) -> interface.Response:
        moved = frozenset(selection)
        builds = [self.fleet.build(host, moved) for host in sorted(hosts or self.fleet.uses)]
        if hosts is None:
            base: Baseline = {(host,): self.fleet.build(host, frozenset()) for host in self.fleet.uses}
            self.wholes[moved] = Judged(Verdict(Candidate("b", "c", ()), tuple(builds)), base, {})
        votes = {build.host.name: gate.of(build, Gate.NO_REGRESSION) for build in builds}
        spoilt = {
            build.host.name
            for build in builds
            if build.host.name in self.repairable and build.status is HostStatus.BROKEN_BEFORE
        }
        red = frozenset({name for name, said in votes.items() if said is BLAMES} | spoilt)
        return interface.Response(red, frozenset(name for name, said in votes.items() if said is BLOCKS) - red)

    def evaluate(self, selection: Selection, hosts: frozenset[str]) -> interface.Response:
        return self.probe(selection, hosts)

    def revisions(self, input: str) -> RevisionRange:  # noqa: ARG002 -- the Oracle's shape
        return RevisionRange()

    def whole(self, selection: Selection) -> Judged | None:
        return self.wholes.get(frozenset(selection))

    def looked_at(
        self,
        selection: Selection,
        hosts: Sequence[str],
        *,
        evaluate_only: bool,  # noqa: ARG002 -- here an evaluation tells all
    ) -> Mapping[str, HostBuild]:
        return {host: self.fleet.build(host, frozenset(selection)) for host in hosts}

    def derivation_at_base(self, host: str) -> str | None:
        return self.fleet.build(host, frozenset()).drv

    def by_commit(self, selection: Selection, host: str) -> frozenset[str] | None:  # noqa: ARG002 -- the same of each
        return self.by_commit_alone

    def differing(self, one: str, other: str) -> frozenset[str]:
        return frozenset({one, other})

    def suspects(self, build: HostBuild, selection: Selection) -> Sequence[str]:  # noqa: ARG002 -- no error names any
        return ()


@settings(max_examples=400, deadline=None)
@given(fleets())
def test_what_is_taken_of_a_fleet_is_what_the_table_allows(fleet: Fleet) -> None:
    oracle = HostOracle(fleet)
    targets = dict.fromkeys(fleet.inputs, "1")
    oracle.probe(targets, None)
    found, unsupported = best_supported(oracle, targets)
    taken = frozenset(found.selection)
    assert fleet.passes(taken), (taken, fleet.votes(taken))
    told = [name for finding in found.findings for name in finding.inputs]
    told += [name for one in unsupported for name in one.group.inputs]
    assert sorted([*taken, *told]) == sorted(fleet.inputs), "each input is taken, or told of once"
    for finding in found.findings:
        if finding.reason is FindingReason.BREAKS:
            (name,) = finding.inputs
            assert any(_is_broken_by(fleet, host, name) for host in finding.hosts), (finding, fleet)
    everything = frozenset(fleet.inputs)
    if all(
        fleet.answer(host, frozenset(moved)) is GOOD for host in fleet.uses for moved in _subsets(fleet.inputs)
    ):
        assert taken == everything
    assert all(one.hosts for one in unsupported), "who is silent is named"


def _is_broken_by(fleet: Fleet, host: str, name: str) -> bool:
    """Somewhere the host is good without this input, and bad with it."""
    others = [other for other in fleet.inputs if other != name]
    return any(
        fleet.answer(host, frozenset(moved)) is not BAD and fleet.answer(host, frozenset({*moved, name})) is BAD
        for moved in _subsets(others)
    )


def test_where_nobody_can_tell_whether_a_host_is_reached_it_does_not_speak() -> None:
    """`b` reaches the silent host alone; the good one is another at every commit, and by what is not known."""
    uses = {"good": ("a",), "silent": ("b",)}
    answers = {(host, frozenset(moved)): GOOD for host in uses for moved in _subsets(uses[host])}
    answers |= {("silent", moved): UNJUDGED for host, moved in answers if host == "silent"}
    oracle = HostOracle(Fleet(("a", "b"), uses, answers, bound=frozenset({"good"})), by_commit_alone=None)
    targets = dict.fromkeys("ab", "1")
    oracle.probe(targets, None)
    found, unsupported = best_supported(oracle, targets)
    assert (set(found.selection), [one.group.inputs for one in unsupported]) == ({"a"}, [("b",)])
