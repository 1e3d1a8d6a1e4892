"""Build the wheel and the sdist of the last commit twice, differently, and keep them if they are the same.

`dist.py [DIRECTORY]` (dist/). Whoever builds that commit with the same hatchling (.ci/requirements/all.txt) gets
the same bytes: their date is the commit's, and where, when and by whom they are built does not show. No network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
_WAYS = (("one", 0o022, "UTC", "C"), ("the/other way", 0o077, "Pacific/Chatham", "C.UTF-8"))
"""Directory, umask, time zone and language."""


def build(target: Path) -> int:
    date = _git("show", "--no-patch", "--format=%ct", "HEAD").decode().strip()
    content = _git("archive", "--format=tar", "HEAD")
    with tempfile.TemporaryDirectory() as made:
        built = [_built(Path(made) / way[0], content, date, *way[1:]) for way in _WAYS]
        first, second = ({file.name: file.read_bytes() for file in sorted(one.iterdir())} for one in built)
        if first != second:
            differing = [name for name in sorted({*first, *second}) if first.get(name) != second.get(name)]
            sys.stderr.write(f"dist: built twice, and not the same: {', '.join(differing)}\n")
            return 1
        target.mkdir(exist_ok=True)
        for name, data in first.items():
            shutil.copyfile(built[0] / name, target / name)
            sys.stdout.write(f"{hashlib.sha256(data).hexdigest()}  {target / name}\n")
    return 0


def _built(directory: Path, content: bytes, date: str, umask: int, zone: str, language: str) -> Path:
    directory.mkdir(parents=True)
    # `--no-same-permissions`: as root, too, tar heeds the umask.
    unpack = ["tar", "--extract", "--no-same-permissions", "--directory", str(directory)]
    subprocess.run(unpack, input=content, umask=umask, check=True)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": date, "TZ": zone, "LC_ALL": language}
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build"],
        cwd=directory,
        env=environment,
        umask=umask,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return directory / "dist"


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", PROJECT, *arguments], capture_output=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]) if sys.argv[1:] else PROJECT / "dist"))
