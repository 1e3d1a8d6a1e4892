"""A forge on loopback: a real HTTP server that answers as forges are documented to, or as badly as a test wants.

Every request is noted, with its headers. It must not know lockbot.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Reply:
    """`body` is sent as it is if it is bytes, else as JSON. `hang`: seconds before anything is said; `drip`: after
    each byte of the body."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: float = 0
    drip: float = 0


@dataclass(frozen=True)
class Asked:
    """One request: its path as it was sent, what stood behind the `?`, and its headers (names in lower case).
    `every`: all that the query gives for a name, where `query` has the first."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    every: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def number(self, name: str, default: int) -> int:
        return int(self.query.get(name, default))


Answer = Callable[[Asked], Reply]


class Server:
    """Listens until the context is left. `answer` may be replaced; git may fetch what is below `repositories`."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _: Reply({"message": "Not Found"}, 404)
        self.asked: list[Asked] = []
        self.repositories: Path | None = None
        self._leave = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._http.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def wait(self, seconds: float) -> None:
        self._leave.wait(seconds)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if server.repositories is not None and "/info/refs" in self.path:
                self._git(server.repositories, b"")
                return
            parts = urlsplit(self.path)
            every = parse_qs(parts.query)
            query = {name: values[0] for name, values in every.items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(parts.path, query, headers, every)
            server.asked.append(asked)
            with contextlib.suppress(ConnectionError):
                self._send(server.answer(asked))

        def do_POST(self) -> None:
            assert server.repositories is not None
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b"".join(self._chunks())
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._git(server.repositories, body)

        def _send(self, reply: Reply) -> None:
            server.wait(reply.hang)
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not reply.drip:
                self.wfile.write(body)
                return
            for byte in body:
                self.wfile.write(bytes([byte]))
                server.wait(reply.drip)

        def _chunks(self) -> Iterator[bytes]:
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()

        def _git(self, root: Path, body: bytes) -> None:
            """git's own server program, as any web server runs it."""
            parts = urlsplit(self.path)
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": unquote(parts.path),
                "QUERY_STRING": parts.query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_ADDR": "127.0.0.1",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_COUNT": "2",
                "GIT_CONFIG_KEY_0": "uploadpack.allowFilter",
                "GIT_CONFIG_VALUE_0": "true",
                "GIT_CONFIG_KEY_1": "safe.directory",
                "GIT_CONFIG_VALUE_1": "*",
            }
            done = subprocess.run(
                ["git", "http-backend"], env=environment, input=body, capture_output=True, check=False
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
            status = re.match(r"\d+", headers.pop("Status", "200 OK"))
            assert status is not None
            with contextlib.suppress(ConnectionError):
                self.send_response(int(status[0]))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Not on the tests' terminal."""

    return Handler


# -- what the documentation says ----------------------------------------------------------------------------------


@dataclass
class GitHub:
    """Check runs and statuses by commit; `https://HOST/api/v3` as on GitHub Enterprise, or without a prefix."""

    url: str
    runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    prefix: str = ""

    def __call__(self, asked: Asked) -> Reply:
        match = re.fullmatch(
            rf"{self.prefix}/repos/owner/[a-z]+/commits/([0-9a-f]+)/(check-runs|status)", asked.path
        )
        if match is None:
            return Reply({"message": "Not Found"}, 404)
        sha, what = match.groups()
        if sha not in self.runs and sha not in self.statuses:
            return Reply({"message": f"No commit found for SHA: {sha}"}, 422)
        every = (self.runs if what == "check-runs" else self.statuses).get(sha, [])
        some, headers = self._page(asked, every)
        if what == "check-runs":
            return Reply({"total_count": len(every), "check_runs": some}, headers=headers)
        bad = any(one["state"] in ("error", "failure") for one in every)
        good = every and all(one["state"] == "success" for one in every)
        state = "failure" if bad else "success" if good else "pending"
        return Reply({"state": state, "sha": sha, "total_count": len(every), "statuses": some}, headers=headers)

    def _page(self, asked: Asked, every: Sequence[Any]) -> tuple[Sequence[Any], dict[str, str]]:
        size, page = min(100, asked.number("per_page", 30)), asked.number("page", 1)
        some = every[(page - 1) * size : page * size]
        if page * size >= len(every):
            return some, {}
        following = f'<{self.url}{asked.path}?per_page={size}&page={page + 1}>; rel="next"'
        return some, {"Link": f'{following}, <{self.url}{asked.path}?page=9>; rel="last"'}


def run(name: str, conclusion: str | None, status: str = "completed") -> dict[str, Any]:
    """A check run, with those of its fields that matter and some that do not."""
    return {
        "id": 4,
        "name": name,
        "status": status,
        "conclusion": conclusion,
        "html_url": f"https://github.com/owner/repo/runs/{len(name)}",
        "output": {"title": None, "annotations_count": 0},
        "app": {"slug": "octoapp"},
    }


def status(context: str, state: str) -> dict[str, Any]:
    return {"context": context, "state": state, "target_url": f"https://ci.example.org/{len(context)}", "id": 1}


@dataclass
class GitLab:
    """The status of the last pipeline by commit; None: it has none."""

    pipelines: dict[str, str | None] = field(default_factory=dict)

    def __call__(self, asked: Asked) -> Reply:
        match = re.fullmatch(r"/projects/group%2Fdeep%2Frepo/repository/commits/([0-9a-f]+)", asked.path)
        if match is None:
            return Reply({"message": "404 Project Not Found"}, 404)
        if match[1] not in self.pipelines:
            return Reply({"message": "404 Commit Not Found"}, 404)
        state = self.pipelines[match[1]]
        page = "https://gitlab.com/group/deep/repo/-/pipelines/7"
        last = {"id": 7, "ref": "main", "sha": match[1], "status": state, "web_url": page}
        return Reply({"id": match[1], "status": state, "last_pipeline": last if state is not None else None})


@dataclass
class Forgejo:
    """Statuses by commit, at most `most` on a page whatever is asked for; `total_count` is that of the page."""

    statuses: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    most: int = 50

    def __call__(self, asked: Asked) -> Reply:
        match = re.fullmatch(r"/api/v1/repos/owner/repo/commits/([0-9a-f]+)/status", asked.path)
        if match is None or match[1] not in self.statuses:
            return Reply({"errors": None, "message": "not found", "url": ""}, 404)
        every = self.statuses[match[1]]
        size, page = min(self.most, asked.number("limit", 30)), asked.number("page", 1)
        some = every[(page - 1) * size : page * size]
        if not some:
            return Reply({"state": "", "sha": "", "total_count": 0, "statuses": None})
        shown = [{"context": name, "status": state, "target_url": "/ci/1"} for name, state in some]
        body = {"state": "success", "sha": match[1], "total_count": len(some), "statuses": shown}
        return Reply(body, headers={"X-Total-Count": str(len(every))})
