"""`lockbot notify` killed at every point of a send, and twenty at once: what is told arrives once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.nixes import PROJECT
from tests.notify.server import MAIL_STAGES, STAGES, Server
from tests.notify.world import Told, broken

PATIENCE = 60.0
LAST = {"http": STAGES[-1], "mail": MAIL_STAGES[-1]}
"""When the service has answered, and lockbot is about to go."""


class Notifiers:
    """tests.notify.kills: starts `lockbot notify`, and hears how each ends."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.notify.kills"],
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, told: Told, many: int = 1) -> list[int]:
        assert self._process.stdin is not None and self._process.stdout is not None
        asked = {"many": many, "config": str(told.config), "environ": told.world.environ}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return [int(word) for word in self._process.stdout.readline().split()]

    def ended(self) -> list[int]:
        """How: exit codes and signals, as wait(2) has them."""
        assert self._process.stdout is not None
        return [int(word) for word in self._process.stdout.readline().split()]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def notifiers() -> Iterator[Notifiers]:
    found = Notifiers()
    yield found
    found.close()


class Killer:
    """Kills the process, and whatever it may have started, when the server comes to a stage for the first time.

    But not in the few microseconds between the postmark and the bytes: stopped there, it goes on. Nobody could
    tell what became of a message then; and before, or after, everything must be right.
    """

    def __init__(self, stage: str, told: Told, server: Server) -> None:
        self._stage = stage
        self._told = told
        self._server = server
        self._known = threading.Event()
        self._pid = 0
        self.killed = threading.Event()

    def of(self, pid: int) -> None:
        self._pid = pid
        self._known.set()

    def __call__(self, stage: str) -> None:
        if stage == self._stage and not self.killed.is_set():
            assert self._known.wait(PATIENCE)
            self._kill(stage)
            self.killed.set()

    def _kill(self, stage: str) -> None:
        with contextlib.suppress(ProcessLookupError):  # it was quick, and has ended by itself
            while True:
                os.killpg(self._pid, signal.SIGSTOP)
                until(lambda: _state(self._pid) in "TZ")
                if (
                    stage not in ("accepted", "head")
                    or not marked(self._told)
                    or b"message" in self._server.waiting
                ):
                    break
                os.killpg(self._pid, signal.SIGCONT)
            os.killpg(self._pid, signal.SIGKILL)


def marked(told: Told) -> bool:
    """Whether a message is said to have gone out."""
    state = Path(told.world.environ["LOCKBOT_STATE__DIRECTORY"])
    return any(one.read_bytes().strip(b"\0") for one in state.glob("repos/*/postmarks-*"))


def _state(pid: int) -> str:
    """Empty: it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def url(server: Server, kind: str) -> str:
    if kind == "mail":
        return f"mailto://{server.host}?from=a@example.org&to=b@example.org&mode=insecure"
    return f"json://{server.host}/hook"


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


def now(told: Told) -> None:
    """The other processes have the machine's clock."""
    told.world.now = datetime.now(UTC)


@pytest.mark.parametrize(
    ("kind", "stage"), [*(("http", stage) for stage in STAGES), *(("mail", stage) for stage in MAIL_STAGES)]
)
def test_killed_at_a_stage_it_arrives_once(told: Told, notifiers: Notifiers, kind: str, stage: str) -> None:
    now(told)
    with Server(mail=kind == "mail") as server:
        told.target(url(server, kind))
        told.record(broken("web"))
        server.at = killer = Killer(stage, told, server)
        (pid,) = notifiers.start(told)
        killer.of(pid)
        (end,) = notifiers.ended()
        assert end == signal.SIGKILL or (end == 0 and stage == LAST[kind]), "it may be quicker than who kills it"
        until(killer.killed.is_set)
        server.at = lambda _: None
        server.settle()
        now(told)
        told.notify()
        assert len(server.arrived) == 1, told.states()
        assert told.states() in (["sent"], ["unknown"])
        told.notify()
        assert len(server.arrived) == 1


def test_killed_before_it_is_let_in(told: Told, notifiers: Notifiers) -> None:
    """The kernel has taken what it said; the service takes it later."""
    now(told)
    with Server() as server:
        server.open.clear()
        told.target(url(server, "http"))
        told.record(broken("web"))
        (pid,) = notifiers.start(told)
        until(lambda: marked(told))
        time.sleep(0.1)  # the few microseconds of which Killer speaks
        os.killpg(pid, signal.SIGKILL)
        notifiers.ended()
        server.open.set()
        until(lambda: bool(server.arrived))
        now(told)
        assert told.notify().notes == ("1 message may not have arrived: lockbot was killed",)
        assert len(server.arrived) == 1 and told.states() == ["unknown"]
        assert told.status()["unknown"] == 1
        assert "may not have arrived" in told.run("status").stdout


def test_twenty_at_once(told: Told, notifiers: Notifiers, server: Server) -> None:
    now(told)
    told.target(url(server, "http"), "one")
    told.target(url(server, "http"), "two")
    told.record(broken("web"))
    notifiers.start(told, 20)
    assert notifiers.ended() == [0] * 20
    assert len(server.arrived) == 2 and told.states() == ["sent", "sent"]
