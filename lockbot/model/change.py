"""What an update changes: an input's old state and its new one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ChangeKind(StrEnum):
    ADDED = "added"
    UPDATED = "updated"
    REMOVED = "removed"
    REFOLLOWED = "re-followed"


@dataclass(frozen=True)
class Locked:
    """What the lock holds for one input. `url` and `original` are flake references as Nix prints them."""

    type: str
    url: str
    original: str
    rev: str | None = None
    ref: str | None = None
    nar_hash: str | None = None
    last_modified: int | None = None
    """Seconds since 1970, of the revision's commit; absent for some tarballs."""

    @property
    def revision(self) -> str:
        """What names this state: the commit, else the hash of the content, else nothing."""
        return self.rev or self.nar_hash or ""


@dataclass(frozen=True)
class InputChange:
    """One input, old to new. `input` is its path from the root: `nixpkgs`, `home-manager/nixpkgs`."""

    input: str
    kind: ChangeKind
    old: Locked | None = None
    new: Locked | None = None
    old_follows: str | None = None
    new_follows: str | None = None
    """The input path that this one follows (only for `re-followed`); None: it has a node of its own."""
    commits: int | None = None
    """How many upstream commits lie between, where that is known."""
