"""What proposing needs beside Nix: no history is known of any input, and anything may be fetched."""

from __future__ import annotations

from lockbot.lock.ahead.lookout import Lookout
from lockbot.model import Locked
from lockbot.nix.command import Nix
from lockbot.search.interface import RevisionRange


class NoRevisions:
    def between(self, name: str, locked: Locked, target: str) -> RevisionRange:
        del name, locked, target
        return RevisionRange()


def anything(nix: Nix, timeout: float = 60) -> Lookout:
    """Whatever an input brings along may be fetched."""
    return Lookout(nix, lambda *_: None, timeout)
