"""What each page of `lockbot web` costs with many runs: beside a page of starlette's that says "hello".

    python -m benchmarks.web [RUNS [ROUNDS]]

Both are asked over a socket of this machine, taking turns. The bounds with 10,000 runs: 100 ms for 95 in 100
requests of each page, and 120 MiB of resident memory after a walk over all pages.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from lockbot.model import (
    ClosureSize,
    Difference,
    Held,
    HostBuild,
    HostStatus,
    InputChange,
    Outcome,
    PackageChange,
    PackageMark,
    Run,
)
from lockbot.model.change import ChangeKind
from lockbot.model.host import written
from lockbot.process import resident_bytes
from lockbot.report import events
from lockbot.web import routes
from tests.nixes import git_environment
from tests.web.world import OLD, Served, World, host, revision, served

RUNS, ROUNDS = 10_000, 100
BOUND, MEMORY = 0.1, 120 * 2**20
"""Seconds, bytes."""
_HOSTS = [f"host{number}" for number in range(20)]
_HELLO = """
import socket, uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
async def hello(request): return PlainTextResponse("hello")
link = socket.create_server(("127.0.0.1", 0))
print(link.getsockname()[1], flush=True)
app = Starlette(routes=[Route("/", hello)])
config = uvicorn.Config(app, log_level="critical", http="h11", loop="asyncio")
uvicorn.Server(config).run(sockets=[link])
"""


def main(arguments: list[str] | None = None) -> int:
    """0: the bounds were kept."""
    words = sys.argv[1:] if arguments is None else arguments
    runs, rounds = (*map(int, words), *(RUNS, ROUNDS)[len(words) :])
    with tempfile.TemporaryDirectory(prefix="lockbot-web-") as place:
        directory = Path(place)
        world = World.create(directory / "flake", git_environment(directory / "home"), ["nixpkgs", "tools"])
        world.record(*_past(world, runs))
        _logs(world)
        with served(world.config, environ=world.environ) as service, _hello() as hello:
            return _measured(world, service, hello, rounds)


def _past(world: World, number: int) -> Iterator[Run]:
    """A run each half an hour; one in three moves an input, one in five is held up by one."""
    change = InputChange("nixpkgs", ChangeKind.UPDATED, revision("0" * 40), revision(OLD), commits=3)
    held = Held("tools", "breaks", "because", OLD)
    built = tuple(HostBuild(host(name), HostStatus.BUILT, "/nix/store/a.drv", "/nix/store/a") for name in _HOSTS)
    for at in range(number):
        moves = at % 3 == 0
        yield world.run(
            timedelta(minutes=30 * (at + 1)),
            Outcome.PUBLISHED if moves else Outcome.UNCHANGED,
            commit="a" * 40 if moves else None,
            changes=(change,) if moves else (),
            hosts=built if moves else (),
            held=(held,) if at % 5 == 0 else (),
            differences=_differences(at) if moves else (),
        )


def _differences(at: int) -> tuple[Difference, ...]:
    """Three groups of hosts, each with a hundred packages of its own that have another version."""
    return tuple(
        Difference(
            tuple(written(host(name).attribute) for name in _HOSTS[group::3]),
            tuple(
                PackageChange(f"package{number}-{group}", PackageMark.UP, (f"1.{at}",), (f"1.{at + 1}",))
                for number in range(100)
            ),
            closure=ClosureSize((10**9 + at, 10**9 + at + 1), (1000, 1000)),
        )
        for group in range(3)
    )


def _logs(world: World) -> None:
    """What is kept of the newest run."""
    run = world.run_ids()[0]
    with world.app() as (app, place), app.history(place) as history:
        history.write_log(run, _HOSTS[0], "\x1b[31mred\x1b[0m: a line of a log\n" * 2000, 2**20)
        steps = [events.encode({"level": "info", "event": "phase", "phase": "sync"}) for _ in range(500)]
        (app.state().logs / run / events.FILE).write_text("\n".join(steps) + "\n")


@contextmanager
def _hello() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", _HELLO], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def _measured(world: World, service: Served, hello: int, rounds: int) -> int:
    assert isinstance(service.address, tuple)
    kept = True
    named = {"{name}": "nixpkgs", "{attribute}": _HOSTS[0], "{run}": world.run_ids()[0], "{host}": _HOSTS[0]}
    for pattern in (*routes.PAGES, "/packages?q=package42", *routes.CONTENTS):
        path = pattern
        for part, value in named.items():
            path = path.replace(part, value)
        pairs = [(_seconds(service.address[1], path), _seconds(hello, "/")) for _ in range(rounds)]
        ours, theirs = (sorted(side)[int(len(pairs) * 0.95)] for side in zip(*pairs, strict=True))
        kept &= ours <= BOUND
        sys.stdout.write(f"{path}: p95 {ours * 1000:.1f} ms, {ours / theirs:.1f} of a page that says hello\n")
    memory = resident_bytes(service.process.pid)
    sys.stdout.write(f"resident after {rounds} walks: {memory / 2**20:.0f} MiB of at most {MEMORY // 2**20}\n")
    return 0 if kept and memory <= MEMORY else 1


def _seconds(port: int, path: str) -> float:
    link = http.client.HTTPConnection("127.0.0.1", port)
    begun = time.monotonic()
    link.request("GET", path)
    answer = link.getresponse()
    answer.read()
    link.close()
    assert answer.status == 200, (path, answer.status)
    return time.monotonic() - begun


if __name__ == "__main__":
    sys.exit(main())
