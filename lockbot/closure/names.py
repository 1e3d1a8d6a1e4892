"""Which package a path belongs to, and what of a closure is no package but the system's own configuration.

By the derivation's own words where they are known, else by the path's name alone, which may mislead: `foo-2-1.0`
may be version 1.0 of foo-2. Must not know how either is found out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from lockbot.model.closure import Closure, StorePath, split_name

ENVIRONMENTS = frozenset({"system-path", "home-manager-path", "home-path", "user-environment"})
"""Paths that hold what people chose by name: of NixOS and nix-darwin, of Home Manager, of a user's own profile."""

_OUTPUTS = (
    *("bin", "debug", "dev", "devdoc", "devman", "dist", "doc", "fonts", "getent", "info", "lib"),
    *("lib32", "lib64", "libexec", "locale", "man", "modules", "modules-shrunk", "out", "py", "python", "shared"),
    *("static", "terminfo", "test", "tests", "tools", "xz", "zstd"),
)
_OUTPUT = re.compile(rf"-(?:{'|'.join(_OUTPUTS)})$")
"""What nixpkgs calls outputs, and the two ways in which NixOS compresses firmware."""

_CONFIGURATION = re.compile(
    r"(?:unit|etc|initrd)-(?![0-9]).*|etc|dbus-1|stage-[12]-init\.sh"
    r"|X-(?:Restart|Reload)-Triggers.*"
    r"|(?:nixos-system|darwin-system)-.*|home-manager-(?:generation|files|path)|home-path|system-path"
    r"|user-environment|activate|activation-script"
    r"|source|.*-source|(?:.*-)?hooks?(?:\.sh)?"
    r"|.*\.(?:patch|diff)(?:\.gz|\.xz)?|.*\.(?:tar|tar\.[a-z0-9]+|tgz|tbz2|txz|zip|crate|gem|whl|jar)"
    r"|.*\.(?:bin|cfg|cnf|conf|config|crt|css|d|desktop|el|env|hwdb|html|ini|js|json|jsonc|key|keymap|keys|link|list"
    r"|lua|mount|netdev|network|nix|nmconnection|pam|path|pem|php|pl|py|rules|scm|scope|service|sh|slice|socket|sql"
    r"|swap|target|timer|toml|txt|vim|xml|yaml|yml)"
)
"""What NixOS, nix-darwin and Home Manager call what they write out; sources; files, by their names."""
_SYSTEM = re.compile(r"(?:nixos-system|darwin-system)-.*|home-manager-generation")


class Role(Enum):
    PACKAGE = "package"
    CONFIGURATION = "configuration"
    UNVERSIONED = "unversioned"
    """What NixOS writes out has no version, but a program that somebody wrote may have none either."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a path is of. `version` is empty where it has none."""

    name: str
    version: str
    role: Role


def identify(path: StorePath) -> Identity:
    name, version = _package(path)
    if _CONFIGURATION.fullmatch(path.name):
        return Identity(name, version, Role.CONFIGURATION)
    return Identity(name, version, Role.PACKAGE if version else Role.UNVERSIONED)


def _package(path: StorePath) -> tuple[str, str]:
    if path.pname is not None:
        return path.pname, path.version or ""
    name, version = split_name(path.name)
    return name, _OUTPUT.sub("", version)


def is_system(closure: Closure) -> bool:
    """Whether this is what some configuration came to, not only a package and what it needs."""
    root = closure.paths.get(closure.root)
    return (root is not None and _SYSTEM.fullmatch(root.name) is not None) or bool(_environments(closure))


def find_selected(closure: Closure) -> frozenset[str]:
    """The paths that somebody chose by name: what an environment holds; where there is none, the root and what it
    refers to."""
    if environments := _environments(closure):
        return frozenset().union(*(path.references - {path.path} for path in environments))
    root = closure.paths.get(closure.root)
    return frozenset({closure.root}) | (root.references if root else frozenset())


def _environments(closure: Closure) -> list[StorePath]:
    return [path for path in closure.paths.values() if path.name in ENVIRONMENTS]
