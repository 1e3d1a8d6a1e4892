"""The processes of the soak: one daemon and one page for all of it, and each night's commands."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.soak.world import World
from lockbot.process import watcher
from tests import nixes, processes

_WATCHDOG = 1.5
"""Seconds: the daemon looks at the clock three times as often."""
_PATIENCE = 300.0
PAGES = ("/", "/inputs", "/runs", "/hosts", "/packages?q=host", "/feed.atom", "/badge.svg", "/healthz", "/lint")


class Receiver:
    """Who is told: takes every message."""

    def __init__(self, secret: Path) -> None:
        class Taking(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
        secret.write_text(f"json://127.0.0.1:{self._http.server_address[1]}/\n")
        secret.chmod(0o600)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class Lockbot:
    """Starts lockbot with the soak's clock."""

    def __init__(self, world: World) -> None:
        paths = [str(Path(__file__).with_name("clock")), str(nixes.PROJECT)]
        self.environ = dict(world.nix.environment) | {
            "PYTHONPATH": os.pathsep.join(paths),
            "SOAK_CLOCK": str(world.clock.path),
            "TMPDIR": str(world.temporary),
        }
        self._world = world

    def start(self, *words: str, config: Path | None = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "lockbot", "--config", str(config or self._world.config), *words],
            env=self.environ,
            cwd=self._world.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def run(self, *words: str, config: Path | None = None) -> int:
        return self.start(*words, config=config).wait(_PATIENCE)


class Daemon:
    """One `lockbot daemon` for all of the soak, with a systemd to listen."""

    def __init__(self, world: World, lockbot: Lockbot) -> None:
        self._world = world
        self.log = world.directory / "daemon.log"
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._link.bind(str(world.directory / "notify"))
        self.beaten = time.monotonic()
        threading.Thread(target=self._listen, daemon=True).start()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "lockbot", "daemon", "--config", str(world.config)],
                env=lockbot.environ
                | {"NOTIFY_SOCKET": str(world.directory / "notify"), "WATCHDOG_USEC": str(int(_WATCHDOG * 1e6))},
                cwd=world.directory,
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                if b"WATCHDOG=1" in self._link.recv(8192):
                    self.beaten = time.monotonic()

    def wait(self, what: Callable[[], object], patience: float = _PATIENCE) -> bool:
        end = time.monotonic() + patience
        while not what():
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon has ended with {self.process.returncode}: see {self.log}")
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def _told(self) -> Mapping[str, Any] | None:
        try:
            found = json.loads((self._world.state / "daemon.json").read_text())
            return found if isinstance(found, dict) else None
        except (OSError, ValueError):
            return None

    @property
    def begun(self) -> bool:
        """Whether what was due by now has begun."""
        told = self._told()
        now = self._world.clock.now()
        # While something comes due, nothing is said to be next.
        coming = list(map(datetime.fromisoformat, told["next"].values())) if told is not None else []
        return bool(coming) and min(coming) > now

    @property
    def running(self) -> bool:
        told = self._told()
        return told is None or bool(told["running"]) or bool(told["waiting"])

    def rest(self) -> bool:
        """Wait until it has done what is due and told it; whether it comes to rest."""
        done = self.wait(lambda: self.begun and not self.running)
        return self.wait(lambda: not children(self.process.pid), patience=60) and done

    def run_child(self) -> int | None:
        """The process of the run that is at work."""
        for pid in children(self.process.pid):
            with contextlib.suppress(OSError):
                if b"\0update" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return None

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._link.close()


class Page:
    """One `lockbot web` for all of the soak."""

    def __init__(self, world: World, lockbot: Lockbot) -> None:
        self._log = world.directory / "web.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "lockbot", "web"),
                    *("--listen", "127.0.0.1:0", "--config", str(world.config)),
                ],
                env=lockbot.environ,
                cwd=world.directory,
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        self._port = 0

    def wait(self) -> None:
        """Until it listens."""
        end = time.monotonic() + _PATIENCE
        while not self._port:
            said = self._log.read_text()
            assert self.process.poll() is None and time.monotonic() < end, f"the page does not start: {said}"
            found = re.search(r"http://[^ ]*:(\d+)", said)
            self._port = int(found[1]) if found else 0
            time.sleep(0.05)

    def ask(self) -> dict[str, int]:
        """Every page's status; those that were not 200 (or /healthz's 503)."""
        found = {path: self._status(path) for path in PAGES}
        return {path: status for path, status in found.items() if status not in (200, *_ALLOWED.get(path, ()))}

    def _status(self, path: str) -> int:
        link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            link.request("GET", path)
            answer = link.getresponse()
            answer.read()
            return answer.status
        except OSError:
            return 0
        finally:
            link.close()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


_ALLOWED = {"/healthz": (503,)}


def children(pid: int) -> list[int]:
    """But for the one that watches over the others, and lives as long as lockbot."""
    return [one for one in processes.children(pid) if not _is_watcher(one)]


def _is_watcher(pid: int) -> bool:
    try:
        return os.fsencode(watcher.__file__) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
