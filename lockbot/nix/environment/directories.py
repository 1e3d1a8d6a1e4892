"""Temporary directories with names that nobody can guess: what Nix may read there, an input must not find."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from lockbot import files
from lockbot.process import process_start

_LONGEST = 90
"""Bytes: of the 107 that an address may have, some for the socket's own name."""
_PREFIX = "lockbot-"
_NAME = re.compile(re.escape(_PREFIX) + r"(\d+)-(\d+)-.*")


def private_directory(environ: Mapping[str, str]) -> Path:
    """A new one, for this user only. What lockbots left that were killed goes meanwhile."""
    parent = Path(environ.get("TMPDIR") or tempfile.gettempdir())
    _remove_abandoned(parent)
    prefix = f"{_PREFIX}{os.getpid()}-{process_start(os.getpid()) or 0}-"
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))


def directory_of_sockets(environ: Mapping[str, str]) -> Path:
    """The same, with a name that is short enough for the address of a socket."""
    made = private_directory(environ)
    if len(os.fsencode(made)) <= _LONGEST:
        return made
    made.rmdir()
    return private_directory({"TMPDIR": "/tmp"})  # noqa: S108 -- a directory of its own, for this user only


@contextlib.contextmanager
def passing_directory() -> Iterator[Path]:
    """A new one, for as long as the context lasts."""
    made = private_directory({})
    try:
        yield made.resolve()
    finally:
        files.remove_tree(made)


def remove(directory: Path, pid: int) -> None:
    """Remove it, in the process that made it: one that was forked from that has it, too."""
    if pid == os.getpid():
        files.remove_tree(directory)


def _remove_abandoned(parent: Path) -> None:
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None or not entry.is_dir(follow_symlinks=False):
                continue
            mine = entry.stat(follow_symlinks=False).st_uid == os.geteuid()
            if mine and process_start(int(match[1])) != match[2]:
                files.remove_tree(Path(entry.path))
