"""Where each input comes from: who can fetch it, who could change it on the way, what the lock holds of it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from lockbot.lint import flake_lines
from lockbot.lint.finding import Finding, Kind, error, warning
from lockbot.lint.subject import Source, Subject, sources
from lockbot.nix.flakeref import FORGE_TYPES, FlakeRef

_PLAINTEXT = ("http://", "git://")
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


def insecure(subject: Subject) -> Iterator[Finding]:
    """Fetched with no encryption. What is locked is held by its hash; what an update brings, by nothing.

    An error: whoever sits on the way has code of theirs run on every host, with the next update.
    """
    for source in sources(subject.lock):
        url = source.original.text("url")
        if _is_plaintext(url) and not source.original.get("narHash") and not source.original.rev:
            message = (
                f"{_scheme(url)} has no transport security: whoever sits on the way chooses what an update brings"
            )
            fixed = FlakeRef.from_attrs(
                dict(source.original.attrs)
                | {"type": source.original.type, "url": f"https{url[url.index(':') :]}"}
            )
            yield error(Kind.INSECURE, source.path, message, flake_lines.set_url(source.path, fixed))


def _is_plaintext(url: str) -> bool:
    if not url.lower().startswith(_PLAINTEXT):
        return False
    try:
        return urlsplit(url).hostname not in _HERE
    except ValueError:
        return True


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower() + "://"


def local_path(subject: Subject) -> Iterator[Finding]:
    """Nobody else can fetch it."""
    for source in sources(subject.lock):
        path = _path_here(source)
        if path is not None:
            message = f"{path} lies on this machine only: nobody else can fetch it"
            yield warning(Kind.LOCAL_PATH, source.path, message, _elsewhere(source))


def _path_here(source: Source) -> str | None:
    ref = source.original
    if ref.type == "path":
        path = ref.text("path")
        return path if path.startswith("/") else None
    url = ref.text("url")
    path = url.removeprefix("file://")
    return path if url.startswith(("file://", "/")) else None


def _elsewhere(source: Source) -> str:
    return (
        f'# push it to where others can fetch it, and name that\n{flake_lines.attribute(source.path)}.url = "…";'
    )


def registry(subject: Subject) -> Iterator[Finding]:
    """What it means is decided by a registry: another one on each machine, and lockbot asks none."""
    for source in sources(subject.lock):
        if source.original.type == "indirect":
            name = source.original.text("id")
            message = f"{name} is looked up in a registry, which may say something else on every machine"
            named = source.locked.without("rev", "narHash", "lastModified", "revCount")
            yield warning(Kind.REGISTRY, source.path, message, flake_lines.set_url(source.path, named))


def pinned(subject: Subject) -> Iterator[Finding]:
    """No update moves it."""
    for source in sources(subject.lock):
        if source.is_root and (rev := source.original.rev):
            message = f"flake.nix itself names the commit {rev[:7]}: no update moves it"
            freed = source.original.without("rev", "narHash", "lastModified", "revCount")
            fix = f"{flake_lines.set_url(source.path, freed)}\n# to keep it where it is for a time: lockbot hold"
            yield warning(Kind.PINNED, source.path, message, fix)


def unlocked(subject: Subject) -> Iterator[Finding]:
    """Nix refuses such a lock, or locks something else on each machine."""
    for source in sources(subject.lock):
        if source.locked.names_no_commit:
            message = "it is locked at a checkout with changes in it, or with no commit: nobody else can have that"
            yield error(Kind.UNLOCKED, source.path, message, f"# commit there\n{flake_lines.update(source.path)}")
        elif not _is_relative(source) and not _content_is_named(source.locked):
            message = "the lock does not say which content it has: there is no narHash"
            yield error(Kind.UNLOCKED, source.path, message, flake_lines.update(source.path))


def _is_relative(source: Source) -> bool:
    """A part of the flake that names it, which is locked with that."""
    return source.locked.type == "path" and not source.locked.text("path").startswith("/")


def _content_is_named(locked: FlakeRef) -> bool:
    by_commit = locked.type in (*FORGE_TYPES, "git", "hg") and locked.rev is not None
    return by_commit or bool(locked.text("narHash"))


def no_hash(subject: Subject) -> Iterator[Finding]:
    """A forge packs what it says is that commit, and nothing shows whether it is."""
    for source in sources(subject.lock):
        if source.locked.type in FORGE_TYPES and source.locked.rev and not source.locked.text("narHash"):
            message = (
                "the lock has its commit and no narHash: what the forge sends is not checked against anything"
            )
            yield warning(Kind.NO_HASH, source.path, message, flake_lines.update(source.path))


def same_source(subject: Subject) -> Iterator[Finding]:
    """Two names for one thing, which are moved apart from each other."""
    seen: dict[tuple[FlakeRef, bool], Source] = {}
    for source in sources(subject.lock):
        if not source.is_root or _is_relative(source):
            continue
        first = seen.setdefault((source.original, source.node.flake), source)
        if first is not source:
            message = f"it is the same as {first.path[0]}: {source.original}"
            yield warning(Kind.SAME_SOURCE, source.path, message, flake_lines.set_follows(source.path, first.path))
