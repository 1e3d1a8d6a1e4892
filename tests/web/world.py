"""A flake with a past, and `lockbot web` upon it: a real process that is asked over a real socket."""

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lockbot.app import App, Place
from lockbot.config import load
from lockbot.daemon import memory
from lockbot.history.input_states import Observation, StateWord, UserHold
from lockbot.model import (
    ChangeKind,
    CulpritCommit,
    Failure,
    FailureKind,
    Held,
    Host,
    HostBuild,
    HostStatus,
    InputChange,
    Locked,
    Move,
    Outcome,
    PullRequest,
    PullRequestState,
    RequestDone,
    RequestStep,
    Run,
    Text,
    silent,
)
from lockbot.nix.lockfile import spelled
from lockbot.process import CancelToken, process_start
from tests.nixes import PROJECT
from tests.upstream import run_git

OLD, NEW, BAD = "1" * 40, "2" * 40, "3" * 40
LOCKED_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
HARMLESS = ("one", "two", "three")


def revision(rev: str) -> Locked:
    return Locked("github", f"github:o/r/{rev}", "github:o/r", rev, None, "sha256-x=", int(LOCKED_AT.timestamp()))


def lock(names: Sequence[str]) -> str:
    original = {"type": "github", "owner": "o", "repo": "r"}
    locked = original | {"rev": OLD, "narHash": "sha256-x=", "lastModified": int(LOCKED_AT.timestamp())}
    nodes: dict[str, Any] = {f"n{at}": {"locked": locked, "original": original} for at, _ in enumerate(names)}
    root = {name: f"n{at}" for at, name in enumerate(names)}
    return json.dumps({"nodes": {**nodes, "root": {"inputs": root}}, "root": "root", "version": 7})


def host(name: str) -> Host:
    return Host(name, ("nixosConfigurations", name, "config", "system", "build", "toplevel"))


@dataclass
class World:
    """`names`: what its inputs, hosts and everything that somebody else has written are called."""

    path: Path
    environ: Mapping[str, str]
    names: Sequence[str] = HARMLESS
    config: Path = field(init=False)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.config = self.path.parent / f"{self.path.name}.toml"

    @classmethod
    def create(
        cls, path: Path, environ: Mapping[str, str], names: Sequence[str] = HARMLESS, more: str = ""
    ) -> World:
        """A repository with a committed lock; `more` is TOML."""
        made = cls(path, environ, names)
        path.mkdir(parents=True)
        state = path.parent / f"{path.name}-state"
        made.config.write_text(
            f"[repository]\npath = {json.dumps(str(path))}\n[state]\ndirectory = {json.dumps(str(state))}\n{more}"
        )
        made.git("init", "--quiet", "--initial-branch=main", ".")
        (path / "flake.nix").write_text("{ outputs = _: { }; }")
        made.commit(lock(names))
        return made

    def git(self, *words: str) -> None:
        run_git(self.path, dict(self.environ), *words)

    def commit(self, text: str) -> None:
        (self.path / "flake.lock").write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "lock")

    @contextlib.contextmanager
    def app(self) -> Iterator[tuple[App, Place]]:
        with CancelToken() as cancel:
            found = App(load(self.config, self.environ), self.environ, cancel, silent, lambda: self.now)
            yield found, found.place()

    @property
    def state(self) -> Path:
        return self.path.parent / f"{self.path.name}-state"

    @property
    def inputs(self) -> list[str]:
        """As lockbot writes their names."""
        return [spelled((name,)) for name in self.names]

    # -- its past

    def record(self, *runs: Run) -> None:
        with self.app() as (app, place), app.history(place) as history:
            for run in runs:
                history.start(replace(run, repository=place.identity, flake=place.flake, branch="main"))

    def run(self, ago: timedelta, outcome: Outcome | None, **more: Any) -> Run:
        """Its id is the time."""
        started = self.now - ago
        finished = started + timedelta(minutes=5) if outcome is not None else None
        return Run(f"{started:%Y%m%d-%H%M%S}-0000", "", started, outcome, finished, **more)

    def has_a_past(self) -> None:
        """Everything that pages tell, under the names."""
        day = timedelta(days=1)
        hosts = tuple(map(host, self.names))
        failure = Failure(FailureKind.BUILD, " ".join(self.names), "/nix/store/x-y.drv", tuple(self.names), "log")
        broken = tuple(HostBuild(one, HostStatus.FAILED, failure=failure) for one in hosts)
        built = tuple(HostBuild(one, HostStatus.BUILT, "/nix/store/a.drv", "/nix/store/a") for one in hosts)
        moved = tuple(
            InputChange(name, ChangeKind.UPDATED, revision("0" * 40), revision(OLD), commits=3)
            for name in self.inputs
        )
        held = tuple(
            Held(name, "breaks", f"because of {name}\n{name}", OLD, culprit(name)) for name in self.inputs
        )
        self.record(
            self.run(9 * day, Outcome.PUBLISHED, commit="a" * 40, changes=moved, hosts=built),
            self.run(3 * day, Outcome.REJECTED, hosts=broken, held=held, notes=tuple(self.names)),
            self.run(
                2 * day, Outcome.PARTLY_PUBLISHED, commit="b" * 40, changes=moved[:1], hosts=built, held=held
            ),
            self.run(day, Outcome.FAILED, error="\n".join(self.names), hint=self.names[0], requests=self.asked),
        )
        self.has_requests()
        self._remember()

    def _remember(self) -> None:
        with self.app() as (app, place), app.history(place) as history:
            ledger = history.ledger(place.flake)
            for number, name in enumerate(self.inputs):
                ledger.record_tip(name, "github:o/r", BAD)
                held = Observation(
                    name, StateWord.HELD, OLD, asked=True, reason="breaks", detail=f"{name}\n{name}"
                )
                ledger.record([replace(held, culprit=culprit(name))])
                if number == 0:
                    ledger.hold(UserHold(name, f"I want {name}", self.now))

    @property
    def asked(self) -> tuple[RequestDone, ...]:
        """What a run has done about pull requests."""
        return tuple(
            RequestDone(RequestStep.OPENED, name, "c" * 40, None, f"javascript:{name}", (name,), name)
            for name in self.inputs
        )

    def has_requests(self) -> None:
        """A pull request for each input."""
        with self.app() as (app, place), app.history(place) as history:
            kept = history.pull_requests(place.flake)
            for number, (name, done) in enumerate(zip(self.inputs, self.asked, strict=True)):
                one = PullRequest(
                    f"{number}", place.flake, "main", "", name, "a-run", "c" * 40, OLD, self.now, self.now
                )
                told = {"moves": (Move(name, OLD, NEW),), "text": Text(name), "waits": name, "url": done.url}
                kept.save(replace(one, **told, left_alone=name if number % 2 else ""))  # type: ignore[arg-type]

    def has_past_of_requests(self, url: str, state: PullRequestState = PullRequestState.OPEN) -> None:
        """A run that has opened one, for the first input, and what became of that."""
        name = self.names[0]
        done = RequestDone(RequestStep.OPENED, "lockbot/update", "c" * 40, 5, url, (name,))
        with self.app() as (app, place), app.history(place) as history:
            run = replace(self.run(timedelta(hours=1), Outcome.REQUESTED), id="a-run", requests=(done,))
            history.save(replace(run, repository=place.identity, flake=place.flake, branch="main"))
            ledger = history.ledger(place.flake)
            ledger.record([Observation(name, StateWord.CURRENT, OLD, asked=True)])
            one = PullRequest("r", place.flake, "main", "", done.branch, run.id, "c" * 40, OLD, self.now, self.now)
            moves, text = (Move(name, OLD, NEW),), Text("a title")
            one = replace(one, state=state, number=5, url=url, moves=moves, text=text, waits="a check")
            history.pull_requests(place.flake).save(one)

    def run_ids(self) -> list[str]:
        """The newest first."""
        with self.app() as (app, place), app.history(place) as history:
            return [run.id for run in history.runs(place.flake)]

    def runs_now(self, pid: int) -> str:
        """A run of this process that is in the midst of things. Its id."""
        run = self.run(timedelta(minutes=3), None, requests=self.asked)
        self.record(run)
        lines: list[dict[str, Any]] = [
            {"event": "run started", "pid": pid},
            {"event": "phase", "phase": "judge", "hosts": len(self.names)},
            *({"event": "evaluating", "host": name} for name in self.names),
            {"event": "host decided", "host": self.names[0], "status": "failed", "message": self.names[0]},
            *(
                {"event": "building", "derivation": name, "drv": f"/{name}", "machine": name}
                for name in self.names
            ),
            {"event": "looking", "what": self.names[0], "inputs": list(self.names), "probe": 1, "about": 3},
            *({"event": "note", "text": f"{name}\n{name}"} for name in self.names),
            *({"event": "command said", "text": name} for name in self.names),
        ]
        directory = self.state / "logs" / run.id
        directory.mkdir(mode=0o700)
        stamp = {"time": self.now.isoformat(), "level": "info", "run": run.id}
        with self.app() as (app, place), app.history(place) as history:
            for name in self.names:
                history.write_log(run.id, name, f"{name}\n", 1000)
        (directory / "run.jsonl").write_text("".join(json.dumps(stamp | one) + "\n" for one in lines))
        return run.id

    def has_a_daemon(self) -> None:
        tomorrow = (self.now + timedelta(days=1)).isoformat()
        one = memory.Service(
            os.getpid(),
            process_start(os.getpid()),
            self.names[0],
            {name: name for name in self.names},
            tuple(self.names),
            dict.fromkeys(self.names, tomorrow),
        )
        memory.write_service(self.state, one)
        memory.pause(self.state, " ".join(self.names), self.now)


def culprit(name: str) -> CulpritCommit:
    return CulpritCommit(BAD, name, name, 1_700_000_000, f"javascript:{name}", (name,), OLD, exact=False)


# -- the service


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True)
class Served:
    """A `lockbot web` that listens. `address`: of its TCP socket, or the path of its unix socket."""

    process: subprocess.Popen[str]
    address: tuple[str, int] | str

    def connect(self) -> socket.socket:
        kind = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        made = socket.socket(kind, socket.SOCK_STREAM)
        made.settimeout(30)
        made.connect(self.address)
        return made

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Header names are written with `_` for `-`."""
        lines = {"Host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return self.raw(f"{method} {path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode(), method)

    def raw(self, request: bytes, method: str = "GET") -> Answer:
        """The first answer to whatever is sent; status 0: the connection ends with none."""
        with self.connect() as link:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                link.sendall(request)
            found = http.client.HTTPResponse(link, method=method)
            try:
                found.begin()
                body = found.read()
            except (http.client.BadStatusLine, ConnectionResetError):
                return Answer(0, {}, b"")
            return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, body)

    def stop(self) -> str:
        """What else it said on standard error."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=30)
        return said


LISTENING = re.compile(r"lockbot web: (?:http://(\[?[0-9a-z.:]+\]?):([0-9]+)|unix:(.*)|.*)\n")
STARTED = ("-m", "lockbot")


@contextlib.contextmanager
def served(
    *configs: Path, environ: Mapping[str, str], listen: str = "127.0.0.1:0", start: Sequence[str] = STARTED
) -> Iterator[Served]:
    """It must end by itself, with exit code 0, and have said nothing on the way."""
    words = [word for path in configs for word in ("--config", str(path))]
    process = subprocess.Popen(
        [sys.executable, *start, "web", "--listen", listen, *words],
        env={**environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        match = LISTENING.fullmatch(said)
        assert match is not None, said + process.stderr.read()
        made = Served(process, match[3] or (match[1].strip("[]").replace("localhost", "127.0.0.1"), int(match[2])))
        yield made
        said = made.stop()
        assert (said, process.returncode) == ("", 0), said
    finally:
        process.kill()
        process.wait()
        process.stderr.close() if process.stderr else None
