"""A flake on which things are wrong, and people who want to hear of it: a real repository, history and servers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from lockbot.app import App, Place
from lockbot.cli import cli
from lockbot.commands.notify import look
from lockbot.commands.notify.look import Found
from lockbot.commands.notify.send import Sent, notify
from lockbot.config import load
from lockbot.history.input_states import Observation, StateWord
from lockbot.model import (
    Answer,
    CulpritCommit,
    Failure,
    FailureKind,
    Held,
    HostBuild,
    HostStatus,
    Judgement,
    Outcome,
    PullRequest,
    Run,
    silent,
)
from tests.commands.test_status import ONE, THREE, World, seen
from tests.history.samples import PULL_REQUEST, host, run

GOOD, BAD, OPEN = (
    Judgement(Answer.GOOD, "built"),
    Judgement(Answer.BAD, "build"),
    Judgement(Answer.UNJUDGED, "network"),
)
BROKEN = Failure(FailureKind.BUILD, "builder failed", "/nix/store/x-hello-2.12.drv", ("line one", "line two"))
EVIL = CulpritCommit(THREE, "drop the old name", "Eve", 1_790_000_000, "https://x/commit/3", ("web", "db"))
BREAKS = seen(StateWord.HELD, reason="breaks", detail="breaks web and db since 3333333", culprit=EVIL)
CURRENT = seen()


def good(name: str) -> HostBuild:
    return HostBuild(host(name), HostStatus.BUILT, here=GOOD, base=GOOD)


def broken(name: str) -> HostBuild:
    return HostBuild(host(name), HostStatus.BROKEN_BEFORE, here=BAD, base=BAD, failure=BROKEN)


def unjudged(name: str) -> HostBuild:
    return HostBuild(host(name), HostStatus.UNJUDGED, here=OPEN, base=OPEN)


class _Settled(App):
    """Does not look again where the repository is: it stays."""

    def place(self, *, needs_branch: bool = True) -> Place:
        found: Place | None = self.__dict__.get("found")
        if found is None:
            found = self.__dict__["found"] = super().place(needs_branch=needs_branch)
        return found


@dataclass
class Told:
    """`world` with [[notify]] tables; `record` is what a run leaves behind."""

    world: World
    directory: Path
    tables: list[str] = field(default_factory=list)
    runs: int = 0
    more: str = ""

    def target(self, url: str, name: str = "phone", more: str = "") -> None:
        file = self.directory / f"url-{name}"
        file.write_text(url + "\n")
        self.tables.append(f'[[notify]]\nname = "{name}"\nurl = {{ file = "{file}" }}\n{more}\n')
        self.write()

    def write(self) -> None:
        self.config.write_text(self.more + "\n" + "\n".join(self.tables))
        self.__dict__.pop("app", None)

    @property
    def config(self) -> Path:
        return self.directory / "lockbot.toml"

    @property
    def history(self) -> Path:
        return Path(self.world.environ["LOCKBOT_STATE__DIRECTORY"]) / "history.sqlite"

    @cached_property
    def app(self) -> App:
        """As configured by now; its place is found once."""
        world = self.world
        found = load(self.config, world.environ)
        return _Settled(found, world.environ, world.cancel, silent, lambda: world.now)

    def record(
        self,
        *hosts: HostBuild,
        outcome: Outcome | None = Outcome.UNCHANGED,
        inputs: Sequence[Observation] = (),
        **more: Any,
    ) -> Run:
        """A run that ends now."""
        app, self.runs = self.app, self.runs + 1
        place = app.place()
        one = run(self.runs, place.identity, place.flake, outcome=outcome, hosts=hosts, **more)
        one = replace(one, started=self.world.now, finished=self.world.now)
        with app.history(place) as past:
            past.start(one)
            past.ledger(place.flake).record(inputs)
        return one

    def request(self, **fields: Any) -> PullRequest:
        """One that asks for input a, as lockbot remembers it now."""
        place = self.app.place()
        one = replace(PULL_REQUEST, opened=self.world.now, left_alone="", merged_as=None, **fields)
        with self.app.history(place) as past:
            past.pull_requests(place.flake).save(one)
        return one

    def close(self, outcome: str, error: str | None) -> None:
        """What the next run says of the one that did not end."""
        with closing(sqlite3.connect(self.history)) as raw, raw:
            raw.execute("UPDATE runs SET outcome = ?, error = ? WHERE outcome IS NULL", (outcome, error))

    def look(self) -> Found:
        app = self.app
        place = app.place()
        with app.history(place) as past:
            return look(app, place, past)

    def notify(self) -> Sent:
        return notify(self.app)

    def news(self) -> list[str]:
        return [f"{one.kind}: {one.title}" for one in self.look().news]

    def run(self, *words: str) -> Result:
        environ = self.world.environ | {"LOCKBOT_CONFIG": str(self.config)}
        return CliRunner().invoke(cli, words, env=environ, standalone_mode=False)

    def status(self) -> dict[str, Any]:
        done = self.run("status", "--json")
        (found,) = json.loads(done.stdout)["notifications"]
        assert isinstance(found, dict)
        return found

    def states(self) -> list[str]:
        if not self.history.exists():
            return []
        with closing(sqlite3.connect(self.history)) as raw:
            return [row[0] for row in raw.execute("SELECT state FROM outbox ORDER BY created, id")]


def held(name: str = "a") -> Held:
    return Held(name, "breaks", "breaks web", ONE, EVIL)
