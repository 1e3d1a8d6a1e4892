"""File systems that can't be written to, or have no room left."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import nixes
from tests.faults.ground import Ground
from tests.faults.kinds import Case, Kind
from tests.nixes import Nix

_PLACES: dict[str, Callable[[Ground], Path]] = {
    "the state directory": lambda ground: ground.world.directory / "state",
    "the directory for temporary files": lambda ground: ground.world.directory / "tmp",
    "the user's repository": lambda ground: ground.world.fleet.path,
    "the user's git directory": lambda ground: ground.world.fleet.path / ".git",
    "the remote": lambda ground: ground.world.directory / "fleet-origin.git",
    "Nix's store": lambda ground: ground.world.nix.store,
    "Nix's database": lambda ground: Path(ground.world.nix.environment["NIX_STATE_DIR"]),
    "Nix's cache": lambda ground: Path(ground.world.nix.environment["XDG_CACHE_HOME"]),
}
_SMALL = ("the state directory", "Nix's store")
_ROOM = (0, 8, 32, 96, 192)
"""KiB that are left."""


@contextmanager
def small_disks(nix: Nix, directory: Path) -> Iterator[Ground]:
    """The state directory and Nix's store each on a small file system of its own."""
    store, state = directory / "small-nix", directory / "state"
    with _mounted(store, "size=48m"), _mounted(state, "size=16m"):
        small = nixes.prepare(nixes.Installed(nix.bin, nix.version), store / "nix")
        yield Ground.create(small, directory, breaks=False)


@contextmanager
def _mounted(place: Path, options: str) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "none", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", place, place], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def full(place: Path, leave: int) -> Iterator[None]:
    """All room is taken but so many bytes."""
    found = os.statvfs(place)
    filler = place / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(found.f_bavail * found.f_frsize - leave, 4096))
    try:
        yield
    finally:
        filler.unlink()


def _labels(_: Ground) -> list[str]:
    return [f"{name} is read-only" for name in _PLACES] + [
        f"{name} has {room} KiB left" for name in _SMALL for room in _ROOM
    ]


def _inject(ground: Ground, case: Case) -> None:
    ground.moves()
    (name,) = [name for name in _PLACES if case.label.startswith(name)]
    place = _PLACES[name](ground)
    if name == "Nix's store":
        place = place if case.label.endswith("read-only") else ground.world.directory / "small-nix"
    room = (
        read_only(place) if case.label.endswith("read-only") else full(place, 1024 * int(case.label.split()[-3]))
    )
    with room:
        result = ground.world.update()
    ground.met(result)
    assert result.code in (0, 1, 3), (result.document, result.stderr)
    if case.label == "the state directory is read-only":
        assert result.code == 3 and "state directory" in result.stderr, result.stderr
    ground.lands()


def not_root() -> str | None:
    return None if os.geteuid() == 0 else "only root may mount a file system"


KINDS = (
    Kind("filesystem", "read-only and full file systems", "a message that names what is in the way", small_disks,
         _labels, _inject, unless=not_root),
)  # fmt: skip
