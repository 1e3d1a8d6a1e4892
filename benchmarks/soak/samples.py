"""What is measured each night: processes by /proc, the state directory by part, the history by its rows."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from benchmarks.soak.services import children
from benchmarks.soak.world import World
from lockbot.process import resident_bytes

PARTS = ("clone.git", "upstreams", "worktrees", "roots")


def process(name: str, pid: int) -> dict[str, float]:
    own = children(pid)
    return {
        f"{name}: resident MiB": resident_bytes(pid) / 2**20,
        f"{name}: descriptors": _count(Path(f"/proc/{pid}/fd")),
        f"{name}: threads": _count(Path(f"/proc/{pid}/task")),
        f"{name}: children": len(own),
    }


def state(world: World) -> dict[str, float]:
    root = world.state
    (place,) = (root / "repos").iterdir()
    found: dict[str, float] = {f"{part} KiB": _bytes(place / part) / 1024 for part in PARTS}
    history = sum(_bytes(path) for path in root.glob("history.sqlite*"))
    found |= {
        "history KiB": history / 1024,
        "logs KiB": _bytes(root / "logs") / 1024,
        "nix-data KiB": _bytes(root / "nix-data") / 1024,
        "all of the state KiB": _bytes(root) / 1024,
        "files in the state": sum(len(files) for _, _, files in os.walk(root)),
        "directories of logs": _count(root / "logs"),
        "caches of upstreams": len([*(place / "upstreams").glob("*.git")]),
        "lock files": len([*(place / "upstreams").glob("*.lock")]),
        "worktrees": _count(place / "worktrees"),
        "flakes with roots": _count(place / "roots"),
        "runs with roots": sum(_count(one) for one in (place / "roots").iterdir()),
        "other files of the repository": len([one for one in place.iterdir() if one.is_file()]),
        "refs of the clone": _refs(place / "clone.git"),
        "loose objects of the clone": len([*(place / "clone.git/objects").glob("??/*")]),
        "packs of the clone": len([*(place / "clone.git/objects/pack").glob("*.pack")]),
        "temporary files": _count(world.temporary),
    }
    return found


def rows(world: World) -> dict[str, float]:
    """Rows of the history, table by table, and in all."""
    found: dict[str, float] = {}
    with contextlib.closing(sqlite3.connect(f"file:{world.state}/history.sqlite?mode=ro", uri=True)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            if not name.startswith("sqlite_"):
                (number,) = connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()  # noqa: S608 -- as it says itself
                found[f"rows: {name}"] = number
    found["rows of the history"] = sum(found.values())
    return found


def store(world: World) -> dict[str, float]:
    """What survives a garbage collection, made now."""
    world.nix.run("nix-store", "--gc", timeout=600)
    return {"store paths after a collection": _count(world.nix.store) - _count(world.nix.store / ".links")}


def leftovers(world: World) -> Iterator[str]:
    """What no run leaves behind when it is over."""
    for path in world.temporary.iterdir():
        yield f"{path} is left"
    for place in (world.state / "repos").iterdir():
        for tree in (place / "worktrees").iterdir():
            yield f"{tree} is left"


def _refs(clone: Path) -> int:
    loose = sum(len(files) for _, _, files in os.walk(clone / "refs"))
    with contextlib.suppress(OSError):
        lines = (clone / "packed-refs").read_text().splitlines()
        return loose + len([line for line in lines if line[:1] not in "#^"])
    return loose


def _bytes(path: Path) -> int:
    with contextlib.suppress(OSError):
        if path.is_file():
            return path.stat().st_size
    total = 0
    for parent, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).lstat().st_size
    return total


def _count(path: Path) -> int:
    with contextlib.suppress(OSError):
        return len([*path.iterdir()])
    return 0
