"""What is told of each that stays behind, in small worlds: who breaks, by whose fault, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from lockbot.search.cache import ResponseCache
from lockbot.search.interface import (
    Finding,
    FindingReason,
    Looking,
    Passed,
    Response,
    RevisionRange,
    SearchEvent,
    Selection,
)
from lockbot.search.strategies import Strategy, groups_of, search
from lockbot.search.subset import Subset
from tests.search.worlds import Bench, Fault, World, broken_since

TIP = broken_since(1)
HOSTS = ("web", "db", "mail")


def fault(*inputs: str, on: Sequence[str] = ("web",), unless: Sequence[str] = (), **kind: bool) -> Fault:
    return Fault(dict.fromkeys(inputs, TIP), frozenset(on), dict.fromkeys(unless, TIP), **kind)


def world(inputs: str, *faults: Fault, **counts: int) -> World:
    """Inputs of one letter each; all hosts use them all."""
    return World(dict.fromkeys(HOSTS, frozenset(inputs)), tuple(inputs), faults, counts)


def told(of: World, strategy: Strategy = Strategy.BEST) -> dict[str, Finding]:
    return {item.inputs[0]: item for item in search(Bench(of), of.tips, strategy=strategy).findings}


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("inputs", ["a", "abc"])
def test_of_what_is_taken_nothing_is_told(inputs: str, strategy: Strategy) -> None:
    assert told(world(inputs), strategy) == {}
    assert not any(item.ended for item in told(world(inputs, fault("a")), strategy).values())


@pytest.mark.parametrize("strategy", list(Strategy))
def test_with_nothing_to_move_nobody_is_asked(strategy: Strategy) -> None:
    bench = Bench(world("a"))
    found = search(bench, {}, strategy=strategy)
    assert (found.selection, found.steps, found.findings, found.complete) == ({}, (), (), True)
    assert not bench.probes and not bench.wholes


def test_of_a_group_no_part_moves_alone_though_its_inputs_have_revisions() -> None:
    of = world("abc", Fault({"a": broken_since(3)}, frozenset({"web"})), a=4, b=4)
    bench = Bench(of)
    (only,) = search(bench, of.tips, groups=[frozenset("ab")]).findings
    assert (only.inputs, only.reason, only.hosts) == (("a", "b"), FindingReason.BREAKS, ("web",))
    assert (only.revision, only.culprits, only.ended) == (None, (), False)
    assert not bench.asked_for_revisions
    assert all(("a" in dict(selection)) == ("b" in dict(selection)) for selection, _ in bench.probes)


def test_where_an_inputs_revisions_are_not_known_none_of_them_is_blamed() -> None:
    class Unknown(Bench):
        def revisions(self, input: str) -> RevisionRange:  # noqa: ARG002 -- the protocol's
            return RevisionRange()

    of = world("ab", fault("a", on=["web", "db"]))
    (only,) = search(Unknown(of), of.tips).findings
    assert (only.reason, only.hosts, only.revision) == (FindingReason.BREAKS, ("db", "web"), None)
    assert (only.culprits, only.ended) == ((), False)


def test_a_host_that_fails_to_evaluate_is_looked_at_before_one_that_takes_a_build() -> None:
    heard: list[SearchEvent] = []
    of = world("abcd", fault("a", on=["db"], at_evaluation=False), fault("c", on=["mail"]))
    search(Bench(of), of.tips, watch=heard.append)
    assert next(event.host for event in heard if isinstance(event, Looking)) == "mail"


def test_two_that_break_together_are_told_so_where_there_are_no_others() -> None:
    found = told(world("ab", fault("a", "b")))
    assert {name: (item.reason, item.partners) for name, item in found.items()} == {
        "b": (FindingReason.BREAKS_TOGETHER, ("a",))
    }


def test_a_host_that_broke_with_all_is_named_though_another_told_who_it_was() -> None:
    """`web` shows that it is `a`; of `db`, which has the same fault, nobody asks who broke it."""
    for seen_first in (["web"], ["db"]):
        faults = (fault("a", on=[host], at_evaluation=host in seen_first) for host in ("web", "db"))
        of = world("abc", *faults)
        assert told(of)["a"].hosts == ("db", "web")


def test_a_host_that_could_not_be_judged_is_not_named_beside_the_one_that_broke() -> None:
    """`a` and `c` break `web`; with `a` and `b`, nothing can be told of `web` and `db`."""
    of = world("abc", fault("a", "b", on=["web", "db"], unknown=True), fault("a", "c", at_evaluation=False))
    (only,) = told(of).values()
    assert (only.inputs, only.reason, only.hosts) == (("a",), FindingReason.BREAKS_TOGETHER, ("web",))


def test_what_breaks_on_top_of_all_that_is_taken_breaks_though_alone_it_could_not_be_judged() -> None:
    class Blind(Bench):
        """Nothing can be told of `b` without `a`, which the errors name."""

        def _answer(self, selection: Selection, hosts: frozenset[str] | None, *, building: bool) -> Response:
            found = super()._answer(selection, hosts, building=building)
            if "b" in selection and "a" not in selection:
                return Response(unknown=found.red)
            return replace(found, suspects=dict.fromkeys(found.red, ("a",)))

    of = world("abcd", fault("b", on=["db", "mail"]))
    (only,) = search(Blind(of), of.tips, groups=[frozenset("bc")]).findings
    assert (only.inputs, only.reason, only.hosts) == (("b", "c"), FindingReason.BREAKS, ("db", "mail"))


@pytest.mark.parametrize("at_evaluation", [True, False])
def test_each_host_has_its_commit_though_one_could_not_be_judged_on_the_way(*, at_evaluation: bool) -> None:
    broken = [Fault({"a": broken_since(2)}, frozenset({host}), at_evaluation=at_evaluation) for host in HOSTS[:2]]
    blind = Fault({"a": ((1, 2),)}, frozenset({"web"}), unknown=True)
    (only,) = told(world("a", *broken, blind, a=2)).values()
    claimed = {host: (each.last_good, each.first_bad, each.exact) for each in only.culprits for host in each.hosts}
    assert claimed == {"web": (None, "2", False), "db": ("1", "2", True)}


def test_what_is_bad_by_itself_is_not_said_to_need_another() -> None:
    of = world("abc", fault("a", unless=["b"]), fault("a", on=["db"]), fault("b", on=["mail"]))
    assert (told(of)["a"].reason, told(of)["a"].partners) == (FindingReason.BREAKS, ())


def test_what_was_judged_is_told_before_what_could_not_be() -> None:
    """`a` by itself breaks `web`, and beside `b` nothing can be told of it."""
    of = world("ab", fault("a", at_evaluation=False), fault("a", "b", on=["web", "db"], unknown=True))
    assert (told(of)["a"].reason, told(of)["a"].hosts, told(of)["a"].partners) == (
        FindingReason.BREAKS,
        ("web",),
        (),
    )


def test_what_needs_another_is_not_said_to_break_by_itself() -> None:
    """With `c`, which is bad, `a` would do: neither beside `b` nor alone it is its own fault."""
    faults = (
        fault("a", "b", unless=["c"]),
        fault("a", unless=["c"], at_evaluation=False),
        fault("c", on=["db"]),
    )
    assert told(world("abc", *faults))["a"].reason is FindingReason.NEEDS


@pytest.mark.parametrize("inputs", ["abc", "cba"])
def test_one_that_waited_for_another_is_heard_of_and_judged_whole(inputs: str) -> None:
    """The tip of `a` needs `c` at 50 or newer, and `c` is bad since 80; in the second world, `a` and such a `c`
    break a host that was well all the time."""
    waits = Fault({"a": TIP}, frozenset({"web"}), {"c": broken_since(50)})
    late = Fault({"c": broken_since(80)}, frozenset({"db"}))
    both = Fault({"a": TIP, "c": ((50, 80),)}, frozenset({"mail"}))
    for faults, taken in (((waits, late), "abc"), ((waits, late, both), "bc")):
        of, heard = world(inputs, *faults, c=100), list[SearchEvent]()
        found = search(Bench(of), of.tips, watch=heard.append)
        assert of.good(found.selection) and set(found.selection) == set(taken)
        passed = [event.selection for event in heard if isinstance(event, Passed)]
        assert passed[-1] == found.selection and all(map(of.good, passed))


def test_what_one_waited_for_is_not_told_of_another() -> None:
    """`a` waits for `c` at 50 or newer, which is bad since 80; nothing can be told of `d`."""
    waits = Fault({"a": TIP}, frozenset({"web"}), {"c": broken_since(50)})
    late = Fault({"c": broken_since(80)}, frozenset({"db"}))
    found = told(world("abcd", waits, late, fault("d", on=["mail"], unknown=True), c=100))
    assert set(found) == {"c", "d"}
    assert (found["d"].reason, found["d"].hosts, found["d"].partners) == (FindingReason.UNJUDGED, ("mail",), ())


def test_what_stopped_an_input_is_told_though_another_could_move_only_then() -> None:
    """`c` is bad since 2 without `a`, and of `a` nothing can be told but beside the first `c`."""
    waits = Fault({"a": TIP}, frozenset({"web", "db"}), {"c": ((1, 2),)}, at_evaluation=False, unknown=True)
    late = Fault({"c": broken_since(2)}, frozenset({"web", "db"}), {"a": TIP})
    of = world("abc", waits, late, c=2)
    found = search(Bench(of), of.tips)
    assert found.selection == {"a": "1", "b": "1", "c": "1"}
    (only,) = found.findings
    assert (only.inputs, only.reason, only.hosts, only.revision) == (
        ("c",),
        FindingReason.BREAKS,
        ("db", "web"),
        "1",
    )


def test_the_budget_is_not_the_reason_where_it_is_known_who_breaks() -> None:
    of, known = world("abc", fault("a"), fault("b", on=["db"])), 0
    for budget in range(20):
        found = search(Bench(of, budget), of.tips)
        reasons = {item.inputs[0]: item.reason for item in found.findings}
        assert found.complete or all(item.ended for item in found.findings if item.inputs != ("a",))
        assert reasons.get("c", FindingReason.BUDGET) is FindingReason.BUDGET
        known += not found.selection and FindingReason.BREAKS in reasons.values()
    assert known, "before anything was judged that could be taken"


def test_of_hosts_that_could_not_be_judged_those_are_named_that_speak_against_it() -> None:
    """Both break `web` and `db`; `a` without `b` breaks `web`, and of `b` without `a` nothing can be told."""
    of = world(
        "ab",
        fault("a", "b", on=["web", "db"], at_evaluation=False),
        fault("b", unless=["a"], unknown=True),
        fault("a", unless=["b"]),
    )
    found = told(of)
    assert (found["a"].reason, found["a"].hosts) == (FindingReason.NEEDS, ("web",))
    assert (found["b"].reason, found["b"].hosts) == (FindingReason.UNJUDGED, ("web",))


@pytest.mark.parametrize("mender", "bcde")
def test_of_many_that_stay_behind_only_the_one_it_needs_is_named(mender: str) -> None:
    """`a` was good with all of them, and bad with none."""
    of = world("abcdef", fault("a", unless=[mender]), *(fault(name, on=["db"]) for name in "bcde"))
    assert (told(of)["a"].reason, told(of)["a"].partners) == (FindingReason.NEEDS, (mender,))


def test_what_is_told_of_the_inputs_that_may_still_be_it_counts_the_questions() -> None:
    class Mute(Bench):
        """Its errors name nothing."""

        def _answer(self, selection: Selection, hosts: frozenset[str] | None, *, building: bool) -> Response:
            return replace(super()._answer(selection, hosts, building=building), suspects={})

    heard: list[SearchEvent] = []
    of = world("abcdefghijklmnop", fault("k"))
    search(Mute(of), of.tips, watch=heard.append)
    looking = [event for event in heard if isinstance(event, Looking) and not event.revisions]
    assert [event.probe for event in looking] == list(range(1, len(looking) + 1))
    assert all("k" in event.inputs and event.about >= event.probe for event in looking)
    assert all(len(event.inputs) > len(later.inputs) for event, later in pairwise(looking))
    assert len(looking) <= looking[0].about <= len(looking) + 2, "a guess, and not far off"


def test_two_of_three_are_not_blamed_where_nothing_could_be_told_of_those_two() -> None:
    """All three break `web`; without `a`, nothing can be told of `b` and `c`."""
    faults = (fault("a", "b", "c"), fault("b", "c", unless=["a"], unknown=True))
    for seed in range(40):  # what the errors name differs
        for item in told(replace(world("abc", *faults), seed=seed, hints_right=(0.5, 0.5))).values():
            if item.reason is FindingReason.BREAKS_TOGETHER:
                assert {*item.inputs, *item.partners} == {"a", "b", "c"}, seed


@pytest.mark.parametrize(
    ("inputs", "faults", "blamed"),
    [
        ("abc", [fault("a")], {"web": "a", "db": ""}),
        ("ab", [fault("a"), fault("b")], {"web": "ab"}),
        ("ab", [fault("b")], {"web": "b"}),
        ("abc", [fault("a"), fault("b", on=["db"])], {"web": "a", "db": "b", "mail": ""}),
    ],
)
def test_blamed_are_those_without_which_the_host_was_seen_good(
    inputs: str, faults: Sequence[Fault], blamed: Mapping[str, str]
) -> None:
    of = world(inputs, *faults)
    subset = Subset(ResponseCache(Bench(of), lambda _: None), groups_of(of.tips, ()))
    subset.run()
    found = {host: {name for group in subset.blamed(host) for name in group.inputs} for host in blamed}
    assert found == {host: set(names) for host, names in blamed.items()}


def test_these_reasons_put_blame_on_an_input() -> None:
    blaming = {FindingReason.BREAKS, FindingReason.BREAKS_TOGETHER, FindingReason.NEEDS}
    assert {reason for reason in FindingReason if reason.blames} == blaming


def test_groups_of_unknown_inputs_are_none() -> None:
    assert [group.inputs for group in groups_of({"a": "1"}, [frozenset("xy")])] == [("a",)]
    assert groups_of({}, [frozenset("xy")]) == ()
