"""The world that these tests are played in."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockbot.process import CancelToken
from tests.git.upstream_repo import Repo
from tests.git.world import World


@pytest.fixture
def world(tmp_path: Path, git_environment: dict[str, str], cancel: CancelToken) -> World:
    """A user's repository without a remote; `with_remote()` gives it one."""
    return World(tmp_path, git_environment, cancel).make()


@pytest.fixture
def empty_world(tmp_path: Path, git_environment: dict[str, str], cancel: CancelToken) -> World:
    """Nothing yet."""
    return World(tmp_path, git_environment, cancel)


@pytest.fixture
def repo(tmp_path: Path, git_environment: dict[str, str], cancel: CancelToken) -> Repo:
    """An upstream without a commit."""
    return Repo(tmp_path, git_environment, cancel)
