"""A flake whose people can be told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.test_status import World, _in_utc, world  # noqa: F401 -- fixtures
from tests.notify.server import Server
from tests.notify.world import Told


@pytest.fixture
def told(world: World, tmp_path: Path) -> Told:  # noqa: F811 -- the fixture
    return Told(world, tmp_path)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture
def mail() -> Iterator[Server]:
    with Server(mail=True) as one:
        yield one
