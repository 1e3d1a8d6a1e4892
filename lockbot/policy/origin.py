"""Which git repository, and which branch of it, is behind a flake reference.

Pure; it must not ask anybody.
"""

from __future__ import annotations

from lockbot.errors import UsageError
from lockbot.git.inputs.upstream import Origin
from lockbot.nix.flakeref import FlakeRef
from lockbot.nix.forges import repository


def origin_of(reference: FlakeRef | str) -> Origin | None:
    """The origin of an input, from its `original`; None: it has no history that git can tell.

    That is so for tarballs, paths, Mercurial and the registry's names, and for what no git should be given.
    """
    try:
        ref = FlakeRef.read(reference) if isinstance(reference, str) else reference
        url = _url(ref)
        return Origin(url, ref.ref or "HEAD", ref.rev) if url is not None else None
    except UsageError:
        return None


def _url(ref: FlakeRef) -> str | None:
    if ref.type == "git":
        return ref.text("url")
    found = repository(ref)
    if found is None:
        return None
    return found.url + ("" if found.kind == "sourcehut" else ".git")
