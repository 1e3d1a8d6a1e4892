"""Worlds that many tests look at, and the service upon them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.nixes import git_environment
from tests.web.world import Served, World, served


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    directory = tmp_path_factory.mktemp("world")
    made = World.create(directory / "flake", git_environment(directory / "home"))
    made.has_a_past()
    made.runs_now(os.getpid())
    made.has_a_daemon()
    return made


@pytest.fixture(scope="module")
def service(world: World) -> Iterator[Served]:
    with served(world.config, environ=world.environ) as made:
        yield made
