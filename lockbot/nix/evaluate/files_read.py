"""Which files of which source an evaluation read, as Nix's JSON log tells it with `-v`. Pure.

Nix tells of each file that it evaluates once for each process. It does not tell of what is read in another way
(`readFile`, patches, scripts): such files lie beside one that is evaluated, nearly always. It is a hint for a
person, and nothing may be decided by it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field

from lockbot.model import Locked
from lockbot.nix.blame import Event
from lockbot.nix.lines import strip_ansi

TALKATIVE = 4
"""The level of such messages: nobody else needs to hear what is said at it, or above."""
MOST_FILES = 100_000
MOST_CHARACTERS = 4096

_SAID = "evaluating file '"
# `«URL»/path` since 2.3x; before, the path in the store.
_PLACE = re.compile(r"(«[^»]*»|/.*?/[0-9a-z]{32}-source)/(.+)", re.DOTALL)
_NIX32 = "0123456789abcdfghijklmnpqrsvwxyz"
_SRI = re.compile(r"sha256-([A-Za-z0-9+/]{43}=)")


@dataclass
class FilesRead:
    """What several evaluators read together; each hands over its events, from whichever thread."""

    places: dict[str, set[str]] = field(default_factory=dict)
    """Where a source lies, as Nix named it → paths in it."""
    count: int = 0

    def take(self, event: Event) -> bool:
        """Note a file, if that is what the event tells; whether it is one that only `-v` lets through."""
        level = event.get("level")
        if event.get("action") != "msg" or not isinstance(level, int) or level < TALKATIVE:
            return False
        text = event.get("msg")
        if isinstance(text, str) and len(text) <= MOST_CHARACTERS and _SAID in text:
            self._note(strip_ansi(text))
        return True

    def _note(self, text: str) -> None:
        if not text.startswith(_SAID) or self.count >= MOST_FILES:
            return
        if match := _PLACE.fullmatch(text.removeprefix(_SAID).removesuffix("'")):
            self.places.setdefault(match[1], set()).add(match[2])
            self.count += 1

    def of(self, locked: Locked) -> frozenset[str] | None:
        """The files of one input that were read, as paths from its source's root; None: that is not known."""
        found: set[str] = set()
        for place, files in list(self.places.items()):
            if _is_source_of(locked, place):
                found |= files
        return frozenset(found) or None


def _is_source_of(locked: Locked, place: str) -> bool:
    if place.startswith("«"):
        return locked.rev is not None and locked.rev in place
    store, _, name = place.rpartition("/")
    return locked.nar_hash is not None and name == source_name(store, locked.nar_hash)


def source_name(store: str, nar_hash: str) -> str | None:
    """What an input's source is called in a store: `HASH-source`. None: it is not the hash of one."""
    if (match := _SRI.fullmatch(nar_hash)) is None:
        return None
    try:
        content = base64.b64decode(match[1], validate=True).hex()
    except binascii.Error:
        return None
    digest = hashlib.sha256(f"source:sha256:{content}:{store}:source".encode(errors="surrogatepass")).digest()
    return f"{_nix32(_folded(digest))}-source"


def _folded(digest: bytes) -> bytes:
    """Nix keeps 20 bytes of 32: the rest is laid over the beginning."""
    return bytes(byte ^ (digest[number + 20] if number < 12 else 0) for number, byte in enumerate(digest[:20]))


def _nix32(data: bytes) -> str:
    number = int.from_bytes(data, "little")
    return "".join(_NIX32[number >> shift & 31] for shift in range(len(data) * 8 - 5, -1, -5))
