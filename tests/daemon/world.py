"""A daemon as a process, with a systemd that listens, and real runs on a real fleet."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import nixes
from tests.fleet import Fleet, HostSpec, Upstream

PATIENCE = 90.0
"""Seconds, for a machine that is busy."""


def until(what: Callable[[], object], patience: float = PATIENCE) -> Any:
    end = _seconds() + patience
    while not (found := what()):
        assert _seconds() < end, "it did not happen"
        time.sleep(0.005)
    return found


def _seconds() -> float:
    return time.clock_gettime(time.CLOCK_MONOTONIC)  # which nobody freezes


class Service:
    """One repository with one input, a configuration, and the daemon on it with a systemd to listen."""

    def __init__(self, nix: nixes.Nix, tmp: Path, seconds: float = 0) -> None:
        self.tmp = tmp
        self.state = tmp / "state"
        self.config = tmp / "lockbot.toml"
        self.upstream = Upstream.create(tmp, "a")
        self.fleet = Fleet.create(
            tmp / "fleet", nix, inputs=[self.upstream], hosts=[HostSpec("web", ["a"], seconds=seconds)]
        )
        ours = {"LOCKBOT_STATE__DIRECTORY": str(self.state), "PYTHONPATH": str(nixes.PROJECT)}
        self.environ = dict(nix.environment) | ours
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.link.bind(str(tmp / "notify"))
        self.link.settimeout(PATIENCE)
        self.heard: list[str] = []
        self.log = tmp / "daemon.log"
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, schedule: str, more: str = "") -> None:
        self.config.write_text(f'[repository]\npath = "{self.fleet.path}"\n[schedule]\n{schedule}\n{more}\n')

    def start(self, **environ: str) -> int:
        """Wait until it is ready; its process id."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lockbot", "daemon", "--config", str(self.config)],
                env=self.environ | {"NOTIFY_SOCKET": str(self.tmp / "notify")} | environ,
                cwd=self.tmp,
                stderr=log,
            )
        self.hear("READY=1")
        return self.process.pid

    def hear(self, what: str) -> str:
        """The next message that holds these words."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            message = self.link.recv(8192).decode()
            self.heard.append(message)
            if what in message:
                return message
        raise AssertionError(f"{what} was not said: {self.heard}")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> float:
        """By SIGTERM; how many seconds it took."""
        assert self.process is not None
        begun = time.monotonic()
        self.signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.log.read_text()
        return time.monotonic() - begun

    def records(self, event: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [one for one in found if one["event"] == event]

    def ask(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "lockbot", "--config", str(self.config), *words],
            env=self.environ,
            cwd=self.tmp,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def outcomes(self) -> list[str | None]:
        """Newest first."""
        return [run["outcome"] for run in self.ask("history")["runs"]]

    def close(self) -> None:
        self.link.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


Make = Callable[..., Service]
