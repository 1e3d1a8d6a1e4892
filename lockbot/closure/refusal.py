"""Why switch-to-configuration would not switch a running NixOS system to another, and leave it to a reboot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from lockbot.closure.toplevel import Toplevel

_LONGEST = 60


def refusals(old: Toplevel, new: Toplevel) -> tuple[str, ...]:
    """What differs that it will not change while the system runs; nothing: it switches."""
    return (*_init(old, new), *_inhibitors(old, new))


def _init(old: Toplevel, new: Toplevel) -> Iterator[str]:
    before, after = ((one.text("init-interface-version") or "")[:_LONGEST] for one in (old, new))
    if before != after:
        yield f"init {before or 'of an unknown version'} → {after or 'of an unknown version'}"


def _inhibitors(old: Toplevel, new: Toplevel) -> Iterator[str]:
    """`system.switch.inhibitors`: names with values; in NixOS' first version of it, a list of store paths."""
    before, after = (one.read("switch-inhibitors") or b"" for one in (old, new))
    named_before, named_after = _named(before), _named(after)
    for name, value in named_before.items():
        if name in named_after and value != named_after[name]:
            yield f"{_short(name)} {_short(value)} → {_short(named_after[name])}"
    if before and after and before != after and not named_before and not named_after:
        yield "packages that the system names as switch inhibitors"


def _named(data: bytes) -> Mapping[str, object]:
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _short(value: object) -> str:
    text = str(value).encode(errors="replace").decode()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
