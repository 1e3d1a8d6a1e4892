"""Nix's daemon goes away; a substituter is down, slow, or lies; what was built is collected."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lockbot import process
from tests.faults.ground import Ground
from tests.faults.kinds import Case, Kind
from tests.nixes import Nix
from tests.update.world import Result, finish, wait_for


@dataclass
class _Supplied(Ground):
    """With a daemon, and a binary cache on loopback that has what the next run builds."""

    daemon: subprocess.Popen[bytes] | None = None
    socket: Path = Path()
    cache: Path = Path()
    port: int = 0

    def start_daemon(self) -> None:
        self.socket.unlink(missing_ok=True)
        environment = {**self.world.nix.environment, "NIX_DAEMON_SOCKET_PATH": str(self.socket)}
        self.daemon = subprocess.Popen(
            [self.world.nix.bin / "nix-daemon", "--daemon"],
            env={**environment, "NIX_REMOTE": "local"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.socket.exists)

    def kill_daemon(self) -> None:
        """And its workers: each connection has one."""
        assert self.daemon is not None
        workers = process.descendants(self.daemon.pid)
        self.daemon.kill()
        self.daemon.wait()
        for pid, _ in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class _Cache(SimpleHTTPRequestHandler):
    how = ""

    def do_GET(self) -> None:
        nar = self.path.startswith("/nar/")
        if _Cache.how == "is slow":
            time.sleep(3)
        if _Cache.how == "answers 500":
            self.send_error(500)
        elif _Cache.how == "breaks off half-way" and nar:
            data = (Path(self.directory) / self.path[1:]).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Not on the terminal."""


@contextmanager
def supplied(nix: Nix, directory: Path) -> Iterator[Ground]:
    made = Ground.create(nix, directory, breaks=False)
    cache = directory / "cache"
    cache.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Cache, directory=str(cache)))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who breaks off is no news
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ground = _Supplied(
        made.world, made.newest, socket=directory / "socket", cache=cache, port=int(server.server_address[1])
    )
    ground.start_daemon()
    ground.world.environment |= {"NIX_REMOTE": "daemon", "NIX_DAEMON_SOCKET_PATH": str(ground.socket)}
    try:
        yield ground
    finally:
        ground.kill_daemon()
        server.shutdown()
        server.server_close()


# -- the daemon ----------------------------------------------------------------------------------------------


def _without_a_daemon(ground: _Supplied) -> Result:
    ground.kill_daemon()
    result = ground.world.update()
    ground.start_daemon()
    return result


def _dies_at(ground: _Supplied, words: str, *, back: bool) -> Result:
    """The daemon dies when a program is called with these words, and comes back at once, or when all is over."""
    place = Path(ground.world.environment["NIX_STATE_DIR"])  # one of few where Nix may write, and so its wrapper
    for program in ("nix", "nix-store"):
        ground.world.wrap(
            program,
            f'case " $* " in *"{words}"*) if mkdir {place}/reached 2>/dev/null; then\n'
            f'  while ! [ -e {place}/go ]; do sleep 0.02; done; fi;; esac\nexec $real "$@"',
        )
    started = ground.world.start()
    try:
        wait_for(lambda: (place / "reached").exists() or started.poll() is not None)
        ground.kill_daemon()
        if back:
            ground.start_daemon()
    finally:
        (place / "go").touch()
    result = finish(started)
    ground.world.unwrap()
    (place / "reached").rmdir()
    (place / "go").unlink()
    if not back:
        ground.start_daemon()
    return result


# -- the substituter -----------------------------------------------------------------------------------------


def _substituter(ground: _Supplied, how: str) -> Result:
    """A run that could take what it has to build from a binary cache, which is as `how` says."""
    world = ground.world
    _fill(ground)
    if how == "lies about its contents":
        for path in (ground.cache / "nar").iterdir():
            data = path.read_bytes()
            path.write_bytes(data[:-16] + bytes(byte ^ 0x5A for byte in data[-16:]))
    elif how == "lies about names":
        infos = sorted(ground.cache.glob("*.narinfo"))
        texts = [path.read_text() for path in infos]
        for path, text in zip(infos, texts[1:] + texts[:1], strict=True):
            path.write_text(text)
    elif how == "talks nonsense":
        for path in ground.cache.glob("*.narinfo"):
            path.write_text("<html>It works!</html>")
    port = 1 if how == "is down" else ground.port
    _Cache.how = how
    try:
        return world.update(
            NIX_CONFIG=f"substituters = http://127.0.0.1:{port}\nrequire-sigs = false\n"
            f"trusted-substituters = http://127.0.0.1:{port}"
        )
    finally:
        _Cache.how = ""


def _fill(ground: _Supplied) -> None:
    """Build, with a store's results copied into the cache and then deleted from the store."""
    world = ground.world
    revision = world.upstreams["a"].url + f"?rev={ground.newest}"
    override = ["--override-input", "a", revision]
    target = f"{world.fleet.url(world.head())}#{'.'.join(world.fleet.hosts[0].attribute)}"
    environment = {**world.nix.environment, "NIX_REMOTE": "local"}

    def nix(*arguments: str) -> str:
        done = subprocess.run(
            [world.nix.bin / "nix", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    out = nix("build", "--no-link", "--print-out-paths", "--no-write-lock-file", *override, target).split()
    nix("copy", "--to", f"file://{ground.cache}?compression=none", *out)
    for path in sorted(out):
        subprocess.run(
            [world.nix.bin / "nix-store", "--delete", "--ignore-liveness", path],
            env=environment, check=True, capture_output=True,
        )  # fmt: skip


def _collected(ground: _Supplied) -> Result:
    """Everything is collected that nothing holds, again and again during a run."""
    world = ground.world
    environment = {**world.nix.environment, "NIX_REMOTE": "daemon", "NIX_DAEMON_SOCKET_PATH": str(ground.socket)}
    started = world.start()
    while started.poll() is None:
        subprocess.run([world.nix.bin / "nix-store", "--gc"], env=environment, capture_output=True, check=False)
    return finish(started)


_SUBSTITUTER = (
    "is down", "is slow", "answers 500", "breaks off half-way", "lies about its contents", "lies about names",
    "talks nonsense",
)  # fmt: skip
FAULTS: dict[str, Callable[[_Supplied], Result]] = {
    "the daemon is gone": _without_a_daemon,
    **{
        f"the daemon {'restarts' if back else 'dies'} at {words.strip()}": partial(
            _dies_at, words=words, back=back
        )
        for words in (" flake update ", " eval ", " --realise ", " --dump-db ", " --add-root ")
        for back in (True, False)
    },
    **{f"the substituter {how}": partial(_substituter, how=how) for how in _SUBSTITUTER},
    "garbage is collected all the time": _collected,
}


def _inject(ground: Ground, case: Case) -> None:
    assert isinstance(ground, _Supplied)
    ground.moves()
    result = FAULTS[case.label](ground)
    ground.met(result)
    blamed = [held for held in result.document.get("held", []) if held["reason"].startswith("breaks")]
    assert not blamed, blamed
    if result.code == 0:
        assert ground.landed_at() == {ground.newest}, result.document
    ground.lands()


KINDS = (
    Kind("store", "Nix's daemon dies, a substituter is down, slow, lies; garbage is collected meanwhile",
         "no input is blamed", supplied, lambda _: list(FAULTS), _inject),
)  # fmt: skip
