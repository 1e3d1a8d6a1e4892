"""`lockbot notify` as children beside the runs: after each run, once an hour, and when something is tried again.
Where there may be pull requests, they are looked after before that.

They count as no runs and hold up none. Knows lockbot's command line, not what is told or how.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from lockbot import process, systemd
from lockbot.daemon.children import program
from lockbot.daemon.events import Errand, Event, Tell, Told
from lockbot.errors import LockbotError
from lockbot.process import CancelToken, Deadline, Listener
from lockbot.report import events

EVERY = timedelta(hours=1)
SOONEST = timedelta(seconds=30)
"""However soon something is to be tried again."""
_NOTES = 100
Schedule = Callable[[datetime, Event, str], None]
"""When, what is put into the queue then, and under which name: a later one of that name takes its place."""


class Messages:
    """The children of one daemon. Every method but the threads' own is called by the daemon's only thread."""

    def __init__(
        self,
        environ: Mapping[str, str],
        put: Callable[[Event], None],
        schedule: Schedule,
        clock: Callable[[], datetime],
    ) -> None:
        self._environ = environ
        self._put = put
        self._schedule = schedule
        self._clock = clock
        self._wanted: Mapping[Path, Errand] = {}
        self._running: dict[Path, _Child] = {}
        self._again: set[Path] = set()

    def adopt(self, configs: Mapping[Path, Errand]) -> None:
        """These are looked after from now on, and no others."""
        new = configs.keys() - self._wanted.keys()
        self._wanted = configs
        for config in sorted(new):
            self.begin(config)

    def begin(self, config: Path) -> None:
        """Now; or, where one is at work for it, once more when that is over: it may have looked too early."""
        if config not in self._wanted:
            return
        if config in self._running:
            self._again.add(config)
            return
        self._next(config, None)  # should this one not live to say when
        self._running[config] = _Child(config, self._wanted[config], self._environ, self._put)
        self._running[config].start()

    def ended(self, told: Told) -> None:
        self._running.pop(told.config).token.close()
        self._next(told.config, told.next)
        if told.config in self._again:
            self._again.discard(told.config)
            self.begin(told.config)

    def _next(self, config: Path, wanted: datetime | None) -> None:
        if config in self._wanted:
            now = self._clock()
            moment = min(max(wanted, now + SOONEST), now + EVERY) if wanted is not None else now + EVERY
            self._schedule(moment, Tell(config), f"notify {config}")

    @property
    def pids(self) -> list[int | None]:
        """Of those at work; None: one that is just starting."""
        return [child.pid for child in self._running.values()]

    @property
    def any(self) -> bool:
        return bool(self._running)

    def begin_all(self) -> None:
        """When the clock was set, nothing is known of when."""
        for config in sorted(self._wanted):
            self.begin(config)

    def stop(self) -> None:
        """Ask each to end: it begins no more messages, and goes when those that it has begun are through."""
        self._wanted = {}
        for child in self._running.values():
            if child.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGTERM)

    def kill(self) -> None:
        for child in self._running.values():
            child.token.cancel("the daemon stops")


class _Child:
    def __init__(
        self, config: Path, errand: Errand, environ: Mapping[str, str], put: Callable[[Event], None]
    ) -> None:
        self._config = config
        self._errand = errand
        self._environ = environ
        self._put = put
        self._next: datetime | None = None
        self._error = ""
        self._notes: list[str] = []
        self.token = CancelToken()
        self.pid: int | None = None

    def start(self) -> None:
        threading.Thread(target=self._see, name=f"notify {self._config}", daemon=True).start()

    def _see(self) -> None:
        """To its end, whatever that is like."""
        try:
            if self._errand.requests:
                self._look_after_requests()
            code = self._run("notify")
            if code != 0:
                self._error = self._error or f"it ended with {code}"
        except Exception as error:  # noqa: BLE001 -- the thread's boundary: without its end nobody would be told again
            self._error = error.message if isinstance(error, LockbotError) else repr(error)
        finally:
            self.pid = None
        self._put(Told(self._config, self._next, self._error, tuple(self._notes)))

    def _look_after_requests(self) -> None:
        """What goes wrong is noted; a run that works on the repository does it itself."""
        code = self._run("requests", "--settle")
        if code != 0:
            self._notes.append(f"looking after pull requests: {self._error or f'it ended with {code}'}")
        self._error = ""

    def _run(self, *command: str) -> int:
        return process.run(
            [*program(), "--config", str(self._config), "--log-format", "json", *command],
            env=systemd.without(self._environ),
            cancel=self.token,
            deadlines=[Deadline(self._errand.seconds, command[0])],
            cwd=self._config.parent,
            listener=Listener(on_start=self._started, on_stderr=self._heard),
        ).code

    def _started(self, pid: int) -> None:
        self.pid = pid

    def _heard(self, text: str) -> None:
        one = events.decode(text) or {}
        if one.get("event") == events.NOTIFIED:
            self._next = _moment(one.get("next"))
        elif one.get("event") == events.NOTE and len(self._notes) < _NOTES:
            self._notes.append(str(one.get("text", "")))
        elif one.get("event") == events.FAILED:
            self._error = str(one.get("message", ""))


def _moment(text: object) -> datetime | None:
    """Records are lockbot's own, but a strange one must not end anything."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
