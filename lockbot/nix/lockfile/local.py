"""Which files of this machine a lock's nodes are read from. Pure."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from lockbot.nix.flakeref import URL, FlakeRef
from lockbot.nix.lockfile.lock import LockFile


def local_paths(lock: LockFile) -> frozenset[Path]:
    """The absolute paths that nodes name, as locked and as asked for. What is relative lies within a flake."""
    refs = (ref for node in lock.graph.by_label.values() for ref in (node.locked, node.original))
    return frozenset(path for ref in refs if ref is not None and (path := local_path(ref)) is not None)


def local_path(ref: FlakeRef) -> Path | None:
    """Where on this machine a reference leads; None: elsewhere, or into the flake that names it."""
    path = ref.text("path") if ref.type == "path" else _of_url(ref.text("url"))
    return Path(path) if path.startswith("/") and "\0" not in path else None


_LOCAL = re.compile(
    r"path:(?:/|%2f)|(?:[a-z]+\+)?file:"
    # Git and Mercurial take what is no URL for a path, and Nix has them do so in the directory that it runs in.
    r"|(?:git|hg)\+(?!(?:https?|ssh|git|ftps?)://)",
    re.IGNORECASE,
)


def names_this_machine(reference: str) -> bool:
    """Whether fetching a flake reference, as `str(FlakeRef)` has it, reads files here. A relative path lies within
    the flake that names it.

    By the text alone, so that a reference which can't be parsed is not taken for a harmless one.
    """
    return _LOCAL.match(reference) is not None


def _of_url(url: str) -> str:
    """The path of a `file:` URL, or of one without a scheme, which git takes for a path; else nothing."""
    match = URL.fullmatch(url)
    if match is None:
        return url
    scheme, path = match[1].lower(), match[3]
    return unquote(path, errors="surrogateescape") if scheme.rpartition("+")[2] == "file" else ""
