"""The daemon's heartbeat: as long as its loop is well, and never in its way."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from lockbot.daemon import plan
from lockbot.daemon.events import Beaten
from lockbot.daemon.heartbeat import Heartbeats
from lockbot.daemon.service import Daemon
from lockbot.notify.kinds import PingStyle
from lockbot.notify.ping_requests import Heartbeat, Target
from tests.nixes import PROJECT
from tests.notify.switch import (  # noqa: F401 -- fixtures
    CHECK,
    PUSH_TOKEN,
    Healthchecks,
    Reply,
    Switch,
    UptimeKuma,
    elsewhere,
    switch,
)

PATIENCE = 60.0
"""Seconds, for a machine that is busy."""


class Log:
    """What the daemon logs: (level, event, why)."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda event, **fields: self.told.append((level, event, fields.get("why", "")))


class Beating:
    """The part of the daemon that beats, and what comes back to its loop."""

    def __init__(self, *found: Heartbeat) -> None:
        self.log = Log()
        self.events: queue.SimpleQueue[Beaten] = queue.SimpleQueue()
        self.heartbeats = Heartbeats(self.events.put, cast(Any, self.log))
        self.heartbeats.adopt(found)

    def beat(self, *, well: bool = True) -> None:
        self.heartbeats.beat(well=well)

    def hear(self) -> None:
        self.heartbeats.hear(self.events.get(timeout=PATIENCE))


def often(switch: Switch, path: str = f"/{CHECK}") -> Heartbeat:  # noqa: F811
    """Due again at once."""
    return Heartbeat(Target(switch.url + path), 0)


def test_each_style_is_told_that_all_is_well(switch: Switch, elsewhere: Switch) -> None:  # noqa: F811
    check = switch.answer = Healthchecks(only_post=True)
    kuma = elsewhere.answer = UptimeKuma(1)
    push = Target(f"{elsewhere.url}/api/push/{PUSH_TOKEN}?status=up&msg=OK&ping=", PingStyle.UPTIME_KUMA)
    beating = Beating(Heartbeat(Target(f"{switch.url}/{CHECK}"), 300), Heartbeat(push, 300))
    beating.beat()
    beating.hear()
    beating.hear()
    assert (check.state, kuma.beats) == ("up", [("up", "OK", "")])
    assert 0 < (beating.heartbeats.left or 0) <= 300
    beating.beat()
    assert len(switch.asked) == len(elsewhere.asked) == 1, "not due"
    assert beating.log.told == []


def test_it_is_silent_when_the_daemon_is_not_well(switch: Switch) -> None:  # noqa: F811
    beating = Beating(often(switch))
    beating.beat(well=False)
    assert beating.events.empty()
    beating.beat()
    beating.hear()
    assert len(switch.asked) == 1


def test_trouble_is_told_once_until_it_is_over(switch: Switch) -> None:  # noqa: F811
    beating = Beating(often(switch))
    fine, down = (lambda _: Reply()), (lambda _: Reply(404))
    for answer in (fine, down, down, down, fine, fine, down):
        switch.answer = answer
        beating.beat()
        beating.hear()
        while any(one.is_on_its_way for one in beating.heartbeats._beating.values()):
            time.sleep(0.001)
    assert [(level, event) for level, event, _ in beating.log.told] == [
        ("warning", "the heartbeat does not arrive"),
        ("info", "the heartbeat arrives again"),
        ("warning", "the heartbeat does not arrive"),
    ]
    why = beating.log.told[0][2]
    assert why == "127.0.0.1 knows no such check (404): see whether the address is whole"


def test_one_that_hangs_is_told_and_is_the_only_one(switch: Switch) -> None:  # noqa: F811
    """As long as it lasts: no thread is added to it, and the loop goes on."""
    switch.answer = lambda _: Reply(drip=True)
    beating = Beating(often(switch))
    for _ in range(5):
        beating.beat()
    for _ in range(4):
        beating.hear()
    assert [why for _, _, why in beating.log.told] == ["127.0.0.1 keeps the last one waiting"]
    while not switch.asked:
        time.sleep(0.001)
    assert len(switch.asked) == 1


def test_one_that_stays_keeps_its_time(switch: Switch) -> None:  # noqa: F811
    first = Heartbeat(Target(f"{switch.url}/{CHECK}"), 300)
    beating = Beating(first)
    beating.beat()
    beating.hear()
    beating.heartbeats.adopt([first, often(switch, "/other")])
    assert beating.heartbeats.left == 0
    beating.beat()
    beating.hear()
    assert switch.paths == [f"/{CHECK}", "/other"]
    beating.heartbeats.adopt([])
    assert beating.heartbeats.left is None


# -- the daemon ---------------------------------------------------------------------------------------------------


def configuration(directory: Path, name: str, url: str, more: str = "") -> Path:
    (directory / f"{name}.url").write_text(url)
    path = directory / f"{name}.toml"
    path.write_text(
        f'[repository]\npath = "{directory}"\n[schedule]\nwhen = "@yearly"\n'
        f'[ping]\nheartbeat_url = {{ file = "{name}.url" }}\n{more}\n'
    )
    return path


def environ(directory: Path) -> dict[str, str]:
    return {"HOME": str(directory), "LOCKBOT_STATE__DIRECTORY": str(directory / "state")}


def test_several_configurations_with_one_address_have_one_heartbeat(tmp_path: Path) -> None:
    paths = [
        configuration(tmp_path, "a", "https://hc.example/1", 'heartbeat_every = "10m"'),
        configuration(tmp_path, "b", "https://hc.example/1", 'heartbeat_every = "2m"'),
        configuration(tmp_path, "c", "https://hc.example/2"),
        configuration(tmp_path, "d", "https://hc.example/1", 'style = "uptime-kuma"'),
    ]
    found = plan.read(paths, environ(tmp_path)).heartbeats
    assert {(one.target.url[-1], str(one.target.style), one.every) for one in found} == {
        ("1", "healthchecks", 120),
        ("2", "healthchecks", 300),
        ("1", "uptime-kuma", 300),
    }
    assert "hc.example/1" not in repr(found)


def test_the_loop_beats_only_while_its_scheduler_lives(switch: Switch, tmp_path: Path) -> None:  # noqa: F811
    path = configuration(tmp_path, "a", f"{switch.url}/{CHECK}", 'heartbeat_every = "1s"')
    daemon = Daemon([path], environ(tmp_path), cast(Any, structlog.get_logger()))
    daemon._adopt(daemon._plan)
    daemon._timer.start()
    while not switch.asked:
        daemon._once()
    daemon._scheduler.shutdown(wait=False)
    daemon._timer.join()
    (one,) = daemon._heartbeats._beating.values()
    while one.is_on_its_way:
        time.sleep(0.001)
    before = len(switch.asked)
    one.due = 0
    daemon._once()
    assert one.due > 0 and not one.is_on_its_way
    assert len(switch.asked) == before


@pytest.mark.parametrize("answer", [Reply(), Reply(hang=True)], ids=["well", "with a switch that hangs"])
def test_a_daemon_that_is_started(switch: Switch, tmp_path: Path, answer: Reply) -> None:  # noqa: F811
    """It loads no more of lockbot for that, and stops at once whatever the switch does."""
    switch.answer = lambda _: answer
    path = configuration(tmp_path, "a", f"{switch.url}/{CHECK}", 'heartbeat_every = "1s"')
    program = (
        "import sys, atexit\n"
        "atexit.register(lambda: print([name for name in ('requests', 'lockbot.report.terminal') "
        "if name in sys.modules]))\n"
        f"sys.argv = ['lockbot', 'daemon', '--config', {str(path)!r}]\n"
        "from lockbot.cli import main\nmain()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        env=environ(tmp_path) | {"NO_PROXY": "*", "PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(switch.asked) < (1 if answer.hang else 2) and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    out, told = child.communicate(timeout=PATIENCE)
    assert (child.returncode, out) == (0, "[]\n"), told
    assert CHECK not in told
