"""What is kept of what people are told, as values. Pure: no SQL, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from lockbot.model import Condition, Notice, NoticeKind

Key = tuple[NoticeKind, str]
"""What names a condition: its kind and subject."""


def key(condition: Condition) -> Key:
    return condition.kind, condition.subject


@dataclass(frozen=True)
class Looked:
    """Since when somebody looks (`first`), when that was last, and the newest run that had ended then."""

    first: datetime
    moment: datetime
    started: datetime | None = None
    run: str | None = None


@dataclass(frozen=True)
class Known:
    """What was told of a flake so far: the conditions that stood, the last look (None: nobody ever did), the
    targets that were told, and of pull requests (by id) what was told last."""

    conditions: Mapping[Key, Condition] = field(default_factory=dict)
    looked: Looked | None = None
    targets: frozenset[str] = frozenset()
    requests: Mapping[str, NoticeKind] = field(default_factory=dict)


class LetterState(StrEnum):
    WAITING = "waiting"
    SENDING = "sending"
    """It is on its way. Found so with nobody sending, it is unknown or waits: has it gone out, or not?"""
    SENT = "sent"
    UNKNOWN = "unknown"
    """Whoever sent it was killed when it had gone out: it may have arrived, and is not sent again."""
    GIVEN_UP = "given-up"


@dataclass(frozen=True)
class Letter:
    """One message to one target. `due` is when it is tried next, `tried` when it was first; `ended` when it was
    sent, given up or lost sight of."""

    id: str
    target: str
    notice: Notice
    created: datetime
    due: datetime
    state: LetterState = LetterState.WAITING
    attempts: int = 0
    tried: datetime | None = None
    error: str = ""
    ended: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Also where the clock was set back since: what was written or put off in the future is due now."""
        put_off = self.attempts > 0 and self.due - now > LONGEST_PAUSE
        return self.due <= now or self.created - now > MINUTE or put_off


MINUTE = timedelta(minutes=1)
PAUSES = (MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE)
LONGEST_PAUSE = timedelta(hours=1)
TRIED_FOR, TRIES = timedelta(days=1), 6
"""A message is given up after both: a machine that slept over a day, or whose clock was set, tried but once."""


def pause(attempts: int) -> timedelta:
    """How long to wait after so many attempts in vain."""
    return PAUSES[attempts - 1] if attempts <= len(PAUSES) else LONGEST_PAUSE


@dataclass(frozen=True)
class Decision:
    """What is to be kept after a look: all conditions that stand, and new letters. `targets`: those that there
    are, and when something new would be sent to each: what waits waits no longer. The letters of others go.
    `requests`: of each pull request, what was told last."""

    conditions: tuple[Condition, ...]
    looked: Looked
    letters: tuple[Letter, ...]
    targets: Mapping[str, datetime]
    requests: Mapping[str, NoticeKind] = field(default_factory=dict)


@dataclass(frozen=True)
class Delivery:
    """How it stands with one target: how many messages wait and since when, why and when they are tried again;
    and how many were given up, or may not have arrived, since one last got through."""

    target: str
    waiting: int = 0
    since: datetime | None = None
    next_try: datetime | None = None
    error: str = ""
    given_up: int = 0
    unknown: int = 0
