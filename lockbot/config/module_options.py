"""The typed options of `settings` in the modules for NixOS, Home Manager and nix-darwin, made of the keys.

Knows which keys are worth an option of their own, and which type of the module system's each has; the others are
free-form there, and only lockbot's own check knows them.
`python -m lockbot.config.module_options > nix/options.json` writes them anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BeforeValidator

from lockbot.config.settings import Key, keys
from lockbot.config.template import toml
from lockbot.config.types import duration, size

TYPED = (
    "repository.path",
    "repository.url",
    "repository.branch",
    "repository.remote",
    "repository.push",
    "repository.flake_dir",
    "hosts.include",
    "hosts.exclude",
    "hosts.attributes",
    "build.gate",
    "build.timeout",
    "build.jobs",
    "commit.author",
    "publish.mode",
    "publish.merge",
    "policy.minimum_age",
    "policy.never_compile",
    "policy.upstream_checks",
    "search.strategy",
    "search.one_commit_per_input",
    "schedule.when",
    "schedule.time_zone",
)
"""What most configurations set. More would fill the manual's list of options with what few look for."""


def options() -> dict[str, dict[str, Any]]:
    """Section → key → its option: `type` as `nix/common.nix` reads it, `description` and perhaps `example`."""
    found: dict[str, dict[str, Any]] = {}
    for key in keys():
        if f"{key.section}.{key.name}" in TYPED:
            found.setdefault(key.section, {})[key.name] = _option(key)
    return found


def _option(key: Key) -> dict[str, Any]:
    default = key.absent or f"`{toml(key.default)}`"
    option = {
        "type": nix_type(key.kind, key.marks),
        "description": f"{key.meaning} Default: {default}.",
    }
    return option if key.example is None else option | {"example": key.example}


def nix_type(kind: Any, marks: Iterable[Any] = ()) -> Any:
    """A key's type → the name of the module system's; a list of texts for one of these, and for those that hold
    another or have limits a table: `{"listOf": "str"}`, `{"between": [0, 9]}`."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return nix_type(inside[0], (*marks, *inside[1:]))
    readers = [mark.func for mark in marks if isinstance(mark, BeforeValidator)]
    if readers:
        return "str or number" if {duration, size} & {*readers} else "str"
    if origin is tuple:
        return {"listOf": nix_type(inside[0])}
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return [str(each) for each in kind]
    if kind is int:
        return {"between": [_limit(marks, "ge"), _limit(marks, "le")]}
    return {bool: "bool", str: "str", Path: "str"}[kind]


def _limit(marks: Iterable[Any], name: str) -> int:
    found: int = next(getattr(mark, name) for mark in marks if hasattr(mark, name))
    return found


if __name__ == "__main__":
    json.dump(options(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
