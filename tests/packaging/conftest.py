"""The library that the modules are evaluated with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.packaging.modules import STAND_IN

CHECKOUT = "LOCKBOT_TEST_NIXPKGS"
"""Names a checkout of nixpkgs, or of its lib alone."""


@pytest.fixture(params=["stand-in", "real"])
def lib(request: pytest.FixtureRequest) -> Path:
    """A stand-in for nixpkgs' lib, and the real one where it is."""
    if request.param == "stand-in":
        return STAND_IN
    checkout = os.environ.get(CHECKOUT)
    if checkout is None:
        pytest.skip(f"{CHECKOUT} names no checkout of nixpkgs: only a stand-in for its lib was evaluated")
    return Path(checkout).resolve() / "lib"
