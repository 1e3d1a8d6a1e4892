"""Inputs as Nix sees them before it fetches any: what flake.nix says of them, and which sources the store has.

Must not know locks. Nothing is fetched, and flake.nix's `outputs` are not evaluated.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from lockbot.errors import LockbotError
from lockbot.nix import failure
from lockbot.nix.command import Nix
from lockbot.nix.flakeref import nix_string
from lockbot.process import Deadline

LARGEST = 100_000
"""Bytes of a flake.nix: what fits into one argument of a command line."""
_SECONDS = 60
# As deep as overrides of overrides of inputs go; functions and lists are no part of an input.
_EXPRESSION = """
let
  flake = import (builtins.toFile "flake.nix" TEXT);
  outputs = flake.outputs or null;
  plain = depth: value:
    if builtins.isAttrs value then
      if depth == 0 then { } else builtins.mapAttrs (_: plain (depth - 1)) value
    else if builtins.isString value || builtins.isBool value || builtins.isInt value then value
    else null;
in
{
  inputs = plain 8 (flake.inputs or { });
  arguments =
    if builtins.isFunction outputs then builtins.attrNames (builtins.functionArgs outputs) else [ ];
}
"""


def declared(nix: Nix, text: str) -> dict[str, object]:
    """The `inputs` of a flake.nix by name, those among them that only its `outputs` ask for: what stands there, as
    JSON has it. Raises LockbotError where Nix can't read it."""
    if len(text.encode(errors="replace")) > LARGEST:
        raise LockbotError(f"flake.nix has more than {LARGEST} bytes")
    expression = _EXPRESSION.replace("TEXT", nix_string(text))
    finished = nix.evaluate(expression, deadlines=[Deadline(_SECONDS, "reading flake.nix")])
    if finished.code != 0:
        raise finished.error(f"Nix can't read flake.nix: {failure.explain(finished.stderr) or 'no reason given'}")
    try:
        found = json.loads(finished.stdout)
    except (ValueError, RecursionError):
        raise finished.error("Nix's answer about flake.nix is no JSON") from None
    implied: dict[str, object] = {name: {} for name in found["arguments"] if name != "self"}
    return implied | (found["inputs"] if isinstance(found["inputs"], dict) else {})


def source_sizes(nix: Nix, hashes: Sequence[str]) -> dict[str, int]:
    """Bytes of locked sources (`narHash`: `sha256-…`), of those that the store has."""
    paths = {one: path for one in hashes if (path := _store_path(one, nix.store_directory)) is not None}
    invalid = nix.invalid(list(paths.values())) if paths else frozenset()
    there = {one: path for one, path in paths.items() if path not in invalid}
    return {one: size for one, path in there.items() if (size := _size(nix, path)) is not None}


def _size(nix: Nix, path: str) -> int | None:
    finished = nix.call(nix.nix_store, "--query", "--size", path, deadlines=[Deadline(_SECONDS, "nix-store")])
    size = finished.stdout.strip()
    return int(size) if finished.code == 0 and size.isdecimal() else None


def _store_path(nar_hash: str, store: Path) -> str | None:
    """Where the source of an input with this hash lies: by the rule of fixed-output paths, and always `source`."""
    try:
        content = base64.b64decode(nar_hash.removeprefix("sha256-"), validate=True)
    except (binascii.Error, ValueError):
        return None
    if not nar_hash.startswith("sha256-") or len(content) != 32:
        return None
    digest = hashlib.sha256(f"source:sha256:{content.hex()}:{store}:source".encode()).digest()
    folded = bytearray(20)
    for at, byte in enumerate(digest):
        folded[at % 20] ^= byte
    return f"{store}/{_base32(bytes(folded))}-source"


_DIGITS = "0123456789abcdfghijklmnpqrsvwxyz"


def _base32(data: bytes) -> str:
    """Nix's own: the last bits first."""
    number = int.from_bytes(data, "little")
    return "".join(_DIGITS[number >> 5 * at & 31] for at in reversed(range((len(data) * 8 + 4) // 5)))
