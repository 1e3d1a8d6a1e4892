"""The engine: which facts are found out for a move, and what becomes of the input. What follows from the facts
themselves is `decide`'s.

Upstream is a line of commits, of which a fork can lie aside: a stand-in, for histories are `git/inputs`'."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from lockbot.errors import LockbotError
from lockbot.git.inputs.revisions import Relation
from lockbot.history.input_states import Acceptance, Observation, StateWord, UserHold
from lockbot.history.ledger import Ledger
from lockbot.history.store import History
from lockbot.model import ChangeKind, InputChange, Locked
from lockbot.policy.decisions import Allow, Hold, HoldReason
from lockbot.policy.engine import PolicyEngine
from lockbot.policy.result import PolicyResult
from lockbot.policy.rules import InputRules, PolicyAction, PolicyRules, RevisionKind
from lockbot.policy.upstream_checks import Checks, Standing, nobody
from lockbot.policy.upstream_log import UpstreamLog
from lockbot.search.interface import RevisionRange
from tests.policy.moves import DAY, NOW, added, days_ago

LINE = tuple(str(number) * 40 for number in range(1, 7))
"""Upstream's commits, the oldest first; inputs are locked at the first."""
ASIDE = "a" * 40
OLD, TIP = LINE[0], LINE[-1]
COMMITS = InputRules(revisions=RevisionKind.COMMITS)


def at(revision: str, place: str = "github:o/r") -> Locked:
    return Locked("github", f"{place}/{revision}", f"{place}/main", revision, last_modified=1_700_000_000)


def step(name: str = "a", old: str = OLD, new: str = TIP) -> InputChange:
    return InputChange(name, ChangeKind.UPDATED, at(old), at(new))


@dataclass
class Upstream:
    """What `UpstreamLog` would answer; and what it was asked."""

    own: frozenset[str] = frozenset()
    """Commits that are lockbot's own updates."""
    asked: list[str] = field(default_factory=list)

    def relation(self, old: Locked, new: Locked) -> Relation:
        self.asked.append(f"{old.revision[0]}..{new.revision[0]}")
        if new.revision not in LINE:
            return Relation.DIVERGED
        ahead = LINE.index(new.revision) - LINE.index(old.revision)
        return Relation.FORWARD if ahead > 0 else Relation.BACKWARD

    def revisions(self, name: str, locked: Locked, target: str, kind: RevisionKind) -> RevisionRange:
        self.asked.append(f"{name} {kind}")
        return RevisionRange(LINE[LINE.index(locked.revision) + 1 : LINE.index(target) + 1], complete=True)

    def only_own_updates(self, base: str, old: str, new: str) -> bool:
        assert base == "base" and len(old) == len(new) == len(OLD)
        return {old, new} <= self.own


@dataclass
class Night:
    """One run's engine, on what earlier ones have seen."""

    ledger: Ledger
    upstream: Upstream
    clock: list[datetime]

    def seen(self, name: str, times: Mapping[str, datetime]) -> None:
        """These revisions were at the tip then."""
        for revision, time in times.items():
            self.clock[0] = time
            self.ledger.record_tip(name, at(revision).original, revision)
        self.clock[0] = NOW

    def engine(
        self,
        rules: InputRules = COMMITS,
        *,
        checks: Mapping[str, Standing] | None = None,
        asked: Collection[tuple[str, str]] = (),
        **others: InputRules,
    ) -> PolicyEngine:
        def ask(locked: Locked, revision: str) -> Checks:
            assert checks is not None and locked.original == at(TIP).original
            return Checks(checks.get(revision, Standing.RED), "check 'x' failed")

        log = cast("UpstreamLog", self.upstream)
        ask_checks = ask if checks is not None else nobody
        return PolicyEngine(PolicyRules(rules, others), self.ledger, log, "base", NOW, ask_checks, asked)

    def permit(
        self,
        *changes: InputChange,
        rules: InputRules = COMMITS,
        pinned: Collection[str] = (),
        checks: Mapping[str, Standing] | None = None,
        asked: Collection[tuple[str, str]] = (),
        others: Mapping[str, tuple[Locked, Locked]] | None = None,
        tips: Collection[str] = ("a",),
    ) -> PolicyResult:
        changes = changes or (step(),)
        found = {change.input: change.new for change in changes if change.new is not None}
        result_tips = {name: tip for name, tip in found.items() if name in tips}
        return self.engine(rules, checks=checks, asked=asked).permit(
            changes, result_tips, frozenset(pinned), others
        )


@contextmanager
def night(directory: Path, own: Collection[str] = ()) -> Iterator[Night]:
    clock = [NOW]
    with History.open(directory / "history.sqlite", lambda: clock[0]) as history:
        yield Night(history.ledger("flake"), Upstream(frozenset(own)), clock)


@pytest.fixture
def tonight(tmp_path: Path) -> Iterator[Night]:
    with night(tmp_path) as made:
        yield made


def reasons(result: PolicyResult) -> dict[str, str]:
    return {held.input: held.reason for held in result.held}


# -- which facts a move is judged by


def test_an_ordinary_move_goes_to_its_tip(tonight: Night) -> None:
    result = tonight.permit()
    assert (result.targets, result.held, result.warnings) == ({"a": TIP}, [], [])
    gone = InputChange("b", ChangeKind.REMOVED, old=at(OLD))
    assert tonight.permit(step(), gone).targets == {"a": TIP}
    result = tonight.permit(step(), added("a/b", "github:x/y"))
    assert (result.targets, result.warnings) == ({"a": TIP}, ["a/b is new: github:x/y"])


def test_what_leads_back_or_aside_stays(tonight: Night) -> None:
    for new in (ASIDE, LINE[1]):
        result = tonight.permit(step(old=LINE[2], new=new))
        assert (result.targets, reasons(result)) == ({}, {"a": HoldReason.BACKWARDS})
        assert result.held[0].revision == LINE[2], "where it stays"


def test_upstreams_history_is_asked_once_and_only_where_it_matters(tonight: Night) -> None:
    engine = tonight.engine()
    for _ in range(2):
        engine.permit([step()], {"a": at(TIP)}, frozenset())
    assert tonight.upstream.asked == ["1..6"]
    tonight.permit(rules=replace(COMMITS, backwards=PolicyAction.ALLOW))
    tonight.permit(step(old=TIP))
    tonight.permit(pinned=["a"])
    assert tonight.upstream.asked == ["1..6"]


def test_each_move_is_judged_by_its_own_relation(tonight: Night) -> None:
    result = tonight.permit(step("a", new=ASIDE), step("b"), step("c", new=ASIDE), tips="abc")
    assert (result.targets, reasons(result)) == (
        {"b": TIP},
        {"a": HoldReason.BACKWARDS, "c": HoldReason.BACKWARDS},
    )


def test_a_pinned_input_goes_where_the_user_said(tonight: Night) -> None:
    tonight.ledger.hold(UserHold("a", "w", NOW))
    result = tonight.permit(step(new=ASIDE), step("b", new=ASIDE), pinned=["a"], tips="ab")
    assert (result.targets, reasons(result)) == ({"a": ASIDE}, {"b": HoldReason.BACKWARDS})


def test_what_flake_nix_asks_for_and_is_not_allowed_stops_the_run(tonight: Night) -> None:
    local = added("b/c", "path:/etc")
    with pytest.raises(LockbotError, match="does not allow: b/c would be read from this machine"):
        tonight.permit(added("b", "github:x/y"), local)
    result = tonight.permit(step(), added("a/c", "path:/etc"))
    assert reasons(result) == {"a": HoldReason.NEW_PATH}, "an upstream's wish keeps only that one back"


def test_an_input_beneath_one_that_was_asked_to_move_is_that_ones(tonight: Night) -> None:
    result = tonight.permit(step("a/b", new=ASIDE), tips=["a/b"])
    assert (result.targets, reasons(result)) == ({}, {"a/b": HoldReason.BACKWARDS})
    engine = tonight.engine()
    moved = replace(at(TIP), url=f"github:evil/r/{TIP}")
    result = engine.permit([replace(step("a/b"), new=moved)], {"a": at(TIP)}, frozenset())
    assert reasons(result) == {"a": HoldReason.ORIGIN}


# -- what the user says


def test_a_held_input_stays_and_an_accepted_one_goes(tonight: Night) -> None:
    tonight.ledger.hold(UserHold("a", "because", NOW))
    result = tonight.permit()
    assert (result.targets, reasons(result)) == ({}, {"a": HoldReason.USER})
    engine = tonight.engine()
    beneath = engine.permit([step("a/b")], {"a": at(TIP)}, frozenset())
    assert (beneath.targets, reasons(beneath)) == ({}, {"a": HoldReason.USER}), "and what lies beneath it"
    twice = tonight.permit(others={"a": (at(OLD), at(TIP))})
    assert len(twice.held) == 1
    tonight.ledger.hold(UserHold("a", "because", NOW, until=NOW))
    assert tonight.permit().targets == {"a": TIP}
    assert reasons(tonight.permit(step(new=ASIDE))) == {"a": HoldReason.BACKWARDS}
    tonight.ledger.accept(Acceptance("a", NOW, OLD))
    assert tonight.permit(step(new=ASIDE)).targets == {"a": ASIDE}


def test_held_at_a_revision_it_goes_there(tonight: Night) -> None:
    tonight.ledger.hold(UserHold("a", "w", NOW, at=LINE[2]))
    result = tonight.permit()
    assert (result.targets, reasons(result)) == ({"a": LINE[2]}, {"a": HoldReason.USER})
    result = tonight.permit(step(old=LINE[2]))
    assert (result.targets, reasons(result)) == ({}, {"a": HoldReason.USER}), "it is there"
    result = tonight.permit(asked={("a", LINE[2])})
    assert result.targets == {}, "a pull request of its own asks for that"
    assert tonight.permit(asked={("a", TIP), ("b", LINE[2])}).targets == {"a": LINE[2]}


def test_of_what_has_nothing_new_it_is_told_where_the_user_keeps_it(tonight: Night) -> None:
    tonight.ledger.hold(UserHold("b", "w", NOW, at=LINE[2]))
    tonight.ledger.hold(UserHold("c", "w", NOW))
    tonight.ledger.hold(UserHold("d", "w", NOW, until=NOW))
    stays = {name: (at(OLD), at(OLD)) for name in "abcde"}
    result = tonight.permit(others=stays)
    assert result.targets == {"a": TIP, "b": LINE[2]}
    assert reasons(result) == {"b": HoldReason.USER}, "of c there is nothing to tell"
    news = {name: (at(OLD), at(TIP)) for name in "abcde"}
    assert reasons(tonight.permit(others=news)) == {"b": HoldReason.USER, "c": HoldReason.USER}
    there = {"b": (at(LINE[2]), at(LINE[2]))}
    assert tonight.permit(others=there).held == [], "it is where the user wants it"
    assert tonight.permit(others=news, pinned=["b", "c"]).held == []


def test_whether_an_input_is_held(tonight: Night) -> None:
    tonight.ledger.hold(UserHold("a", "w", NOW, at=TIP))
    tonight.ledger.hold(UserHold("b", "w", NOW, until=NOW, at=TIP))
    engine = tonight.engine()
    assert [engine.is_held(name) for name in "abc"] == [True, False, False]
    assert [engine.holds_at(name, TIP) for name in "abc"] == [True, False, False]
    assert not engine.holds_at("a", OLD)


# -- minimum age

AGED = replace(COMMITS, minimum_age=3 * DAY)


def test_the_newest_that_is_old_enough_is_taken(tonight: Night) -> None:
    tonight.seen("a", {LINE[1]: days_ago(9), LINE[3]: days_ago(4), LINE[4]: days_ago(2), TIP: days_ago(1)})
    result = tonight.permit(rules=AGED)
    assert (result.targets, reasons(result)) == ({"a": LINE[3]}, {"a": HoldReason.AGE})
    assert result.until == {"a": NOW + timedelta(days=1)}, "when the first of the newer ones is"
    assert tonight.permit(rules=replace(AGED, minimum_age=DAY)).targets == {"a": TIP}
    result = tonight.permit(step(old=LINE[3]), rules=AGED)
    assert (result.targets, reasons(result)) == ({}, {"a": HoldReason.AGE}), "nothing newer is old enough"
    assert result.held[0].revision == LINE[3]


def test_what_was_never_seen_waits_from_now_on(tonight: Night) -> None:
    result = tonight.permit(rules=AGED)
    assert (result.targets, reasons(result)) == ({}, {"a": HoldReason.AGE})
    assert result.until == {"a": NOW + timedelta(days=3)}


def test_an_age_counts_from_the_tips_that_were_recorded(tonight: Night) -> None:
    tonight.clock[0] = days_ago(5)
    tonight.engine().record_tips({"a": at(TIP), "b": replace(at(TIP), rev=None, nar_hash=None)})
    tonight.clock[0] = NOW
    result = tonight.permit(rules=AGED)
    assert (result.targets, result.held) == ({"a": TIP}, [])
    assert tonight.ledger.tips("b", at(TIP).original) == ()


def test_of_tips_each_has_an_age_of_its_own(tonight: Night) -> None:
    """Who saw a commit saw its parents; who saw a channel saw no other state of it."""
    tonight.seen("a", {LINE[3]: days_ago(5), TIP: days_ago(1)})
    assert tonight.permit(rules=AGED).targets == {"a": LINE[3]}
    tonight.seen("a", {LINE[4]: days_ago(9)})
    assert tonight.permit(rules=AGED).targets == {"a": LINE[4]}
    tips = replace(AGED, revisions=RevisionKind.TIPS)
    result = tonight.permit(step(old=LINE[1], new=LINE[2]), rules=tips)
    assert result.targets == {}, "that one was never seen, though one above it was"
    assert "a tips" in tonight.upstream.asked


# -- upstream's own verdict

CHECKED = replace(COMMITS, upstream_checks=True)
GREEN = Standing.GREEN


def test_the_newest_green_one_is_taken(tonight: Night) -> None:
    result = tonight.permit(rules=CHECKED, checks={TIP: GREEN})
    assert (result.targets, result.held) == ({"a": TIP}, [])
    assert list(result.checked) == ["a"]
    assert tonight.upstream.asked == ["1..6"], "no other revision is needed"
    assert tonight.permit(step(old=TIP), rules=CHECKED, checks={}).held == [], "it is there"
    result = tonight.permit(rules=CHECKED, checks={LINE[3]: GREEN, LINE[2]: GREEN})
    assert (result.targets, reasons(result)) == ({"a": LINE[3]}, {"a": HoldReason.CHECKS})
    beneath = tonight.engine(CHECKED, checks={}).permit([step("a/b")], {"a": at(TIP)}, frozenset())
    assert beneath.targets == {"a": TIP}, "of what lies beneath nobody asks"
    result = tonight.permit(rules=CHECKED, checks={})
    assert (result.targets, reasons(result), result.checked) == ({}, {"a": HoldReason.CHECKS}, {})
    assert result.held[0].revision == OLD


def test_without_a_forge_it_is_taken_and_told(tonight: Night) -> None:
    result = tonight.permit(rules=CHECKED)
    assert (result.targets, result.held, result.checked) == ({"a": TIP}, [], {})
    (warning,) = result.warnings
    assert "without upstream's own verdict" in warning


def test_what_is_green_must_be_old_enough_as_well(tonight: Night) -> None:
    tonight.seen("a", {LINE[2]: days_ago(9), LINE[4]: days_ago(1)})
    rules = replace(CHECKED, minimum_age=3 * DAY)
    green = {LINE[1]: GREEN, LINE[3]: GREEN, TIP: GREEN}
    result = tonight.permit(rules=rules, checks=green)
    assert result.targets == {"a": LINE[1]}
    assert [held.reason for held in result.held] == [HoldReason.AGE, HoldReason.CHECKS]


def test_a_green_tip_that_was_seen_only_now_is_too_young(tonight: Night) -> None:
    """A channel that was set back, and has moved on again: tips are not always as old as those above them."""
    tonight.seen("a", {LINE[2]: days_ago(9), TIP: days_ago(5), LINE[4]: days_ago(1)})
    rules = replace(CHECKED, minimum_age=3 * DAY, revisions=RevisionKind.TIPS)
    result = tonight.permit(rules=rules, checks={LINE[4]: GREEN, LINE[2]: GREEN})
    assert result.targets == {"a": LINE[2]}


def test_what_is_not_green_is_not_tried_either(tonight: Night) -> None:
    engine = tonight.engine(CHECKED, checks={TIP: GREEN, LINE[2]: GREEN})
    result = engine.permit([step(), step("b")], {"a": at(TIP), "b": at(TIP)}, frozenset())
    assert engine.may_try(result, "a", TIP)
    assert engine.may_try(result, "a", LINE[2])
    assert not engine.may_try(result, "a", LINE[3])
    result.checked.clear()
    assert engine.may_try(result, "a", LINE[3]), "nobody wants it checked"


def test_checks_do_not_hold_what_the_user_wants(tonight: Night) -> None:
    tonight.ledger.hold(UserHold("a", "w", NOW, at=TIP))
    assert tonight.permit(rules=CHECKED, checks={}).targets == {"a": TIP}
    tonight.ledger.release("a")
    tonight.ledger.accept(Acceptance("a", NOW, OLD, TIP))
    assert tonight.permit(rules=CHECKED, checks={}).targets == {"a": TIP}
    moved = InputChange("b", ChangeKind.UPDATED, at(OLD), at(TIP, "github:x/y"))
    assert tonight.permit(moved, rules=CHECKED, checks={}, tips="b").targets == {"b": TIP}, "flake.nix does"


# -- revisions below the tip


def test_what_an_older_revision_brings_along_is_looked_at_again(tonight: Night) -> None:
    engine = tonight.engine()
    result = engine.permit([step(), step("b")], {"a": at(TIP), "b": at(TIP)}, frozenset())
    result.targets |= {"a": LINE[2], "b": LINE[2]}
    brought = [step(new=LINE[2]), added("a/x", "path:/etc"), step("b", new=LINE[2]), added("b/x", "path:/etc")]
    assert not engine.may_bring(result, [step(new=LINE[1]), added("a/x", "path:/etc")])
    assert engine.may_bring(result, [step(new=LINE[1])])
    assert engine.may_bring(result, brought[:2]), "what is permitted was looked at when it was"
    gone = [InputChange("a/x", ChangeKind.REMOVED, old=at(OLD))]
    assert engine.may_bring(result, gone)
    engine.recheck(gone, result, frozenset({"a"}))
    engine.recheck(brought, result, frozenset({"b"}))
    assert (result.targets, reasons(result)) == ({"a": LINE[2]}, {"b": HoldReason.NEW_PATH})
    engine.recheck([step(new=LINE[2]), added("a/y", "github:x/y")], result, frozenset({"a"}))
    assert (result.targets, result.warnings) == ({"a": LINE[2]}, ["a/y is new: github:x/y"])


def test_a_lower_revision_that_the_user_named_is_taken_whatever_it_is(tonight: Night) -> None:
    tonight.ledger.hold(UserHold("a", "w", NOW, at=LINE[1]))
    engine = tonight.engine()
    back = [step(old=LINE[3], new=LINE[1])]
    result = PolicyResult({"a": TIP})
    assert engine.may_bring(result, back)
    assert not engine.may_bring(result, [step(old=LINE[3], new=LINE[0])])
    tonight.ledger.hold(UserHold("a", "w", NOW))
    assert tonight.engine().may_bring(result, [step(new=LINE[2])]), "that it is held was looked at before"


# -- what it costs


def test_what_would_be_compiled_holds_an_input_until_it_has_waited_or_is_accepted(tonight: Night) -> None:
    rules = replace(COMMITS, never_compile=("linux-*",), wait_for_cache=DAY)
    engine = tonight.engine(rules, b=COMMITS)
    assert (engine.weighs_cost("a"), engine.weighs_cost("b")) == (True, False)
    decision = engine.cost(at(OLD), "a", TIP, {"linux-6.9", "hello"})
    assert isinstance(decision, Hold) and decision.until == NOW + timedelta(days=1)
    assert engine.cost(at(OLD), "a", TIP, {"hello"}) == Allow()
    tonight.clock[0] = days_ago(2)
    waiting = Observation("a", StateWord.WAITING_FOR_CACHE, OLD, asked=True, waiting_for_cache=True)
    tonight.ledger.record([waiting])
    tonight.clock[0] = NOW
    waited = tonight.engine(rules).cost(at(OLD), "a", TIP, {"linux-6.9"})
    assert isinstance(waited, Allow) and "no cache had it" in waited.warnings[0]
    tonight.ledger.accept(Acceptance("b", NOW, OLD, TIP))
    accepted = tonight.engine(rules)
    assert accepted.cost(at(OLD), "b", TIP, {"linux-6.9"}) == Allow()
    unknown = Locked("path", "path:/x", "path:/x")
    assert isinstance(accepted.cost(unknown, "b", TIP, {"linux-6.9"}), Hold)
    assert isinstance(accepted.cost(at(LINE[1]), "b", TIP, {"linux-6.9"}), Hold)
    assert isinstance(accepted.cost(at(OLD), "b", LINE[1], {"linux-6.9"}), Hold)
    tonight.ledger.accept(Acceptance("c", NOW, None))
    assert tonight.engine(rules).cost(None, "c", TIP, {"linux-6.9"}) == Allow()
    assert tonight.engine(rules).cost(unknown, "c", TIP, {"linux-6.9"}) == Allow()


# -- the user's own repository


def test_an_input_in_which_only_lockbot_itself_was_at_work_stays(tmp_path: Path) -> None:
    with night(tmp_path, own=[OLD, TIP]) as tonight:
        assert reasons(tonight.permit()) == {"a": HoldReason.OWN}
        assert tonight.permit(step(new=LINE[4])).targets == {"a": LINE[4]}, "somebody else was there"
        assert tonight.permit(step(old=TIP)).targets == {"a": TIP}
        path = Locked("path", "path:/x", "github:o/r/main")
        for old, new in ((at(OLD), path), (path, at(TIP))):
            moved = tonight.permit(
                InputChange("a", ChangeKind.UPDATED, old, new),
                rules=replace(COMMITS, origin=PolicyAction.ALLOW, backwards=PolicyAction.ALLOW),
            )
            assert HoldReason.OWN not in reasons(moved).values()
        assert tonight.permit(added("b", "github:x/y"), tips="b").held == []
