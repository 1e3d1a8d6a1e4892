"""One booted machine for each worker, and fleets in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import INSTALLED
from tests.systemd.machine import HIDDEN, Machine, booted, why_not

UNITS = ("lockbot.service", "lockbot-update.service", "lockbot-update.timer", "lockbot-web.service")
STATE = "/var/lib/lockbot"
CONFIGURATION = """
[repository]
path = "{path}"
branch = "main"
[state]
directory = "/var/lib/lockbot"
min_free = 0
[run]
fetch_timeout = "10s"
[build]
retries = 1
retry_delay = 0.1
"""


@dataclass(frozen=True)
class Place:
    """A fleet in the machine, below /srv, that the service is configured for."""

    machine: Machine
    directory: str
    revisions: Mapping[str, list[str]]
    """Of each input, oldest first."""

    def advance(self, name: str, steps: int = 1) -> None:
        """The input's branch gets its next commits."""
        known = self.revisions[name]
        here = known.index(self._git("upstream/" + name, "rev-parse", "main"))
        self._git("upstream/" + name, "update-ref", "refs/heads/main", known[here + steps])

    def locked(self, name: str) -> int:
        """Which of the input's revisions the fleet's branch is locked at."""
        nodes = json.loads(self._git("fleet", "show", "main:flake.lock"))["nodes"]
        return self.revisions[name].index(nodes[name]["locked"]["rev"])

    def subjects(self) -> list[str]:
        """Of the commits on the fleet's branch, newest first."""
        return self._git("fleet", "log", "--format=%s", "main").splitlines()

    def builds(self) -> list[str]:
        """The hosts whose build has begun, each as often as that happened."""
        return self.machine.shell('cat "$1"/fleet-state/builds 2>/dev/null || :', self.directory).split()

    def building(self) -> bool:
        """Whether a host's build has begun; which comes first is Nix's choice."""
        return any(name.startswith("host-") for name in self.builds())

    def _git(self, place: str, *words: str) -> str:
        return self.machine.run("git", "-C", f"{self.directory}/{place}", *words, user="lockbot").stdout.strip()


def runs(machine: Machine) -> list[dict[str, Any]]:
    """lockbot's own record, newest first."""
    command = ["/opt/lockbot/bin/lockbot", "--config", "/etc/lockbot/lockbot.toml", "history", "--json"]
    found = machine.run(*command, user="lockbot").stdout
    listed: list[dict[str, Any]] = json.loads(found)["runs"]
    return listed


def messages(machine: Machine) -> dict[str, Any]:
    """How the only target of messages stands."""
    command = ["/opt/lockbot/bin/lockbot", "--config", "/etc/lockbot/lockbot.toml", "status", "--json"]
    (found,) = json.loads(machine.run(*command, user="lockbot").stdout)["notifications"]
    assert isinstance(found, dict)
    return found


def builders(machine: Machine) -> list[str]:
    """The builds that run: in this fleet each sleeps."""
    return machine.run("pgrep", "--full", "--list-full", "^/bin/sleep 600", check=False).stdout.splitlines()


@pytest.fixture(scope="session")
def booted_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    reason = why_not(tmp_path_factory.mktemp("probe"))
    if reason is not None:
        pytest.skip(f"NOT TESTED under a real systemd: {reason}")
    with booted(tmp_path_factory.mktemp("machine"), INSTALLED[-1]) as machine:
        yield machine


@pytest.fixture
def machine(booted_machine: Machine) -> Iterator[Machine]:
    """With nothing of lockbot running, before and after, and no state."""
    _clear(booted_machine)
    yield booted_machine
    _clear(booted_machine)


@pytest.fixture
def place(machine: Machine, request: pytest.FixtureRequest) -> Callable[..., Place]:
    """Make a fleet, and configure the service for it. `extra` is TOML, `drop_in` the unit's."""

    def make(*options: str, extra: str = "", drop_in: str = "") -> Place:
        directory = f"/srv/{request.path.stem}-{request.node.name}"
        machine.run("install", "--directory", "--owner=lockbot", "--mode=755", directory)
        if "--served" in options:
            _serve(machine, directory)
        program = ["/opt/lockbot/bin/python", "-m", "tests.systemd.fleets", directory, *options]
        revisions = json.loads(machine.run(*program, user="lockbot", cwd="/run/checkout").stdout)
        machine.write("/etc/lockbot/lockbot.toml", CONFIGURATION.format(path=f"{directory}/fleet") + extra)
        lines = ["[Service]", f"ReadWritePaths={directory}/fleet", *_nix_in_sight(), drop_in]
        for unit in UNITS[:2]:
            machine.drop_in(unit, "\n".join(lines))
        return Place(machine, directory, revisions)

    return make


def _nix_in_sight() -> list[str]:
    """A Nix that was unpacked in somebody's home would be hidden from the service."""
    nix = INSTALLED[-1].bin
    if not str(nix).startswith(HIDDEN):
        return []
    return ["ProtectHome=tmpfs", f"BindReadOnlyPaths={nix.parent}"]


def _serve(machine: Machine, directory: str) -> None:
    """The inputs on the network, as far as there is one: at git://127.0.0.1, until the test is over."""
    upstream = f"{directory}/upstream"
    machine.run("mkdir", upstream, user="lockbot")
    daemon = ["git", "daemon", "--listen=127.0.0.1", "--export-all", f"--base-path={upstream}"]
    machine.run("systemd-run", "--quiet", "--unit=served", "--uid=lockbot", *daemon)
    machine.run("bash", "-c", "until (: <>/dev/tcp/127.0.0.1/9418) 2>/dev/null; do sleep 0.1; done")


def _clear(machine: Machine) -> None:
    machine.shell(
        """
        systemctl stop "$@" served.service 2>/dev/null || :
        rm -rf /run/systemd/system/lockbot*.d
        systemctl revert "$@"
        journalctl --quiet --rotate --vacuum-time=1us
        systemctl reset-failed
        umount /var/lib/lockbot 2>/dev/null || :
        rm -rf /var/lib/lockbot /var/cache/lockbot /etc/lockbot/lockbot.toml
        """,
        *UNITS,
        timeout=120,
    )
