"""Reading a configuration in a test: settings, or the list of mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lockbot.config import load
from lockbot.errors import UsageError

ROOT = Path(__file__).parents[2]
Write = Callable[[str], Path]
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def mistakes(path: Path | None, environ: dict[str, str] | None = None) -> list[str]:
    """Every line of the error, with the file's directory left out."""
    with pytest.raises(UsageError) as caught:
        load(path, environ or {})
    assert caught.value.exit_code == 2
    return [line.replace(f"{path.parent}/", "") if path else line for line in caught.value.message.splitlines()]
