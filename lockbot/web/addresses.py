"""What a request asks for, out of the bytes of its first line. Pure; only BadAddress comes of bad ones.

An address may be written as lockbot writes it, or as a proxy passes it on: with `web.base_path` or without, and
with the slashes in names quoted or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes

from lockbot.web.page import Query
from lockbot.web.view import ENDINGS

LONGEST = 8192
"""Characters of a path, and of a query: a host's attribute may be long."""
MOST_PARAMETERS = 32

_Target = TypeVar("_Target")
_PATH = re.compile(r"/(?:[!-$&-~]|%[0-9A-Fa-f]{2})*")


class BadAddress(Exception):
    """`status` is HTTP's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


@dataclass(frozen=True)
class Address:
    """`parts` is what stands between the slashes; of `/` it is empty. `query`: the first of each name."""

    parts: tuple[str, ...]
    query: Query

    @property
    def is_json(self) -> bool:
        return bool(self.parts) and self.parts[-1].endswith(".json")

    @property
    def page(self) -> tuple[str, ...]:
        """The parts without the ending that says how the page is wanted; of `/index.json` there is none left."""
        if not self.parts or not self.parts[-1].endswith(ENDINGS):
            return self.parts
        last = self.parts[-1][: -len(ENDINGS[0])]
        return (
            self.parts[:-1] if last == "" or (last, len(self.parts)) == ("index", 1) else (*self.parts[:-1], last)
        )

    def below(self, number: int) -> Address:
        return Address(self.parts[number:], self.query)


def read(path: bytes, query: bytes, base: str) -> Address:
    """`base`: how addresses begin behind a proxy that leaves that there; empty: with nothing."""
    if max(len(path), len(query)) > LONGEST:
        raise BadAddress("the address is too long", 414)
    text = path.decode("latin-1")
    if not _PATH.fullmatch(text):
        raise BadAddress("the address is not written as one")
    if base and (text == base or text.startswith(base + "/")):
        text = text[len(base) :] or "/"
    return Address(tuple(_parts(text)), _query(query))


def _parts(path: str) -> list[str]:
    parts = [_text(part) for part in path.split("/")[1:]]
    if parts[-1] == "":
        parts.pop()
    if any(part in ("", ".", "..") for part in parts):
        raise BadAddress("there is no such page", 404)
    return parts


def _text(quoted: str) -> str:
    try:
        return unquote_to_bytes(quoted).decode()
    except UnicodeDecodeError:
        raise BadAddress("the address is not UTF-8") from None


def _query(query: bytes) -> Query:
    try:
        found = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS
        )
    except ValueError:  # UnicodeDecodeError is one
        raise BadAddress(
            f"what stands behind the ? is not UTF-8, or has more than {MOST_PARAMETERS} parts"
        ) from None
    if any("\0" in name + value for name, value in found):
        raise BadAddress("there is a NUL behind the ?")
    return dict(reversed(found))


def match(table: Mapping[str, _Target], parts: tuple[str, ...]) -> tuple[str, _Target, Query] | None:
    """The address in the table that these parts are, what stands there, and the texts in place of its braces."""
    for pattern, target in table.items():
        found = _fitting([part for part in pattern.split("/") if part], parts)
        if found is not None:
            return pattern, target, found
    return None


def _fitting(pattern: list[str], parts: tuple[str, ...]) -> Query | None:
    """The last name in braces takes several parts where its slashes are no longer quoted; others are ids."""
    named = [number for number, part in enumerate(pattern) if part.startswith("{")]
    if not named:
        return {} if list(parts) == pattern else None
    last = named[-1]
    behind = len(parts) - (len(pattern) - last - 1)
    if behind <= last:
        return None
    texts = [*parts[:last], "/".join(parts[last:behind]), *parts[behind:]]
    found = {part.strip("{}"): text for part, text in zip(pattern, texts, strict=True) if part.startswith("{")}
    same = all(part == text for part, text in zip(pattern, texts, strict=True) if not part.startswith("{"))
    return found if same else None


def firsts(patterns: Iterable[str]) -> frozenset[str]:
    """What addresses begin with."""
    return frozenset(pattern.split("/")[1] for pattern in patterns)
