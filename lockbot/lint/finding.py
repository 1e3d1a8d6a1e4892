"""What a check says: a kind for machines, how bad it is, and for people what is wrong and what to paste."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lockbot.nix.lockfile import spelled
from lockbot.nix.lockfile.nodes import InputPath


class Severity(StrEnum):
    ERROR = "error"
    """Something is broken, unsafe, or not what it seems to be."""
    WARNING = "warning"
    """It works, and could be better."""


class Kind(StrEnum):
    """What is wrong. Programs rely on these words: they only ever grow in number."""

    NO_LOCK = "no-lock"
    NOT_COMMITTED = "not-committed"
    IGNORED = "ignored"
    UNREADABLE = "unreadable"
    OLD_VERSION = "old-version"
    OUT_OF_DATE = "out-of-date"
    NO_SUCH_INPUT = "no-such-input"
    UNLOCKED = "unlocked"
    NO_HASH = "no-hash"
    END_OF_LIFE = "end-of-life"
    RELEASE_MISMATCH = "release-mismatch"
    STALE = "stale"
    INSECURE = "insecure"
    LOCAL_PATH = "local-path"
    REGISTRY = "registry"
    PINNED = "pinned"
    DUPLICATE = "duplicate"
    SAME_SOURCE = "same-source"
    UNUSED = "unused"
    GONE_BRANCH = "gone-branch"
    NEWER_TAG = "newer-tag"


@dataclass(frozen=True)
class Finding:
    """`input`: an input path (`home-manager/nixpkgs`); None: it is about the whole lock, or several inputs.

    `fix`: lines to paste, of flake.nix or commands. Names in it are strangers': whoever prints it escapes.
    """

    kind: Kind
    severity: Severity
    input: str | None
    message: str
    fix: str


_LONGEST = 1000
"""Characters of a message: what it quotes may be of any length."""


def error(kind: Kind, path: InputPath | None, message: str, fix: str) -> Finding:
    return Finding(kind, Severity.ERROR, _told(path), _short(message), fix)


def warning(kind: Kind, path: InputPath | None, message: str, fix: str) -> Finding:
    return Finding(kind, Severity.WARNING, _told(path), _short(message), fix)


def _short(message: str) -> str:
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST - 1]}…"


def _told(path: InputPath | None) -> str | None:
    return spelled(path) if path is not None else None
