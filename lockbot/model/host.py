"""What a flake builds: a host."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lockbot.model.host_kinds import HostKind


@dataclass(frozen=True, order=True)
class Host:
    """Something the flake builds. `name` is unique in a run; `attribute` leads from the flake to a derivation."""

    name: str
    attribute: tuple[str, ...]
    kind: HostKind = HostKind.NIXOS
    evaluate_only: bool = False
    unbuildable: bool = False
    """Nothing here can build it, as the configuration says: it is evaluated, and never counts as judged good."""

    @property
    def installable(self) -> str:
        """Its attribute as one writes it: `nixosConfigurations."a.b".config.system.build.toplevel`."""
        return written(self.attribute)


_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*")


def written(attribute: Iterable[str]) -> str:
    """An attribute path as Nix writes it: no two look the same, and nothing in it is interpolated."""
    return ".".join(part if _BARE.fullmatch(part) else _quoted(part) for part in attribute)


def _quoted(name: str) -> str:
    for plain, escaped in (
        ("\\", "\\\\"),
        ('"', '\\"'),
        ("${", "\\${"),
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\t", "\\t"),
    ):
        name = name.replace(plain, escaped)
    return f'"{name}"'
