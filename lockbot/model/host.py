"""What a flake builds: a host."""

from __future__ import annotations

import json
import re
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
        return ".".join(
            part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False) for part in self.attribute
        )


_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*")
