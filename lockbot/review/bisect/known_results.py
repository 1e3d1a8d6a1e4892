"""What a command said of systems, kept in a file: a bisection that was stopped goes on from there.

A result is kept under digests of the command's arguments and of the system's path in the store, which stands for
all that the system is. It must not know commits or inputs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from lockbot import files
from lockbot.retention import MOST_BISECTED
from lockbot.review.bisect.result import Ended, Limit, Result
from lockbot.state import digest


@dataclass(frozen=True)
class _Row:
    when: float
    """Seconds since 1970."""
    ended: Ended


def file(directory: Path, flake: str) -> Path:
    """The flake's own, in the repository's place in the state directory."""
    return directory / f"bisected-{digest(flake)}.json"


class KnownResults:
    """Those of one command. `max_age`: seconds for which a result is kept. A file that can't be read or written
    costs only time."""

    def __init__(self, path: Path, command: Sequence[str], now: datetime, max_age: float) -> None:
        self._path = path
        self._prefix = f"{_digest(json.dumps(list(command)))}:"
        self._now = now.timestamp()
        self._rows = {key: row for key, row in _read(path).items() if 0 <= self._now - row.when < max_age}

    def __len__(self) -> int:
        return sum(key.startswith(self._prefix) for key in self._rows)

    def find(self, toplevel: str, limit: Limit) -> Ended | None:
        """What is known of a system; None where a run that may take so long could say more."""
        row = self._rows.get(self._prefix + _digest(toplevel))
        if row is None or row.ended.limit is None:
            return row.ended if row is not None else None
        if limit.seconds is None or limit.seconds > row.ended.limit:
            return None
        return replace(row.ended, result=limit.result)

    def learn(self, toplevel: str, ended: Ended) -> None:
        self._rows[self._prefix + _digest(toplevel)] = _Row(self._now, ended)
        self._write()

    def forget(self) -> None:
        """What this command said; what others did stays."""
        self._rows = {key: row for key, row in self._rows.items() if not key.startswith(self._prefix)}
        self._write()

    def _write(self) -> None:
        self._rows = dict(sorted(self._rows.items(), key=lambda item: item[1].when)[-MOST_BISECTED:])
        rows = {
            key: [row.when, row.ended.result, row.ended.why, row.ended.limit] for key, row in self._rows.items()
        }
        with contextlib.suppress(OSError):
            files.replace(self._path, json.dumps(rows).encode())


def _read(path: Path) -> Mapping[str, _Row]:
    try:
        rows: dict[str, Any] = json.loads(files.read(path))
        return {
            str(key): _Row(
                float(when), Ended(Result(result), str(why)[:_LONGEST], None if limit is None else float(limit))
            )
            for key, (when, result, why, limit) in rows.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return {}


_LONGEST = 200


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=12).hexdigest()
