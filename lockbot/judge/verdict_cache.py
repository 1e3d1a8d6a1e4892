"""How hosts fared at locks that searches have tried: one whose budget ended goes on from there in the next run.

A verdict is kept under the lock and a word for everything else that decides (`key`). It must not know what
a search wants to know; and nothing is published on its word: what lands is judged in the same run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from lockbot import files
from lockbot.model import Host
from lockbot.retention import MOST_VERDICTS
from lockbot.search.interface import Response
from lockbot.state import digest


@dataclass(frozen=True)
class _Verdict:
    when: float
    """Seconds since 1970."""
    red: bool
    at_evaluation: bool = False
    suspects: tuple[str, ...] = ()


def file(directory: Path, flake: str) -> Path:
    """The flake's own, in the repository's place in the state directory."""
    return directory / f"answers-{digest(flake)}.json"


class VerdictCache:
    """`max_age`: seconds for which a verdict holds. A file that can't be read or written costs only time."""

    def __init__(self, path: Path, key: str, now: datetime, max_age: float) -> None:
        self._path = path
        self._prefix = key
        self._now = now.timestamp()
        self._verdicts = {
            key: verdict for key, verdict in _read(path).items() if 0 <= self._now - verdict.when < max_age
        }

    def find(self, lock: bytes, hosts: Sequence[Host]) -> Response | None:
        """How these hosts fare; None where that is not known of each."""
        found = {host.name: self._verdicts.get(self._key_of(lock, host)) for host in hosts}
        red: dict[str, _Verdict] = {}
        for name, verdict in found.items():
            if verdict is None:
                return None
            if verdict.red:
                red[name] = verdict
        return Response(
            red=frozenset(red),
            at_evaluation=frozenset(name for name, verdict in red.items() if verdict.at_evaluation),
            suspects={name: verdict.suspects for name, verdict in red.items()},
        )

    def learn(self, lock: bytes, hosts: Iterable[Host], response: Response) -> None:
        """Keep how these hosts fared, as far as that is certain."""
        for host in hosts:
            if host.name in response.unknown:
                continue
            red, at_evaluation = host.name in response.red, host.name in response.at_evaluation
            verdict = _Verdict(self._now, red, at_evaluation, response.suspects.get(host.name, ()))
            self._verdicts[self._key_of(lock, host)] = verdict
            if not host.evaluate_only:
                evaluated = verdict if at_evaluation else _Verdict(self._now, red=False)
                self._verdicts[self._key_of(lock, replace(host, evaluate_only=True))] = evaluated
        newest = sorted(self._verdicts.items(), key=lambda item: item[1].when)[-MOST_VERDICTS:]
        _write(self._path, dict(newest))

    def _key_of(self, lock: bytes, host: Host) -> str:
        told = json.dumps([self._prefix, host.attribute, host.evaluate_only]).encode()
        return hashlib.blake2b(told + lock, digest_size=16).hexdigest()


def _read(path: Path) -> Mapping[str, _Verdict]:
    try:
        rows: dict[str, Any] = json.loads(files.read(path))
        return {
            str(key): _Verdict(float(when), bool(red), bool(at_evaluation), tuple(map(str, suspects)))
            for key, (when, red, at_evaluation, suspects) in rows.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return {}


def _write(path: Path, verdicts: Mapping[str, _Verdict]) -> None:
    rows = {key: [one.when, one.red, one.at_evaluation, one.suspects] for key, one in verdicts.items()}
    with contextlib.suppress(OSError):
        files.replace(path, json.dumps(rows).encode())
