"""Dead man's switches on loopback: a real HTTP server that behaves as healthchecks.io and Uptime Kuma document it,
or as badly as a test wants. Every request is noted, with its body. It must not know lockbot.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

CHECK = "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"
"""A check that there is; whoever knows this may ping it."""
PUSH_TOKEN = "Qm4nHcP1Zr"  # noqa: S105  # of nobody


@dataclass(frozen=True)
class Reply:
    """`hang`: the answer comes when the server is left, and no sooner; `drip`: a byte of it now and then; `close`:
    the connection is reset instead."""

    status: int = 200
    body: bytes = b"OK"
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    drip: bool = False
    close: bool = False


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def value(self, name: str) -> str | None:
        """None: it is not there; an error where it is there twice."""
        values = self.query.get(name, [None])
        assert len(values) == 1, (name, values)
        return values[0]


Answer = Callable[[Asked], Reply]


class Switch:
    """Listens until the context is left. `answer` may be replaced."""

    def __init__(self) -> None:
        self.answer: Answer = Healthchecks()
        self.asked: list[Asked] = []
        self.leaving = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def socket(self) -> socket.socket:
        return self._http.socket

    @socket.setter
    def socket(self, wrapped: socket.socket) -> None:
        self._http.socket = wrapped

    @property
    def port(self) -> int:
        return self._http.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [one.path for one in self.asked]

    def __enter__(self) -> Switch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leaving.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def _handler(switch: Switch) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            query = parse_qs(parts.query, keep_blank_values=True)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, query, headers, body)
            reply = switch.answer(asked)
            switch.asked.append(asked)
            with contextlib.suppress(OSError):
                self._send(reply)

        do_POST = do_HEAD = do_GET

        def _send(self, reply: Reply) -> None:
            self.close_connection = True
            if reply.hang:
                switch.leaving.wait()
            if reply.close:  # with a reset, as a server does that dies
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if reply.drip:
                while not switch.leaving.wait(0.02):
                    self.wfile.write(b"H")
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Not on the tests' terminal."""

    return Handler


# -- what the documentation says ----------------------------------------------------------------------------------


@dataclass
class Healthchecks:
    """https://healthchecks.io/docs/http_api/: one check, by its UUID or its slug; `prefix` as where people host it
    themselves (`/ping`)."""

    prefix: str = ""
    only_post: bool = False
    key: str = "fqOOd6-F4MMNuCEnzTU01w"
    slug: str = "lockbot"
    state: str = "new"
    running: set[str] = field(default_factory=set)
    """The runs that were begun and have not ended."""
    bodies: list[bytes] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Reply:
        match = re.fullmatch(
            rf"{self.prefix}/(?:([0-9a-f-]{{36}})|({self.key})/([a-z0-9_-]+))(?:/(start|fail|log|\d+)|/)?",
            asked.path,
        )
        if match is None:
            return Reply(404, b"<h1>Not Found</h1>")
        rid = asked.value("rid") or ""
        with contextlib.suppress(ValueError):
            rid = str(UUID(rid)) if rid else ""
        if rid and rid != asked.value("rid"):
            return Reply(400, b"invalid uuid format")
        if match[1] is not None and match[1] != CHECK:
            return Reply(200, b"OK (not found)")
        if match[3] == "twice":
            return Reply(409, b"ambiguous slug")
        if match[3] is not None and match[3] != self.slug:
            return Reply(404, b"not found")
        if asked.method == "POST" or not self.only_post:
            self._take(match[4] or "0", rid, asked.body)
        return Reply(200, b"OK")

    def _take(self, signal: str, rid: str, body: bytes) -> None:
        self.bodies.append(body[:100_000])
        if signal == "start":
            self.running.add(rid)
            return
        self.running.discard(rid)
        self.state = "up" if signal == "0" else "down"


@dataclass
class UptimeKuma:
    """`/api/push/TOKEN` of a push monitor. `version` 1 hears GET alone, and says 404 where 2 says 500."""

    version: int = 2
    beats: list[tuple[str, str, str]] = field(default_factory=list)
    """Status, message and ping, as they were taken."""

    def __call__(self, asked: Asked) -> Reply:
        match = re.fullmatch(r"(?:/kuma)?/api/push/([^/]+)", asked.path)
        if match is None or (self.version == 1 and asked.method != "GET"):
            return Reply(404, b"<!DOCTYPE html>" + f"Cannot {asked.method} {asked.path}".encode())
        ping = asked.value("ping") or ""
        if ping and not (ping.isdecimal() and int(ping) <= 86_400_000):
            return self._no(400, f"Ping value {ping}ms exceeds maximum allowed")
        if match[1] != PUSH_TOKEN:
            return self._no(404 if self.version == 1 else 500, "Monitor not found or not active.")
        self.beats.append((asked.value("status") or "up", asked.value("msg") or "OK", ping))
        return Reply(200, json.dumps({"ok": True}).encode())

    def _no(self, status: int, why: str) -> Reply:
        return Reply(status, json.dumps({"ok": False, "msg": why}).encode())


# -- fixtures -----------------------------------------------------------------------------------------------------


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Switch]:
    """It is asked directly, whatever this machine's user has configured."""
    monkeypatch.setenv("NO_PROXY", "*")
    with Switch() as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[Switch]:
    """Another server: its port differs."""
    with Switch() as running:
        yield running
