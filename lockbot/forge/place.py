"""Where on which forge an input lives. Pure; it must not ask anybody."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from lockbot.model import Locked
from lockbot.nix.flakeref import FlakeRef, FlakeRefError
from lockbot.nix.forges import FORGES, KIND_AT, is_plain, repository

HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?")
"""A host as a forge is named by: lower case, with its port where that is not the usual one."""

_SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>[^@/:]+):(?P<path>(?!//).+)")
"""Git's short form of an address by ssh: no slash stands before the colon."""


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
    git: bool = False
    """The token is for git, too."""

    def for_git(self, host: str) -> tuple[str, str] | None:
        """Configuration by which git signs in there with the token; None: it is not for git."""
        if not self.git or self.token is None:
            return None
        scheme = urlsplit(self.url).scheme if self.url is not None else "https"
        # GitLab wants any name but an empty one, GitHub this one for an app's token; the others don't mind.
        basic = b64encode(f"x-access-token:{self.token}".encode()).decode()
        return f"http.{scheme}://{host}/.extraHeader", f"Authorization: Basic {basic}"


@dataclass(frozen=True)
class Place:
    """A repository on a forge. `path`: its owner (with GitLab's groups), and its name."""

    kind: Kind
    host: str
    path: tuple[str, ...]


def place_of(locked: Locked, accounts: Mapping[str, Account]) -> Place | None:
    """Where an input was fetched from; None: from no forge that is known or configured (`accounts`, by host)."""
    try:
        ref = FlakeRef.read(locked.url)
    except FlakeRefError:
        return None
    if found := repository(ref):
        return place_at(found.host, found.path, accounts, found.kind)
    return place_of_git(ref.text("url"), accounts) if ref.type == "git" else None


def place_of_git(address: str, accounts: Mapping[str, Account]) -> Place | None:
    """Where the repository is that git finds at an address; `git@host:owner/name` is one, too."""
    if (scp := _SCP.fullmatch(address)) is not None:
        address = f"ssh://{scp['host']}/{scp['path']}"
    try:
        url = urlsplit(address)
        port = f":{url.port}" if url.port is not None and url.scheme != "ssh" else ""
    except ValueError:
        return None
    if url.scheme not in ("http", "https", "ssh") or url.hostname is None:
        return None
    path = tuple(unquote(url.path).strip("/").removesuffix(".git").split("/"))
    host = (url.hostname + port).lower()
    return place_at(host, path, accounts)


def place_at(
    host: str, path: tuple[str, ...], accounts: Mapping[str, Account], kind: str | None = None
) -> Place | None:
    """A repository by its host and path. `kind`: the forge's, where it is known by more than the host's name."""
    host = host.lower()
    kind = kind or KIND_AT.get(host, "")
    api = accounts.get(host, Account()).kind or (Kind(kind) if kind in frozenset(Kind) else None)
    if api is None or not HOST.fullmatch(host) or not is_plain(path):
        return None
    nested = FORGES[api].nested and len(path) > 2
    return Place(api, host, path) if len(path) == 2 or nested else None
