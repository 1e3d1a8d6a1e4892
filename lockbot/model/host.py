"""What a flake builds: a host, and the kinds that there are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class HostKind(StrEnum):
    NIXOS = "nixosConfigurations"
    DARWIN = "darwinConfigurations"
    HOME = "homeConfigurations"
    ATTRIBUTE = "attribute"


@dataclass(frozen=True, order=True)
class Host:
    """Something the flake builds. `name` is unique in a run; `attribute` leads from the flake to a derivation."""

    name: str
    attribute: tuple[str, ...]
    kind: HostKind = HostKind.NIXOS
    evaluate_only: bool = False
    unbuildable: bool = False
    """Nothing here can build it, as the configuration says: it is evaluated, and never counts as judged good."""
