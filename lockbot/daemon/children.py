"""One run as a child process: how it is started, what it is doing, how it ended. Knows lockbot's command line."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lockbot import process, systemd
from lockbot.daemon.plan import Task
from lockbot.model import Outcome, Phase
from lockbot.process import CancelToken, Deadline, Listener
from lockbot.redact import redact
from lockbot.report import events
from lockbot.report.events import Record

PATIENCE = 300.0
"""Seconds that a run gets beyond its own deadline, to end itself."""


@dataclass
class Child:
    """A run that was begun. `end` and `stop` may be called from another thread than `run`'s."""

    task: Task
    deadline: Deadline
    token: CancelToken
    pid: int | None = None
    doing: Doing = field(default_factory=lambda: Doing())

    def run(self, environ: Mapping[str, str], on_record: Callable[[Record], None]) -> int:
        """See it to its end; its exit code. Raises LockbotError: it can't be started, or hung."""

        def started(pid: int) -> None:
            self.pid = pid

        def line(text: str) -> None:
            if text.strip():
                on_record(
                    events.decode(text) or {"level": "warning", "event": "said", "text": redact(text)[:2000]}
                )

        try:
            done = process.run(
                command(self.task),
                env=systemd.without(environ),
                cancel=self.token,
                deadlines=[self.deadline],
                cwd=self.task.config.parent,
                listener=Listener(on_start=started, on_stderr=line),
            )
        finally:
            self.pid = None
        return done.code

    def stop(self) -> None:
        """Ask it to end: it ends what it has started, records itself as interrupted, and goes."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


def begin(task: Task) -> Child:
    deadline = Deadline(task.deadline + PATIENCE, f"the run of {task.label}")
    return Child(task, deadline, CancelToken())


def program() -> list[str]:
    """How this lockbot is started."""
    own = Path(sys.argv[0])
    # A wrapper script knows where this lockbot's libraries are; the bare interpreter may not.
    wrapped = own.name == "lockbot" and own.is_absolute() and os.access(own, os.X_OK)
    return [str(own)] if wrapped else [sys.executable, "-P", "-m", "lockbot"]


def command(task: Task) -> list[str]:
    which = ["--group", task.group] if task.group is not None else [f"--apart-from={name}" for name in task.apart]
    return [*program(), "--config", str(task.config), "--log-format", "json", "update", *which]


def adopt_orphans() -> None:
    """Become the parent of what a killed run leaves behind.

    Nix's processes are in sessions of their own, and hold locks that the next run would wait for. Only Linux has
    this; elsewhere they stay.
    """
    # MemoryError: systemd's MemoryDenyWriteExecute, with an old libffi.
    with contextlib.suppress(ImportError, OSError, AttributeError, MemoryError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


_PR_SET_CHILD_SUBREAPER = 36


def reap_orphans(keep: Collection[int], *, kill: bool) -> None:
    """Bury what was adopted and has ended; with `kill` end it first. `keep`: the children that others wait for."""
    for pid in set(_own_children()) - {*keep, process.watcher.pid()}:
        if kill:
            # Nix first, then what it builds: a builder whose child dies goes on, and Nix would keep what it makes.
            family = sorted(process.descendants(pid), key=lambda one: int(one[1]))
            for one in (pid, *(found for found, _ in family)):
                process.kill(one)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0 if kill else os.WNOHANG)


def _own_children() -> Iterator[int]:
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            yield from map(int, task.read_text().split())


@dataclass
class Doing:
    """What a run is at, from its records so far."""

    run: str | None = None
    phase: str = "starting"
    hosts: int = 0
    decided: set[str] = field(default_factory=set)
    building: dict[str, str] = field(default_factory=dict)
    ended: Outcome | None = None
    error: str = ""

    def observe(self, one: Record) -> None:
        """Records are lockbot's own, but a strange one must not end the daemon."""
        self.run = str(one["run"]) if "run" in one else self.run
        match one["event"]:
            case "phase":
                self.phase, self.hosts = str(one.get("phase", "")), int(one.get("hosts", 0))
                self.decided.clear()
                self.building.clear()
            case "host decided":
                self.decided.add(str(one.get("host")))
            case "building":
                self.building[str(one.get("drv"))] = str(one.get("derivation"))
            case "built":
                self.building.pop(str(one.get("drv")), None)
            case events.ENDED:
                with contextlib.suppress(ValueError):
                    self.ended = Outcome(str(one.get("outcome")))
                self.error = str(one.get("error") or "")
            case events.FAILED:
                self.error = str(one.get("message", ""))

    @property
    def words(self) -> str:
        """`building linux-6.12, 2 of 9 hosts done`."""
        if self.phase != Phase.JUDGE:
            return _PHASES.get(self.phase, self.phase)
        first = next(iter(self.building.values()), None)
        more = f" and {len(self.building) - 1} more" if len(self.building) > 1 else ""
        said = f"building {first}{more}" if first is not None else "judging"
        return f"{said}, {len(self.decided)} of {max(self.hosts, len(self.decided))} hosts done"


_PHASES: dict[str, str] = {
    Phase.SYNC: "fetching the branch",
    Phase.PROPOSE: "updating the inputs",
    Phase.PUBLISH: "publishing",
    Phase.RECORD: "recording the run",
}
