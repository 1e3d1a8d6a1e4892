"""Lines of a flake.nix to paste, and commands, with any name in them. Pure text."""

from __future__ import annotations

import re
import shlex

from lockbot.nix.flakeref import FlakeRef, nix_string
from lockbot.nix.lockfile import spelled
from lockbot.nix.lockfile.nodes import InputPath

_PLAIN = re.compile(r"[a-zA-Z_][a-zA-Z0-9_'-]*")
_KEYWORDS = frozenset({"assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"})


def attribute(path: InputPath) -> str:
    """`inputs.a.inputs.b`."""
    return ".".join(f"inputs.{_name(name)}" for name in path)


def set_url(path: InputPath, ref: FlakeRef | str) -> str:
    return f"{attribute(path)}.url = {nix_string(str(ref))};"


def set_follows(path: InputPath, target: InputPath) -> str:
    return f"{attribute(path)}.follows = {nix_string('/'.join(target))};"


def update(path: InputPath) -> str:
    return f"nix flake update {shlex.quote(spelled(path))}"


def lockbot_update(path: InputPath) -> str:
    return f"lockbot update --input {shlex.quote(spelled(path))}"


def _name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name not in _KEYWORDS else nix_string(name)
