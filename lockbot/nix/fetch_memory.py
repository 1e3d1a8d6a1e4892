"""Nix's memory of what it fetched: by revision, the hash of the content. It is not always the truth.

Where a lock names a revision with another content's hash, and the store has that content, Nix 2.34 takes it and
remembers it for that revision: from then on, the wrong content is what fetching "finds". Whoever wants to know
what a revision holds asks a Nix that remembers nothing.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from lockbot.nix.command import Nix
from lockbot.nix.environment.cache import cache_directory

_REMEMBERED = ("fetcher-cache", "eval-cache")
"""How what is remembered is called. All else in Nix's cache is what git itself named by its content, or what
binary caches said: to fetch that again would take long, and show nothing."""


def forgetful(nix: Nix, directory: Path) -> Nix:
    """The same Nix with a memory of its own in an empty directory, which its caller removes."""
    home = directory / "nix"
    home.mkdir()
    cache = cache_directory(nix.environ)
    with contextlib.suppress(OSError):  # there may be no cache yet, or none that can be read
        for entry in cache.iterdir():
            if not entry.name.startswith(_REMEMBERED):
                (home / entry.name).symlink_to(entry)
    return nix.with_cache({"XDG_CACHE_HOME": str(directory), "NIX_CACHE_HOME": str(home)}, cache)
