"""Mistakes in a configuration, told so that they can be mended: where, what, and the nearest valid name.

Knows TOML's text and pydantic's error list; neither the keys nor where values come from. Nothing here repeats a
value, but for a misspelt choice: values may be secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from lockbot.config.types import size_text

Loc = tuple[int | str, ...]
"""The way from the root of the configuration to a value: names of tables and keys, positions in lists."""

_MARK = "lockbot-was-here"


@dataclass(frozen=True, order=True)
class Mistake:
    """Mistakes of the file come by line; `line` is 0 for everything else."""

    line: int
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


LISTED = frozenset({"group", "notify", "hook"})
"""The sections that are lists of tables, each headed [[NAME]]."""


def key_text(loc: Loc) -> str:
    """`("hosts", "include", 1)` → `hosts.include[1]`; a group is counted as people do, from 1: `group 2: name`."""
    steps = [step for step in loc if step != "[key]"]
    prefix = ""
    if len(steps) > 1 and steps[0] in LISTED and isinstance(steps[1], int):
        prefix, steps = f"{steps[0]} {steps[1] + 1}", steps[2:]
        if not steps:
            return prefix
        prefix += ": "
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", step)
            text += ("." if text else "") + (
                step if bare else json.dumps(step, ensure_ascii=not step.isprintable())
            )
    return prefix + text


def line_of(text: str, loc: Loc) -> int | None:
    """The line, from 1, on which `loc` (or the nearest thing around it that exists) stands in a TOML text."""
    import tomlkit  # 37 ms, and only someone with a mistake waits for it

    for length in range(len(loc), 0, -1):
        try:
            document = tomlkit.parse(text)
            if _mark(document, loc[:length]):
                before, found, _ = document.as_string().partition(_MARK)
                if found:
                    return before.count("\n") + 1
        except Exception:  # noqa: BLE001, S112  # tomlkit's own bugs must not hide the user's mistake
            continue
    return None


def _mark(document: Any, loc: Loc) -> bool:
    """Put the mark where `loc` stands; False if it does not stand there."""
    from tomlkit.items import AoT, InlineTable, Table

    parent: Any = None
    key: Any = None
    item: Any = document
    for step in loc:
        if not isinstance(item, (dict, list)):
            return False
        try:
            parent, key, item = item, step, item[step]  # type: ignore[index]  # a wrong kind of step is caught
        except (KeyError, IndexError, TypeError):
            return False
    # A table without a header of its own (`a.b = 1`, `[a.b]`, or one in several pieces) begins with its first key.
    while True:
        if isinstance(item, AoT) and item:
            parent, key, item = item, 0, item[0]
        elif isinstance(item, Table) and not item.is_super_table() and item.name is not None:
            item.trivia.indent = _MARK + item.trivia.indent
            return True
        elif isinstance(item, dict) and not isinstance(item, InlineTable) and item:
            key = next(iter(item))
            parent, item = item, item[key]
        else:
            break
    if parent is None:
        return False
    parent[key] = _MARK
    return True


def nearest(name: str, names: Iterable[str]) -> str:
    """` did you mean 'X'?` with what leads up to it, or nothing."""
    found = get_close_matches(name.lower(), list(names), 1, 0.6)
    return f"; did you mean '{found[0]}'?" if found else ""


def explain(error: ErrorDetails, siblings: Sequence[str], elsewhere: Mapping[str, str]) -> str:
    """What is wrong, in a sentence that follows the key.

    `siblings` are the valid names beside the key, `elsewhere` each key's name → its full name in other sections.
    """
    kind, value, limits = error["type"], error["input"], error.get("ctx", {})
    name = str(error["loc"][-1]) if error["loc"] else ""
    match kind:
        case "extra_forbidden":
            what = "unknown section" if len(error["loc"]) == 1 else "unknown key"
            near = nearest(name, siblings)
            if not near and name in elsewhere:
                near = f"; did you mean '{elsewhere[name]}'?"
            return what + near
        case "missing":
            return "is missing"
        case "enum":
            choices = re.findall("'([^']*)'", str(limits.get("expected", "")))
            given = json.dumps(value) if isinstance(value, str) else _a(value)
            listed = ", ".join(f'"{choice}"' for choice in choices)
            return f"must be one of {listed}, not {given}" + nearest(str(value), choices)
        case "greater_than":
            return f"must be more than {limits['gt']:g}"
        case "greater_than_equal":
            return f"must be at least {_limit(limits['ge'])}"
        case "less_than_equal":
            return f"must be at most {_limit(limits['le'])}"
        case "too_short":
            return "must not be empty"
        case "value_error":
            return str(limits["error"])
        case "tuple_type" if name in LISTED:
            return f"must be a list of tables, each headed [[{name}]], not {_a(value)}"
        case _ if kind in _WANTED:
            return f"must be {_WANTED[kind]}, not {_a(value)}"
        case _:
            message = error["msg"]
            return message[:1].lower() + message[1:]


def _limit(number: int) -> str:
    """Limits in whole KiB are those of sizes."""
    return size_text(number) if number >= 4096 and number % 1024 == 0 else str(number)


_WANTED = {
    "string_type": "text",
    "path_type": "a path",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


def _a(value: object) -> str:
    """What a value is, in TOML's words; never the value."""
    match value:
        case bool():
            return "true or false"
        case str():
            return "text"
        case int():
            return "a whole number"
        case float():
            return "a number with a fraction"
        case list() | tuple():
            return "a list"
        case dict():
            return "a table"
        case date() | time():
            return "a date or time"
        case _:
            return "this"
