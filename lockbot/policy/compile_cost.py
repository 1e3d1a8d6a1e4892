"""Whether what would have to be compiled here is worth it now, or an input waits for a cache. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase

from lockbot.policy.decisions import Allow, Decision, Hold, HoldReason
from lockbot.policy.minimum_age import later
from lockbot.policy.rules import InputRules
from lockbot.report import words


def weigh(derivations: Sequence[str], rules: InputRules, now: datetime, *, since: datetime | None) -> Decision:
    """Whether what would have to be compiled (paths or names of derivations) is worth it now.

    `since`: since when this input waits for a cache (`InputState.cache_since`); the wait has an end.
    """
    names = [words.derivation(drv) for drv in derivations]
    why = too_costly(names, rules)
    if why is None:
        return Allow()
    end = later(since or now, rules.wait_for_cache)
    if end <= now:
        return Allow((f"{why}, and no cache had it within {words.age(rules.wait_for_cache)}: compiled here",))
    return Hold(HoldReason.CACHE, f"{why}: waiting for a cache, at most until {end:%Y-%m-%d %H:%M} UTC", end)


def too_costly(names: Sequence[str], rules: InputRules) -> str | None:
    """Why derivations of these names are not to be compiled here; None: they may."""
    refused = sorted({name for name in names if not_to_compile(name, rules.never_compile)})
    if refused:
        more = f" and {len(refused) - 3} more" if len(refused) > 3 else ""
        return f"it would compile {', '.join(refused[:3])}{more}"
    if rules.max_builds is not None and len(names) > rules.max_builds:
        return f"it would compile {words.count(len(names), 'derivation')}, more than {rules.max_builds}"
    return None


def not_to_compile(name: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names this derivation; those that begin with `!` are exceptions."""
    if any(fnmatchcase(name, pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(fnmatchcase(name, pattern) for pattern in patterns)
