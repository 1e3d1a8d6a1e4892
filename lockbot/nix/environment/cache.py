"""Where Nix remembers what it fetched, and when it did.

What was seen in the future is fresh to Nix until then, even to `nix flake update`: after a clock was set back,
nothing moves for as long as it had been ahead.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path


def cache_directory(environ: Mapping[str, str]) -> Path:
    if own := environ.get("NIX_CACHE_HOME"):
        return Path(own)
    return Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "/"), ".cache")) / "nix"


def was_seen_by_now(environ: Mapping[str, str]) -> None:
    """What Nix has seen in the future it has seen now: so it asks again. Does nothing where that can't be done.

    By the system's clock, as Nix has it. To be called each time that upstream is asked: clocks are put right
    while lockbot runs, too.
    """
    now, cache = time.time(), cache_directory(environ)
    with contextlib.suppress(OSError):
        for place in cache.glob("gitv*/*/"):
            for path in (place / "HEAD", *(place / "refs").rglob("*")):
                if path.is_file() and path.stat().st_mtime > now:
                    os.utime(path, (now, now))
    for database in sorted(cache.glob("fetcher-cache-*.sqlite")):
        with contextlib.suppress(sqlite3.Error), closing(sqlite3.connect(database, timeout=5)) as connection:
            # not written to for nothing: others fetch meanwhile
            if connection.execute("SELECT 1 FROM Cache WHERE timestamp > ? LIMIT 1", (int(now),)).fetchone():
                with connection:
                    connection.execute("UPDATE Cache SET timestamp = ? WHERE timestamp > ?", (int(now), int(now)))
