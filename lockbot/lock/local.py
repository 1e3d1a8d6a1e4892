"""Which files of this machine a flake's owner has it read: those that its lock and its flake.nix name.

An upstream's wishes are no part of that: what is in a lock that was committed has been allowed, and flake.nix is
the owner's own.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from urllib.parse import unquote

from lockbot.git.clone import Clone
from lockbot.nix.lockfile import LOCK_NAME, LockFile, LockFileError, local_paths

_INSTEAD = re.compile(r'\[url "((?:file://)?/[^"\n]*)"\]\n\tinsteadof = "([^"\n]+)"', re.IGNORECASE)
_URL = re.compile(r"(?:path|(?:[a-z]+\+)?file):(?://)?(/[^\s\"'?#;]*)", re.IGNORECASE)
_PLAIN = re.compile(r"\b(?:url|path)\s*=\s*\"?(/[^\s\"?#;]+)")


def named_files(clone: Clone, commit: str, flake_dir: str) -> frozenset[Path]:
    """What the flake of a commit names: the places of inputs on this machine."""
    lock, flake = (clone.read_file(commit, str(Path(flake_dir) / name)) for name in (LOCK_NAME, "flake.nix"))
    found: set[Path] = set()
    if lock is not None:
        with contextlib.suppress(LockFileError):  # whoever reads it next says what is wrong with it
            parsed = LockFile.parse(lock.decode(errors="replace"))
            found |= local_paths(parsed) | _instead(parsed, clone)
    return frozenset(found) | named_by((flake or b"").decode(errors="replace"))


def _instead(lock: LockFile, clone: Clone) -> frozenset[Path]:
    """Where on this machine the user's git settings have inputs fetched from: `url.*.insteadOf`."""
    try:
        settings = Path(clone.access.get("GIT_CONFIG_GLOBAL", "")).read_text(errors="surrogateescape")
    except OSError:
        return frozenset()
    bases = {prefix: base.removeprefix("file://") for base, prefix in _INSTEAD.findall(settings)}
    refs = (ref for node in lock.graph.by_label.values() for ref in (node.locked, node.original))
    urls = {ref.text("url").removeprefix("git+") for ref in refs if ref is not None and ref.type == "git"}
    found = set[Path]()
    for url in urls:
        if prefix := max((one for one in bases if url.startswith(one)), key=len, default=""):
            found.add(Path(bases[prefix] + url.removeprefix(prefix).partition("?")[0]))
    return frozenset(found)


def named_by(flake_nix: str) -> frozenset[Path]:
    """What the text of a flake.nix names. Nix takes inputs' addresses as they stand there, and no expression."""
    named = (Path(unquote(path)) for pattern in (_URL, _PLAIN) for path in pattern.findall(flake_nix))
    return frozenset(path for path in named if path != Path("/") and "\0" not in str(path))
