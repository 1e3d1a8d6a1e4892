"""Texts and numbers as SQLite takes them: what comes from outside is made storable here, and nothing raises."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from lockbot.model.host import written
from lockbot.redact import redact, without_secrets

PROSE_CHARACTERS = 64 * 1024
"""How much of one message, note or log line is kept: its beginning and its end. Whole logs are files."""
LARGEST_INTEGER = 2**63 - 1


def storable(text: str) -> str:
    """The text without secrets, each lone surrogate (a byte that was no UTF-8) written out as `\\udcff`."""
    return redact(text).encode(errors="backslashreplace").decode()


def exact(text: str) -> str:
    """Storable, and nothing taken for a secret: of names by which something is found again, as branches are. What
    git or the user's own configuration calls so stands in the open there."""
    return text.encode(errors="backslashreplace").decode()


def origin(url: str) -> str:
    """Storable, and the same whoever may ask there: a rotated token makes no other source."""
    return storable(without_secrets(url))


def prose(text: str) -> str:
    """Storable, and without its middle when it is longer than PROSE_CHARACTERS. What it gave, it leaves alone."""
    text = storable(text)
    if len(text) <= PROSE_CHARACTERS:
        return text
    half = PROSE_CHARACTERS // 2 - 32  # room for the line in between
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def moment(time: datetime) -> str:
    """UTC in ISO 8601, always with microseconds: text order is time order."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def attribute_path(attribute: Sequence[str]) -> str:
    """`nixosConfigurations."a.b".config`, storable."""
    return written(map(storable, attribute))


def optional(text: str | None) -> str | None:
    """Storable, or nothing."""
    return None if text is None else storable(text)


def integer(number: int | None) -> int | None:
    """Within SQLite's 64 bits: a lock file may claim any date."""
    return None if number is None else max(-LARGEST_INTEGER, min(number, LARGEST_INTEGER))


def strings(texts: Iterable[str]) -> str:
    """A JSON array."""
    return json.dumps(list(texts), ensure_ascii=False)
