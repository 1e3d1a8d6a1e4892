"""What a derivation is, by its structure, and where a source lies: evidence that no builder's words can forge.

Reads what `nix derivation show` prints (both forms), and the `.drv` file itself where that command refuses: it
does so for content-addressed derivations without their experimental feature. It must not know why one failed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from lockbot.model.closure import split_name
from lockbot.nix.command import Nix

HEADER_BYTES = 64 * 1024
"""How much of a `.drv` file is read: its outputs come first."""

_OUTPUTS = re.compile(r"Derive\(\[(.*?)\],\[")
_OUTPUT = re.compile(r'\("([^"]*)","([^"]*)","([^"]*)","([^"]*)"\)')
_SYSTEM = re.compile(r'\],\[[^\]]*\],"([^"]*)","')

LABEL_BYTES = 4 * 2**20
"""How much of a `.drv` file is read for its environment, which comes last."""

_STRING = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_START = re.compile(r'(?:Derive\(|DrvWithVersion\("[^"]*",)\[')
_WORD = re.compile(rf'\("(pname|version|__json)",{_STRING}\)', re.DOTALL)
"""No other text can look like this: within a string, each quotation mark has a backslash before it."""
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_HASH_LENGTH = 33
"""And the dash behind it."""
_LONGEST_NAME = 211
"""Of a store path; a version that is longer is none."""

_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"
_DIGEST_BYTES = 20


@dataclass(frozen=True)
class Derivation:
    """`outputs`: each one's path, None where it is known only after the build."""

    outputs: Mapping[str, str | None]
    system: str
    is_fixed_output: bool = False
    """Its content is known beforehand, so it may use the network; how it gets there is nobody's promise."""
    is_impure: bool = False
    urls: tuple[str, ...] = ()
    """What it fetches, where it says so."""

    @property
    def fetches(self) -> bool:
        """Whether it may reach outside: then its failure says nothing about what wants it."""
        return self.is_fixed_output or self.is_impure


def show(nix: Nix, drv: str) -> Derivation | None:
    """None where nothing can tell what it is (a derivation that was collected, say)."""
    found = nix.derivations.get(drv)
    if found is None:
        found = parse(nix.show_derivation(drv), drv) or _read(Path(drv))
        if found is not None:
            nix.derivations[drv] = found
    return found


def parse(text: str, drv: str) -> Derivation | None:
    """One derivation of the JSON: `{"/…drv": …}` (2.26), `{"derivations": {"…drv": …}}` (2.34)."""
    try:
        said = json.loads(text)
        said = said.get("derivations", said)
        one = said.get(drv) or said[PurePath(drv).name]
        outputs: dict[str, dict[str, Any]] = one["outputs"]
        return Derivation(
            {name: _absolute(output.get("path"), drv) for name, output in outputs.items()},
            one["system"],
            any(output.get("hash") for output in outputs.values()),
            any(output.get("impure") for output in outputs.values()),
            _urls(_attributes(one)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _absolute(path: str | None, drv: str) -> str | None:
    return str(PurePath(drv).parent / path) if path else None


def _attributes(one: Mapping[str, Any]) -> Mapping[str, Any]:
    """The environment; structured attributes are in it as text (2.26) or beside it (2.34)."""
    environment: dict[str, Any] = one.get("env") or {}
    structured = one.get("structuredAttrs") or json.loads(environment.get("__json") or "{}")
    return {**environment, **structured}


def _urls(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for name in ("urls", "url"):
        value = attributes.get(name) or ()
        found += value.split() if isinstance(value, str) else [str(one) for one in value]
    return tuple(dict.fromkeys(found))


def _read(file: Path) -> Derivation | None:
    """By the file's first bytes: `Derive([("out","/…","r:sha256","HASH"),…],[inputs],[sources],"SYSTEM",…`."""
    try:
        with file.open("rb") as opened:
            text = opened.read(HEADER_BYTES).decode(errors="replace")
    except OSError:
        return None
    if (head := _OUTPUTS.match(text)) is None:
        return None
    outputs = _OUTPUT.findall(head[1])
    system = _SYSTEM.search(text, head.end())
    return Derivation(
        {name: path or None for name, path, _, _ in outputs},
        system[1] if system else "",
        any(content not in ("", "impure") for *_, content in outputs),
        any(content == "impure" for *_, content in outputs),
    )


@dataclass(frozen=True)
class Label:
    """What a derivation calls what it makes. `package` and `version` are told apart by its own words."""

    name: str
    package: str
    version: str | None
    outputs: Mapping[str, str]
    """By name; empty for a path that is known only after the build."""

    def fits(self, name: str) -> bool:
        """Whether one of its outputs can have this name: who made a path is no more than a cache's claim."""
        return name == self.name or name.startswith(f"{self.name}-")

    def output_at(self, path: str, name: str) -> str | None:
        """Which output this is; by its name where the derivation does not know the path."""
        for output, place in self.outputs.items():
            if place == path or (not place and name == self._name_of(output)):
                return output
        return None

    def _name_of(self, output: str) -> str:
        return self.name if output == "out" else f"{self.name}-{output}"


def read_label(drv: str) -> Label | None:
    """From the `.drv` file itself: to ask Nix costs a process. None where it can't be read."""
    text = _text(drv, LABEL_BYTES)
    if (start := _START.match(text)) is None:
        return None
    outputs: dict[str, str] = {}
    place = start.end()
    while (output := _OUTPUT.match(text, place)) is not None:
        outputs[output[1]] = output[2]
        place = output.end() + 1  # and the comma
    name = PurePath(drv).name[_HASH_LENGTH:].removesuffix(".drv")
    return Label(name, *_package(name, _words(text, place)), outputs)


def _words(text: str, start: int) -> dict[str, str]:
    """`pname` and `version` of its environment, or of its structured attributes."""
    found = {name: _unescape(value) for name, value in _WORD.findall(text, start)}
    if (structured := found.pop("__json", None)) is not None:
        try:
            said = json.loads(structured)
            found = {name: said[name] for name in ("pname", "version") if isinstance(said.get(name), str)}
        except (ValueError, AttributeError, RecursionError):
            return {}
    return {name: value for name, value in found.items() if 0 < len(value) <= _LONGEST_NAME}


def _package(name: str, words: Mapping[str, str]) -> tuple[str, str | None]:
    """The derivation's name tells python3.12-requests from other packages, `pname` and `version` where it ends."""
    pname, version = words.get("pname"), words.get("version")
    if version is not None and name.endswith(f"-{version}"):
        return name.removesuffix(f"-{version}"), version
    if pname is not None:
        behind = name.removeprefix(f"{pname}-") if name.startswith(f"{pname}-") else None
        return pname, version or behind or None
    package, version = split_name(name)
    return package, version or None


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)


def _text(drv: str, limit: int) -> str:
    """Empty where it can't be read. What is in a store was put there by others: a link or a FIFO is not opened."""
    try:
        descriptor = os.open(drv, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(limit).decode(errors="replace") if stat.S_ISREG(os.fstat(descriptor).st_mode) else ""
    except (OSError, ValueError):
        return ""


def source_path(nar_hash: str, store: str = "/nix/store") -> str | None:
    """Where an input's source lies, by which Nix's errors name it: `sha256-…` → `/nix/store/…-source`.

    After Nix's manual, "Store path specification": a source's path is made of the hash of its content alone. None
    for any other kind of hash.
    """
    kind, _, encoded = nar_hash.partition("-")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    if kind != "sha256" or len(digest) != hashlib.sha256().digest_size:
        return None
    described = hashlib.sha256(f"source:sha256:{digest.hex()}:{store}:source".encode()).digest()
    folded = bytearray(_DIGEST_BYTES)
    for place, byte in enumerate(described):
        folded[place % _DIGEST_BYTES] ^= byte
    return f"{store}/{_base32(bytes(folded))}-source"


def _base32(data: bytes) -> str:
    """Nix's own base 32: least significant digit last, without e, o, u and t."""
    number = int.from_bytes(data, "little")
    digits = (len(data) * 8 - 1) // 5 + 1
    return "".join(_ALPHABET[number >> (5 * place) & 31] for place in reversed(range(digits)))
