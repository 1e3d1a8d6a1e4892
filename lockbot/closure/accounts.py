"""Users and groups that a NixOS system declares, from whichever list its way of making accounts goes by."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lockbot.closure.toplevel import Toplevel

_LARGEST = 16 * 1024 * 1024
_LONGEST_NAME = 256

_SOURCES = (
    ("activate", re.compile(r"/([0-9a-z]{32}-users-groups\.json)\b")),
    ("etc/systemd/system/userborn.service", re.compile(r"/([0-9a-z]{32}-userborn\.json)\b")),
)
"""A script or a unit, and the list in the store that it is called with."""

_SYSUSERS = "etc/sysusers.d/00-nixos.conf"


@dataclass(frozen=True)
class Accounts:
    users: frozenset[str]
    groups: frozenset[str]


def read_accounts(toplevel: Toplevel) -> Accounts | None:
    """None: there is no such list, or none that can be read."""
    for source, pattern in _SOURCES:
        found = pattern.search(toplevel.text(source, _LARGEST) or "")
        if found is not None:
            return _parse(toplevel.read(f"../{found[1]}", _LARGEST))
    lines = toplevel.text(_SYSUSERS, _LARGEST)
    return _sysusers(lines) if lines is not None else None


def _parse(data: bytes | None) -> Accounts | None:
    try:
        said = json.loads(data or b"")
        return Accounts(frozenset(_names(said["users"])), frozenset(_names(said["groups"])))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _names(entries: object) -> Iterator[str]:
    if not isinstance(entries, list):
        raise TypeError("no list of accounts")
    for entry in entries:
        name = entry["name"]
        if not isinstance(name, str):
            raise TypeError("an account's name is no text")
        yield name[:_LONGEST_NAME].encode(errors="replace").decode()


def _sysusers(text: str) -> Accounts:
    """`u NAME …` and `g NAME …`, as sysusers.d(5) says."""
    lines = [line.split(maxsplit=2)[:2] for line in text.splitlines()]
    named = [(line[0].rstrip("!"), line[1][:_LONGEST_NAME]) for line in lines if len(line) == 2]
    return Accounts(
        frozenset(name for kind, name in named if kind == "u"),
        frozenset(name for kind, name in named if kind == "g"),
    )
