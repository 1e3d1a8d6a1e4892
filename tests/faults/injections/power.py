"""A power cut: of what was written, only what the kernel had handed to the disk is there afterwards.

Everything of lockbot's and the user's lies on an ext4 of its own, in a file. At the cut that file is copied, with
no sync, and the copy is what the machine finds when it starts again. The remote is another machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.ground import Ground
from tests.faults.injections.kills import killed_at, seconds_of_a_run
from tests.faults.kinds import Case, Kind
from tests.nixes import Nix
from tests.update.world import World

CUTS = 20
_SIZE = "96M"
_COMMIT = (1, 300)
"""Seconds between two of the journal's commits: half of the cuts find an eager kernel, half a lazy one."""


@contextmanager
def disk_of_its_own(nix: Nix, directory: Path) -> Iterator[Ground]:
    disk, image = directory / "disk", directory / "image"
    disk.mkdir(parents=True)
    _run("truncate", "--size", _SIZE, image)
    _run("mkfs.ext4", "-q", "-F", image)
    _run("mount", "-o", "loop", image, disk)
    try:
        yield Ground.create(nix, disk, prepare=_remote_elsewhere)
    finally:
        _unmounted(disk)


def _remote_elsewhere(world: World) -> None:
    assert world.remote is not None
    new = world.directory.parent / "remote.git"
    shutil.move(world.remote, new)
    world.git("remote", "set-url", "origin", str(new))
    world.remote = new


def cut(ground: Ground, case: Case) -> None:
    disk = ground.world.directory
    image, copy = disk.parent / "image", disk.parent / "copy"
    _run("mount", "-o", f"remount,commit={_COMMIT[case.place % 2]}", disk)
    _run("sync", "--file-system", disk)
    seconds = float(case.label.split()[-2])
    killed_at(
        ground, (case.place - case.chance.random()) / CUTS, seconds, everything=True, ready=lambda: _sync(disk)
    )
    _run("cp", "--sparse=always", image, copy)
    _unmounted(disk)
    copy.replace(image)
    _run("mount", "-o", "loop", image, disk)
    ground.met()
    ground.lands()


def _sync(disk: Path) -> None:
    """What was before the run is long on the disk."""
    _run("sync", "--file-system", disk)


def _unmounted(disk: Path) -> None:
    """A process that was killed keeps its files for a moment yet."""
    end = time.monotonic() + 10
    while subprocess.run(["umount", disk], capture_output=True, check=False).returncode != 0:
        assert time.monotonic() < end, f"{disk} is busy"
        time.sleep(0.02)


def _run(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, capture_output=True)


def _places(ground: Ground) -> list[str]:
    seconds = seconds_of_a_run(ground)
    return [f"the {at} of {CUTS} parts of a run of {seconds:.2f} s" for at in range(1, CUTS + 1)]


def no_disk() -> str | None:
    if os.geteuid() != 0:
        return "only root may mount a disk"
    if shutil.which("mkfs.ext4") is None or not Path("/dev/loop-control").exists():
        return "no mkfs.ext4, or no loop devices"
    return None


KINDS = (
    Kind("power", "power cut, at random instants: what was not yet on the disk is lost", "", disk_of_its_own,
         _places, cut, unless=no_disk),
)  # fmt: skip
