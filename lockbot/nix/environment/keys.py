"""ssh keys for inputs that are fetched by ssh: an agent of lockbot's signs with them, and nobody gets to see them.

Keys that want a passphrase are the business of an agent of the user's, which is asked where it has any.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path

from lockbot.confine import homes
from lockbot.nix.environment.directories import private_directory, remove
from lockbot.process import begin

_LONGEST_ADDRESS = 100
"""Bytes of a socket's path; the system takes 107."""
_PATIENCE = 5.0
_BEGINNING = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_NO_SECRET = re.compile(r"config.*|known_hosts.*|.*\.pub")


def public(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """What ssh needs of the user's settings, and is no secret: known hosts, its configuration, public keys."""
    found = (file for home in homes(environ) for file in _files(home / ".ssh"))
    return tuple(file for file in found if _NO_SECRET.fullmatch(file.name) and not _is_key(file))


def agent(environ: Mapping[str, str]) -> str | None:
    """The address of an agent that has the user's keys; None: theirs will do, or there is no key.

    It ends with this process, however that ends.
    """
    keys = tuple(dict.fromkeys(_keys(environ)))
    programs = [shutil.which(name, path=environ.get("PATH", "")) for name in ("ssh-agent", "ssh-add")]
    if not keys or None in programs or _has_keys(environ, programs[1]):
        return None
    directory = private_directory(environ)
    weakref.finalize(_agents, remove, directory, os.getpid())
    address = str(directory / "agent")
    if len(os.fsencode(address)) > _LONGEST_ADDRESS:
        return None
    started = begin(lambda marked: _quietly([str(programs[0]), "-D", "-a", address], {**environ, **marked}))
    _agents.add(started)
    weakref.finalize(_agents, _end, started, os.getpid())
    end = time.monotonic() + _PATIENCE
    while not Path(address).exists():
        if started.poll() is not None or time.monotonic() > end:
            return None
        time.sleep(0.005)
    asked = {**environ, "SSH_AUTH_SOCK": address, "SSH_ASKPASS": "/bin/false", "DISPLAY": ""}
    added = [_quietly([str(programs[1]), "-q", str(key)], asked) for key in keys]
    return address if any([_waited(process) == 0 for process in added]) else None  # noqa: C419  # each is waited for


class _Agents(set[subprocess.Popen[bytes]]):
    """Those that run, as long as lockbot does."""


_agents = _Agents()


def _end(process: subprocess.Popen[bytes], pid: int) -> None:
    if pid == os.getpid():
        process.kill()
        process.wait()


def _quietly(argv: list[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    nothing = subprocess.DEVNULL
    return subprocess.Popen(
        argv, env=dict(environ), stdin=nothing, stdout=nothing, stderr=nothing, cwd="/", start_new_session=True
    )


def _waited(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def _has_keys(environ: Mapping[str, str], program: str | None) -> bool:
    """Whether an agent of the user's is there, and can sign."""
    return bool(environ.get("SSH_AUTH_SOCK")) and _waited(_quietly([str(program), "-l"], environ)) == 0


def _keys(environ: Mapping[str, str]) -> Iterator[Path]:
    for name in ("GIT_SSH_COMMAND", "NIX_SSHOPTS"):
        yield from filter(_is_key, _named(environ.get(name, "")))
    yield from filter(_is_key, (file for home in homes(environ) for file in _files(home / ".ssh")))


def _named(options: str) -> Iterator[Path]:
    """The keys that a command line of ssh's names."""
    with contextlib.suppress(ValueError, RuntimeError):
        words = shlex.split(options)
        for word, following in zip(words, [*words[1:], ""], strict=True):
            if word == "-i":
                yield Path(following).expanduser()
            elif match := re.fullmatch(r"(?:-o\s*)?IdentityFile[ =](.+)", word, re.IGNORECASE):
                yield Path(match[1]).expanduser()


def _is_key(file: Path) -> bool:
    try:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            return _BEGINNING.match(opened.read(80)) is not None
    except OSError:
        return False


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []
