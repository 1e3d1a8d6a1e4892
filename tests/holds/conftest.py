from __future__ import annotations

from pathlib import Path

import pytest

from lockbot.forge import repositories
from lockbot.forge.http import Patience
from lockbot.process import CancelToken
from tests.forge.conftest import _no_proxy, server
from tests.forge.server import Server
from tests.holds.waiting import Make, World

__all__ = ["_no_proxy", "server"]


@pytest.fixture
def make(tmp_path: Path, git_environment: dict[str, str], cancel: CancelToken, server: Server) -> Make:
    """A world whose forge is of this kind."""

    def world(kind: str = "github") -> World:
        return World(tmp_path, git_environment, cancel, server, kind)

    return world


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repositories, "_PATIENCE", Patience(timeout=0.5, tries=2, delay=0.01))
