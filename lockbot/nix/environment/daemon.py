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
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lockbot.errors import SurroundingsError
from lockbot.nix.environment.directories import directory_of_sockets, remove
from lockbot.process import begin

_PATIENCE = 20.0
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


def _started(environ: Mapping[str, str]) -> Path:
    """The address of a daemon that ends with this process, however that ends."""
    program = shutil.which("nix-daemon", path=environ.get("PATH", ""))
    if program is None:
        raise SurroundingsError("there is no `nix-daemon` on PATH", "it is installed with Nix, beside `nix`")
    directory = directory_of_sockets(environ)
    weakref.finalize(_daemons, remove, directory, os.getpid())
    address = directory / "daemon"
    # Whoever reaches it is lockbot's own Nix: what that is told of limits holds, as if it built itself.
    trusted = f"{environ.get('NIX_CONFIG', '')}\nextra-trusted-users = {_user()}\nsandbox-fallback = false\n"
    variables = {**environ, "NIX_DAEMON_SOCKET_PATH": str(address), "NIX_CONFIG": trusted}
    nothing = subprocess.DEVNULL

    def start(marked: Mapping[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [program],
            env={**variables, **marked},
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            cwd="/",
            start_new_session=True,
        )

    try:
        running = begin(start)
    except OSError as error:
        raise SurroundingsError(f"cannot start {program}: {error.strerror}", "does it run?") from error
    _daemons.add(running)
    weakref.finalize(_daemons, _end, running, os.getpid())
    end = time.monotonic() + _PATIENCE
    while not _answers(str(address)):
        if running.poll() is not None or time.monotonic() > end:
            raise SurroundingsError(f"{program} does not answer at {address}", "does it run as this user?")
        time.sleep(0.01)
    return address


class _Daemons(set[subprocess.Popen[bytes]]):
    """Those that run, as long as lockbot does."""


_daemons = _Daemons()


def _end(process: subprocess.Popen[bytes], pid: int) -> None:
    if pid == os.getpid():
        process.kill()
        process.wait()


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
