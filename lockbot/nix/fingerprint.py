"""A word for everything but the flake that decides how hosts fare: the same word, the same answers.

Knows which of Nix's settings can't change an answer; any other counts. It must not know what lockbot's own limits
mean.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lockbot.nix.command import Nix

_ENVIRONMENT = ("NIX_REMOTE", "NIX_STORE_DIR")

_INDIFFERENT = frozenset(
    {
        "access-tokens",  # a secret, too
        "commit-lock-file-summary",
        "commit-lockfile-summary",
        "connect-timeout",
        "download-attempts",
        "eval-cache",
        "http-connections",
        "log-lines",
        "print-missing",
        "show-trace",
        "stalled-download-timeout",
        "tarball-ttl",
        "warn-dirty",
    }
)
_INDIFFERENT_BEGINNINGS = ("bash-prompt", "narinfo-cache-")


def fingerprint(nix: Nix, limits: Mapping[str, object]) -> str:
    """A digest of this Nix, its settings, its builders and `limits` (lockbot's own, as JSON has them).

    Raises CommandError where Nix can't tell its settings.
    """
    settings = nix.settings()
    told = {
        "nix": nix.banner,
        "settings": {name: value for name, value in settings.items() if _decides(name)},
        "builders": list(_builders(settings.get("builders"))),
        "environment": {name: nix.environ.get(name) for name in _ENVIRONMENT},
        "limits": dict(limits),
    }
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16).hexdigest()


def _decides(name: str) -> bool:
    return name not in _INDIFFERENT and not name.startswith(_INDIFFERENT_BEGINNINGS)


def _builders(value: Any) -> Iterator[str]:
    """What `builders` comes to: machines, by semicolon or line; `@FILE` is the content of that file."""
    for part in str(value or "").replace(";", "\n").splitlines():
        name = part.strip()
        try:
            yield Path(name[1:]).read_text(errors="surrogateescape") if name.startswith("@") else name
        except (OSError, ValueError):
            yield name
