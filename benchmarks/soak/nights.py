"""One night after another: what changes, what goes wrong, what lockbot does, what is measured and must hold."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any, Self

from benchmarks.soak import samples
from benchmarks.soak.faults import Faults
from benchmarks.soak.services import Daemon, Lockbot, Page, Receiver
from benchmarks.soak.world import World
from tests import nixes

_FAULT = 0.33
"""So many nights have one."""
_QUIET = 5
"""Nights at the beginning and at the end that have none."""
_COLLECTED = 7
"""Nights from one garbage collection to the next."""
_WELL = frozenset({"unchanged", "published", "partly published", "rejected"})
_COMMANDS = (
    ("status", "--json"),
    ("history",),
    ("inputs", "--outdated"),
    ("metrics",),
    ("lint",),
    ("review",),
    ("healthcheck",),
    ("show",),
    ("hosts",),
)


class Soak:
    """A context: its services live as long as it does."""

    def __init__(self, directory: Path, installed: nixes.Installed, chance: random.Random) -> None:
        self.world = World(directory, installed, chance)
        self.lockbot = Lockbot(self.world)
        with contextlib.ExitStack() as stack:
            stack.callback(Receiver(directory / "notify-url").close)
            self.lockbot.run("--quiet", "update")
            self.daemon = Daemon(self.world, self.lockbot)
            stack.callback(self.daemon.kill)
            self.page = Page(self.world, self.lockbot)
            stack.callback(self.page.kill)
            self.page.wait()
            self._close = stack.pop_all()
        self.faults = Faults(self.world, self.lockbot, self.daemon)
        self._samples: list[dict[str, float]] = []
        self._problems: list[str] = []
        self._happened: list[str] = []
        self._outcomes: list[str | None] = []
        self._troubled = False
        """Whether the night before had a fault, so that this one has to heal it."""
        self.page.ask()
        self._sample(0, time.monotonic())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close.close()

    @property
    def is_whole(self) -> bool:
        """No promise was broken so far."""
        return not self._problems

    def told(self) -> dict[str, Any]:
        return {
            "samples": self._samples,
            "problems": self._problems,
            "faults": self._happened,
            "outcomes": self._outcomes,
        }

    def night(self, number: int) -> None:
        begun, chance, world = time.monotonic(), self.world.chance, self.world
        before = world.remote_head
        told = world.pass_a_day()
        self._people_decide()
        fault = chance.choice(self.faults.names) if number > _QUIET and chance.random() < _FAULT else None
        if fault in self.faults.before:
            self.faults.before[fault]()
        started = world.clock.now()
        world.clock.to_the_next_night()
        if fault in self.faults.during:
            self.faults.during[fault]()
        if not self.daemon.rest():
            self._problem(number, "the daemon does not come to rest")
        self.faults.heal()
        if fault is not None:
            self._happened.append(fault)
        self._by_hand(number)
        outcome, why = self._outcome(started.isoformat())
        self._outcomes.append(outcome)
        self._check(number, before, outcome, why, troubled=fault is not None)
        self._sample(number, begun)
        seconds = time.monotonic() - begun
        happened = "; ".join([*told, *([fault] if fault else [])])
        sys.stderr.write(f"night {number}: {outcome}, {seconds:.1f} s; {happened}\n")
        sys.stderr.flush()

    def end(self) -> None:
        for name, process in (("daemon", self.daemon), ("page", self.page)):
            code = process.stop()
            if code != 0:
                self._problems.append(f"the {name} ended with {code} when it was told to stop")

    # -- what people and cron do

    def _people_decide(self) -> None:
        chance, labels = self.world.chance, [one.label for one in self.world.inputs]
        held = self.world.held
        for name in [name for name, left in held.items() if left <= 0]:
            del held[name]
            self.lockbot.run("release", name)
        for name in held:
            held[name] -= 1
        name = chance.choice(labels)
        if chance.random() < 0.08 and name not in held:
            held[name] = chance.randint(1, 9)
            self.lockbot.run("hold", name, "--why", "by chance")
        if chance.random() < 0.1:
            self.lockbot.run("accept", chance.choice(labels))

    def _by_hand(self, number: int) -> None:
        """Beside the service: a run of cron's, the second flake, commands, the page."""
        chance = self.world.chance
        if chance.random() < 0.1:
            self.lockbot.run("--quiet", "update")
        if self.world.side is not None:
            config = self.world.directory / f"{self.world.side[0]}.toml"
            self.lockbot.run("--quiet", "update", config=config)
            self.world.side_is_over()
        if chance.random() < 0.3:
            self.lockbot.run(*chance.choice(_COMMANDS))
        if bad := self.page.ask():
            self._problem(number, f"the page answers {bad}")

    # -- what must hold

    def _outcome(self, since: str) -> tuple[str | None, str | None]:
        """Of the newest run of the main flake since then; and the error that ended it."""
        query = (
            "SELECT outcome, error FROM runs WHERE started >= ? AND branch = 'main' ORDER BY started DESC LIMIT 1"
        )
        place = f"file:{self.world.state}/history.sqlite?mode=ro"
        with contextlib.closing(sqlite3.connect(place, uri=True)) as history:
            row = history.execute(query, (since[:19],)).fetchone()
        return (None, None) if row is None else (row[0], row[1])

    def _check(self, number: int, before: str, outcome: str | None, why: str | None, *, troubled: bool) -> None:
        world = self.world
        for problem in [*world.problems(before, world.remote_head), *world.damage()]:
            self._problem(number, problem)
        if not troubled:
            for problem in samples.leftovers(world):
                self._problem(number, problem)
            if outcome not in _WELL and not world.diverged:
                self._problem(number, f"the run of a quiet night: {outcome}" + (f": {why}" if why else ""))
        if time.monotonic() - self.daemon.beaten > 30:
            self._problem(number, "the watchdog hears nothing")

    def _problem(self, number: int, text: str) -> None:
        self._problems.append(f"night {number}: {text}")
        sys.stderr.write(f"PROBLEM: night {number}: {text}\n")

    def _sample(self, number: int, begun: float) -> None:
        found = samples.process("daemon", self.daemon.process.pid) | samples.process("page", self.page.process.pid)
        found |= samples.state(self.world) | samples.rows(self.world)
        found["seconds a night"] = time.monotonic() - begun
        if number % _COLLECTED == 0:
            found |= samples.store(self.world)
        self._samples.append(found)
