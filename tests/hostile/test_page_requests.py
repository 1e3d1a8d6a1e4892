"""Whatever is sent to `lockbot web`: a status, or a closed connection, and the next page comes all the same."""

from __future__ import annotations

import contextlib
import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st

from lockbot.web import routes
from tests.hostile.properties import holds
from tests.hostile.samples import WHOLE_TEXT, spoiled, words_of
from tests.nixes import git_environment
from tests.web.test_http import patient
from tests.web.world import Served, World, served

PATHS = st.sampled_from([re.sub(r"\{\w+\}", "one", path) for path in (*routes.PAGES, *routes.CONTENTS)])
PART = st.sampled_from(
    ["..", "%2e%2e", "%00", "%ff", "//", ".json", "?q=", "&", "%", "#", "\\", "{run}", "%2F", "'"]
)
TARGETS = st.tuples(PATHS, st.lists(PART | st.text(st.characters(codec="ascii"), max_size=10), max_size=4)).map(
    lambda parts: parts[0] + "".join(parts[1])
)
METHODS = st.sampled_from(
    ["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "PRI"]
)
HOSTS = st.sampled_from(
    ["localhost", "localhost", "127.0.0.1:80", "evil.example", "", "[::1]", "a@localhost", "localhost\0"]
)
NAMES = st.sampled_from(
    [word for word in words_of("web/*.py") if word.replace("-", "").isalnum()] + ["Host", "Range", "Cookie"]
)
HEADERS = st.lists(st.tuples(NAMES, WHOLE_TEXT), max_size=4)


def request(method: str, target: str, host: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode(errors="replace") + b"\r\n\r\n"


REQUESTS = st.builds(request, METHODS, TARGETS, HOSTS, HEADERS)
SPOILED = st.builds(
    lambda text: text.encode(errors="replace"), spoiled(["GET /inputs HTTP/1.1\r\nHost: localhost\r\n\r\n"])
)
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextlib.contextmanager
def a_page() -> Iterator[Served]:
    """With little patience, and a flake with one input."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        world = World.create(directory / "flake", git_environment(directory / "home"), ["one"])
        world.has_a_past()
        with served(world.config, environ=world.environ, start=patient(2.0)) as service:
            yield service


def memory(service: Served) -> int:
    """Bytes that it holds."""
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024


def answers(service: Served) -> bool:
    return service.ask("/style.css", "HEAD").status == 200


@holds(
    "requests to the page",
    REQUESTS | SPOILED | st.binary(max_size=300) | st.binary().map(lambda body: CHUNKED + body),
    a_page,
)
def test_any_bytes_are_answered_or_the_connection_ends(service: Served, said: bytes) -> None:
    with service.connect() as link, contextlib.suppress(ConnectionError):
        link.sendall(said)
        link.shutdown(socket.SHUT_WR)
        told = b"".join(iter(lambda: link.recv(65536), b""))
        assert told == b"" or told.startswith(b"HTTP/1.1 ")
        assert not told.startswith(b"HTTP/1.1 5") and b"Traceback" not in told
    assert service.process.poll() is None


@holds("requests to the page", TARGETS, a_page)
def test_any_address_is_a_page_or_refused(service: Served, target: str) -> None:
    answer = service.ask(target.replace("\r", "").replace("\n", ""))
    assert answer.status in (200, 301, 308, 400, 404, 414, 0), answer.status
    assert b"Traceback" not in answer.body


@pytest.fixture(scope="module")
def page() -> Iterator[Served]:
    with a_page() as service:
        yield service


def test_large_heads_are_not_kept(page: Served) -> None:
    assert answers(page)
    before = memory(page)
    for _ in range(20):
        with page.connect() as link, contextlib.suppress(ConnectionError):
            link.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
            for _ in range(100):
                link.sendall(b"x" * 100_000)
    assert answers(page)
    assert memory(page) - before < 50 * 2**20


def test_many_clients_that_say_nothing_leave_room_for_the_next(page: Served) -> None:
    """More than it takes: those that say nothing are sent away, and the page comes again."""
    with contextlib.ExitStack() as stack:
        for number in range(200):
            link = stack.enter_context(page.connect())
            with contextlib.suppress(ConnectionError):
                link.sendall(b"GET / HTTP/1.1\r\nHost: loc"[: number % 26])
        while not answers(page):
            pass
    assert answers(page)


def test_a_body_without_end_is_not_read(page: Served) -> None:
    before = memory(page)
    with page.connect() as link, contextlib.suppress(ConnectionError):
        link.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000000\r\n\r\n")
        for _ in range(300):
            link.sendall(b"x" * 100_000)
    assert answers(page)
    assert memory(page) - before < 20 * 2**20
