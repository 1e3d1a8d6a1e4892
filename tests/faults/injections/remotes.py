"""A remote that is down, slow, refuses, or breaks off half-way. git over HTTP, behind a gate that can be shut."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.ground import SECRET, Ground
from tests.faults.kinds import Case, Kind
from tests.forge.pull_requests.githost import GitHost
from tests.nixes import Nix
from tests.update.world import World, wait_for

_NAME = "owner/flake"
_PATIENCE = "4s"
"""How long lockbot waits for a fetch or a push."""


@dataclass
class Gate:
    """Hands bytes on to a port; `up` and `down`: how many bytes of each connection at most, None: all."""

    port: int
    up: int | None = None
    down: int | None = None
    open: bool = True
    silent: bool = False
    """Takes connections, and says nothing."""
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def __post_init__(self) -> None:
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self.open:
                client.close()
                continue
            if self.silent:
                threading.Thread(target=self._hold, args=(client,), daemon=True).start()
                continue
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            up = threading.Thread(target=_copy, args=(client, server, self.up), daemon=True)
            up.start()
            _copy(server, client, self.down)
            up.join()

    def _hold(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while client.recv(4096):
                pass


def _copy(source: socket.socket, sink: socket.socket, most: int | None) -> None:
    left = most
    with contextlib.suppress(OSError):
        while data := source.recv(4096 if left is None else min(left, 4096)):
            sink.sendall(data)
            if left is not None and (left := left - len(data)) <= 0:
                break
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@dataclass
class _Served(Ground):
    host: GitHost | None = None
    gate: Gate | None = None


@contextmanager
def served(nix: Nix, directory: Path) -> Iterator[Ground]:
    with GitHost(directory / "host", tokens={SECRET: "lockbot"}) as host:
        host._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # who breaks off is no news
        gate = Gate(int(host.host.rpartition(":")[2]))

        def prepare(world: World) -> None:
            _to_the_host(world, host, gate)

        try:
            made = Ground.create(nix, directory, breaks=False, prepare=prepare)
            yield _Served(made.world, made.newest, host=host, gate=gate)
        finally:
            gate.close()


def _to_the_host(world: World, host: GitHost, gate: Gate) -> None:
    assert world.remote is not None
    place = host.create(_NAME)
    host.git(_NAME, "fetch", "--quiet", str(world.remote), "main:main")
    shutil.rmtree(world.remote)
    world.remote = place
    world.git("remote", "set-url", "origin", f"http://{gate.address}/{_NAME}.git")
    helper = world.directory / "helper"
    helper.write_text(f"#!/bin/sh\necho username=x\necho password={SECRET}\n")
    helper.chmod(0o700)
    world.environment |= {
        "NO_PROXY": "*",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "credential.helper",
        "GIT_CONFIG_VALUE_0": str(helper),
    }
    world.settings["run"] = f'fetch_timeout = "{_PATIENCE}"'


@contextmanager
def _gate(ground: _Served, **how: object) -> Iterator[None]:
    assert ground.gate is not None
    before = {name: getattr(ground.gate, name) for name in how}
    for name, value in how.items():
        setattr(ground.gate, name, value)
    yield
    for name, value in before.items():
        setattr(ground.gate, name, value)


@contextmanager
def _when_pushed(ground: _Served, act: Callable[[Gate], None], *, after: bool) -> Iterator[None]:
    """Something happens to the gate when a push comes, or when it is done and not yet answered."""
    host, gate = ground.host, ground.gate
    assert host is not None and gate is not None
    between, pushed = host.between, host.pushed

    def before_it(service: str, _: str) -> None:
        if service == "push":
            _break(gate, act)

    def after_it(_: str) -> None:
        _break(gate, act)

    if after:
        host.pushed = after_it
    else:
        host.between = before_it
    yield
    host.between, host.pushed = between, pushed
    gate.open, gate.silent = True, False


def _break(gate: Gate, act: Callable[[Gate], None]) -> None:
    act(gate)
    raise ConnectionResetError


@contextmanager
def _hook(ground: _Served, name: str, text: str) -> Iterator[None]:
    assert ground.world.remote is not None
    hook = ground.world.remote / "hooks" / name
    hook.write_text(f"#!/bin/sh\n{text}\n")
    hook.chmod(0o755)
    yield
    hook.unlink()


@contextmanager
def _slow_hook(ground: _Served) -> Iterator[None]:
    """It goes on when nobody listens any more; then that is over, too."""
    assert ground.world.remote is not None
    busy = ground.world.remote / "busy"
    with _hook(ground, "pre-receive", f"touch {busy}; sleep 6; rm {busy}"):
        yield
        wait_for(lambda: not busy.exists())


@contextmanager
def _moved_away(ground: _Served) -> Iterator[None]:
    place = ground.world.remote
    assert place is not None
    away = place.rename(place.with_name("away"))
    yield
    away.rename(place)


@contextmanager
def _nobody_is_known(ground: _Served) -> Iterator[None]:
    assert ground.host is not None
    known = dict(ground.host.tokens)
    ground.host.tokens.clear()
    yield
    ground.host.tokens |= known


@contextmanager
def _protected(ground: _Served) -> Iterator[None]:
    assert ground.host is not None
    ground.host.protect(_NAME, "main")
    yield
    ground.host.unprotect(_NAME)


def _shut(gate: Gate) -> None:
    gate.open = False


def _silence(gate: Gate) -> None:
    gate.silent = True


OUTAGES: dict[str, Callable[[_Served], AbstractContextManager[None]]] = {
    "is down": lambda ground: _gate(ground, open=False),
    "takes connections and says nothing": lambda ground: _gate(ground, silent=True),
    "breaks off after 100 bytes of an answer": lambda ground: _gate(ground, down=100),
    "breaks off after 700 bytes of an answer": lambda ground: _gate(ground, down=700),
    "breaks off after 400 bytes of a request": lambda ground: _gate(ground, up=400),
    "breaks off after 1000 bytes of a request": lambda ground: _gate(ground, up=1000),
    "goes down when the push comes": lambda ground: _when_pushed(ground, _shut, after=False),
    "goes down when the push is done": lambda ground: _when_pushed(ground, _shut, after=True),
    "falls silent when the push comes": lambda ground: _when_pushed(ground, _silence, after=False),
    "falls silent when the push is done": lambda ground: _when_pushed(ground, _silence, after=True),
    "hangs up when the push is done": lambda ground: _when_pushed(ground, lambda _: None, after=True),
    "refuses by a hook": lambda ground: _hook(ground, "pre-receive", "echo 'not on Fridays' >&2; exit 1"),
    "is slow, by a hook": lambda ground: _slow_hook(ground),
    "protects the branch": _protected,
    "knows nobody": _nobody_is_known,
    "is moved away": _moved_away,
}


def _inject(ground: Ground, case: Case) -> None:
    assert isinstance(ground, _Served)
    ground.moves()
    with OUTAGES[case.label](ground):
        result = ground.world.update()
    ground.met(result)
    assert result.code in (0, 3), (result.document, result.stderr)
    if result.code == 0:
        assert ground.landed_at() == {ground.newest}, "the run says that it published, and it did not"
    ground.lands()


KINDS = (
    Kind("remote", "the remote is down, slow, refuses, breaks off half-way", "who says published has published",
         served, lambda _: list(OUTAGES), _inject),
)  # fmt: skip
