"""Which git repository, and which branch of it, is behind a flake reference.

Pure; it must not ask anybody.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from lockbot.errors import UsageError
from lockbot.git.upstream import Origin
from lockbot.nix.flakeref import FlakeRef

_HOSTS = {"github": "github.com", "gitlab": "gitlab.com", "sourcehut": "git.sr.ht"}
_HOST = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]{1,5})?")


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
    if ref.type not in _HOSTS:
        return None
    host = ref.text("host") or _HOSTS[ref.type]
    # GitLab's groups are nested: older locks hold their slashes encoded.
    parts = [*unquote(ref.text("owner")).split("/"), ref.text("repo")]
    if not _HOST.fullmatch(host) or not all(part.isprintable() and part not in ("", ".", "..") for part in parts):
        return None
    path = "/".join(quote(part, safe="~") for part in parts)
    return f"https://{host}/{path}" + ("" if ref.type == "sourcehut" else ".git")
