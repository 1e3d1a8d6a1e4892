"""Heartbeats: a dead man's switch is told every few minutes that the daemon is well.

Each is sent by a thread of its own, so that the loop never waits for one; how it went comes back as an event.
While one is on its way, no other is sent to the same place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING

from lockbot.daemon.events import Beaten
from lockbot.notify.http import Patience, send
from lockbot.notify.ping_requests import Heartbeat, Signal, request

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_PATIENCE = Patience()


@dataclass
class _Beating:
    """One switch. `due`: when it is to be told next, on the monotonic clock."""

    number: int
    every: float
    due: float = field(default_factory=time.monotonic)
    thread: Thread | None = None
    failing: bool = False

    @property
    def is_on_its_way(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


class Heartbeats:
    """`put` takes the events."""

    def __init__(self, put: Callable[[Beaten], None], log: FilteringBoundLogger) -> None:
        self._put = put
        self._log = log
        self._numbers = 0
        self._beating: dict[Heartbeat, _Beating] = {}

    def adopt(self, found: Sequence[Heartbeat]) -> None:
        """Those that there are from now on; one that stays keeps its time."""
        before, self._beating = self._beating, {}
        for one in found:
            self._beating[one] = before.get(one) or _Beating(self._numbers, one.every)
            self._numbers += 1

    @property
    def left(self) -> float | None:
        """Seconds until the next one is due; None: there are none."""
        return max(min(one.due for one in self._beating.values()) - time.monotonic(), 0) if self._beating else None

    def beat(self, *, well: bool) -> None:
        """Send what is due, or keep silent for another turn."""
        now = time.monotonic()
        for heartbeat, one in self._beating.items():
            if one.due > now:
                continue
            one.due = now + one.every
            if not well:
                continue
            if one.is_on_its_way:
                self._put(Beaten(one.number, f"{heartbeat.target.host} keeps the last one waiting"))
            else:
                one.thread = Thread(target=self._send, args=(heartbeat, one.number), name="heartbeat", daemon=True)
                one.thread.start()

    def hear(self, event: Beaten) -> None:
        """Tell when one begins to fail, and when it no longer does."""
        for one in self._beating.values():
            if one.number != event.number or one.failing == (event.problem is not None):
                continue
            one.failing = event.problem is not None
            if event.problem is not None:
                self._log.warning("the heartbeat does not arrive", why=event.problem)
            else:
                self._log.info("the heartbeat arrives again")

    def _send(self, heartbeat: Heartbeat, number: int) -> None:
        wanted = request(heartbeat.target, Signal.SUCCESS)
        try:
            problem = send(wanted, _PATIENCE, _wait) if wanted is not None else None
        except Exception as error:  # noqa: BLE001 -- the thread's boundary; its text may hold the address
            problem = f"{heartbeat.target.host}: {type(error).__name__}"
        self._put(Beaten(number, problem))


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False
