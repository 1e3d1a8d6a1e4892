"""A fleet whose inputs have moved, and lockbot run on it in the test's own process, by the test's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockbot.app import App, Options
from lockbot.commands import update as job
from lockbot.config import load
from lockbot.history.input_states import InputState
from lockbot.lock.request import UpdateRequest
from lockbot.model import Event, Run
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import Fleet, HostSpec, Input, Upstream
from tests.sampling import UNREVIEWED


class World:
    """A fleet whose inputs have all moved once (unless told otherwise), and lockbot run on it in this process."""

    def __init__(
        self,
        nix: nixes.Nix,
        tmp: Path,
        cancel: CancelToken,
        hosts: Sequence[HostSpec],
        inputs: str = "abcd",
        settings: Mapping[str, str] | None = None,
        *,
        moved: bool = True,
        of: Fleet | None = None,
    ) -> None:
        """`moved` False: the inputs' upstreams are where they were locked. `of`: a fleet of the test's own."""
        self.upstreams = {name: Upstream.create(tmp, name) for name in inputs}
        self.fleet = of or Fleet.create(
            tmp / "fleet", nix, inputs=[self.declared(one) for one in self.upstreams.values()], hosts=hosts
        )
        for upstream in self.upstreams.values() if moved else ():
            upstream.commit("second")
        self.events: list[Event] = []
        self._environ = dict(nix.environment) | {
            "LOCKBOT_STATE__DIRECTORY": str(tmp / "state"),
            "LOCKBOT_REPOSITORY__PATH": str(self.fleet.path),
            "LOCKBOT_BUILD__RETRY_DELAY": "0.1s",
            "LOCKBOT_EVAL__WORKERS": "2",
            **UNREVIEWED,
        }
        self._environ |= settings or {}
        self._cancel = cancel
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        """What lockbot's clock says."""

    def declared(self, upstream: Upstream) -> Upstream | Input:
        """How the flake names an input; for others to name it otherwise."""
        return upstream

    def app(self, settings: Mapping[str, str] | None = None) -> App:
        """`settings` are further environment variables: {"LOCKBOT_POLICY__MINIMUM_AGE": "3d"}."""
        environ = {**self._environ, **(settings or {})}
        return App(load(None, environ), environ, self._cancel, self.events.append, lambda: self.now)

    def state(self, name: str) -> InputState:
        """How the ledger says an input stands."""
        app = self.app()
        with app.history() as past:
            return past.ledger(app.place().flake).states()[name]

    def update(
        self,
        *names: str,
        retry_failed: bool = False,
        dry_run: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> Run:
        """One run, a minute after whatever was before."""
        self.now += timedelta(minutes=1)
        options = Options(retry_failed=retry_failed, dry_run=dry_run)
        return job.update(self.app(settings), UpdateRequest(names or None), options)

    def moved(self) -> dict[str, str]:
        """Input → value ("1", "2", …) that the branch has it locked at."""
        return {
            name: str(self._position(upstream, self.fleet.locked(name, "main")))
            for name, upstream in self.upstreams.items()
        }

    def _position(self, upstream: Upstream, revision: str) -> int:
        return int(upstream.git("rev-list", "--count", revision).strip())
