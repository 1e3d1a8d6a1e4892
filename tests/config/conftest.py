"""A file to write a configuration into, and no variables of this machine's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config.reading import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(text: str) -> Path:
        path = tmp_path / "lockbot.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return put


@pytest.fixture(autouse=True)
def _no_local_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the machine's own environment comes in."""
    for name in list(os.environ):
        if name.startswith("LOCKBOT_"):
            monkeypatch.delenv(name)
    yield
