"""What keeps an input back takes it from what may be tried, and says where it stays; a group's rest with it. And
the words that a commit's reader and `lockbot status` get of that."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from lockbot.git.inputs.revisions import Relation
from lockbot.history.input_states import Acceptance, UserHold
from lockbot.model import ChangeKind, Held, InputChange, Locked
from lockbot.model.hold_end import UntilMerged
from lockbot.nix.flakeref import FlakeRef
from lockbot.policy.compile_cost import not_to_compile, too_costly, weigh
from lockbot.policy.decide import changed_origin, decide, forced
from lockbot.policy.decisions import Allow, Facts, Hold, HoldReason, Move, Refuse, moves
from lockbot.policy.minimum_age import Aged, later, old_enough, young_until
from lockbot.policy.origin import origin_of
from lockbot.policy.result import PolicyResult
from lockbot.policy.rules import InputRules, PolicyAction, PolicyRules, RevisionKind, near_name, revisions_of
from lockbot.policy.upstream_log import commit_link
from tests.policy.moves import DAY, DEFAULT, NEW, NOW, OLD, added, days_ago, decided, locked, updated

SOON, LATER = days_ago(-1), days_ago(-5)
YOUNG = Hold(HoldReason.AGE, "young", SOON)


def result(names: str = "abc") -> PolicyResult:
    return PolicyResult(dict.fromkeys(names, NEW))


# -- the whole


def test_what_is_held_may_not_be_tried_and_stays_where_it_is() -> None:
    whole = result()
    whole.hold("a", locked(), YOUNG)
    whole.hold("b", None, Refuse(HoldReason.NEW_PATH, "reads"))
    whole.hold("x", locked(), Hold(HoldReason.USER, "held"))
    whole.hold("y", Locked("path", "path:./y", "path:./y"), Hold(HoldReason.USER, "held"))
    assert whole.targets == {"c": NEW}
    assert whole.held == [
        Held("a", HoldReason.AGE, "young", OLD),
        Held("b", HoldReason.NEW_PATH, "reads"),
        Held("x", HoldReason.USER, "held", OLD),
        Held("y", HoldReason.USER, "held", None),
    ]
    assert whole.until == {"a": SOON}, "the others wait for a person"


def test_what_waits_for_a_cache_is_tried_again_at_the_first_of_its_times() -> None:
    whole = result()
    whole.hold("a", None, Hold(HoldReason.AGE, "young", LATER))
    whole.wait_for_cache("a", Hold(HoldReason.CACHE, "dear", SOON))
    whole.wait_for_cache("b", Hold(HoldReason.CACHE, "dear", LATER))
    whole.wait_for_cache("b", Hold(HoldReason.CACHE, "dear", None))
    whole.wait_for_cache("c", Hold(HoldReason.CACHE, "dear", None))
    assert whole.until == {"a": SOON, "b": LATER}
    assert whole.waiting_for_cache == {"a", "b", "c"}
    assert whole.targets == {"b": NEW, "c": NEW}


@pytest.mark.parametrize("first", ["ab", "bc"])
def test_of_a_group_none_moves_while_one_is_kept_back(first: str) -> None:
    """Also by way of another group, whichever is configured first."""
    whole = result("abcdef")
    whole.hold("a", locked(), YOUNG)
    groups = sorted(map(frozenset[str], ["ab", "bc", "de", "fg"]), key=lambda group: group != frozenset(first))
    whole.hold_groups(groups, {"g"}, {"f"}, {"b": locked()})
    assert whole.targets == {"d": NEW, "e": NEW, "f": NEW}, "f is what the user wants to move"
    told = {held.input: (held.reason, held.detail, held.revision) for held in whole.held[1:]}
    assert told == {
        "b": (HoldReason.GROUP, "moves together with a, and that is kept back", OLD),
        "c": (HoldReason.GROUP, "moves together with b, and that is kept back", None),
    }
    assert whole.until == dict.fromkeys("abc", SOON)


def test_a_group_waits_for_a_person_where_one_of_it_does() -> None:
    whole = result("ac")
    whole.hold("a", None, YOUNG)
    whole.hold_groups([frozenset("abc")], {"b"}, (), {})
    assert whole.until == {"a": SOON}
    assert [held.input for held in whole.held] == ["a", "c"]
    assert whole.held[-1].detail == "moves together with a and b, and that is kept back"


def test_held_at_a_revision_it_moves_there_and_the_group_with_it() -> None:
    whole = result()
    whole.hold("a", locked(), Hold(HoldReason.USER, "held at 3"))
    whole.targets["a"] = "3" * 40
    whole.hold_groups([frozenset("ab")], (), (), {})
    assert whole.targets.keys() == {"a", "b", "c"}


# -- moves


def test_each_change_lies_under_the_outermost_one_that_changed() -> None:
    changes = [updated(name) for name in ("a", "a/b", "a/b/c", "ab", "x/y", "x/y/z", "x/z")]
    found = {move.change.input: [one.input for one in move.beneath] for move in moves(changes)}
    assert found == {"a": ["a/b", "a/b/c"], "ab": [], "x/y": ["x/y/z"], "x/z": []}
    assert moves(changes[:1]) == (Move(changes[0]),)


def test_of_several_that_keep_a_move_back_the_gravest_is_told() -> None:
    local, elsewhere = added("a/x", "path:/etc"), updated("a/y", new=locked(NEW, "github:evil/r"))
    young = replace(DEFAULT, minimum_age=DAY)
    assert isinstance(decided(elsewhere, local, rules=young), Refuse)
    held = decided(elsewhere, rules=young)
    assert isinstance(held, Hold) and held.reason is HoldReason.ORIGIN
    waits = decided(rules=young)
    assert isinstance(waits, Hold)
    assert (waits.reason, waits.until) == (HoldReason.AGE, NOW + timedelta(days=1))


# -- what it costs


def test_what_is_never_compiled_is_named_and_the_rest_is_counted() -> None:
    rules = replace(DEFAULT, never_compile=("linux-*", "chromium-*"))
    assert too_costly(["hello-1"], rules) is None
    assert too_costly(["linux-2", "linux-1", "linux-2"], rules) == "it would compile linux-1, linux-2"
    assert too_costly(["linux-1", "linux-2", "linux-3"], rules) == "it would compile linux-1, linux-2, linux-3"
    four = [f"linux-{number}" for number in range(4)]
    assert too_costly(four, rules) == "it would compile linux-0, linux-1, linux-2 and 1 more"
    many = [*four, "linux-4"]
    assert too_costly(many, rules) == "it would compile linux-0, linux-1, linux-2 and 2 more"
    assert too_costly(many, replace(DEFAULT, max_builds=4)) == "it would compile 5 derivations, more than 4"
    assert too_costly(many, replace(DEFAULT, max_builds=5)) is None


@pytest.mark.parametrize(
    ("name", "never"),
    [("linux-6", True), ("Linux-6", False), ("linux-6-doc", False), ("a-linux-6", False), ("linux", False)],
)
def test_an_exception_is_one_wherever_it_stands(name: str, never: bool) -> None:
    assert not_to_compile(name, ["linux-*", "!*-doc"]) == never
    assert not_to_compile(name, ["!*-doc", "linux-*"]) == never
    assert not not_to_compile(name, ["!*-doc"])
    assert not_to_compile(name, ["*linux*", "*Linux*"])


def test_the_end_of_a_wait_counts_from_its_beginning() -> None:
    rules = replace(DEFAULT, max_builds=0, wait_for_cache=2 * DAY)
    decision = weigh(["x"], rules, NOW, since=days_ago(1))
    assert isinstance(decision, Hold) and decision.until == days_ago(-1)
    assert weigh(["x"], rules, NOW, since=days_ago(2)) == Allow(
        ("it would compile 1 derivation, more than 0, and no cache had it within 2 days: compiled here",)
    )
    assert later(NOW, 1e18).year == 9999 and later(NOW, 1e18).tzinfo == NOW.tzinfo


# -- ages


def test_an_age_is_reached_on_the_day() -> None:
    def enough(since: datetime | None, age: float = DAY) -> bool:
        return old_enough(Aged(NEW, since), NOW, age)

    assert enough(days_ago(1)) and enough(days_ago(2)) and not enough(days_ago(0.99))
    assert not enough(None) and enough(None, 0), "who asks for no age asks for no date"
    assert not enough(days_ago(-1)) and enough(days_ago(-1), 0)


def test_what_has_no_age_to_wait_for() -> None:
    def until(change: InputChange, since: datetime | None = None) -> datetime | None:
        return young_until(change, since, NOW, DAY)

    assert until(updated()) == days_ago(-1)
    assert until(updated(), days_ago(1)) is None
    assert until(updated(new=locked())) is None, "it is there already"
    assert until(InputChange("a", ChangeKind.REMOVED, old=locked())) is None
    assert until(added("a", "path:./x")) is None, "a path is as old as the flake"
    assert until(added("a", "github:o/r")) == days_ago(-1)
    assert origin_of(FlakeRef.read("github:o/r/main")) == origin_of("github:o/r/main")


# -- rules


def test_each_input_has_its_own_rules_or_the_default() -> None:
    own = InputRules(max_builds=1)
    rules = PolicyRules(DEFAULT, {"a": own})
    assert (rules.of("a"), rules.of("b")) == (own, DEFAULT)
    assert (own.weighs_cost, DEFAULT.weighs_cost) == (True, False)
    assert InputRules(max_builds=0).weighs_cost and InputRules(never_compile=("x",)).weighs_cost
    assert rules.unmatched(["a"]) == ()
    assert rules.unmatched([]) == ("the configuration has rules for 'a', which is no input",)
    assert near_name("nixpkg", ["home", "nixpkgs", "nixpkgs-stable"]) == "; did you mean 'nixpkgs'?"
    assert near_name("zzz", ["nixpkgs"]) == ""


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("path:/x", RevisionKind.TIPS),
        ("flake:nixpkgs", RevisionKind.TIPS),
        ("file+https://h/x", RevisionKind.TIPS),
        ("gitlab:me/nixpkgs/nixos-unstable", RevisionKind.TIPS),
        ("gitlab:me/nixpkgs-fork/nixos-unstable", RevisionKind.COMMITS),
        ("git+https://h/x/nixpkgs?ref=main", RevisionKind.COMMITS),
        ("git+https://h/nixpkgs/x?ref=nixos-unstable", RevisionKind.COMMITS),
        ("github:NixOS/nixpkgs/my-nixos-unstable", RevisionKind.COMMITS),
    ],
)
def test_only_channels_of_nixpkgs_are_tried_by_tips(original: str, expected: RevisionKind) -> None:
    assert revisions_of(Locked("?", "github:elsewhere/x", original), DEFAULT) is expected


# -- where it comes from


def test_another_place_is_told_with_both() -> None:
    old, new = locked(), locked(NEW, "github:evil/r")
    assert changed_origin("a", old, new) == "a is github:evil/r/main now; before: github:o/r/main"
    moved = replace(locked(NEW), url=f"github:evil/r/{NEW}")
    told = changed_origin("a", old, moved)
    assert told == "a was fetched from github:o/r, and now comes from github:evil/r"
    assert changed_origin("a", old, locked(NEW)) is None
    git = Locked("git", f"git+https://h/x?ref=main&rev={OLD}", "git+https://h/x", OLD)
    assert changed_origin("a", git, replace(git, url=f"git+https://h/x?ref=refs/heads/main&rev={NEW}")) is None
    assert changed_origin("a", git, replace(git, url=f"git+https://h/x?rev={NEW}&submodules=1")) is not None


def test_what_is_new_along_with_an_input_is_told_and_what_is_gone_is_not() -> None:
    gone = InputChange("a/b", ChangeKind.REMOVED, old=locked())
    decision = decided(added("a/c", "github:x/y"), gone, added("a/d", "github:x/z"))
    assert decision == Allow(("a/c is new: github:x/y", "a/d is new: github:x/z"))


def test_a_commit_has_a_page_where_its_forge_is_known() -> None:
    assert commit_link(locked(), NEW) == f"https://github.com/o/r/commit/{NEW}"
    assert commit_link(Locked("git", "git+file:///x", "git+file:///x"), NEW) is None
    assert commit_link(Locked("?", "ht!tp:", "ht!tp:"), NEW) is None


# -- what flake.nix itself asks for


REFOLLOWED = InputChange("a", ChangeKind.REFOLLOWED, locked(), locked(NEW, "github:x/y"), old_follows="c")


def test_what_flake_nix_asks_for_is_not_kept_back_by_what_the_input_does() -> None:
    assert forced(REFOLLOWED) and decided(change=REFOLLOWED) == Allow()
    moved = updated(new=locked(NEW, ref="/stable"))
    own = decide(Move(moved), Facts(NOW, Relation.FORWARD, own=True), DEFAULT)
    assert isinstance(own, Allow)
    assert isinstance(decide(Move(updated()), Facts(NOW, Relation.FORWARD, own=True), DEFAULT), Hold)
    assert decided(change=added("b", "github:x/y")) == Allow()
    assert not forced(updated(old=locked(ref="/main?dir="), new=locked(NEW)))


def test_a_hold_elsewhere_does_not_let_through_what_comes_along() -> None:
    moved, evil = updated(new=locked(NEW, ref="/stable")), updated("a/b", new=locked(NEW, "github:evil/r"))
    hold = UserHold("a", "w", NOW, at="3" * 40)
    assert isinstance(decided(evil, change=moved, hold=hold), Hold)
    assert isinstance(decided(evil, change=moved, hold=replace(hold, at=NEW)), Allow)
    path = Locked("path", "path:./x", "path:./x")
    unnamed = updated(old=locked(), new=path)
    assert isinstance(decided(evil, change=unnamed, hold=UserHold("a", "w", NOW)), Hold)


def test_a_hold_holds_also_what_has_no_revision() -> None:
    path = Locked("path", "path:./x", "path:./x")
    decision = decided(change=updated(old=path, new=replace(path, nar_hash=None)), hold=UserHold("a", "w", NOW))
    assert isinstance(decision, Hold) and decision.reason is HoldReason.USER
    rules = replace(DEFAULT, backwards=PolicyAction.HOLD)
    accepted = Acceptance("a", NOW, None)
    older = updated(old=replace(path, last_modified=2), new=replace(path, last_modified=1))
    assert isinstance(decided(change=older, relation=Relation.UNKNOWN, rules=rules, acceptance=accepted), Allow)
    assert isinstance(decided(change=older, relation=Relation.UNKNOWN, rules=rules), Hold)
    undated = updated(old=locked(date=None))
    assert decided(change=undated, relation=Relation.UNKNOWN) == Allow()


def test_a_hold_says_at_what_and_until_when() -> None:
    def told(hold: UserHold) -> str:
        decision = decided(hold=hold)
        assert isinstance(decision, Hold)
        return decision.detail

    whole = UserHold("a", "because", NOW, until=days_ago(-1), at="3" * 40)
    assert told(whole) == "held by you at 3333333 until 2026-11-23 12:00 UTC: because"
    assert told(replace(whole, until=None)) == "held by you at 3333333: because"
    assert told(replace(whole, until=None, at=None)) == "held by you: because"
    merged = replace(whole, until=None, at=None, ends=UntilMerged("https://h/pull/1"))
    assert told(merged) == "held by you until https://h/pull/1 is merged: because"


def test_what_follows_another_input_brings_nothing_along() -> None:
    other, local = locked(NEW, "github:x/y"), Locked("git", "git+file:///x", "git+file:///x", NEW)
    for end in (other, local):
        assert decided(InputChange("a/b", ChangeKind.REFOLLOWED, locked(), end, new_follows="c")) == Allow()


def test_what_can_not_be_parsed_is_compared_without_its_commit() -> None:
    first = Locked("?", "ht!tp:x?rev=1", "ht!tp:x?rev=1")
    assert changed_origin("a", first, Locked("?", "ht!tp:x", "ht!tp:x")) is None
    assert changed_origin("a", first, Locked("?", "ht!tp:x?rev=2&", "ht!tp:x?rev=2")) is None
    assert changed_origin("a", first, Locked("?", "ht!tp:y", "ht!tp:y")) is not None
