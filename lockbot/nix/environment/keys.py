"""ssh keys for inputs that are fetched by ssh: an agent of lockbot's signs with them, and nobody gets to see them.

Keys that want a passphrase are the business of an agent of the user's, which is asked where it has any.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from lockbot.confine import homes
from lockbot.nix.environment import companions

_PATIENCE = 5.0
_BEGINNING = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_IDENTITY = re.compile(r'^\s*IdentityFile[\s=]+"?([^"\n]+?)"?\s*$', re.MULTILINE | re.IGNORECASE)
_MOST = 1000


def public(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """What ssh needs of the user's settings, and is no secret: known hosts, its configuration with what that
    includes, public keys."""
    found = (file for home in homes(environ) for file in _files(home / ".ssh"))
    return tuple(file for file in found if not is_key(file) and not file.name.startswith("authorized_keys"))


def agent(environ: Mapping[str, str]) -> str | None:
    """The address of an agent that has the user's keys; None: theirs will do, or there is no key.

    It ends with this process, however that ends.
    """
    keys = tuple(dict.fromkeys(_keys(environ)))
    programs = [shutil.which(name, path=environ.get("PATH", "")) for name in ("ssh-agent", "ssh-add")]
    if not keys or None in programs or _has_keys(environ, programs[1]):
        return None
    if (known := _addresses.get(keys)) is not None and Path(known).exists():
        return known
    address = companions.started(
        # Its command ends it when lockbot is gone; where that is killed, too, the agent misses it after 10 s.
        lambda place: [programs[0] or "", "-a", str(place), "/bin/sh", "-c", "read -r said; kill $SSH_AGENT_PID"],
        environ,
        "agent",
        Path.exists,
    )
    if address is None:
        return None
    asked = {**environ, "SSH_AUTH_SOCK": str(address), "SSH_ASKPASS": "/bin/false", "DISPLAY": ""}
    added = [companions.quietly([str(programs[1]), "-q", str(key)], asked) for key in keys]
    if not any([companions.waited(process, _PATIENCE) == 0 for process in added]):  # noqa: C419  # each is waited for
        return None
    _addresses[keys] = str(address)
    return str(address)


_addresses: dict[tuple[Path, ...], str] = {}
"""Of agents that run, by the keys that they have."""


def _has_keys(environ: Mapping[str, str], program: str | None) -> bool:
    """Whether an agent of the user's is there, and can sign."""
    if not environ.get("SSH_AUTH_SOCK"):
        return False
    return companions.waited(companions.quietly([str(program), "-l"], environ), _PATIENCE) == 0


def _keys(environ: Mapping[str, str]) -> Iterator[Path]:
    """The best first: a server listens to a few only."""
    for name in ("GIT_SSH_COMMAND", "NIX_SSHOPTS"):
        yield from filter(is_key, _named(environ.get(name, "")))
    lying = [file for home in homes(environ) for file in _files(home / ".ssh")]
    settings = [file for file in lying if file.name.startswith("config")]
    for file in (*settings, Path("/etc/ssh/ssh_config")):
        yield from filter(is_key, _of_settings(file))
    yield from filter(is_key, sorted(lying, key=lambda file: not file.name.startswith("id_")))


def _of_settings(file: Path) -> Iterator[Path]:
    """The keys that a configuration of ssh's names."""
    with contextlib.suppress(OSError, RuntimeError):
        for path in _IDENTITY.findall(file.read_text(errors="surrogateescape")):
            yield Path(path.replace("%d", "~", 1)).expanduser()


def _named(options: str) -> Iterator[Path]:
    """The keys that a command line of ssh's names."""
    with contextlib.suppress(ValueError, RuntimeError):
        words = shlex.split(options)
        for word, following in zip(words, [*words[1:], ""], strict=True):
            if word == "-i":
                yield Path(following).expanduser()
            elif match := re.fullmatch(r"(?:-o\s*)?IdentityFile[ =](.+)", word, re.IGNORECASE):
                yield Path(match[1]).expanduser()


def is_key(file: Path) -> bool:
    try:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            return _BEGINNING.match(opened.read(80)) is not None
    except OSError:
        return False


def _files(directory: Path) -> list[Path]:
    """Those in it and in its directories."""
    with contextlib.suppress(OSError):
        return sorted(path for path in directory.rglob("*") if path.is_file())[:_MOST]
    return []
