"""Which files of this machine a lock's nodes are read from. Pure."""

from __future__ import annotations

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


def _of_url(url: str) -> str:
    """The path of a `file:` URL, or of one without a scheme, which git takes for a path; else nothing."""
    match = URL.fullmatch(url)
    if match is None:
        return url
    scheme, path = match[1].lower(), match[3]
    return unquote(path, errors="surrogateescape") if scheme.rpartition("+")[2] == "file" else ""
