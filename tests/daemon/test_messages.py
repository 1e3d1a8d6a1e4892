"""The daemon starts `lockbot notify` beside its runs: after each, hourly, and when something is tried again."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockbot.app import App
from lockbot.config import load
from lockbot.daemon.events import Errand, Event, Tell, Told
from lockbot.daemon.messages import EVERY, SOONEST, Messages
from lockbot.model import Outcome, silent
from lockbot.process import CancelToken
from tests.daemon.world import Make, until
from tests.history.samples import run
from tests.nixes import PROJECT
from tests.notify.server import Reply, Server
from tests.upstream import run_git

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def test_a_daemon_tells_what_its_run_found_and_waits_for_what_is_on_its_way(service: Make, tmp_path: Path) -> None:
    """SIGTERM: what was begun goes out whole, and nobody is left behind."""
    with Server() as server:
        here = service()
        (tmp_path / "url").write_text(f"json://{server.host}/hook-s3cret")
        here.configure('when = "1h"', f'[[notify]]\nname = "phone"\nurl = {{ file = "{tmp_path}/url" }}')
        here.upstream.break_build()
        here.upstream.commit("broken")
        server.answer = lambda: Reply(hang=1)
        here.start()
        until(lambda: server.arrived)
        here.stop()
        assert "is held back: its update breaks web" in server.texts[0]
        assert len(server.arrived) == 1
        assert here.ask("status")["notifications"][0]["waiting"] == 0
        assert "s3cret" not in here.log.read_text()
        assert not here.records("telling failed")


def test_what_a_hook_did_wrong_between_runs_is_in_the_journal(tmp_path: Path) -> None:
    """Whoever finds an alarm runs its hooks; nobody else reads what `lockbot notify` says beside a daemon."""
    config, told, state = tmp_path / "lockbot.toml", list[Event](), tmp_path / "state"
    environ = dict(os.environ) | {"HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    run_git(tmp_path, environ, "init", "--quiet", "--initial-branch=main", "flake")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    run_git(tmp_path / "flake", environ, *who, "commit", "--quiet", "--allow-empty", "--message", "x")
    config.write_text(
        f'[repository]\npath = "{tmp_path}/flake"\n[state]\ndirectory = "{state}"\n'
        '[[hook]]\nevent = "alarm"\ncommand = ["/bin/sh", "-c", "exit 3"]\n'
    )
    app = App(load(config, environ), environ, CancelToken(), silent)
    place = app.place()
    with app.history(place) as past:
        past.start(run(1, place.identity, place.flake, outcome=Outcome.FAILED))
    messages = Messages(environ, told.append, Put().at, lambda: NOW)
    messages.adopt({config: Errand(60.0)})
    until(lambda: told)
    assert told == [Told(config, notes=("the hook /bin/sh (alarm) ended with code 3",))]
    messages.ended(Told(config))


class Put:
    """What a Messages has put into the queue, and when it wants to be called."""

    def __init__(self) -> None:
        self.scheduled: dict[str, datetime] = {}

    def at(self, moment: datetime, event: Event, name: str) -> None:
        assert isinstance(event, Tell)
        self.scheduled[name] = moment


def test_when_the_next_one_is() -> None:
    told: list[Event] = []
    put = Put()
    messages = Messages({}, told.append, put.at, lambda: NOW)
    config = Path("/nowhere/lockbot.toml")
    messages.begin(config)
    assert not messages.any, "nobody wants it"
    messages.adopt({config: Errand(60.0)})
    until(lambda: told)
    for wanted, then in (
        (None, NOW + EVERY),
        (NOW + timedelta(minutes=5), NOW + timedelta(minutes=5)),
        (NOW - timedelta(days=1), NOW + SOONEST),
        (NOW + timedelta(days=9), NOW + EVERY),
    ):
        told.clear()
        messages.ended(Told(config, wanted))
        assert put.scheduled == {f"notify {config}": then}
        messages.begin(config)
        until(lambda: told)
    messages.begin(config)
    told.clear()
    messages.ended(Told(config))
    assert messages.any, "once more, for who asked meanwhile"
    until(lambda: told)
    messages.stop()
    messages.ended(Told(config))
    assert not messages.any
