"""Who builds for a confined Nix: a daemon of the machine's, one of lockbot's own, or that Nix itself.

Nix's sandbox has to mount, which a confined program can't: where Nix opens the store itself and builds in its
sandbox, a daemon does that for it, started here and not confined. Without a sandbox it needs none, and its
builders are confined.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lockbot.errors import SurroundingsError
from lockbot.nix.environment import companions

_PATIENCE = 20.0
_OF_A_STORE = ("NIX_REMOTE", "NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_LOG_DIR", "NIX_CONF_DIR")
_DAEMON = 'NIX_DAEMON_SOCKET_PATH="$1" "$0" & read -r said; kill -9 $!'
"""It ends with its standard input, which is lockbot's."""
_OTHERS = ("daemon", "unix:", "ssh:", "ssh-ng:", "http:", "https:")
"""What a store is called that somebody else opens."""


class Builder(StrEnum):
    """Who builds."""

    DAEMON = "daemon"
    OWN_DAEMON = "own-daemon"
    NIX_ITSELF = "nix-itself"


@dataclass(frozen=True)
class Daemon:
    """`variables` lead Nix to it."""

    builder: Builder
    variables: Mapping[str, str] = field(default_factory=dict)


def daemon_for(environ: Mapping[str, str], settings: Mapping[str, str]) -> Daemon:
    """The machine's, where there is one and no other store is asked for; else one of lockbot's, if there is a
    sandbox to be set up. Raises SurroundingsError where that does not start."""
    store = environ.get("NIX_REMOTE") or settings.get("store") or "auto"
    if store.startswith(_OTHERS):
        return Daemon(Builder.DAEMON)
    if store == "auto":
        state = environ.get("NIX_STATE_DIR") or "/nix/var/nix"
        if not os.access(state, os.R_OK | os.W_OK):
            return Daemon(Builder.DAEMON)
        if _answers(environ.get("NIX_DAEMON_SOCKET_PATH") or f"{state}/daemon-socket/socket"):
            return Daemon(Builder.DAEMON, {"NIX_REMOTE": "daemon"})
    if settings.get("sandbox", "true") == "false" or not _can_have_sandbox(environ):
        return Daemon(Builder.NIX_ITSELF)
    return Daemon(Builder.OWN_DAEMON, {"NIX_REMOTE": f"unix://{_started(environ)}"})


_addresses: dict[tuple[str | None, ...], Path] = {}
"""Of daemons that run, by the store that they open."""


def _started(environ: Mapping[str, str]) -> Path:
    """The address of a daemon that ends with this process, however that ends; one for each store."""
    program = shutil.which("nix-daemon", path=environ.get("PATH", ""))
    if program is None:
        raise SurroundingsError("there is no `nix-daemon` on PATH", "it is installed with Nix, beside `nix`")
    store = (program, *(environ.get(name) for name in _OF_A_STORE))
    if (known := _addresses.get(store)) is not None and _answers(str(known)):
        return known
    # Whoever reaches it is lockbot's own Nix: what that is told of limits holds, as if it built itself.
    trusted = f"{environ.get('NIX_CONFIG', '')}\nextra-trusted-users = {_user()}\nsandbox-fallback = false\n"
    try:
        address = companions.started(
            lambda place: ["/bin/sh", "-c", _DAEMON, program, str(place)],
            {**environ, "NIX_CONFIG": trusted},
            "daemon",
            lambda place: _answers(str(place)),
        )
    except OSError as error:
        raise SurroundingsError(f"cannot start {program}: {error.strerror}", "does it run?") from error
    if address is None:
        raise SurroundingsError(f"{program} does not answer", "does it run as this user?")
    _addresses[store] = address
    return address


def _can_have_sandbox(environ: Mapping[str, str]) -> bool:
    """Whether this machine lets Nix set its sandbox up: the same is tried. Without the program for that, it is."""
    program = shutil.which("unshare", path=environ.get("PATH", ""))
    if program is None:
        return True
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    argv = [program, *user, "--mount", "--pid", "--fork", "--mount-proc", "true"]
    nothing = subprocess.DEVNULL
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        tried = subprocess.run(
            argv, env=dict(environ), stdin=nothing, stdout=nothing, stderr=nothing, timeout=_PATIENCE, check=False
        )
        return tried.returncode == 0
    return True


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "*"  # nobody else gets into its directory


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(1)
        try:
            asked.connect(path)
        except OSError:
            return False
    return True
