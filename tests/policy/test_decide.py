"""What may move: decisions on moves, and invariants that hold for whatever comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockbot.git.inputs.revisions import Relation
from lockbot.history.input_states import Acceptance, UserHold
from lockbot.model import ChangeKind, InputChange, Locked
from lockbot.nix import lockfile
from lockbot.nix.lockfile import LockFile
from lockbot.policy import minimum_age
from lockbot.policy.decide import decide, forced, reads_this_machine
from lockbot.policy.decisions import Allow, Decision, Facts, Hold, HoldReason, Move, Refuse, moves
from lockbot.policy.rules import InputRules, PolicyAction
from tests.policy.moves import (
    ACCEPTED,
    DAY,
    DEFAULT,
    NEW,
    NOW,
    OLD,
    OTHER,
    TIMES,
    added,
    decided,
    locked,
    updated,
)


def test_an_ordinary_move_is_allowed_without_a_word() -> None:
    assert decided() == Allow()


# -- backwards


BACK = updated(new=locked(NEW, date=1_600_000_000))


@pytest.mark.parametrize(
    ("relation", "change", "held"),
    [
        (Relation.FORWARD, updated(), False),
        (Relation.FORWARD, BACK, False),
        (Relation.BACKWARD, updated(), True),
        (Relation.DIVERGED, updated(), True),
        (Relation.UNKNOWN, updated(), False),
        (Relation.UNKNOWN, BACK, True),
        (Relation.UNKNOWN, updated(new=locked(NEW, date=None)), False),
    ],
)
def test_what_leads_back_is_held(relation: Relation, change: InputChange, held: bool) -> None:
    decision = decided(change=change, relation=relation)
    assert isinstance(decision, Hold) == held
    if isinstance(decision, Hold):
        assert (decision.reason, decision.until) == (HoldReason.BACKWARDS, None)
        assert "lockbot accept a" in decision.detail
    assert isinstance(decided(change=change, relation=relation, acceptance=ACCEPTED), Allow)


def test_a_back_dated_successor_is_allowed_with_a_warning() -> None:
    decision = decided(change=BACK)
    assert isinstance(decision, Allow)
    assert "dated before" in decision.warnings[0]


def test_the_answers_differ_in_what_an_acceptance_does() -> None:
    def answer(rule: PolicyAction, acceptance: Acceptance | None = None) -> Decision:
        rules = replace(DEFAULT, backwards=rule)
        return decided(relation=Relation.DIVERGED, rules=rules, acceptance=acceptance)

    assert isinstance(answer(PolicyAction.ALLOW), Allow)
    assert isinstance(answer(PolicyAction.HOLD), Hold)
    assert isinstance(answer(PolicyAction.HOLD, ACCEPTED), Allow)
    assert isinstance(answer(PolicyAction.REFUSE, ACCEPTED), Refuse)
    assert isinstance(answer(PolicyAction.HOLD, replace(ACCEPTED, locked=OTHER)), Hold)
    assert isinstance(answer(PolicyAction.HOLD, replace(ACCEPTED, revision=OTHER)), Hold)


# -- where it comes from


def test_what_flake_nix_asks_for_is_allowed_loudly_even_when_it_leads_back() -> None:
    change = updated(new=locked(NEW, ref="/stable", date=1))
    hold = UserHold("a", "because", NOW)
    decision = decided(
        change=change, relation=Relation.DIVERGED, rules=replace(DEFAULT, minimum_age=DAY), hold=hold
    )
    assert isinstance(decision, Allow)
    assert decision.warnings == ("a is github:o/r/stable now, as flake.nix says; before: github:o/r/main",)
    assert forced(change)
    assert forced(added("a", "github:o/r"))
    assert not forced(updated())
    assert not forced(updated(old=locked(ref="/main"), new=locked(NEW, ref="/refs/heads/main")))


@pytest.mark.parametrize(
    ("old", "new", "held"),
    [
        (locked(), locked(NEW, "github:evil/r"), True),
        (locked(), locked(NEW, "gitlab:o/r"), True),
        (locked(), locked(NEW, ref="/next"), True),
        (locked(), locked(NEW, "github:O/R"), False),
        (locked(), locked(NEW), False),
        (locked(ref=f"/{OLD}"), locked(NEW, ref=f"/{NEW}"), False),  # an upstream that pins its own input
    ],
)
def test_what_an_upstream_gets_from_elsewhere_is_held(old: Locked, new: Locked, held: bool) -> None:
    decision = decided(updated("a/b", old, new))
    assert isinstance(decision, Hold) == held
    if isinstance(decision, Hold):
        assert decision.reason is HoldReason.ORIGIN
        assert "`lockbot accept a` takes it" in decision.detail  # the one that can be held, not the one beneath
    allowed = decided(updated("a/b", old, new), rules=replace(DEFAULT, origin=PolicyAction.ALLOW))
    assert isinstance(allowed, Allow)
    assert bool(allowed.warnings) == held


SECRET = {
    "user and token": ("git", "git+https://joe:{}@h/o/r?ref=main"),
    "token alone": ("git", "git+https://{}@h/o/r?ref=main"),
    "ssh": ("git", "git+ssh://git:{}@h/o/r"),
    "encoded": ("git", "git+https://joe:a%40{}%2F@h/o/r"),
    "in the query of git": ("git", "git+https://h/o/r?private_token={}&ref=main"),
    "Mercurial": ("hg", "hg+https://joe:{}@h/o/r"),
    "tarball": ("tarball", "https://h/x.tar.gz?token={}"),
    "tarball, by user": ("tarball", "https://joe:{}@h/x.tar.gz"),
    "signed": ("tarball", "https://h/x.tar.gz?X-Amz-Credential={}&X-Amz-Signature={}"),
    "file": ("file", "https://h/x.txt?access_token={}"),
    "a type of a newer Nix": ("new", "new:?url=https:%2F%2Fjoe%3A{}%40h%2Fx"),
}


def at(kind: str, url: str, secret: str, commit: str) -> Locked:
    """As Nix prints it: with a commit, or the hash of a content."""
    original = url.replace("{}", secret)
    git = kind in ("git", "hg")
    attribute = f"rev={commit}" if git else f"narHash=sha256-{commit}"
    whole = original + ("&" if "?" in original else "?") + attribute
    return Locked(kind, whole, original, commit if git else None, nar_hash=None if git else f"sha256-{commit}")


@pytest.mark.parametrize(("kind", "url"), SECRET.values(), ids=SECRET.keys())
def test_an_input_with_a_secret_in_its_address_moves_like_any_other(kind: str, url: str) -> None:
    for name in ("a", "a/b"):
        change = updated(name, at(kind, url, "S3CRET", OLD), at(kind, url, "S3CRET", NEW))
        assert not forced(change)
        assert decided(*[change] * (name != "a"), change=change if name == "a" else None) == Allow()


@pytest.mark.parametrize(("kind", "url"), SECRET.values(), ids=SECRET.keys())
def test_a_rotated_secret_is_no_other_origin(kind: str, url: str) -> None:
    rotated = updated("a", at(kind, url, "S3CRET", OLD), at(kind, url, "other", NEW))
    assert forced(rotated), "flake.nix asks for it: a lock with the old one would not fit"
    assert decided(change=rotated) == Allow()
    assert decided(replace(rotated, input="a/b")) == Allow()


@pytest.mark.parametrize(("kind", "url"), SECRET.values(), ids=SECRET.keys())
def test_another_host_is_another_origin_whatever_the_secret(kind: str, url: str) -> None:
    elsewhere = url.replace("@h", "@evil").replace("//h/", "//evil/").replace("%40h", "%40evil")
    moved = updated("a/b", at(kind, url, "S3CRET", OLD), at(kind, elsewhere, "S3CRET", NEW))
    decision = decided(moved)
    assert isinstance(decision, Hold) and decision.reason is HoldReason.ORIGIN


def tarball(url: str, original: str = "https://channels.example/x.tar.xz") -> Locked:
    return Locked("tarball", url, original, nar_hash=f"sha256-{url}")


@pytest.mark.parametrize(
    ("url", "held"),
    [
        ("https://releases.example/2/x.tar.xz", False),
        ("https://RELEASES.example/2/x.tar.xz", False),
        ("https://evil.example/2/x.tar.xz", True),
        ("http://releases.example/2/x.tar.xz", True),
        ("https://[evil/2/x.tar.xz", True),
    ],
)
def test_a_tarball_may_be_another_file_of_the_same_host(url: str, held: bool) -> None:
    change = updated(old=tarball("https://releases.example/1/x.tar.xz"), new=tarball(url))
    decision = decided(change=change, relation=Relation.UNKNOWN)
    assert isinstance(decision, Hold) == held


# -- what comes along


def test_a_new_input_of_an_upstream_is_said() -> None:
    decision = decided(added("a/b", "github:x/y"))
    assert decision == Allow(("a/b is new: github:x/y",))
    assert isinstance(
        decided(added("a/b", "github:x/y"), rules=replace(DEFAULT, new_input=PolicyAction.HOLD)), Hold
    )
    gone = InputChange("a/b", ChangeKind.REMOVED, old=locked())
    following = InputChange("a/b", ChangeKind.REFOLLOWED, locked(), locked(NEW), new_follows="c")
    assert decided(gone, following) == Allow()
    own_again = InputChange("a/b", ChangeKind.REFOLLOWED, locked(), locked(NEW), old_follows="c")
    assert decided(own_again) == Allow(("a/b is new: github:o/r/main",))


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("path:/etc/shadow", True),
        ("path:%2Fetc", True),
        ("git+file:///home/me/secrets", True),
        ("git+file://u:p@/home/me", True),  # no flake reference, and no way around
        ("hg+file:///x", True),
        ("file:///etc/passwd", True),
        ("tarball+FILE:///x", True),
        ("path:./sub", False),
        ("github:file/path", False),
        ("git+https://file/x", False),
        ("https://x/?y=file:///z", False),
    ],
)
def test_an_upstream_may_not_read_this_machine(url: str, local: bool) -> None:
    assert reads_this_machine(Locked("?", url, url)) == local
    assert reads_this_machine(Locked("?", "github:o/r", url)) == local
    for change in (added("a/b", url), updated("a/b", locked(), Locked("?", url, url))):
        decision = decided(change, acceptance=ACCEPTED)
        assert isinstance(decision, Refuse) == local
        if isinstance(decision, Refuse):
            assert decision.reason is HoldReason.NEW_PATH


@pytest.mark.parametrize("new_path", list(PolicyAction))
@pytest.mark.parametrize("other", list(PolicyAction))
@pytest.mark.parametrize("was", ["absent", "elsewhere", "following"])
def test_the_strictest_rule_holds_for_what_would_be_read_from_this_machine(
    was: str, other: PolicyAction, new_path: PolicyAction
) -> None:
    """It is a path of this machine, and new or from elsewhere besides: neither rule switches off the other."""
    local = Locked("git", "git+file:///x", "git+file:///x", NEW)
    change = {
        "absent": InputChange("a/b", ChangeKind.ADDED, new=local),
        "elsewhere": updated("a/b", locked(), local),
        "following": InputChange("a/b", ChangeKind.REFOLLOWED, locked(), local, old_follows="c"),
    }[was]
    rules = replace(DEFAULT, new_path=new_path, origin=PolicyAction.ALLOW, new_input=PolicyAction.ALLOW)
    elsewhere = was == "elsewhere"
    rules = replace(rules, origin=other) if elsewhere else replace(rules, new_input=other)
    decision = decided(change, rules=rules)
    kinds: dict[PolicyAction, type] = {
        PolicyAction.ALLOW: Allow,
        PolicyAction.HOLD: Hold,
        PolicyAction.REFUSE: Refuse,
    }
    strictest = max(new_path, other, key=list(PolicyAction).index)
    assert type(decision) is kinds[strictest]
    if isinstance(decision, (Hold, Refuse)):
        told = HoldReason.ORIGIN if elsewhere else HoldReason.NEW_INPUT
        assert decision.reason is (HoldReason.NEW_PATH if new_path is strictest else told)
    else:
        assert len(decision.warnings) == 1, "one sentence: it would be read from this machine"


def test_what_was_local_before_may_stay_so_but_not_look_elsewhere() -> None:
    was = Locked("git", f"git+file:///x?rev={OLD}", "git+file:///x", OLD)
    on = replace(was, url=f"git+file:///x?rev={NEW}", rev=NEW)
    assert decided(updated("a/b", was, on)) == Allow()
    elsewhere = replace(on, url=f"git+file:///y?rev={NEW}")
    assert isinstance(decided(updated("a/b", was, elsewhere)), Refuse)
    for start in ("file:///", "file://localhost/"):
        file = Locked("file", f"{start}a", f"{start}a")
        assert decided(updated("a/b", file, replace(file, nar_hash="sha256-y"))) == Allow()
        assert isinstance(decided(updated("a/b", file, Locked("file", f"{start}b", f"{start}b"))), Refuse)


def lock(**nodes: Mapping[str, object]) -> LockFile:
    import json

    full = {
        name: {"locked": locked_as(node), "original": dict(node["ref"]), "inputs": node.get("inputs", {})}  # type: ignore[call-overload]  # a test's own table
        for name, node in nodes.items()
        if name != "root"
    }
    return LockFile.parse(json.dumps({"nodes": full | {"root": nodes["root"]}, "root": "root", "version": 7}))


def locked_as(node: Mapping[str, object]) -> dict[str, object]:
    return {**node["ref"], "rev": node.get("rev", OLD), "narHash": "sha256-x"}  # type: ignore[dict-item]  # as above


def test_moves_of_two_real_locks() -> None:
    here = {"type": "github", "owner": "o", "repo": "r"}
    old = lock(
        root={"inputs": {"a": "a", "c": "c"}},
        a={"ref": here, "inputs": {"b": "b"}},
        b={"ref": here},
        c={"ref": here},
    )
    new = lock(
        root={"inputs": {"a": "a", "c": "c"}},
        a={"ref": here, "rev": NEW, "inputs": {"b": "b", "evil": "evil"}},
        b={"ref": here | {"owner": "x"}, "rev": NEW},
        c={"ref": here, "rev": NEW},
        evil={"ref": {"type": "git", "url": "file:///etc"}},
    )
    one, other = moves(lockfile.diff(old, new))
    assert (one.change.input, [change.input for change in one.beneath]) == ("a", ["a/b", "a/evil"])
    assert (other.change.input, other.beneath) == ("c", ())
    decision = decide(one, Facts(NOW, Relation.FORWARD), DEFAULT)
    assert isinstance(decision, Refuse)
    assert decision.detail == "a/evil would be read from this machine: git+file:///etc"
    softer = decide(one, Facts(NOW, Relation.FORWARD), replace(DEFAULT, new_path=PolicyAction.ALLOW))
    assert isinstance(softer, Hold)
    assert softer.reason is HoldReason.ORIGIN
    assert decide(other, Facts(NOW, Relation.FORWARD), DEFAULT) == Allow()


def test_a_nested_change_alone_is_a_move_of_its_own() -> None:
    deep, deeper = updated("a/b"), added("a/b/c", "github:x/y")
    assert moves([deep, deeper]) == (Move(deep, (deeper,)),)
    assert moves([]) == ()


# -- the user's hold


@pytest.mark.parametrize(
    ("hold", "held"),
    [
        (UserHold("a", "w", NOW), True),
        (UserHold("a", "w", NOW, until=NOW + timedelta(seconds=1)), True),
        (UserHold("a", "w", NOW, until=NOW), False),
        (UserHold("a", "w", NOW, at=OTHER), True),
        (UserHold("a", "w", NOW, at=NEW), False),
        (UserHold("a", "w", NOW, until=NOW, at=OTHER), False),
    ],
)
def test_a_hold_holds_until_its_end_and_at_its_revision(hold: UserHold, held: bool) -> None:
    decision = decided(hold=hold, acceptance=ACCEPTED)
    assert isinstance(decision, Hold) == held
    if isinstance(decision, Hold):
        assert (decision.reason, decision.until) == (HoldReason.USER, hold.until)
        assert decision.detail.endswith(": w")


def test_a_revision_that_the_user_named_is_taken_though_it_leads_back_and_is_young() -> None:
    rules = replace(DEFAULT, minimum_age=DAY)
    hold = UserHold("a", "w", NOW, at=NEW)
    assert isinstance(decided(relation=Relation.BACKWARD, rules=rules, hold=hold), Allow)
    assert isinstance(decided(relation=Relation.BACKWARD, rules=rules, hold=replace(hold, until=NOW)), Hold)


# -- whatever comes

REVISIONS = st.sampled_from([OLD, NEW, OTHER])
URLS = st.sampled_from(
    ["github:o/r", "github:x/y", "git+file:///x", "path:/x", "https://x/y.tar.gz", "-", "\x00:"]
)
LOCKED = st.builds(
    Locked,
    st.sampled_from(["github", "git", "tarball", "path"]),
    URLS,
    URLS,
    st.none() | REVISIONS,
    last_modified=st.none() | st.integers(0, 2**40),
)
ORDINARY = st.builds(
    lambda rev, date: updated(new=locked(rev, date=date)),
    REVISIONS,
    st.none() | st.integers(1_600_000_000, 1_800_000_000),
)
ANY = st.builds(InputChange, st.just("a"), st.sampled_from(ChangeKind), st.none() | LOCKED, st.none() | LOCKED)
CHANGES = ORDINARY | ANY
BENEATH = st.lists(
    st.builds(
        InputChange,
        st.just("a/b"),
        st.sampled_from(ChangeKind),
        st.none() | LOCKED,
        st.none() | LOCKED,
        st.none() | st.just("c"),
        st.none() | st.just("c"),
    ),
    max_size=2,
).map(tuple)
RULES = st.builds(
    InputRules,
    minimum_age=st.sampled_from([0.0, 3600.0, 5 * DAY]),
    backwards=st.sampled_from(PolicyAction),
    origin=st.sampled_from(PolicyAction),
    new_input=st.sampled_from(PolicyAction),
    new_path=st.sampled_from(PolicyAction),
)
HOLDS = st.none() | st.builds(
    UserHold, st.just("a"), st.just("w"), TIMES, st.none() | TIMES, st.none() | REVISIONS
)
ACCEPTANCES = st.none() | st.builds(Acceptance, st.just("a"), TIMES, st.none() | REVISIONS, st.none() | REVISIONS)
FACTS = st.builds(Facts, st.just(NOW), st.sampled_from(Relation), st.none(), HOLDS, ACCEPTANCES)


@settings(max_examples=1500, deadline=None)
@given(st.builds(Move, CHANGES, BENEATH), FACTS, st.none() | TIMES, RULES)
def test_what_is_allowed_was_allowed_by_somebody(
    move: Move, facts: Facts, since: datetime | None, rules: InputRules
) -> None:
    young = minimum_age.young_until(move.change, since, NOW, rules.minimum_age)
    decision = decide(move, replace(facts, young_until=young), rules)
    change, hold = move.change, facts.hold
    if not isinstance(decision, Allow):
        assert decision.detail
        if isinstance(decision, Hold) and decision.until is not None:
            assert decision.until > NOW
            assert decision.reason is HoldReason.USER or decision.until <= NOW + timedelta(
                seconds=rules.minimum_age
            )
        return
    local = [one for one in move.beneath if one.new and reads_this_machine(one.new) and one.new_follows is None]
    fresh = [one for one in local if one.kind is not ChangeKind.REMOVED and (one.old is None or one.old_follows)]
    assert not fresh or rules.new_path is not PolicyAction.REFUSE
    if forced(change) or change.old is None or change.new is None:
        return  # flake.nix allowed it
    new = change.new.revision
    assert hold is None or not hold.active(NOW) or hold.at == new, "a held input moved"
    accepted = facts.acceptance is not None and facts.acceptance.covers(change.old.revision or None, new or None)
    if (hold is not None and hold.active(NOW)) or accepted:
        return  # the user did
    if new != change.old.revision and change.new.type != "path":
        waited = (NOW - (since or NOW)).total_seconds()
        assert max(waited, 0) >= rules.minimum_age, "too young"
    if rules.backwards is not PolicyAction.ALLOW and rules.origin is not PolicyAction.ALLOW:
        assert facts.relation not in (Relation.BACKWARD, Relation.DIVERGED), "a downgrade"
