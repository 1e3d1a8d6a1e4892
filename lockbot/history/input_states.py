"""What is remembered of inputs and derivations, as values. Pure: no SQL, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from lockbot.model import CulpritCommit, Failure, Heard, HoldEnd

ASKED_EVERY = timedelta(hours=1)
"""At most so often is asked whether a hold has ended, whoever asks, and whatever came of it."""


@dataclass(frozen=True)
class SeenTip:
    """A revision that lockbot saw at the tip of what an input follows.

    `source` is the flake reference that was followed: a revision of another branch has not been seen on this one.
    """

    source: str
    revision: str
    first_seen: datetime
    last_seen: datetime
    committed: int | None = None
    """Seconds since 1970, as its committer says; where that is known."""


@dataclass(frozen=True)
class UserHold:
    """The user said that an input stays: until a time, until something has come (`ends`), at a revision, or (none
    of them) until it is released."""

    input: str
    why: str
    since: datetime
    until: datetime | None = None
    at: str | None = None
    ends: HoldEnd | None = None
    heard: Heard | None = None
    """What was heard of `ends`; None: nobody was asked yet."""

    def active(self, now: datetime) -> bool:
        """Whether it holds still. What `ends` it is found out by asking: the hold is released then."""
        return self.until is None or now < self.until

    def due(self, now: datetime) -> bool:
        """Whether to ask whether it has ended. A clock that is set back silences nothing for long."""
        if self.ends is None or not self.active(now):
            return False
        return self.heard is None or not self.heard.asked <= now < self.heard.asked + ASKED_EVERY


@dataclass(frozen=True)
class Acceptance:
    """The user said that an input may move in spite of what holds it: to `revision`, or to any (None).

    `locked` is where it was then. Once it has moved from there, the acceptance is used up.
    """

    input: str
    since: datetime
    locked: str | None
    revision: str | None = None

    def covers(self, locked: str | None, new: str | None) -> bool:
        """Whether the step from `locked` to `new` is what was accepted."""
        return self.locked == locked and self.revision in (None, new)


class StateWord(StrEnum):
    """How an input stands. NEVER: no run has attempted it yet."""

    NEVER = "never attempted"
    CURRENT = "current"
    HELD = "held"
    WAITING_FOR_AGE = "waiting-for-age"
    WAITING_FOR_CACHE = "waiting-for-cache"
    UNREACHABLE = "unreachable"
    MOVED = "moved"
    """By another hand, since the last run had to do with it. Never stored: what lies in the lock tells."""
    REQUESTED = "requested"
    """A pull request asks to take its newest revision. Never stored: what is remembered of requests tells."""


@dataclass(frozen=True)
class Observation:
    """What one run found out about one input. None: nothing about that, so what was known stays.

    `locked` is where the input is after the run. `asked`: upstream was really asked, and answered.
    """

    input: str
    state: StateWord
    locked: str | None
    asked: bool
    reason: str = ""
    """A word for machines, as in `model.Held`."""
    detail: str = ""
    last_good: str | None = None
    culprit: CulpritCommit | None = None
    next_try: datetime | None = None
    waiting_for_cache: bool = False
    """It waits for a cache, whatever else its state says: for a revision that is not the newest."""


@dataclass(frozen=True)
class InputState:
    """How an input stands, and how long it has."""

    input: str
    noticed: datetime
    """When a run first had this input."""
    state: StateWord = StateWord.NEVER
    reason: str = ""
    detail: str = ""
    since: datetime | None = None
    """Of this state and reason."""
    stuck_since: datetime | None = None
    """Since when it is kept from moving, whatever the reasons; a day of no network does not begin it anew."""
    cache_since: datetime | None = None
    """Since when it waits for a cache; not begun anew by other states either, for the wait has a limit."""
    last_attempt: datetime | None = None
    last_success: datetime | None = None
    unreachable_since: datetime | None = None
    last_good: str | None = None
    culprit: CulpritCommit | None = None
    next_try: datetime | None = None
    locked: str | None = None


_KEPT_BACK = frozenset({StateWord.HELD, StateWord.WAITING_FOR_AGE, StateWord.WAITING_FOR_CACHE})


def advance(before: InputState | None, seen: Observation, now: datetime) -> InputState:
    """The state of an input after a run."""
    old = before or InputState(seen.input, noticed=now, locked=seen.locked)
    attempted = seen.asked or seen.state is StateWord.UNREACHABLE
    state = replace(
        old,
        state=seen.state,
        reason=seen.reason,
        detail=seen.detail,
        since=old.since if (old.state, old.reason) == (seen.state, seen.reason) and old.since else now,
        last_attempt=now if attempted else old.last_attempt,
        last_success=now if seen.asked else old.last_success,
        last_good=seen.last_good or old.last_good,
        culprit=seen.culprit or old.culprit,
        next_try=seen.next_try,
        locked=seen.locked,
    )
    state = replace(state, unreachable_since=_unreachable_since(old, seen, now))
    if seen.state is StateWord.CURRENT or old.locked != seen.locked:
        # It moved: what was said of its way here is over, unless this very run says it anew.
        state = replace(state, stuck_since=None, cache_since=None, culprit=seen.culprit)
    if seen.state in _KEPT_BACK:
        state = replace(state, stuck_since=state.stuck_since or now)
        if seen.waiting_for_cache or seen.state is StateWord.WAITING_FOR_CACHE:
            state = replace(state, cache_since=state.cache_since or now)
    return state


def as_it_lies(state: InputState, locked: str | None, newest: str | None, *, followed: bool) -> InputState:
    """What is left of a state, given where the input is locked now: what was said of its way on from elsewhere is
    over. `followed`: it still follows what was asked then; `newest`: the tip of what it follows, seen last.
    """
    if followed and state.locked in (None, locked):
        return state
    if followed and state.state is StateWord.UNREACHABLE:
        return replace(state, stuck_since=None, cache_since=None, last_good=None, culprit=None)
    return InputState(
        state.input,
        state.noticed,
        StateWord.CURRENT if locked is not None and locked == newest else StateWord.MOVED,
        last_attempt=state.last_attempt if followed else None,
        last_success=state.last_success if followed else None,
        unreachable_since=state.unreachable_since if followed else None,
        locked=state.locked,
    )


def _unreachable_since(old: InputState, seen: Observation, now: datetime) -> datetime | None:
    if seen.asked:
        return None
    if seen.state is StateWord.UNREACHABLE:
        return old.unreachable_since or now
    return old.unreachable_since


@dataclass(frozen=True)
class Remembered:
    """How the build of a derivation ended last. `flaky`: it once failed and then built, unchanged."""

    drv: str
    when: datetime
    failure: Failure | None = None
    flaky: bool = False
