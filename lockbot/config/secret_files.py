"""Which files a configuration points at for its secrets: what no other program may read."""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from lockbot.config.sources import absolute


def secret_files(config: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Of a configuration that was read already; what can't be read any more points at nothing."""
    try:
        found = tomllib.loads(config.read_text())
    except (OSError, ValueError, RecursionError):
        return ()
    base = Path(os.path.abspath(config)).parent  # noqa: PTH100  # links stay as they are
    named: list[Path] = []
    for text in _pointed_at(found):
        with contextlib.suppress(ValueError):  # another flake's file, with a mistake in it
            named.append(Path(absolute(text, lambda: base, environ)))
    return tuple(named)


def _pointed_at(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if set(value) == {"file"} and isinstance(value["file"], str):
            yield value["file"]
        for inner in value.values():
            yield from _pointed_at(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _pointed_at(inner)
