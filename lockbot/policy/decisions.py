"""What policy decides on and what it decides: values. What a decision rests on is in `decide`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lockbot.git.inputs.revisions import Relation
from lockbot.history.input_states import Acceptance, UserHold
from lockbot.model import InputChange


class HoldReason(StrEnum):
    """Why an input is kept back, for machines: `model.Held.reason`."""

    USER = "held-by-user"
    AGE = "waiting-for-age"
    CACHE = "waiting-for-cache"
    CHECKS = "waiting-for-checks"
    CHECKS_UNKNOWN = "checks-unknown"
    BACKWARDS = "backwards"
    ORIGIN = "origin-changed"
    NEW_INPUT = "new-input"
    NEW_PATH = "new-local-path"
    OWN = "own-commits"
    GROUP = "waiting-for-group"


@dataclass(frozen=True)
class Move:
    """One input's change, with what changes beneath it because of that."""

    change: InputChange
    beneath: tuple[InputChange, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What is known about a move."""

    now: datetime
    relation: Relation = Relation.UNKNOWN
    """How the new revision stands to the locked one, in upstream's own history."""
    young_until: datetime | None = None
    """When its new revision is old enough; None: it is (`minimum_age`)."""
    hold: UserHold | None = None
    acceptance: Acceptance | None = None
    own: bool = False
    """All that is new there are lockbot's own commits: the input is this very repository."""


@dataclass(frozen=True)
class Allow:
    """`warnings`: sentences that belong into the commit."""

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hold:
    """`until`: when it may move by itself; None: when a person says so."""

    reason: HoldReason
    detail: str
    until: datetime | None = None


@dataclass(frozen=True)
class Refuse:
    reason: HoldReason
    detail: str


Decision = Allow | Hold | Refuse


def moves(changes: Sequence[InputChange]) -> tuple[Move, ...]:
    """The changes, each nested one with the outermost changed input that it lies under."""
    paths = {change.input for change in changes}
    beneath: dict[str, list[InputChange]] = {}
    for change in changes:
        names = change.input.split("/")
        above = ("/".join(names[:length]) for length in range(1, len(names)))
        top = next((path for path in above if path in paths), None)
        if top is not None:
            beneath.setdefault(top, []).append(change)
    inner = {change.input for group in beneath.values() for change in group}
    return tuple(
        Move(change, tuple(beneath.get(change.input, ()))) for change in changes if change.input not in inner
    )
