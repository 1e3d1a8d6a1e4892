"""nix.conf, read for Nix: it gets the text through a pipe that it empties as it starts, and no file of it.

So an input can't have the configuration copied into the store, where anybody could read its access tokens. What
the settings name by path is found here, too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_DEEPEST = 20
_LARGEST = 1024 * 1024
_INCLUDE = re.compile(r"(!?include)\s+(\S+)\s*")
_NAMED = re.compile(r"(?:^|[\s=@,])(?:[a-z+-]+://)?(/[^\s?&#=,]*)")
NOT_FILES = frozenset({"access-tokens", "nix-path", "allowed-uris", "netrc-file", "secret-key-files"})
"""Settings in which a path is none of this machine's, nothing that a pure evaluation reads, or a secret."""
ALIASES = {"build-use-sandbox": "sandbox", "build-use-chroot": "sandbox"}
_SECRET = re.compile(r"[?&]secret-key=[^\s&]*")


def text(environ: Mapping[str, str]) -> str:
    """All that Nix would read: the machine's file, the user's, NIX_CONFIG; the last wins."""
    files = (system_directory(environ) / "nix.conf", *reversed(list(_of_user(environ))))
    return "".join(f"{part}\n" for part in (*(_read(file, 0) for file in files), environ.get("NIX_CONFIG", "")))


def system_directory(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("NIX_CONF_DIR") or "/etc/nix")


def _of_user(environ: Mapping[str, str]) -> Iterator[Path]:
    """The most important first, as Nix has it."""
    named = environ.get("NIX_USER_CONF_FILES")
    if named is not None:
        yield from (Path(one) for one in named.split(":") if one)
        return
    home = environ.get("HOME", "")
    if own := environ.get("NIX_CONFIG_HOME"):
        yield Path(own) / "nix.conf"
    else:
        yield Path(environ.get("XDG_CONFIG_HOME") or f"{home}/.config") / "nix" / "nix.conf"
    for directory in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"):
        if directory:
            yield Path(directory) / "nix" / "nix.conf"


def _read(file: Path, depth: int) -> str:
    """A file with those that it includes. What can't be read is passed over, as Nix does; but not what must be
    there: that line stays, and Nix says what is wrong with it."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST).decode(errors="surrogateescape")
    except OSError:
        return ""
    return "\n".join(_included(line, file, depth) for line in content.splitlines())


def _included(line: str, file: Path, depth: int) -> str:
    match = _INCLUDE.fullmatch(line.partition("#")[0].strip())
    if match is None:
        return line
    other = file.parent / match[2]
    if depth < _DEEPEST and os.access(other, os.R_OK):
        return _read(other, depth + 1)
    return "" if match[1] == "!include" else f"include {other}"


def settings(configuration: str) -> dict[str, str]:
    """Name to value, of the text; `extra-` adds."""
    found: dict[str, str] = {}
    for line in configuration.splitlines():
        name, equals, value = line.partition("#")[0].partition("=")
        name, value = name.strip(), value.strip()
        if equals and name.startswith("extra-"):
            name = name.removeprefix("extra-")
            value = f"{found.get(name, '')} {value}".strip()
        if equals:
            found[ALIASES.get(name, name)] = value
    return found


def paths(found: Mapping[str, str]) -> frozenset[Path]:
    """The files that settings name: caches on this machine, lists of builders, keys, certificates."""
    texts = (_SECRET.sub("", value) for name, value in found.items() if name not in NOT_FILES)
    return frozenset(Path(match) for value in texts for match in _NAMED.findall(value) if match != "/")
