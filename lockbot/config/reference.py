"""docs/configuration.md's tables, made of the keys: one for each section of the file.

Knows Markdown and how a key's type is called; what the keys mean stands in `sections`.
`python -m lockbot.config.reference docs/configuration.md` writes the tables of that page anew; the text between
them is written by hand, and stays.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import SecretStr

from lockbot.config import types
from lockbot.config.errors import LISTED
from lockbot.config.settings import MANY, Key, keys, sections
from lockbot.config.sources import EACH
from lockbot.config.template import toml
from lockbot.config.types import Person

END = "<!-- end of the keys -->"
_TABLE = re.compile(rf"(<!-- the keys of (\w+)[^\n]*-->\n).*?({END})", re.DOTALL)

_READERS = {
    types.duration: "duration",
    types.size: "size",
    types.attribute_path: "attribute path",
    types.branch_name: "name of a branch",
    types.remote_name: "name of a remote",
    types.sub_directory: "directory",
    types.git_url: "git URL",
    types.api_url: "URL",
    types.subject: "text with {…}",
    types.time_zone: "time zone",
    types.quiet_hours: "hours",
    types.timing_text: "schedule",
    types.listen_address: "address",
}
_KINDS = {bool: "true or false", int: "whole number", Path: "path", SecretStr: "secret", Person: "`Name <mail>`"}


def headings() -> list[str]:
    """The page's headings for the sections, in the order of the file."""
    return [_heading(section) for section in sections()]


def written(page: str) -> str:
    """The page with its tables made anew. Raises ValueError where a section has none."""
    found = [match[2] for match in _TABLE.finditer(page)]
    if found != list(sections()):
        raise ValueError(f"the page has tables of {', '.join(found)}; it should have {', '.join(sections())}")
    return _TABLE.sub(lambda match: f"{match[1]}{section_text(match[2])}{match[3]}", page)


def section_text(section: str) -> str:
    """What the section is for, and its keys."""
    purpose = " ".join((sections()[section].__doc__ or "").split())
    rows = [_row(key) for key in keys() if key.section == section]
    table = ["| Key | Type | Default | Meaning |", "|---|---|---|---|", *rows, ""] if rows else []
    return "\n".join(["", purpose, "", *table])


def _heading(section: str) -> str:
    match section:
        case _ if section in LISTED:
            return f"[[{section}]]"
        case "input":
            return "[input.NAME]"
        case "forge":
            return '[forge."HOST"]'
        case _:
            return f"[{section}]"


def _row(key: Key) -> str:
    name = f"`{_name(key)}`" + ("" if key.section in MANY else f"<br>`{key.form.variable}`")
    default = key.absent or ("required" if key.default is None else f"`{toml(key.default)}`")
    return "| " + " | ".join(map(_cell, (name, _type(key.kind, key.marks), default, key.meaning))) + " |"


def _name(key: Key) -> str:
    return key.name if key.section in LISTED else ".".join(map(str, key.form.loc)).replace(EACH, "HOST")


def _type(kind: Any, marks: tuple[Any, ...]) -> str:
    """A type as a reader of the page calls it."""
    if get_origin(kind) is Annotated:
        kind, *marks_inside = get_args(kind)
        marks = (*marks_inside, *marks)
    for reader in (getattr(mark, "func", None) for mark in marks):
        if reader in _READERS:
            return _READERS[reader]
    if get_origin(kind) is tuple:
        return f"list of {_plural(_type(get_args(kind)[0], ()))}"
    if get_origin(kind) is Mapping:
        return "table"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(f"`{one}`" for one in kind)
    return _KINDS.get(kind, "text") + _limits(marks)


def _plural(word: str) -> str:
    return "lists of texts" if word.startswith("list of") else f"{word}s"


def _limits(marks: tuple[Any, ...]) -> str:
    least, most = (
        next((getattr(mark, name) for mark in marks if hasattr(mark, name)), None) for name in ("ge", "le")
    )
    return "" if least is None or most is None else f", {least} to {most}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(paths: list[str]) -> Iterator[str]:
    """Write the tables of these pages anew; the names of those that changed."""
    for path in map(Path, paths):
        before = path.read_text(encoding="utf-8")
        after = written(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            yield str(path)


if __name__ == "__main__":
    for changed in main(sys.argv[1:]):
        sys.stdout.write(f"{changed}: written anew\n")
