"""What hosts a flake has: their names, by kind."""

from __future__ import annotations

import json

from lockbot.errors import SurroundingsError
from lockbot.model import Host, HostKind
from lockbot.nix import failure
from lockbot.nix.command import Nix
from lockbot.nix.flakeref import nix_string
from lockbot.process import Deadline


def host_names(nix: Nix, flake: str, deadline: Deadline) -> tuple[Host, ...]:
    """Every host that the flake has, of every kind. Two kinds with the same name keep their kind in it."""
    expression = (
        f"let flake = builtins.getFlake {nix_string(flake)}; names = set: "
        "if builtins.hasAttr set flake then builtins.attrNames flake.${set} else [ ]; "
        "in builtins.listToAttrs (map (set: { name = set; value = names set; }) "
        f"[ {' '.join(nix_string(kind.value) for kind in HostKind.sets())} ])"
    )
    finished = nix.evaluate(expression, deadlines=[deadline])
    if finished.code != 0:
        problem = failure.classify(finished.stderr)
        words = failure.explain(finished.stderr)
        if problem.surroundings:
            raise SurroundingsError(f"cannot ask the flake for its hosts: {words}")
        raise finished.error(f"cannot ask the flake for its hosts: {words}", "does `nix flake show` work there?")
    found: dict[str, list[str]] = json.loads(finished.stdout)
    hosts: dict[str, Host] = {}
    for kind, path in HostKind.sets().items():
        for name in found.get(kind.value, []):
            unique = name
            while unique in hosts:
                unique = f"{kind.value}.{unique}"
            hosts[unique] = Host(unique, (kind.value, name, *path), kind)
    return tuple(hosts.values())
