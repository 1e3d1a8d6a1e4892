"""How one input stands, and all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lockbot.daemon.memory import Pause, Service
from lockbot.history.input_states import Acceptance, InputState, SeenTip, StateWord, UserHold
from lockbot.history.notices.values import Delivery
from lockbot.history.summaries.runs import RunSummary
from lockbot.history.summaries.unjudged import Unjudged
from lockbot.model import Locked, PullRequest
from lockbot.policy.decisions import HoldReason
from lockbot.policy.rules import InputRules, PolicyAction


@dataclass(frozen=True)
class Row:
    """One input. `hold` is an active one of the user's; `newest` the tip that was seen last; `request`: a pull
    request that would move it; `closed`: the one with its newest revision that a person has closed."""

    input: str
    rules: InputRules
    locked: Locked | None = None
    state: InputState | None = None
    hold: UserHold | None = None
    accepted: Acceptance | None = None
    newest: SeenTip | None = None
    request: PullRequest | None = None
    closed: PullRequest | None = None

    @property
    def word(self) -> StateWord:
        if self.hold is not None:
            return StateWord.HELD
        found = self.state.state if self.state is not None else StateWord.NEVER
        # What a run took counts as current: it is not on the branch before its request lands.
        return StateWord.REQUESTED if self.request is not None and found is StateWord.CURRENT else found

    @property
    def reason(self) -> str:
        """A word for machines; empty: nothing is the matter."""
        if self.hold is not None:
            return HoldReason.USER
        return self.state.reason if self.state is not None else ""

    @property
    def behind(self) -> float | None:
        """Seconds from the locked revision to the newest tip that was seen; None: not known."""
        locked, newest = self.locked, self.newest
        if locked is None or newest is None:
            return None
        if newest.revision == locked.revision:
            return 0.0
        if locked.last_modified is None:
            return None
        committed = newest.committed if newest.committed is not None else newest.first_seen.timestamp()
        return max(committed - locked.last_modified, 0.0)


@dataclass(frozen=True)
class Status:
    """`alarms` are for somebody to act upon, `notes` for reading; both are sentences."""

    now: datetime
    rows: tuple[Row, ...]
    alarms: tuple[str, ...]
    notes: tuple[str, ...] = ()
    service: Service | None = None
    """The daemon, where one lives."""
    pause: Pause | None = None
    last: RunSummary | None = None
    """The newest run of this flake."""
    unjudged: tuple[Unjudged, ...] = ()
    """Hosts and inputs that the newest runs could not judge."""
    deliveries: tuple[Delivery, ...] = ()
    """How it stands with the messages to each [[notify]]."""
    requests: tuple[PullRequest, ...] = ()
    """The pull requests that are not over, the oldest first."""


_KEYS = {
    HoldReason.BACKWARDS: "backwards",
    HoldReason.ORIGIN: "origin",
    HoldReason.NEW_INPUT: "new_input",
    HoldReason.NEW_PATH: "new_path",
}


def policy_key(state: InputState) -> str | None:
    """The key of the configuration that keeps an input back."""
    return _KEYS.get(HoldReason(state.reason)) if state.reason in frozenset(HoldReason) else None


def answer(state: InputState, rules: InputRules) -> PolicyAction | None:
    """What the configuration says to that, as long as the input is kept back."""
    key = policy_key(state)
    return None if key is None or state.stuck_since is None else getattr(rules, key)
