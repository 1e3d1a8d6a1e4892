"""Where on which forge an input lives. Pure; it must not ask anybody."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from lockbot.model import Locked
from lockbot.nix.flakeref import KNOWN_HOSTS, FlakeRef, FlakeRefError

HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?")
"""A host as a forge is named by: lower case, with its port where that is not the usual one."""


class Kind(StrEnum):
    """Which API a forge has. Gitea's is Forgejo's."""

    GITHUB = "github"
    GITLAB = "gitlab"
    FORGEJO = "forgejo"


@dataclass(frozen=True)
class Account:
    """What the configuration says about one host. `url` is where its API begins; None: where its kind has it."""

    kind: Kind | None = None
    url: str | None = None
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Place:
    """A repository on a forge. `path`: its owner (with GitLab's groups), and its name."""

    kind: Kind
    host: str
    path: tuple[str, ...]


_DEFAULTS = {"github": "github.com", "gitlab": "gitlab.com"}
_KNOWN = {host: Kind(kind) for host, kind in KNOWN_HOSTS.items() if kind in frozenset(Kind)}


def place_of(locked: Locked, accounts: Mapping[str, Account]) -> Place | None:
    """Where an input was fetched from; None: from no forge that is known or configured (`accounts`, by host)."""
    try:
        ref = FlakeRef.read(locked.url)
    except FlakeRefError:
        return None
    if ref.type in _DEFAULTS:
        host = ref.text("host") or _DEFAULTS[ref.type]
        # GitLab's groups are nested: older locks hold their slashes encoded.
        return _place(host, [*unquote(ref.text("owner")).split("/"), ref.text("repo")], accounts, Kind(ref.type))
    if ref.type != "git":
        return None
    try:
        url = urlsplit(ref.text("url"))
        port = f":{url.port}" if url.port is not None and url.scheme != "ssh" else ""
    except ValueError:
        return None
    if url.scheme not in ("http", "https", "ssh") or url.hostname is None:
        return None
    path = unquote(url.path).strip("/").removesuffix(".git").split("/")
    return _place(url.hostname + port, path, accounts, None)


def _place(host: str, path: list[str], accounts: Mapping[str, Account], kind: Kind | None) -> Place | None:
    host = host.lower()
    account = accounts.get(host, Account())
    kind = account.kind or kind or _KNOWN.get(host)
    nested = kind is Kind.GITLAB and len(path) > 2
    if kind is None or not HOST.fullmatch(host) or not (len(path) == 2 or nested):
        return None
    if not all(part.isprintable() and part not in ("", ".", "..") for part in path):
        return None
    return Place(kind, host, tuple(path))
