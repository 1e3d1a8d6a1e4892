"""Which files of which source an evaluation read, as Nix's JSON log tells it with `-v`. Pure.

Nix tells of each file that it evaluates once for each process. It does not tell of what is read in another way
(`readFile`, patches, scripts): such files lie beside one that is evaluated, nearly always. It is a hint for a
person, and nothing may be decided by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lockbot.model import Locked
from lockbot.nix.blame import Event
from lockbot.nix.derivation import source_path
from lockbot.nix.lines import strip_ansi

TALKATIVE = 4
"""The level of such messages: nobody else needs to hear what is said at it, or above."""
MOST_FILES = 100_000
MOST_CHARACTERS = 4096

_SAID = "evaluating file '"
# `«URL»/path` since 2.3x; before, the path in the store.
_PLACE = re.compile(r"(«[^»]*»|/.*?/[0-9a-z]{32}-source)/(.+)", re.DOTALL)


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
    store = place.rpartition("/")[0]
    return locked.nar_hash is not None and place == source_path(locked.nar_hash, store)
