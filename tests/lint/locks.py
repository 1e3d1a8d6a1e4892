"""Small locks that look as Nix writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lockbot.lint import Subject
from lockbot.lint.subject import parse_declared
from lockbot.nix.lockfile import LockFile

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
YESTERDAY = int(NOW.timestamp()) - 86400
HASH = "sha256-" + "A" * 43 + "="


def github(
    name: str, ref: str | None = None, *, rev: str = "1", days: int = 1, inputs: Any = None, **more: Any
) -> dict[str, Any]:
    """A node for github:OWNER/NAME[/REF], locked at a commit that is so many days old."""
    owner, _, repo = name.rpartition("/")
    source = {"type": "github", "owner": owner or "o", "repo": repo}
    when = int(NOW.timestamp()) - days * 86400
    locked = source | {"rev": rev * 40, "narHash": HASH.replace("AAAA", rev * 4), "lastModified": when}
    return {
        "locked": locked,
        "original": source | ({"ref": ref} if ref else {}),
        "inputs": inputs or {},
    } | more


def node(locked: Mapping[str, Any], original: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Any node; what is locked has a hash and a date unless it says None of them."""
    whole = {"narHash": HASH, "lastModified": YESTERDAY} | dict(locked)
    asked = {key: value for key, value in (original or locked).items() if value is not None}
    return {"locked": {key: value for key, value in whole.items() if value is not None}, "original": asked} | more


def lock_text(nodes: Mapping[str, Any], version: int = 7, root: Mapping[str, Any] | None = None) -> str:
    """The nodes whose label has no `_` are the root's inputs, unless these are given."""
    own = root if root is not None else {label: label for label in nodes if "_" not in label}
    return json.dumps({"nodes": {"root": {"inputs": own}, **nodes}, "root": "root", "version": version}, indent=2)


def subject(
    nodes: Mapping[str, Any],
    *,
    root: Mapping[str, Any] | None = None,
    version: int = 7,
    declared: Mapping[str, Any] | None = None,
    **more: Any,
) -> Subject:
    lock = LockFile.parse(lock_text(nodes, version, root))
    asked = parse_declared(declared) if declared is not None else None
    return Subject(lock, NOW, asked, **more)
