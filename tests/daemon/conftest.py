"""Fixtures for what a daemon does as a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import nixes
from tests.daemon.world import Make, Service


@pytest.fixture
def service(one_nix: nixes.Nix, tmp_path: Path) -> Iterator[Make]:
    made: list[Service] = []

    def make(seconds: float = 0) -> Service:
        made.append(Service(one_nix, tmp_path, seconds))
        return made[-1]

    yield make
    for one in made:
        one.close()
