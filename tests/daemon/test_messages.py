"""The daemon starts `lockbot notify` beside its runs: after each, hourly, and when something is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockbot.daemon.events import Event, Tell, Told
from lockbot.daemon.messages import EVERY, SOONEST, Messages
from tests.daemon.test_service import Make, service, until  # noqa: F401 -- the fixture
from tests.notify.server import Reply, Server

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def test_a_daemon_tells_what_its_run_found_and_waits_for_what_is_on_its_way(
    service: Make,  # noqa: F811 -- the fixture
    tmp_path: Path,
) -> None:
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
    messages.adopt({config: 60.0})
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
