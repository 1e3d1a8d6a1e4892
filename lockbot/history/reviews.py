"""What an update means for hosts, kept with its run: JSON, compressed, for of a large update it is megabytes.

Knows how the values become text and come back, and the one column in which that lies.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING

from lockbot.history import damage
from lockbot.history.schema import differences
from lockbot.history.texts import integer, storable
from lockbot.model import Difference, Run, UpstreamChanges

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_Review = tuple[tuple[Difference, ...], tuple[UpstreamChanges, ...]]


def write_review(connection: sqlite3.Connection, run: Run) -> None:
    """In place of what was kept of this run; nothing, where there is nothing to tell."""
    key = (storable(run.id),)
    connection.execute("DELETE FROM reviews WHERE run = ?", key)
    told = [[_storable(asdict(one)) for one in each] for each in (run.differences, run.upstream)]
    if any(told):
        text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        connection.execute("INSERT INTO reviews (run, told) VALUES (?, ?)", (*key, zlib.compress(text.encode())))
    differences.index(connection, *key, told[0])


@damage.reading("a review")
def read_review(connection: sqlite3.Connection, run: str) -> _Review:
    row = connection.execute("SELECT told FROM reviews WHERE run = ?", (run,)).fetchone()
    if row is None:
        return (), ()
    try:
        text = zlib.decompressobj().decompress(row["told"], differences.LARGEST)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    return _adapter().validate_json(text)


@cache
def _adapter() -> TypeAdapter[_Review]:
    from pydantic import TypeAdapter  # 100 ms: only who reads a run whole waits for it

    return TypeAdapter(_Review)


def _storable(value: object) -> object:
    match value:
        case str():
            return storable(value)
        case bool() | None:
            return value
        case int():
            return integer(value)
        case dict():
            return {name: _storable(one) for name, one in value.items()}
        case list() | tuple():
            return [_storable(one) for one in value]
        case _:
            raise TypeError(f"{value!r} has no form in the history")
