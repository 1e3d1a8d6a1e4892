"""Services on loopback that take messages: HTTP's and a mail server, as their documentation says, or as badly as a
test wants. Real sockets, byte by byte, so that a test can act between any two of them. Must not know lockbot.

ntfy (docs.ntfy.sh/publish: JSON to the server's root), Gotify (POST /message, X-Gotify-Key), Matrix (client-server
API: login, join, PUT …/send/m.room.message/TXN), Slack's and Mattermost's incoming webhooks (200, `ok`), Discord's
(204), a plain webhook (any path), and SMTP (RFC 5321).
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True)
class Reply:
    """An HTTP answer; `raw` is sent in its place. `hang`: seconds before it; `drip`: after each of its bytes."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    hang: float = 0
    drip: float = 0


@dataclass(frozen=True)
class Arrived:
    """A message that was taken: by which service, and all of its text."""

    service: str
    text: str


STAGES = ("accepted", "head", "body", "answered")
"""Of HTTP: the connection, the request's head, its body; the answer."""
MAIL_STAGES = ("accepted", "mail", "data", "body", "answered")


class Server:
    """Listens until the context is left. `at` is called at each stage; `answer` makes the answer to a request that
    would be taken, and what is answered with 2xx has arrived. `count` stages of a kind were met."""

    def __init__(self, *, mail: bool = False, listening: bool = True) -> None:
        self.arrived: list[Arrived] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.at: Callable[[str], None] = lambda _: None
        self.answer: Callable[[], Reply | None] = lambda: None
        self._serve = self._mail if mail else self._http
        self.open = threading.Event()
        """Until it is set, connections wait in the kernel's queue."""
        self.open.set()
        self._busy = 0
        self._last: socket.socket | None = None
        self._leave = threading.Event()
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        if listening:
            self.listen()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.arrived]

    def listen(self) -> None:
        """Until then, connections are refused."""
        self._socket.listen(64)
        self._start(self._accept)

    def _start(self, what: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=what, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        self._socket.settimeout(0.05)
        while not self._leave.is_set():
            self.open.wait(0.05)
            if not self.open.is_set():
                continue
            with contextlib.suppress(TimeoutError, OSError):
                link, _ = self._socket.accept()
                link.settimeout(None)
                self._open.append(link)
                self._start(self._meet, link)

    def _meet(self, link: socket.socket) -> None:
        self._busy += 1
        try:
            with contextlib.suppress(OSError, EOFError), link:
                self._last = link
                self.at("accepted")
                self._serve(link)
        finally:
            self._busy -= 1

    @property
    def waiting(self) -> bytes:
        """What has come on the newest connection and was not read yet."""
        with contextlib.suppress(BlockingIOError):
            return self._last.recv(65536, socket.MSG_PEEK | socket.MSG_DONTWAIT) if self._last is not None else b""
        return b""

    def settle(self) -> None:
        """Until all that was begun is over: whoever was there has gone."""
        while self._busy:
            self._leave.wait(0.01)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        for link in self._open:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(5)

    # -- HTTP

    def _http(self, link: socket.socket) -> None:
        stream = link.makefile("rb", buffering=0)  # nothing is taken that is not asked for: see `waiting`
        while head := _head(stream):
            first, headers = head
            method, path, _ = first.split(" ", 2)
            self.at("head")
            body = b""
            while (left := int(headers.get("content-length", 0)) - len(body)) > 0:
                if not (piece := stream.read(left)):
                    return
                body += piece
            self.requests.append((method, path, headers, body))
            reply, arrived = self._taken(method, path, headers, body)
            if arrived is not None:
                reply = self.answer() or reply
                if 200 <= reply.status < 300 and reply.raw is None:
                    self.arrived.append(arrived)
                self.at("body")
            self._leave.wait(reply.hang)
            self._send(link, reply)
            if arrived is not None:
                self.at("answered")
            if reply.raw is not None:
                return

    def _send(self, link: socket.socket, reply: Reply) -> None:
        headers = {"Content-Type": "application/json", "Content-Length": str(len(reply.body)), **reply.headers}
        head = f"HTTP/1.1 {reply.status} Said\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()
        )
        data = reply.raw if reply.raw is not None else head.encode() + b"\r\n" + reply.body
        if not reply.drip:
            link.sendall(data)
            return
        for byte in data:
            link.sendall(bytes([byte]))
            if self._leave.wait(reply.drip):
                return

    def _taken(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[Reply, Arrived | None]:
        """The documented answer, and what has arrived with it."""
        content = _json(body)
        if path.startswith("/_matrix/"):
            return _matrix(method, path, headers, content)
        if method != "POST":
            return Reply(404), None
        if path == "/message":
            if not headers.get("x-gotify-key"):
                return Reply(401, b'{"error":"Unauthorized"}'), None
            return Reply(200, b'{"id": 25}'), Arrived("gotify", f"{content['title']}\n{content['message']}")
        if path == "/" and "topic" in content:
            said = json.dumps({"id": "x", "event": "message", "topic": content["topic"]}).encode()
            return Reply(200, said), Arrived("ntfy", f"{content.get('title', '')}\n{content['message']}")
        if path.startswith("/api/webhooks/"):
            if len(content.get("content", "")) > 2000:
                return Reply(400, b'{"content": ["Must be 2000 or fewer in length."]}'), None
            return Reply(204, b""), Arrived("discord", _every_text(content))
        if path.startswith(("/services/", "/hooks/")):
            return Reply(200, b"ok"), Arrived("slack", _every_text(content))
        return Reply(200), Arrived("webhook", _every_text(content))

    # -- mail

    def _mail(self, link: socket.socket) -> None:
        stream = link.makefile("rb")

        def say(text: str) -> None:
            link.sendall(text.encode() + b"\r\n")

        say("220 here ESMTP")
        while line := stream.readline():
            match line.split()[0].upper() if line.split() else b"":
                case b"EHLO":
                    say("250-here\r\n250-8BITMIME\r\n250 SMTPUTF8")
                case b"MAIL":
                    self.at("mail")
                    say("250 2.1.0 Ok")
                case b"DATA":
                    self.at("data")
                    say("354 End data with <CR><LF>.<CR><LF>")
                    if (text := _mail_text(stream)) is None:
                        return
                    reply = self.answer()
                    if reply is None:
                        self.arrived.append(Arrived("mail", text))
                    self.at("body")
                    if reply is not None:
                        self._leave.wait(reply.hang)
                        link.sendall(reply.raw or b"550 5.7.1 refused\r\n")
                    else:
                        say("250 2.0.0 Ok: queued as 4711")
                    self.at("answered")
                case b"QUIT":
                    say("221 2.0.0 Bye")
                    return
                case _:
                    say("250 2.0.0 Ok")


def _head(stream: Any) -> tuple[str, dict[str, str]] | None:
    first = stream.readline()
    headers: dict[str, str] = {}
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return (first.decode("latin-1").strip(), headers) if first.strip() else None


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _every_text(content: object) -> str:
    match content:
        case str():
            return content
        case dict():
            return "\n".join(filter(None, map(_every_text, content.values())))
        case list():
            return "\n".join(filter(None, map(_every_text, content)))
        case _:
            return ""


_SENDS = re.compile(r"/_matrix/client/(?:r0|v3)/rooms/([^/]+)/send/m\.room\.message/[^/]+")


def _matrix(
    method: str, path: str, headers: dict[str, str], content: dict[str, Any]
) -> tuple[Reply, Arrived | None]:
    if path.endswith("/login") and method == "POST":
        if content.get("type") != "m.login.password":
            return Reply(400, b'{"errcode": "M_UNKNOWN"}'), None
        said = {"access_token": "token", "home_server": "here", "user_id": "@lockbot:here", "device_id": "D"}
        return Reply(200, json.dumps(said).encode()), None
    if headers.get("authorization") != "Bearer token" and "access_token=token" not in path:
        return Reply(401, b'{"errcode": "M_MISSING_TOKEN"}'), None
    if "/join/" in path:
        return Reply(200, b'{"room_id": "!room:here"}'), None
    if path.endswith("/joined_rooms"):
        return Reply(200, b'{"joined_rooms": []}'), None
    if method == "PUT" and _SENDS.match(unquote(path).split("?")[0]):
        return Reply(200, b'{"event_id": "$1"}'), Arrived("matrix", _every_text(content))
    return Reply(404, b'{"errcode": "M_UNRECOGNIZED"}'), None


def _mail_text(stream: Any) -> str | None:
    """Subject and body of a whole mail; None: it ended before."""
    lines: list[bytes] = []
    while (line := stream.readline()) != b".\r\n":
        if not line:
            return None
        lines.append(line[1:] if line.startswith(b".") else line)
    parsed = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
    part = parsed.get_body(("plain", "html"))
    return f"{parsed['Subject']}\n{part.get_content() if part is not None else ''}"
