"""The outbox on its way: what is due goes to every target at once, and one that is slow delays no other.

All of it takes LONGEST seconds at most. What does not come to its end by then stays behind in a thread of its own,
from which nothing goes out any more: whoever calls this should end the process. Knows no settings.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lockbot.errors import LockbotError
from lockbot.history.notices.store import Notices
from lockbot.history.notices.values import Letter
from lockbot.history.texts import storable
from lockbot.model import Notice, NoticeKind
from lockbot.notify import sending
from lockbot.notify.changes import Target
from lockbot.notify.postmarks import Postmarks
from lockbot.notify.sending import Attempt, NotUnderstood
from lockbot.notify.texts import BODY, message

LONGEST = 14.0
"""Seconds for everything together."""
_ENOUGH = 2.0
"""With less than this left, nothing more is begun."""
NOT_UNDERSTOOD = "its URL is not understood: `lockbot check` says more"
NOT_KNOWN_HERE = "its URL is a credential, which only systemd gives: try it in a unit that has it"
_TOO_SLOW = "it does not answer in time"


@dataclass(frozen=True)
class Result:
    """What became of one message. `error` empty: it was sent."""

    target: str
    title: str
    error: str = ""
    letters: int = 1


@dataclass(frozen=True)
class Delivered:
    """What became of all of them. `unfinished`: a target hangs still, in a thread."""

    results: tuple[Result, ...] = ()
    unfinished: bool = False


@dataclass(frozen=True)
class Desk:
    """What all targets are served with. `postmarks` has room for all that waits; `about` names the flake; `over`
    says that nothing more is to be begun."""

    outbox: Notices
    postmarks: Postmarks
    about: str
    clock: Callable[[], datetime]
    over: Callable[[], bool] = lambda: False


def settle(outbox: Notices, postmarks: Postmarks) -> int:
    """Clear up after one that was killed while it sent. Returns how many messages may not have arrived. Raises
    OSError."""
    lost = outbox.settle(postmarks.read())
    postmarks.begin(letter.id for letter in outbox.waiting())
    return lost


def deliver(desk: Desk, targets: Sequence[Target]) -> Delivered:
    """Send what is due. The caller sees to it that nobody else does meanwhile, and has settled what was before."""
    end = time.monotonic() + LONGEST
    known = [target for target in targets if target.url is not None]
    served = [_Serving(desk, target, found, end) for target in known if (found := _due(desk, target))]
    for one in served:
        one.start()
    for one in served:
        one.finish()
    results = tuple(result for one in served for result in one.results)
    return Delivered(results, any(one.hangs for one in served))


def _due(desk: Desk, target: Target) -> list[Letter]:
    """All that waits for a target, the oldest first, as soon as any of it is due: that something is over must not
    come before that it began."""
    letters = [one for one in desk.outbox.waiting() if one.target == storable(target.name)]
    return letters if any(one.is_due(desk.clock()) for one in letters) else []


def try_out(targets: Sequence[Target], about: str) -> Delivered:
    """Send each a message of no consequence, at once and beside the outbox."""
    end = time.monotonic() + LONGEST
    served = [_Trying(target, about) for target in targets]
    for one in served:
        one.start()
    results = tuple(one.finish(end) for one in served)
    return Delivered(results, any(one.thread.is_alive() for one in served))


class _Serving:
    """One target, in a thread of its own. What is decided of a message is decided once, by the thread or by who
    waits for it."""

    def __init__(self, desk: Desk, target: Target, letters: Sequence[Letter], end: float) -> None:
        self._desk = desk
        self._target = target
        self._open = list(_batches(target, letters))
        self._end = end
        self._attempt: Attempt | None = None
        self._decided = threading.Lock()
        self._abandoned = False
        self.results: list[Result] = []
        self._thread = threading.Thread(target=self._serve, name="a message", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def hangs(self) -> bool:
        return self._thread.is_alive()

    def finish(self) -> None:
        """Wait for it, but not for ever."""
        self._thread.join(max(self._end - time.monotonic(), 0))
        with self._decided:
            if self._thread.is_alive() and self._open:
                self._abandoned = True
                if self._attempt is not None:
                    self._attempt.close()
                self._put_off(_TOO_SLOW)

    def _serve(self) -> None:
        try:
            service = sending.understand(self._target.url or "")
        except NotUnderstood:
            with self._decided:
                self._put_off(NOT_UNDERSTOOD)
            return
        error = ""
        while self._open and not self._abandoned and not self._desk.over():
            if error and self._end - time.monotonic() < _ENOUGH:
                with self._decided:
                    self._put_off(error)
                return
            error = self._send(service, self._open[0])

    def _send(self, service: sending.Service, letters: Sequence[Letter]) -> str:
        ids, outbox = [one.id for one in letters], self._desk.outbox
        told = [one.notice for one in letters]
        text = message(told, self._desk.about, letters[0].id, sending.longest(service))
        attempt = self._attempt = Attempt(text.reference, lambda: self._desk.postmarks.add(ids), self._end)
        try:
            outbox.mark_sending(ids)
            sent = sending.send(service, text, attempt)
        except LockbotError as trouble:
            attempt.reasons.append(trouble.message)
            sent = False
        with self._decided:
            if self._abandoned:
                return _TOO_SLOW
            self._open.pop(0)
            error = "" if sent else attempt.why
            self.results.append(Result(self._target.name, text.title, error, len(letters)))
            if sent:
                _recorded(lambda: outbox.mark_sent(ids))
            else:
                _recorded(lambda: outbox.fail(letters, error))
        return error

    def _put_off(self, error: str) -> None:
        """All that is left fares as the last one did."""
        left = [one for letters in self._open for one in letters]
        if left:
            self.results.append(Result(self._target.name, left[0].notice.title, error, len(left)))
            _recorded(lambda: self._desk.outbox.fail(left, error))
            self._open.clear()


def _recorded(record: Callable[[], None]) -> None:
    """A history that can't be written just now loses sight of a message: what was sent is found half sent by the
    next one, and not sent again; the rest is due as before."""
    try:
        record()
    except LockbotError:
        return


def _batches(target: Target, letters: Sequence[Letter]) -> Iterator[list[Letter]]:
    """What was collected is one message."""
    if target.digest is not None:
        yield list(letters)
    else:
        yield from ([one] for one in letters)


_TEST = Notice(
    NoticeKind.RECOVERED,
    "A test of lockbot's notifications",
    "If you can read this, what changes will be told here.",
)


@dataclass
class _Trying:
    target: Target
    about: str
    error: str | None = None
    thread: threading.Thread = field(init=False)

    def start(self) -> None:
        self.thread = threading.Thread(target=self._try, name="a test message", daemon=True)
        self.thread.start()

    def finish(self, end: float) -> Result:
        self.thread.join(max(end - time.monotonic(), 0))
        return Result(self.target.name, _TEST.title, self.error if self.error is not None else _TOO_SLOW)

    def _try(self) -> None:
        if self.target.url is None:
            self.error = NOT_KNOWN_HERE
            return
        try:
            service = sending.understand(self.target.url)
        except NotUnderstood:
            self.error = NOT_UNDERSTOOD
            return
        text = message([_TEST], self.about, "test", min(sending.longest(service), BODY))
        attempt = Attempt(text.reference, lambda: None, time.monotonic() + LONGEST)
        self.error = "" if sending.send(service, text, attempt) else attempt.why
