"""Flake references: from a lock's attributes to the URL that Nix prints, and back.

Pure text; it must not know lock files or run Nix. URLs are spelled as Nix 2.34 does. 2.26 differs in three places:
it leaves out `host`, writes a `/` in a ref or a GitLab group bare, and knows no `lfs`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from lockbot.errors import UsageError
from lockbot.redact import redact

Attr = str | int | bool

FORGE_TYPES = frozenset({"github", "gitlab", "sourcehut"})
"""The types by which Nix names a repository on a forge; which forges there are, `forges` says."""
_REQUIRED = {
    "github": ("owner", "repo"),
    "gitlab": ("owner", "repo"),
    "sourcehut": ("owner", "repo"),
    "git": ("url",),
    "hg": ("url",),
    "tarball": ("url",),
    "file": ("url",),
    "path": ("path",),
    "indirect": ("id",),
}
_FLAGS = ("allRefs", "exportIgnore", "lfs", "shallow", "submodules", "verifyCommit")
_FORGE_QUERY = ("dir", "host", "narHash")
_QUERY = {
    "git": (*_FLAGS, "dir", "keytype", "publicKey", "publicKeys", "ref", "rev"),
    "hg": ("dir", "ref", "rev"),
    "tarball": ("dir", "narHash"),
    "file": ("dir", "narHash"),
    "path": ("dir", "lastModified", "narHash", "rev", "revCount"),
    "indirect": ("dir",),
    "github": _FORGE_QUERY,
    "gitlab": _FORGE_QUERY,
    "sourcehut": _FORGE_QUERY,
}
"""The attributes that stand behind the `?`, by type."""
_NUMBERS = frozenset({"lastModified", "revCount"})

REV = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
URL = re.compile(r"(?s)([a-zA-Z][a-zA-Z0-9+.-]*):(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?")
_SCP = re.compile(r"(?s)(?=[^/:@]*@[^/:])([^/:]+):(?!//)(.*)")

_IN_QUERY, _IN_PATH, _IN_SEGMENT = ":@/?", ":@/", ":@"
"""What Nix leaves unencoded there, beside letters, digits and `-._~`."""


class FlakeRefError(UsageError):
    """A flake reference that can't be used. The message never holds a password."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(redact(message), hint)


@dataclass(frozen=True)
class FlakeRef:
    """Where a flake is. `attrs` are Nix's own, sorted by name, without `type`; `str()` is the URL."""

    type: str
    attrs: tuple[tuple[str, Attr], ...]

    @classmethod
    def from_attrs(cls, attrs: Mapping[str, Attr]) -> FlakeRef:
        """From a lock's `locked` or `original`. Raises FlakeRefError where Nix would not know what to fetch."""
        kind = attrs.get("type")
        if not isinstance(kind, str):
            raise FlakeRefError("has no type")
        for name in _REQUIRED.get(kind, ()):
            if not isinstance(attrs.get(name), str):
                raise FlakeRefError(f"is of type {kind} and has no {name}")
        rev = attrs.get("rev")
        if rev is not None and not (isinstance(rev, str) and REV.fullmatch(rev)):
            raise FlakeRefError(f"has a rev that is not a commit's hash: {str(rev)[:60]!r}")
        return cls(kind, tuple(sorted((name, value) for name, value in attrs.items() if name != "type")))

    @classmethod
    def parse(cls, text: str) -> FlakeRef:
        """A URL as a user writes it. Raises FlakeRefError, with what to write instead; of a password, too."""
        _refuse_secrets(text)
        return cls.read(text)

    @classmethod
    def read(cls, text: str) -> FlakeRef:
        """A URL as Nix prints it of a lock, with what secrets flake.nix has put there. Raises FlakeRefError."""
        _refuse_unsafe(text)
        if match := URL.fullmatch(text):
            return cls.from_attrs(_from_url(text, *match.groups()))
        if _ID.fullmatch(text.partition("/")[0]):
            return cls.from_attrs(_from_url(text, "flake", None, text, None, None))
        raise FlakeRefError(
            f"not a flake reference that lockbot takes: {text!r}",
            "write path:/absolute/path, or git+file:///absolute/path for a git repository",
        )

    def __str__(self) -> str:
        query = {
            name: str(int(v) if isinstance(v, bool) else v)
            for name in _QUERY.get(self.type, ())
            if (v := self.get(name))
        }
        match self.type:
            case "github" | "gitlab" | "sourcehut":
                return _url(self.type, _joined(self.text("owner"), self.text("repo"), self.rev or self.ref), query)
            case "git" | "hg":
                url = self.text("url")
                if scp := _SCP.fullmatch(url):
                    url = f"ssh://{scp[1]}/{scp[2]}"
                elif url.startswith("/"):
                    url = f"file://{url}"
                return _with_query(url if url.startswith("git:") else f"{self.type}+{url}", query)
            case "tarball" | "file":
                return _with_query(self.text("url"), query)
            case "path":
                return _url("path", quote(self.text("path"), safe=_IN_PATH), query)
            case "indirect":
                return _url("flake", _joined(self.text("id"), self.ref, self.rev), query)
            case _:  # a type of a newer Nix: every attribute, so that nothing is lost to the reader
                return _url(quote(self.type), "", {name: str(value) for name, value in self.attrs})

    @property
    def argument(self) -> str:
        """The same for a command line, where a bare URL could be either a file or a tarball."""
        return f"{self.type}+{self}" if self.type in ("file", "tarball") else str(self)

    def get(self, name: str) -> Attr | None:
        return dict(self.attrs).get(name)

    def text(self, name: str) -> str:
        """The attribute if it is a string, else nothing."""
        value = self.get(name)
        return value if isinstance(value, str) else ""

    @property
    def rev(self) -> str | None:
        return self.text("rev") or None

    @property
    def ref(self) -> str | None:
        return self.text("ref") or None

    def without(self, *names: str) -> FlakeRef:
        """The same without these attributes."""
        return FlakeRef(self.type, tuple((name, value) for name, value in self.attrs if name not in names))

    @property
    def names_no_commit(self) -> bool:
        """Locked: whether it is a work tree with changes in it, or without any commit. Else: a branch is meant."""
        return self.type in ("git", "hg") and not (self.rev or "").strip("0")

    def with_rev(self, rev: str) -> FlakeRef:
        """The same source at one commit: what `--override-input` takes. Raises FlakeRefError where there is none.

        What belongs to another commit (hash, dates) is dropped. A git repository's ref stays, for Nix must know
        which branch to fetch; a forge's goes, for Nix refuses both.
        """
        if not REV.fullmatch(rev):
            raise FlakeRefError(f"not a commit's hash: {rev[:80]!r}", "a full one has 40 hexadecimal digits")
        if self.type not in (*FORGE_TYPES, "git", "hg"):
            raise FlakeRefError(f"an input of type {self.type} can't be pinned to a commit: {self}")
        dropped = {"rev", "narHash", "lastModified", "revCount"} | ({"ref"} if self.type in FORGE_TYPES else set())
        kept = {name: value for name, value in self.attrs if name not in dropped}
        return FlakeRef.from_attrs(kept | {"type": self.type, "rev": rev})


def _joined(*parts: str | None) -> str:
    return "/".join(quote(part, safe=_IN_SEGMENT) for part in parts if part)


def _url(scheme: str, path: str, query: Mapping[str, str], separator: str = ":") -> str:
    encoded = "&".join(
        f"{quote(key, safe=_IN_QUERY)}={quote(query[key], safe=_IN_QUERY)}" for key in sorted(query)
    )
    return f"{scheme}{separator}{path}" + (f"?{encoded}" if encoded else "")


def _with_query(url: str, query: Mapping[str, str]) -> str:
    """A whole URL with more behind its `?`, encoded anew as Nix does it. What is no URL is made printable."""
    match = URL.fullmatch(url)
    if match is None:
        return quote(url, safe=_PRINTABLE)
    scheme, authority, path, old, _ = match.groups()
    start = scheme if authority is None else f"{scheme}://{quote(authority, safe=_PRINTABLE)}"
    path = "/".join(quote(unquote(segment), safe=_IN_SEGMENT) for segment in path.split("/"))
    return _url(start, path, _decoded(old) | dict(query), separator="" if authority is not None else ":")


_PRINTABLE = "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}"


def _decoded(query: str | None) -> dict[str, str]:
    """A `+` stays a `+`, and what has no `=` is ignored, as in Nix."""
    pairs = (part.split("=", 1) for part in (query or "").split("&") if "=" in part)
    return {unquote(key): unquote(value) for key, value in pairs}


def _refuse_unsafe(text: str) -> None:
    if not text or text.startswith("-"):
        raise FlakeRefError(
            f"not a flake reference: {text[:80]!r}", "for example github:NixOS/nixpkgs/nixos-unstable"
        )
    if match := re.search(r"[^!-~]", text):
        raise FlakeRefError(
            f"a flake reference can't hold {match[0]!r} (at its character {match.start() + 1})",
            f"write it percent-encoded: {quote(match[0].encode(errors='replace'))}",
        )
    if re.match(r"ssh://", text) or ("://" not in text and _SCP.fullmatch(text)):
        raise FlakeRefError(f"Nix takes no such address: {text!r}", "write git+ssh://USER@HOST/PATH")
    if "#" in text:
        raise FlakeRefError(f"a flake reference names no output: {text!r}", "leave out the # and what follows it")


def _refuse_secrets(text: str) -> None:
    authority = re.match(r"[^:]*://([^/?#]*)", text)
    if authority and "@" in authority[1]:
        user = authority[1].rpartition("@")[0]
        # With ssh a name before the @ is ordinary; with HTTP it is a token more often than not.
        if ":" in user or re.match(r"([a-z]+\+)?https?:", text):
            raise FlakeRefError(
                "a flake reference with a user name or password in it would end up in the lock and in commits",
                "use Nix's access-tokens or a netrc file, or git+ssh:// with a key",
            )


def _from_url(
    text: str, scheme: str, authority: str | None, path: str, query: str | None, _fragment: str | None
) -> dict[str, Attr]:
    """The attributes that Nix makes of a URL."""
    given = _decoded(query)
    prefix, _, transport = scheme.rpartition("+")
    attrs: dict[str, Attr]
    match scheme:
        case "github" | "gitlab" | "sourcehut":
            attrs = _forge_attrs(text, scheme, path, given)
        case "flake":
            attrs = _registry_attrs(text, path)
        case "path":
            attrs = {"type": "path", "path": unquote(path)}
        case (
            "git"
            | "git+file"
            | "git+http"
            | "git+https"
            | "git+ssh"
            | "hg+file"
            | "hg+http"
            | "hg+https"
            | "hg+ssh"
        ):
            attrs = {"type": prefix or "git"}
        case "http" | "https" | "file" | "tarball+http" | "tarball+https" | "tarball+file":
            attrs = {"type": "tarball"}
        case "file+http" | "file+https" | "file+file":
            attrs = {"type": "file"}
        case _:
            raise FlakeRefError(f"no flake reference that lockbot knows starts with {scheme}: – {text!r}")
    kind = str(attrs["type"])
    for name in _QUERY[kind]:
        if name in given:
            attrs[name] = _typed(name, given.pop(name), text)
    if "url" in _REQUIRED[kind]:
        start = f"{transport}:" + ("" if authority is None else f"//{authority}")
        attrs["url"] = _with_query(start + path, given)
    return attrs


def _forge_attrs(text: str, scheme: str, path: str, given: Mapping[str, str]) -> dict[str, Attr]:
    owner, _, rest = path.partition("/")
    repo, _, at = rest.partition("/")
    named = [unquote(at)] if at else []
    named += [given[name] for name in ("ref", "rev") if name in given]
    if not owner or not repo:
        raise FlakeRefError(
            f"incomplete: {text!r}", f"write {scheme}:OWNER/REPOSITORY or {scheme}:OWNER/REPOSITORY/REF"
        )
    if len(named) > 1:
        raise FlakeRefError(f"names both a ref and a commit: {text!r}", "one of them is enough")
    attrs: dict[str, Attr] = {"type": scheme, "owner": unquote(owner), "repo": unquote(repo)}
    return attrs | {"rev" if REV.fullmatch(name) else "ref": name for name in named}


def _registry_attrs(text: str, path: str) -> dict[str, Attr]:
    name, *rest = map(unquote, path.split("/"))
    if not _ID.fullmatch(name) or len(rest) > 2:
        raise FlakeRefError(f"not the name of a registry's entry: {text!r}")
    attrs: dict[str, Attr] = {"type": "indirect", "id": name}
    return attrs | {"rev" if REV.fullmatch(part) else "ref": part for part in rest}


def _typed(name: str, value: str, text: str) -> Attr:
    if name in _NUMBERS:
        if not (value.isascii() and value.isdigit() and len(value) < 20):
            raise FlakeRefError(f"{name} is not a number: {text!r}")
        return int(value)
    return value == "1" if name in _FLAGS else value


def local_flake(tree: Path, commit: str, directory: str = "", *, submodules: bool = False) -> str:
    """The locked flake reference of one commit of a work tree of ours."""
    suffix = f"&dir={quote(directory)}" if directory else ""
    return f"git+file://{quote(str(tree))}?rev={commit}{suffix}" + ("&submodules=1" if submodules else "")


def nix_string(text: str) -> str:
    """A Nix string literal that says exactly this."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return f'"{escaped}"'
