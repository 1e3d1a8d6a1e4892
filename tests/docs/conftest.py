"""The place where the pages' command lines are run; made once for each worker."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import nixes
from tests.conftest import INSTALLED
from tests.docs.house import House


@pytest.fixture(scope="session")
def house(_prepared: Callable[[nixes.Installed], nixes.Nix], tmp_path_factory: pytest.TempPathFactory) -> House:
    """The demo's flake and its three runs. Others have run commands in it: ask only for what they leave alone."""
    return House.build(tmp_path_factory.mktemp("house") / "demo", _prepared(INSTALLED[-1]))
