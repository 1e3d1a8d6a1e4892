"""Nix's memory of what it fetched: by revision, the hash of the content. It is not always the truth.

Where a lock names a revision with another content's hash, and the store has that content, Nix 2.34 takes it and
remembers it for that revision: from then on, the wrong content is what fetching "finds". Whoever wants to know
what a revision holds asks a Nix that remembers nothing.

And where a branch was last seen at is remembered with the time. What was seen in the future is fresh to Nix until
then, even to `nix flake update`: after a clock was set back, nothing moves for as long as it had been ahead.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from lockbot.nix.command import Nix

_REMEMBERED = ("fetcher-cache", "eval-cache")
"""How what is remembered is called. All else in Nix's cache is what git itself named by its content, or what
binary caches said: to fetch that again would take long, and show nothing."""


def forgetful(nix: Nix, directory: Path) -> Nix:
    """The same Nix with a memory of its own in an empty directory, which its caller removes."""
    home = directory / "nix"
    home.mkdir()
    cache = _cache(nix)
    with contextlib.suppress(OSError):  # there may be no cache yet, or none that can be read
        for entry in cache.iterdir():
            if not entry.name.startswith(_REMEMBERED):
                (home / entry.name).symlink_to(entry)
    return nix.with_cache({"XDG_CACHE_HOME": str(directory), "NIX_CACHE_HOME": str(home)}, cache)


def was_seen_by_now(nix: Nix) -> None:
    """What Nix has seen in the future it has seen now: so it asks again. Does nothing where that can't be done.

    By the system's clock, as Nix has it. To be called each time that upstream is asked: clocks are put right
    while lockbot runs, too.
    """
    now = time.time()
    with contextlib.suppress(OSError):
        for place in _cache(nix).glob("gitv*/*/"):
            for path in (place / "HEAD", *(place / "refs").rglob("*")):
                if path.is_file() and path.stat().st_mtime > now:
                    os.utime(path, (now, now))
    for database in sorted(_cache(nix).glob("fetcher-cache-*.sqlite")):
        with contextlib.suppress(sqlite3.Error), closing(sqlite3.connect(database, timeout=5)) as connection:
            # not written to for nothing: others fetch meanwhile
            if connection.execute("SELECT 1 FROM Cache WHERE timestamp > ? LIMIT 1", (int(now),)).fetchone():
                with connection:
                    connection.execute("UPDATE Cache SET timestamp = ? WHERE timestamp > ?", (int(now), int(now)))


def _cache(nix: Nix) -> Path:
    if own := nix.environ.get("NIX_CACHE_HOME"):
        return Path(own)
    return Path(nix.environ.get("XDG_CACHE_HOME") or Path(nix.environ.get("HOME", "/"), ".cache")) / "nix"
