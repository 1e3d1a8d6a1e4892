"""When a child, a pause or a whole run has to end: deadlines, and the token that says that a run is over."""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from collections.abc import Sequence

from lockbot.errors import Cancelled, DeadlineExceeded


class Deadline:
    """A moment after which something has taken too long. `restart` sets it anew (for silence)."""

    def __init__(self, seconds: float, what: str) -> None:
        self.seconds = seconds
        self.what = what
        self._end = time.monotonic() + seconds

    def restart(self) -> None:
        self._end = time.monotonic() + self.seconds

    @property
    def left(self) -> float:
        return self._end - time.monotonic()


class CancelToken:
    """Says to every child, in every thread, that the run is over: a signal, or its overall deadline.

    A token with a `parent` is over when either is: it ends one part of a run and not the rest.
    """

    def __init__(self, deadline: Deadline | None = None, parent: CancelToken | None = None) -> None:
        self.deadline: Deadline | None = deadline or (parent.deadline if parent is not None else None)
        self._parent = parent
        self._reason: str | None = None
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def __enter__(self) -> CancelToken:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def cancel(self, reason: str) -> None:
        """Safe in a signal handler and from any thread; the first reason stays."""
        if self._reason is None:
            self._reason = reason
            with contextlib.suppress(OSError):
                os.write(self._writer, b"x")  # stays readable for everyone: nobody reads it

    @property
    def reason(self) -> str | None:
        return self._reason or (self._parent.reason if self._parent is not None else None)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Become readable when the run is over."""
        return (self._reader, *(self._parent.descriptors if self._parent is not None else ()))

    def check(self) -> None:
        """Raise if the run is over."""
        if self.reason is not None:
            raise Cancelled(f"stopped: {self.reason}")
        if self.deadline is not None and self.deadline.left <= 0:
            raise DeadlineExceeded(
                f"{self.deadline.what} took longer than {duration(self.deadline.seconds)}",
                "raise the deadline in the configuration, or find out what hangs",
            )

    def sleep(self, seconds: float) -> None:
        """Wait, but not past the end of the run."""
        pause = Deadline(seconds, "a pause")
        with selectors.DefaultSelector() as selector:
            for descriptor in self.descriptors:
                selector.register(descriptor, selectors.EVENT_READ)
            while True:
                self.check()
                if pause.left <= 0:
                    return
                selector.select(patience(self, [pause], blind=False))


def patience(cancel: CancelToken, deadlines: Sequence[Deadline], *, blind: bool) -> float | None:
    """How long the selector may sleep: to the next deadline, or briefly where only a look tells of the end."""
    limits = [deadline.left for deadline in deadlines]
    if cancel.deadline is not None:
        limits.append(cancel.deadline.left)
    if blind:
        limits.append(0.05)
    return max(min(limits), 0) if limits else None


def duration(seconds: float) -> str:
    """`90` → `1 min 30 s`, `3600` → `1 h`."""
    whole = round(seconds)
    if seconds < 10 and seconds != whole:
        return f"{seconds:.1f} s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    parts = [(hours, "h"), (minutes, "min"), (left, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"
