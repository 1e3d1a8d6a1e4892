"""Pings of one run: a switch is told that it begins, and how it ended. They neither delay nor change it.

What is sent is the run's story in short, without secrets; the switch's address is shown to nobody.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from lockbot.errors import LockbotError
from lockbot.history.logs import shorten
from lockbot.model import Outcome, Run
from lockbot.notify.http import Patience, Sending
from lockbot.notify.ping_requests import Signal, Target, Told, request
from lockbot.process import CancelToken
from lockbot.report import styled_lines, terminal
from lockbot.report.escape import plain
from lockbot.report.output import shown

LONGEST_TEXT = 10_000
"""Bytes; healthchecks.io keeps ten times as much."""
_LONGEST_LINE = 200
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_OID, "lockbot")


def signal_of(outcome: Outcome | None) -> Signal | None:
    """A run that did its work is a success, also where nothing could be taken; one that could not is a failure.

    One that was stopped (Ctrl-C, SIGTERM) sends nothing: the daemon makes up for it, and where nothing comes, the
    switch itself says so when its time is over.
    """
    match outcome:
        case (
            Outcome.UNCHANGED | Outcome.PUBLISHED | Outcome.PARTLY_PUBLISHED | Outcome.REQUESTED | Outcome.REJECTED
        ):
            return Signal.SUCCESS
        case Outcome.UNJUDGED | Outcome.STALE | Outcome.FAILED:
            return Signal.FAILURE
        case Outcome.INTERRUPTED | None:
            return None


@dataclass
class RunPings:
    """`target` None: there is no switch, and nothing is sent."""

    target: Target | None
    patience: Patience = field(default_factory=Patience)
    _sent: list[Sending] = field(default_factory=list)

    def start(self, run: Run) -> None:
        """Returns at once."""
        self._send(Signal.START, Told(rid=_rid(run)))

    def end(self, run: Run) -> None:
        """Returns at once; it arrives after the start, or not at all."""
        signal = signal_of(run.outcome)
        if signal is not None and self.target is not None:
            seconds = (run.finished - run.started).total_seconds() if run.finished else None
            text = styled_lines.text(terminal.summary(run))
            self._send(signal, _told(terminal.headline(run)[0], text, seconds, _rid(run)))

    def refuse(self, error: LockbotError) -> None:
        """There was no run."""
        line = f"Not run: {error.message}"
        self._send(Signal.FAILURE, _told(line.partition("\n")[0], f"{line}\n{error.hint}".strip() + "\n"))

    def problems(self, cancel: CancelToken) -> tuple[str, ...]:
        """Waits for what is on its way, within bounds; a sentence for what did not arrive."""
        found = [sending.wait(cancel) for sending in reversed(self._sent)]
        self._sent.clear()
        return tuple(dict.fromkeys(f"a ping did not arrive: {why}" for why in found if why is not None))

    def _send(self, signal: Signal, told: Told) -> None:
        wanted = request(self.target, signal, told) if self.target is not None else None
        if wanted is not None:
            self._sent.append(Sending(wanted, self.patience, self._sent[-1] if self._sent else None))


def _rid(run: Run) -> str:
    return str(uuid.uuid5(_NAMESPACE, run.id))


def _told(line: str, text: str, seconds: float | None = None, rid: str | None = None) -> Told:
    return Told(plain(line, _LONGEST_LINE), shorten(shown(text), LONGEST_TEXT), seconds, rid)
