"""What is to be built."""

from __future__ import annotations

from dataclasses import dataclass

from lockbot.nix import derivation
from lockbot.nix.command import Nix


@dataclass(frozen=True)
class Target:
    """One derivation to have: `drv`, its output path, `realise` (`/…drv!out`) and the system it is for.

    `out` is empty where it is known only after the build: something it needs is content-addressed.
    """

    drv: str
    out: str
    realise: str
    system: str

    @classmethod
    def of(cls, nix: Nix, drv: str) -> Target:
        """All outputs of a bare derivation: one that an evaluation wanted to read from, say."""
        known = derivation.show(nix, drv)
        return cls(drv, "", drv, known.system if known is not None else "")
