"""What may be compiled here, and how long an input waits for a cache."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from lockbot.policy.compile_cost import weigh
from lockbot.policy.decisions import Allow, Hold, HoldReason
from tests.policy.moves import (
    DAY,
    DEFAULT,
    NOW,
    days_ago,
)

COMPILED = ["/nix/store/00000000000000000000000000000000-linux-6.12.3.drv", "hello-2.12", "linux-6.12.3-modules"]


def test_what_is_dear_waits_for_a_cache_but_not_for_ever() -> None:
    rules = replace(DEFAULT, never_compile=("linux-*", "!linux-*-modules*"), wait_for_cache=3 * DAY)
    decision = weigh(COMPILED, rules, NOW, since=None)
    assert isinstance(decision, Hold)
    assert (decision.reason, decision.until) == (HoldReason.CACHE, NOW + timedelta(days=3))
    assert decision.detail.startswith("it would compile linux-6.12.3: waiting")
    assert isinstance(weigh(COMPILED, rules, NOW, since=days_ago(2.9)), Hold)
    late = weigh(COMPILED, rules, NOW, since=days_ago(3))
    assert isinstance(late, Allow)
    assert "compiled here" in late.warnings[0]
    assert weigh(COMPILED[1:], rules, NOW, since=None) == Allow()


def test_so_many_are_too_many() -> None:
    assert weigh(COMPILED, replace(DEFAULT, max_builds=3), NOW, since=None) == Allow()
    assert isinstance(weigh(COMPILED, replace(DEFAULT, max_builds=2), NOW, since=None), Hold)
    assert isinstance(weigh(["x"], replace(DEFAULT, max_builds=0), NOW, since=None), Hold)
    assert weigh(COMPILED, DEFAULT, NOW, since=None) == Allow()
    assert weigh([], replace(DEFAULT, max_builds=0, never_compile=("*",)), NOW, since=None) == Allow()
