"""A flake with an input on a stand-in for a forge, and holds on it, by the test's own clock. Runs no Nix."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lockbot.app import App
from lockbot.commands import hold, status
from lockbot.commands.holds import ask_due
from lockbot.commands.holds.given import GivenEnd
from lockbot.config import load
from lockbot.history.input_states import UserHold
from lockbot.model import silent
from lockbot.process import CancelToken
from lockbot.report import styled_lines
from tests.forge.server import Server
from tests.forge.test_upstream import TOKEN
from tests.forge.upstream_pull_requests import Forgejo, GitHub, GitLab, Repository
from tests.git.upstream_repo import Repo
from tests.upstream import run_git

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
Forge = GitHub | GitLab | Forgejo
FORGES: dict[str, type[Forge]] = {"github": GitHub, "gitlab": GitLab, "forgejo": Forgejo}
PATHS = {"github": "owner/repo", "gitlab": "group/deep/repo", "forgejo": "owner/repo"}


@dataclass
class World:
    """Input `a` follows the branch `stable` of a real repository, which git reaches through the same server."""

    root: Path
    environ: dict[str, str]
    cancel: CancelToken
    server: Server
    kind: str = "github"
    now: datetime = NOW
    config: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.upstream = Repo(self.root, self.environ, self.cancel)
        self.first = self.upstream.commit(branch="stable")
        self.forge: Forge = FORGES[self.kind](Repository(self.upstream.path))
        self.server.answer = self.forge
        self.server.repositories = self.root / "served"
        served = self.root / "served" / PATHS[self.kind]
        served.parent.mkdir(parents=True)
        served.symlink_to(self.upstream.path)
        self.path = self.root / "flake"
        self.path.mkdir()
        run_git(self.path, self.environ, "init", "--quiet")
        self.lock({"type": "git", "url": f"{self.server.url}/{PATHS[self.kind]}", "ref": "stable"})

    def lock(self, original: dict[str, Any], names: tuple[str, ...] = ("a",)) -> None:
        """Commit a lock in which these inputs are this."""
        locked = original | {"narHash": "sha256-x", "lastModified": self.upstream.clock}
        locked |= {"rev": self.first} if original["type"] in ("git", "github") else {}
        nodes: dict[str, Any] = {name: {"locked": locked, "original": original} for name in names}
        nodes["root"] = {"inputs": {name: name for name in names}}
        (self.path / "flake.lock").write_text(json.dumps({"nodes": nodes, "root": "root", "version": 7}))
        run_git(self.path, self.environ, "add", "--all")
        run_git(self.path, self.environ, "commit", "--quiet", "--message", "lock")

    @property
    def app(self) -> App:
        account = {"kind": self.kind, "url": self.server.url, "token": TOKEN}
        environ = self.environ | {
            "LOCKBOT_STATE__DIRECTORY": str(self.root / "state"),
            "LOCKBOT_REPOSITORY__PATH": str(self.path),
            "LOCKBOT_FORGE": json.dumps({self.server.host: account}),
        }
        environ |= self.config
        return App(load(None, environ), environ, self.cancel, silent, lambda: self.now)

    def url(self, number: int = 1) -> str:
        return f"{self.server.url}/{PATHS[self.kind]}/{self.forge.page}/{number}"

    def wait(self, merged: str | None = None, **ends: tuple[str, str]) -> str:
        """`lockbot hold a --until-…`; what it tells."""
        return styled_lines.text(hold.hold(self.app, "a", "w", None, None, GivenEnd(merged, **ends)))

    def ask(self, after: timedelta = HOUR) -> tuple[str, ...]:
        """What ended, asked so long after whatever was before."""
        self.now += after
        app = self.app
        place = app.place()
        with app.history(place) as history:
            return ask_due(app, place, history)

    @property
    def hold(self) -> UserHold | None:
        app = self.app
        with app.history() as history:
            return history.ledger(app.place().flake).holds().get("a")

    @property
    def answer(self) -> str:
        found = self.hold
        assert found is not None and found.heard is not None
        return found.heard.answer

    def told(self) -> str:
        return styled_lines.text(status.lines(status.look(self.app), None))


Make = Callable[..., World]
