"""A forge's machine on loopback: real git repositories behind `git http-backend`, and a JSON API beside them.

What git does is real: pushes, leases, hooks, protected branches. What the API says is each forge's own stand-in's.
It must not know lockbot.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.forge.server import Reply
from tests.upstream import run_git

_HOOK = """\
#!/bin/sh
# Protected branches, a line each: the ref, and who may push to it. Nobody is `-`.
while read -r ref who; do
  if [ "$1" = "$ref" ] && [ "$who" != "$REMOTE_USER" ]; then
    echo "error: GH006: Protected branch update failed for $ref." >&2
    exit 1
  fi
done < "$GIT_DIR/protected"
exit 0
"""


@dataclass(frozen=True)
class Call:
    """One request of the API. `document`: its body as JSON; None: it had none. `token`: who asks, None: nobody."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    document: Any
    token: str | None

    def number(self, name: str, default: int) -> int:
        return int(self.query.get(name, default))


@dataclass
class GitHost:
    """`directory` holds bare repositories at OWNER/NAME.git; `tokens` are accepted ones, with the name of who has
    each. `api` answers what is not git's. Listens while it is used as a context.

    `faults` come first: each may answer in the API's place (None: it does not); `between` is called before
    each git request, with `fetch` or `push` (`look before push`: the refs are asked for) and the repository's
    path, so that a test may push in between.
    """

    directory: Path
    tokens: dict[str, str] = field(default_factory=lambda: {"secret-token": "lockbot"})
    api: Callable[[Call], Reply] = lambda _call: Reply({"message": "Not Found"}, 404)
    pushed: Callable[[str], None] = lambda _repository: None
    """Called when something was pushed, with `OWNER/NAME`."""
    faults: list[Callable[[Call], Reply | None]] = field(default_factory=list)
    between: Callable[[str, str], None] = lambda _service, _repository: None
    calls: list[Call] = field(default_factory=list)
    public: bool = True
    """Whether anybody may fetch."""
    git_config: tuple[tuple[str, str], ...] = ()
    """More of git's configuration for the server's side."""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
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

    def __enter__(self) -> GitHost:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    # -- repositories, as the server's administrator sees them --------------------------------------------

    def repository(self, name: str) -> Path:
        return self.directory / f"{name}.git"

    def create(self, name: str) -> Path:
        """An empty repository, OWNER/NAME."""
        path = self.repository(name)
        path.mkdir(parents=True)
        self.git(name, "init", "--quiet", "--bare", "--initial-branch=main")
        self.git(name, "config", "http.receivepack", "true")
        (path / "protected").touch()
        hook = path / "hooks/update"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(_HOOK)
        hook.chmod(0o755)
        return path

    def protect(self, name: str, branch: str, who: str = "-") -> None:
        """From now on only `who` may push there; nobody, where that is left out."""
        (self.repository(name) / "protected").write_text(f"refs/heads/{branch} {who}\n")

    def unprotect(self, name: str) -> None:
        (self.repository(name) / "protected").write_text("")

    def git(self, name: str, *arguments: str, check: bool = True) -> str:
        return run_git(self.repository(name), self._environment, *arguments, check=check).strip()

    def tip(self, name: str, branch: str) -> str | None:
        return self.git(name, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", check=False) or None

    def has(self, name: str, branch: str, commit: str) -> bool:
        """Whether a branch contains a commit."""
        asked = ("for-each-ref", "--contains", commit, f"refs/heads/{branch}")
        return bool(self.git(name, *asked, check=False))

    def commit_on(self, name: str, branch: str, subject: str, files: Mapping[str, str]) -> str:
        """A person's commit on top of a branch, there at once; what follows from a push follows."""
        tip = self.tip(name, branch)
        assert tip is not None
        tree = self.git(name, "rev-parse", f"{tip}^{{tree}}")
        lines = self.git(name, "ls-tree", tree).splitlines()
        kept = [line for line in lines if line.split("\t", 1)[1] not in files]
        for path, text in files.items():
            blob = self._feed(name, text, "hash-object", "-w", "--stdin")
            kept.append(f"100644 blob {blob}\t{path}")
        made = self._feed(name, "\n".join(kept) + "\n", "mktree")
        commit = self.git(name, "commit-tree", made, "-p", tip, "-m", subject)
        self.git(name, "update-ref", f"refs/heads/{branch}", commit)
        self.pushed(name)
        return commit

    def _feed(self, name: str, text: str, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.repository(name)), *arguments],
            input=text,
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    @property
    def _environment(self) -> dict[str, str]:
        person = {"NAME": "A Person", "EMAIL": "person@example.org"}
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{role}_{name}": value for role in ("AUTHOR", "COMMITTER") for name, value in person.items()},
        }

    # -- serving ------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> Reply:
        with self._lock:
            self.calls.append(call)
            for fault in self.faults:
                if (reply := fault(call)) is not None:
                    return reply
            return self.api(call)

    def wait(self, seconds: float) -> None:
        self._leave.wait(seconds)


def _handler(host: GitHost) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._any()

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def _any(self) -> None:
            body = self._body()
            parts = urlsplit(self.path)
            if match := re.fullmatch(r"/(.+)\.git/(info/refs|git-upload-pack|git-receive-pack)", parts.path):
                self._git(unquote(match[1]), parts.path, parts.query, body)
                return
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            document = json.loads(body) if body else None
            with contextlib.suppress(ConnectionError):
                self._send(host.answer(Call(self.command, parts.path, query, headers, document, self._token())))

        def _token(self) -> str | None:
            said = self.headers.get("Authorization", self.headers.get("PRIVATE-TOKEN", ""))
            kind, _, value = said.partition(" ")
            if kind.lower() == "basic":
                value = b64decode(value).decode().partition(":")[2]
            return (value or kind) or None

        def _git(self, name: str, path: str, query: str, body: bytes) -> None:
            pushing = "git-receive-pack" in (path + query)
            user = host.tokens.get(self._token() or "")
            if user is None and (pushing or not host.public):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            service = "push" if pushing else "fetch"
            host.between(f"look before {service}" if path.endswith("info/refs") else service, name)
            pairs = [("safe.directory", "*"), *host.git_config]
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": str(host.directory),
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_PROJECT_ROOT": str(host.directory),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": unquote(path),
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_USER": user or "",
                "GIT_CONFIG_COUNT": str(len(pairs)),
                **{f"GIT_CONFIG_KEY_{at}": key for at, (key, _) in enumerate(pairs)},
                **{f"GIT_CONFIG_VALUE_{at}": value for at, (_, value) in enumerate(pairs)},
            }
            done = subprocess.run(
                ["git", "http-backend"], env=environment, input=body, capture_output=True, check=False
            )
            if pushing and path.endswith("git-receive-pack"):
                host.pushed(name)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
            status = re.match(r"\d+", headers.pop("Status", "200 OK"))
            assert status is not None
            with contextlib.suppress(ConnectionError):
                self._send(Reply(content, int(status[0]), headers))

        def _send(self, reply: Reply) -> None:
            host.wait(reply.hang)
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204 and "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if reply.status == 204:
                return
            if not reply.drip:
                self.wfile.write(body)
                return
            for byte in body:
                self.wfile.write(bytes([byte]))
                host.wait(reply.drip)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                return b"".join(self._chunks())
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _chunks(self) -> Iterator[bytes]:
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()

        def log_message(self, *_: object) -> None:
            """Not on the tests' terminal."""

    return Handler
