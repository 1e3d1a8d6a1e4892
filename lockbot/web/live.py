"""What a run is doing, from the file that its events go into. Knows that file's records; nothing of pages.

The file only grows: of each run it is remembered how far it was read, and what was found up to there.
"""

from __future__ import annotations

import copy
import os
import stat
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lockbot import files
from lockbot.report import events
from lockbot.report.document import Document
from lockbot.report.events import Record

LARGEST_STEP = 4 * 1024 * 1024
"""Bytes that are read at one look, at most; what was told before those is seldom still so."""
_LONGEST_LINE = 64 * 1024
_MOST_RUNS = 8
_MOST_HOSTS, _MOST_BUILDS = 1000, 200
_NEWEST = 20
"""So many notes, and lines of the user's command, are shown."""


@dataclass
class Live:
    """One run, as its records tell it. Times are as they stand there: ISO 8601."""

    started: Record | None = None
    ended: bool = False
    last: str | None = None
    phase: str | None = None
    phase_since: str | None = None
    expected: int = 0
    """How many hosts the phase will decide, where that is known."""
    hosts: dict[str, Document] = field(default_factory=dict)
    building: dict[str, Document] = field(default_factory=dict)
    looking: Document | None = None
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=_NEWEST))
    said: deque[str] = field(default_factory=lambda: deque(maxlen=_NEWEST))

    @property
    def is_alive(self) -> bool:
        return not self.ended and (self.started is None or events.is_alive(self.started))

    def observe(self, one: Record) -> None:
        """Records are lockbot's own, but a strange one must not cost the page."""
        self.last = _text(one, "time") or self.last
        host = _text(one, "host")
        match one["event"]:
            case events.STARTED:
                self.started = one
            case events.ENDED:
                self.ended = True
            case "phase":
                self._begin(one)
            case "evaluating" if host:
                self._host(host, "evaluating", at=_text(one, "at"))
            case "evaluated" if host:
                self._host(host, "evaluated", at=_text(one, "at"))
            case "host decided" if host:
                told = {name: _text(one, name) for name in ("status", "failure", "message")}
                self._host(host, "decided", **told)
            case "building" if len(self.building) < _MOST_BUILDS:
                told = {name: _text(one, name) for name in ("derivation", "drv", "machine")}
                self.building[_text(one, "drv") or ""] = {**told, "since": self.last}
            case "built":
                self.building.pop(_text(one, "drv") or "", None)
            case "looking":
                self.looking = _looking(one)
            case "note":
                self.notes.append(_text(one, "text") or "")
            case "retrying":
                self.notes.append(f"{_text(one, 'what')}: tried again, {_text(one, 'why')}")
            case "command said":
                self.said.append(_text(one, "text") or "")

    def _begin(self, one: Record) -> None:
        self.phase, self.phase_since = _text(one, "phase"), self.last
        self.expected = _number(one, "hosts")
        self.hosts.clear()
        self.building.clear()

    def _host(self, host: str, state: str, **told: str | None) -> None:
        if host in self.hosts or len(self.hosts) < _MOST_HOSTS:
            self.hosts[host] = {"host": host, "state": state, "since": self.last, **told}


def _looking(one: Record) -> Document:
    inputs = one.get("inputs")
    named = [str(name) for name in inputs] if isinstance(inputs, list) else []
    return {
        "what": _text(one, "what"),
        "inputs": named[:100],
        "probe": _number(one, "probe"),
        "about": _number(one, "about"),
    }


def _text(one: Record, name: str) -> str | None:
    value: Any = one.get(name)
    return value if isinstance(value, str) else None


def _number(one: Record, name: str) -> int:
    value: Any = one.get(name)
    return value if isinstance(value, int) and 0 <= value < 10**9 else 0


# -- reading


class Followed:
    """The files of the runs that were looked at last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: OrderedDict[Path, _Reading] = OrderedDict()

    def look(self, path: Path) -> Live | None:
        """What the file tells by now; None: it can't be read."""
        with self._lock:
            reading = self._runs.setdefault(path, _Reading())
            self._runs.move_to_end(path)
            while len(self._runs) > _MOST_RUNS:
                self._runs.popitem(last=False)
            try:
                reading.catch_up(path)
            except OSError:
                del self._runs[path]
                return None
            return copy.deepcopy(reading.live)


class _Reading:
    """How far one file was read."""

    def __init__(self) -> None:
        self.live = Live()
        self._file: tuple[int, int] | None = None
        self._offset = 0

    def catch_up(self, path: Path) -> None:
        """Raises OSError."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise files.NotOurs(path, "no regular file")
            if (found.st_dev, found.st_ino) != self._file or found.st_size < self._offset:
                self.live, self._offset, self._file = Live(), 0, (found.st_dev, found.st_ino)
            if found.st_size - self._offset > LARGEST_STEP:
                self._skip(file, found.st_size - LARGEST_STEP)
            file.seek(self._offset)
            data = file.read(found.st_size - self._offset)
        whole = data.rfind(b"\n") + 1  # what comes behind is being written
        self._observe(data[:whole].split(b"\n"))
        self._offset += whole

    def _skip(self, file: BinaryIO, to: int) -> None:
        """The first record says whose run it is; the others before that place are left out."""
        file.seek(0)
        self._observe([file.readline(_LONGEST_LINE)])
        file.seek(to)
        self._offset = to + len(file.readline())

    def _observe(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            if (one := events.decode(line.decode(errors="replace"))) is not None:
                self.live.observe(one)
