"""Which other files a local repository consists of: git directory, borrowed objects, origins of submodules.

Reads files only: git itself would want to be asked in a repository that may be anybody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

_SMALL = 1024 * 1024
_URL = re.compile(r"^\s*url\s*=\s*(?:file://)?(/[^\n]*?)\s*$", re.MULTILINE)
_SUBMODULE = re.compile(r'^\s*\[submodule "[^\n]*"\][^\[]*', re.MULTILINE)


def with_what_it_needs(paths: Iterable[Path]) -> Iterator[Path]:
    """These paths, and of those that are repositories all that git would read of others."""
    waiting, seen = list(paths), set[Path]()
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            yield path
            waiting += _further(path)


def _further(path: Path) -> Iterator[Path]:
    yield from _borrowed(path)
    directory = _git_directory(path)
    if directory is None:
        return
    if directory.parent != path:
        yield directory
    common = _pointed_at(directory / "commondir", directory)
    if common is not None:
        yield common
    shared = common or directory
    yield from _borrowed(shared / "objects")
    for section in _SUBMODULE.findall("\n".join(_lines(shared / "config"))):
        yield from (Path(unquote(url)) for url in _URL.findall(section))


def _borrowed(objects: Path) -> Iterator[Path]:
    return ((objects / line).resolve() for line in _lines(objects / "info" / "alternates"))


def _git_directory(path: Path) -> Path | None:
    inside = path / ".git"
    if inside.is_file():
        found = _pointed_at(inside, path, "gitdir: ")
        # Whoever can write this file says where: it has to be one of git's.
        return found if found is not None and (found / "HEAD").is_file() else None
    if inside.is_dir():
        return inside
    return path if (path / "objects").is_dir() or (path / "commondir").is_file() else None


def _pointed_at(file: Path, base: Path, prefix: str = "") -> Path | None:
    lines = _lines(file)
    return (base / lines[0].removeprefix(prefix)).resolve() if lines else None


def _lines(file: Path) -> list[str]:
    try:
        with file.open("rb") as opened:
            return [line for line in opened.read(_SMALL).decode(errors="surrogateescape").splitlines() if line]
    except (OSError, ValueError):
        return []
