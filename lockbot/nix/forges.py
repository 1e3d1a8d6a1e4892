"""The forges that lockbot knows: at which hosts they run, where a repository lies there, and its pages on the web.

Another forge is an entry of FORGES; what its API is asked for is a module of `forge/`. Pure text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from lockbot.model import Locked
from lockbot.nix.flakeref import FORGE_TYPES, REV, URL, FlakeRef, FlakeRefError


@dataclass(frozen=True)
class Forge:
    """One kind of forge. `hosts`: where it is known to run; a flake reference that names none means the first.

    `commit` and `compare` are what stands behind a repository's address. Who runs one of his own often calls the
    host after it: `labels` are how such a host's name begins.
    """

    hosts: tuple[str, ...]
    commit: str = "/commit/{rev}"
    compare: str = "/compare/{old}...{new}"
    nested: bool = False
    """A repository may lie in a group of a group."""
    labels: tuple[str, ...] = ()
    pages_at_url: bool = False
    """Its pages lie where git fetches from: `.git` belongs to the address, and it may be of any depth."""


FORGES: Mapping[str, Forge] = {
    "github": Forge(("github.com",)),
    "gitlab": Forge(
        ("gitlab.com", "gitlab.gnome.org", "gitlab.freedesktop.org", "invent.kde.org"),
        commit="/-/commit/{rev}",
        compare="/-/compare/{old}...{new}",
        nested=True,
        labels=("gitlab",),
    ),
    "forgejo": Forge(("codeberg.org", "gitea.com"), labels=("forgejo", "gitea")),
    "cgit": Forge(
        ("git.kernel.org", "git.zx2c4.com"),
        commit="/commit/?id={rev}",
        compare="/log/?qt=range&q={old}..{new}",
        labels=("cgit",),
        pages_at_url=True,
    ),
    "sourcehut": Forge(("git.sr.ht",), compare="/log/{new}"),  # no page shows a range: its log from the newer on
}
"""By their kind, which is the type of the flake references to them where Nix has one."""
_HOST = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]{1,5})?")
KIND_AT: Mapping[str, str] = {host: kind for kind, forge in FORGES.items() for host in forge.hosts}


@dataclass(frozen=True)
class Repository:
    """A repository on a forge. `path`: its owner (with GitLab's groups), and its name."""

    kind: str
    """Of FORGES."""
    host: str
    path: tuple[str, ...]

    @property
    def url(self) -> str:
        return f"https://{self.host}/" + "/".join(quote(part, safe="~") for part in self.path)


def repository(ref: FlakeRef) -> Repository | None:
    """Where a reference of a forge's own type leads; None: it is of another, or leads where no repository can be.

    What comes from the lock is checked: neither host nor path can make an address mean anything else.
    """
    if ref.type not in FORGE_TYPES:
        return None
    host = ref.text("host") or FORGES[ref.type].hosts[0]
    # GitLab's groups are nested; older locks hold their slashes encoded.
    path = (*unquote(ref.text("owner")).split("/"), ref.text("repo"))
    return Repository(ref.type, host, path) if _HOST.fullmatch(host) and is_plain(path) else None


def is_plain(path: tuple[str, ...]) -> bool:
    """Whether no part of a path is one that would lead elsewhere, or that nobody can read."""
    return all(part not in ("", ".", "..") and part.isprintable() for part in path)


def compare_link(old: Locked, new: Locked) -> str | None:
    """The web page that shows what came between two states of one input; None: none is known, or two sources."""
    try:
        before, after = FlakeRef.read(old.url), FlakeRef.read(new.url)
    except FlakeRefError:
        return None
    if _page(before) != _page(after) or old.rev is None or new.rev is None:
        return None
    return range_link(after, old.rev, new.rev)


def range_link(ref: FlakeRef, old: str, new: str) -> str | None:
    """The web page that shows the commits from `old` to `new`."""
    if (page := _page(ref)) is None or not (REV.fullmatch(old) and REV.fullmatch(new)):
        return None
    return page.url + FORGES[page.kind].compare.format(old=old, new=new)


def commit_link(ref: FlakeRef, rev: str) -> str | None:
    """The web page of one commit."""
    if (page := _page(ref)) is None or not REV.fullmatch(rev):
        return None
    return page.url + FORGES[page.kind].commit.format(rev=rev)


def _page(ref: FlakeRef) -> Repository | None:
    """The repository, if it has pages: those of a git URL are told by its host."""
    found = repository(ref) if ref.type in FORGE_TYPES else _at_known_host(ref)
    if found is None:
        return None
    forge, length = FORGES[found.kind], len(found.path)
    return found if length == 2 or forge.pages_at_url or (forge.nested and length > 2) else None


def _at_known_host(ref: FlakeRef) -> Repository | None:
    if ref.type != "git" or (match := URL.fullmatch(str(ref))) is None:
        return None
    host = (match[2] or "").rpartition("@")[2]
    if match[1] == "git+ssh":
        host = host.partition(":")[0]  # the port is ssh's, and not the pages'
    kind = _kind_of_host(host)
    if kind is None:
        return None
    path = unquote(match[3]).strip("/")
    parts = tuple((path if FORGES[kind].pages_at_url else path.removesuffix(".git")).split("/"))
    return Repository(kind, host, parts) if is_plain(parts) else None


def _kind_of_host(host: str) -> str | None:
    """By its name, in full or by how that begins: `gitlab.example.org`."""
    if host in KIND_AT or not _HOST.fullmatch(host):
        return KIND_AT.get(host)
    label = host.partition(".")[0].lower()
    return next((kind for kind, forge in FORGES.items() if label in forge.labels), None)
