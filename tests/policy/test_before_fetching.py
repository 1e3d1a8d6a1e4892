"""What may not even be fetched: decided before anything else about a move is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from lockbot.history.input_states import Acceptance, UserHold
from lockbot.history.store import History
from lockbot.model import ChangeKind, InputChange, Locked
from lockbot.nix.lockfile import LockFile
from lockbot.policy.decide import by_rules, is_new_path, why_not_fetched
from lockbot.policy.decisions import Facts, Move
from lockbot.policy.engine import PolicyEngine
from lockbot.policy.result import PolicyResult
from lockbot.policy.rules import InputRules, PolicyAction, PolicyRules
from lockbot.policy.upstream_checks import nobody
from lockbot.policy.upstream_log import UpstreamLog
from tests.policy.moves import DEFAULT, NEW, NOW, OLD, added, locked, updated

PATH, OTHER = (Locked("path", f"path:/{name}", f"path:/{name}") for name in ("secret", "other"))
LOCAL = added("a/b", "path:/secret")
REMOTE = added("a/c", "github:x/y")
ACCEPTED = Acceptance("a", NOW, OLD)
HELD_THERE = UserHold("a", "why", NOW, at=NEW)


@pytest.mark.parametrize("answer", list(PolicyAction))
@pytest.mark.parametrize(
    ("wanted", "pinned"),
    [(None, False), (None, True), (ACCEPTED, False), (ACCEPTED, True), (HELD_THERE, False)],
)
def test_the_users_word_takes_what_is_held_and_not_what_is_refused(
    answer: PolicyAction, wanted: Acceptance | UserHold | None, pinned: bool
) -> None:
    facts = Facts(
        NOW,
        hold=wanted if isinstance(wanted, UserHold) else None,
        acceptance=wanted if isinstance(wanted, Acceptance) else None,
    )
    rules = replace(DEFAULT, new_path=answer)
    said = why_not_fetched(Move(updated(), (REMOTE, LOCAL)), facts, rules, pinned=pinned)
    taken = pinned or wanted is not None
    if answer is PolicyAction.REFUSE or (answer is PolicyAction.HOLD and not taken):
        assert said is not None and "a/b" in said and "path:/secret" in said
    else:
        assert said is None


def test_what_comes_from_elsewhere_may_be_fetched() -> None:
    strict = replace(DEFAULT, new_path=PolicyAction.REFUSE)
    assert why_not_fetched(Move(updated(), (REMOTE,)), Facts(NOW), strict, pinned=False) is None
    assert why_not_fetched(Move(updated()), Facts(NOW), strict, pinned=False) is None


@pytest.mark.parametrize(
    ("change", "new"),
    [
        (LOCAL, True),
        (REMOTE, False),
        (updated("a/b", locked(), PATH), True),
        (updated("a/b", PATH, PATH), False),
        (updated("a/b", PATH, OTHER), True),
        (updated("a/b", PATH, locked()), False),
        (InputChange("a/b", ChangeKind.REFOLLOWED, PATH, PATH, old_follows="c"), True),
        (InputChange("a/b", ChangeKind.REMOVED, PATH), False),
    ],
)
def test_what_is_a_new_path(change: InputChange, new: bool) -> None:
    """What followed another input had no path of its own."""
    assert is_new_path(change) is new


EngineOf = Callable[[PolicyRules], PolicyEngine]


@pytest.fixture
def engine_of(tmp_path: Path) -> Iterator[EngineOf]:
    with History.open(tmp_path / "history.sqlite", lambda: NOW) as history:
        ledger, log = history.ledger("flake"), cast("UpstreamLog", None)
        yield lambda rules: PolicyEngine(rules, ledger, log, "base", NOW, nobody, ())


def rules() -> PolicyRules:
    """`a` may bring along anything, all others nothing of this machine."""
    refusing = replace(DEFAULT, new_path=PolicyAction.REFUSE)
    return PolicyRules(refusing, {"a": replace(DEFAULT, new_path=PolicyAction.ALLOW)})


@pytest.mark.parametrize(("owner", "moved", "may"), [("a", "z", True), (None, "a", True), ("z", "a", False)])
def test_the_rules_are_those_of_the_input_that_brings_it_along(
    engine_of: EngineOf, owner: str | None, moved: str, may: bool
) -> None:
    change = updated(moved)
    said = by_rules(rules(), NOW)(change, (LOCAL,), owner)
    assert (said is None) is may
    assert (engine_of(rules()).why_not_fetched(Move(change, (LOCAL,)), owner, pinned=False) is None) is may


def test_rules_alone_know_no_word_of_the_user() -> None:
    holding = PolicyRules(replace(DEFAULT, new_path=PolicyAction.HOLD), {})
    assert by_rules(holding, NOW)(updated(), (LOCAL,), "a") is not None
    assert by_rules(holding, NOW)(updated(), (REMOTE,), "a") is None


def test_what_the_lock_has_is_no_news() -> None:
    text = (
        '{"nodes": {"root": {"inputs": {"b": "b"}}, "b": {"locked": {"type": "path", "path": "/secret"}, '
        '"original": {"type": "path", "path": "/secret"}}}, "root": "root", "version": 7}'
    )
    known = LockFile.parse(text)
    there = known.locked("b")
    assert there is not None
    change = InputChange("b", ChangeKind.ADDED, new=there)
    strict = PolicyRules(replace(DEFAULT, new_path=PolicyAction.REFUSE), {})
    assert by_rules(strict, NOW)(updated(), (change,), "a") is not None
    assert by_rules(strict, NOW, known)(updated(), (change,), "a") is None


@pytest.mark.parametrize("answer", [PolicyAction.REFUSE, PolicyAction.ALLOW])
def test_below_its_tip_it_is_held_for_what_it_would_bring_along(engine_of: EngineOf, answer: PolicyAction) -> None:
    engine = engine_of(PolicyRules(InputRules(new_path=answer), {}))
    result = PolicyResult({"a": NEW})
    change = replace(updated(), old=PATH, new=PATH)
    engine.hold_unfetched({"a": Move(change, (LOCAL,))}, result)
    assert [held.input for held in result.held] == (["a"] if answer is PolicyAction.REFUSE else [])


def test_what_was_not_fetched_is_told_with_the_others(engine_of: EngineOf) -> None:
    engine = engine_of(PolicyRules(InputRules(new_path=PolicyAction.REFUSE), {}))
    change = replace(updated(), old=PATH, new=PATH)
    result = engine.permit([], {}, frozenset(), unfetched={"a": Move(change, (LOCAL,))})
    assert [(held.input, str(held.reason)) for held in result.held] == [("a", "new-local-path")]
