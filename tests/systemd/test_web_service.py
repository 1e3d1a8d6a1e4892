"""lockbot-web.service under a real systemd: it shows what the daemon does, and could not change any of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.systemd.conftest import STATE, Place, runs
from tests.systemd.machine import Machine
from tests.systemd.test_daemon_service import OFTEN

UNIT = "lockbot-web.service"
SOCKET = "/run/lockbot-web/web.sock"
_ASK = """
import http.client, socket, sys
class Link(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
link = Link("localhost") if sys.argv[1].startswith("/") else http.client.HTTPConnection(sys.argv[1])
link.request("GET", sys.argv[2])
found = link.getresponse()
print(found.status)
print(found.read().decode())
"""


def ask(machine: Machine, path: str, place: str = "127.0.0.1:8465") -> tuple[int, Any]:
    """A page as JSON."""
    said = machine.run("/opt/lockbot/bin/python", "-c", _ASK, place, path)
    status, _, body = said.stdout.partition("\n")
    return int(status), json.loads(body)


def test_it_shows_a_daemon_that_lives_and_one_that_was_killed_and_can_write_nothing(
    machine: Machine, place: Callable[..., Place]
) -> None:
    fleet = place(extra=OFTEN, drop_in="RestartSec=1h")
    machine.systemctl("start", UNIT)  # Type=notify, and before there is any state
    status, page = ask(machine, "/.json")
    assert (status, page["last"], page["daemon"]) == (200, None, None)
    fleet.advance("a")
    machine.systemctl("start", "lockbot.service")
    machine.wait("the first run is shown", lambda: ask(machine, "/.json")[1]["last"] is not None)
    machine.wait("the daemon is shown", lambda: ask(machine, "/.json")[1]["daemon"] is not None)  # looked at anew
    page = ask(machine, "/.json")[1]
    assert page["daemon"]["pid"] == int(machine.property("lockbot.service", "MainPID"))
    assert page["last"]["run"] in [run["run"] for run in runs(machine)]
    assert [one["input"] for one in ask(machine, "/inputs.json")[1]["inputs"]][:1] == ["a"]
    machine.systemctl("kill", "--signal=KILL", "lockbot.service")  # with all that it was just writing
    machine.wait("it is gone", lambda: ask(machine, "/.json")[1]["daemon"] is None)
    assert ask(machine, "/inputs/a.json")[0] == 200
    main = machine.property(UNIT, "MainPID")
    inside = ["nsenter", f"--target={main}", "--mount", "--"]
    for path in (STATE, "/etc", fleet.directory):
        assert "Read-only file system" in machine.run(*inside, "touch", f"{path}/x", check=False).stderr
    machine.systemctl("stop", UNIT)
    assert machine.property(UNIT, "Result") == "success"
    assert "Traceback" not in machine.journal(UNIT)


def test_it_listens_at_a_socket_for_its_group(machine: Machine, place: Callable[..., Place]) -> None:
    place(extra=f'{OFTEN}[web]\nlisten = "unix:{SOCKET}"\n')
    machine.drop_in(UNIT, "[Service]\nRestartSec=100ms")
    machine.systemctl("start", UNIT)
    assert machine.shell(f"stat -c '%U %G %a' /run/lockbot-web {SOCKET}").split() == [
        *("lockbot", "lockbot", "750"),
        *("lockbot", "lockbot", "660"),
    ]
    assert ask(machine, "/.json", SOCKET)[0] == 200
    machine.systemctl("kill", "--signal=KILL", UNIT)
    machine.wait("it is back at the socket that the killed one left", lambda: _answers(machine))


def _answers(machine: Machine) -> bool:
    return machine.property(UNIT, "NRestarts") == "1" and machine.property(UNIT, "ActiveState") == "active"
