"""A server that answers anything: the bytes that an example has, to one request after the other."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from lockbot.forge.http import Client, Patience
from lockbot.process import CancelToken

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOKEN = "canary-7d1f"  # noqa: S105 -- no secret: what must not turn up elsewhere
HASTY = Patience(timeout=5, tries=1, delay=0, size=1024 * 1024, between=0)


class Answering:
    """Listens on loopback; each connection gets the next answer, and the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                self._heard(connection)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                connection.sendall(answer)

    def _heard(self, connection: socket.socket) -> None:
        """The whole request: who closes with something unread resets the connection."""
        said = b""
        while b"\r\n\r\n" not in said and (more := connection.recv(65536)):
            said += more
        head, _, body = said.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        left = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
        while left > 0 and (more := connection.recv(65536)):
            left -= len(more)


def response(document: Any, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1", errors="replace") + b"\r\n\r\n" + body


@contextlib.contextmanager
def answering() -> Iterator[tuple[Answering, Client]]:
    server = Answering()
    with CancelToken() as cancel:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        try:
            yield server, Client(server.url, headers, cancel, lambda: NOW, HASTY, "repository")
        finally:
            server.close()
