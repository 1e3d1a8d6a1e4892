"""The commands that should feel instant, and an update that finds nothing new."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks import contenders
from benchmarks.contenders import LOCKBOT
from benchmarks.measure import measure
from benchmarks.table import Figure
from benchmarks.worlds import Size, World
from lockbot.history import codec
from lockbot.history.connection import open_database
from lockbot.model import Host, HostBuild, HostStatus, Outcome, Run
from tests import nixes

RUNS = 10_000
HOSTS = 20
"""Hosts in each of them."""
TURNS = 5


def measure_all(directory: Path, installed: nixes.Installed, rounds: int) -> list[Figure]:
    world = World.create(directory, installed, Size(hosts=3, inputs=10, cost=0, seconds=0))
    world.move_inputs()
    contenders.lockbot(world)
    before = measure(["nix", "flake", "update"], env=world.environment, cwd=world.fleet.path, watched=False)
    assert before.wall > 0
    alone, unchanged = _alternately(
        lambda: contenders.update_alone(world).wall, lambda: contenders.unchanged(world).wall, turns=rounds + 2
    )
    figures = [
        Figure("lockbot update, nothing new", unchanged, alone + 0.2, f"nix flake update alone: {alone:.3f}")
    ]
    _fill(Path(world.environment["XDG_STATE_HOME"]) / "lockbot" / "history.sqlite", str(world.fleet.path / ".git"))
    return figures + [
        Figure(f"lockbot {' '.join(words)}", _seconds(world, words), target, beside)
        for words, target, beside in (
            (["--help"], 0.15, ""),
            (["history"], 0.25, f"{RUNS:,} runs"),
            (["show"], 0.25, f"{RUNS:,} runs"),
        )
    ]


def _alternately(*actions: Callable[[], float], turns: int = TURNS) -> list[float]:
    found = [[action() for action in actions] for _ in range(turns)]
    return [statistics.median(column) for column in zip(*found, strict=True)]


def _seconds(world: World, words: list[str]) -> float:
    (seconds,) = _alternately(
        lambda: measure([LOCKBOT, *words], env=world.environment, cwd=world.fleet.path, watched=False).wall,
        turns=TURNS + 4,
    )
    return seconds


def _fill(database: Path, repository: str) -> None:
    """Years of past runs, older than what is there."""
    hosts = [Host(f"host{n:03}", ("nixosConfigurations", f"host{n:03}")) for n in range(HOSTS)]
    builds = tuple(HostBuild(host, HostStatus.BUILT, f"/nix/store/{host.name}.drv") for host in hosts)
    first = datetime(1995, 1, 1, tzinfo=UTC)
    connection = open_database(database, first).connection
    connection.execute("BEGIN")
    for number in range(RUNS):
        started = first + timedelta(hours=number)
        run = Run(f"{number:08}", repository, started, Outcome.PUBLISHED, started, "main", hosts=builds)
        codec.write_run(connection, run)
    connection.execute("COMMIT")
    connection.close()
