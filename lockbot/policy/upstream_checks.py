"""Upstream's own verdict on its commits, and which revision of an input it lets through.

Pure but for the callable that is handed in. It must not know forges, nor how they are asked.

What is green is taken. A commit without any check is no verdict: where neither it nor the locked one has checks,
upstream has none, and nothing is held for ever because of that. Where the locked one has, checks of a new commit
may not have reported yet: they get a day for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice

from lockbot.model import InputChange, Locked
from lockbot.policy.decisions import Hold, HoldReason
from lockbot.policy.minimum_age import Aged, newest_old_enough
from lockbot.report import words

MOST = 20
"""Of how many commits a forge is asked, for one input in one run."""
GRACE = 86400.0
"""Seconds in which the checks of a commit report something, or there will be none."""


class Standing(StrEnum):
    """How a commit stands with its upstream. NONE: it has no checks. UNKNOWN: it could not be asked now."""

    GREEN = "green"
    RED = "red"
    PENDING = "pending"
    NONE = "none"
    UNKNOWN = "unknown"
    NO_FORGE = "no-forge"


@dataclass(frozen=True)
class Checks:
    """What was found out about one commit. `detail`: which check it is, or why nothing is known; `link`: its page.

    Both may be anybody's words: escape them wherever they are shown. `until`: when asking again may help.
    """

    standing: Standing
    detail: str = ""
    link: str | None = None
    until: datetime | None = None


AskChecks = Callable[[Locked, str], Checks]
"""What the checks of a revision say; the input as locked tells where it lives. Raises only what ends a run."""


def nobody(locked: Locked, revision: str) -> Checks:
    """The answer where no forge is known at all."""
    del locked, revision
    return Checks(Standing.NO_FORGE)


@dataclass(frozen=True)
class Choice:
    """The revision to go to (None: it stays), why that is not the wished one, and what to tell the reader.

    `checked`: there are checks, and the revision that is taken passed them.
    """

    revision: str | None
    hold: Hold | None = None
    warnings: tuple[str, ...] = ()
    checked: bool = False


def newest_green(ask: AskChecks, change: InputChange, revisions: Iterable[Aged], now: datetime) -> Choice:
    """The newest of these (newest first; the first is the wished one) that upstream's checks let through."""
    old, new = change.old, change.new
    assert old is not None and new is not None
    seen: list[tuple[Aged, Checks]] = []
    candidates = iter(revisions)
    for one in islice(candidates, MOST):
        checks = ask(new, one.revision)
        match checks.standing:
            case Standing.NO_FORGE:
                warning = f"{change.input}: taken without upstream's own verdict, for no forge is known to have it"
                return Choice(one.revision, warnings=(warning,))
            case Standing.UNKNOWN:
                return Choice(None, _unknown(one.revision, checks))
            case Standing.GREEN:
                taken = f": {words.short(one.revision)}, the newest green one, is taken"
                return Choice(one.revision, _waiting(seen[0], taken) if seen else None, checked=True)
            case Standing.RED | Standing.PENDING | Standing.NONE:
                seen.append((one, checks))
    if all(checks.standing is Standing.NONE for _, checks in seen):
        return _without_checks(ask, change, [one for one, _ in seen], now)
    more = next(candidates, None) is not None
    return Choice(None, _waiting(seen[0], _nothing_green(len(seen) - 1, more=more)))


def _without_checks(ask: AskChecks, change: InputChange, seen: list[Aged], now: datetime) -> Choice:
    """None of these has any checks."""
    old = change.old
    assert old is not None
    before = ask(old, old.revision) if old.rev is not None else Checks(Standing.NONE)
    if before.standing is Standing.NONE:
        warning = f"{change.input}: taken without upstream's own verdict, for its commits have no checks there"
        return Choice(seen[0].revision, warnings=(warning,))
    waited = newest_old_enough(seen, now, GRACE, locked=old.revision)
    if waited.revision is not None:
        warning = (
            f"{change.input}: no check has reported on {words.short(waited.revision)} within a day: taken without"
        )
        return Choice(waited.revision, warnings=(warning,))
    detail = f"no check has reported on {words.short(seen[0].revision)} yet"
    return Choice(None, Hold(HoldReason.CHECKS, detail, waited.first_at))


def _unknown(revision: str, checks: Checks) -> Hold:
    again = f"; again from {checks.until:%Y-%m-%d %H:%M} UTC on" if checks.until is not None else ""
    detail = f"the checks of {words.short(revision)} can't be asked: {checks.detail}{again}"
    return Hold(HoldReason.CHECKS_UNKNOWN, detail, checks.until)


def _waiting(tip: tuple[Aged, Checks], rest: str) -> Hold:
    one, checks = tip
    link = f" {checks.link}" if checks.link is not None else ""
    match checks.standing:
        case Standing.NONE:
            detail = f"no check has reported on {words.short(one.revision)}"
        case _:
            detail = f"{checks.detail} on {words.short(one.revision)}{link}"
    return Hold(HoldReason.CHECKS, detail + rest)


def _nothing_green(older: int, *, more: bool) -> str:
    if more:
        return f"; none of the {older + 1} newest is green, and no more were asked about"
    match older:
        case 0:
            return ""
        case 1:
            return "; nor is the one before it green"
        case _:
            return f"; nor is any of the {older} before it green"
