"""The annotated configuration that `lockbot init` writes, made of the keys.

What was found may be hostile (names of hosts and inputs are anybody's): every name is escaped for where it stands.
`python -m lockbot.config.template > config/lockbot.toml` writes the example anew.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from lockbot.config.errors import LISTED
from lockbot.config.settings import Key, keys, sections
from lockbot.errors import UsageError

WIDTH = 100
NAMES_SHOWN = 60

_HEAD = """\
lockbot's configuration. What is commented out is the default, or an example where there is none.
Durations are written as "90s", "15m", "1h30m" or "3d", sizes as "512M" or "4G" (powers of 1024). Every key but
those of a list's tables can be set in the environment, which comes before this file: LOCKBOT_BUILD__TIMEOUT=2h."""


@dataclass(frozen=True)
class Found:
    """What `lockbot init` found out about the flake; None or empty: nothing."""

    path: str | None = None
    """The repository, absolute or relative to the configuration file's directory."""
    branch: str | None = None
    remote: str | None = None
    flake_dir: str = ""
    hosts: Sequence[str] = ()
    inputs: Sequence[str] = ()


EXAMPLE = Found("/etc/nixos", "main", None, "", ("laptop", "server"), ("nixpkgs", "home-manager"))


def annotated(found: Found) -> str:
    """The text of a lockbot.toml in which every key appears. Raises UsageError when a value is not UTF-8."""
    blocks = ["\n".join(_comment(_HEAD.replace("\n", " ")))]
    given = _given(found)
    for section, model in sections().items():
        lines = [*_comment(_first_line(model.__doc__)), *_seen(section, found), _header(section, found)]
        for key in keys():
            if key.section == section:
                lines += ["", *_key(key, given, found)]
        blocks.append("\n".join(lines))
    return "\n\n\n".join(blocks) + "\n"


def _header(section: str, found: Found) -> str:
    match section:
        case _ if section in LISTED:
            return f"#[[{section}]]"
        case "forge":
            return '#[forge."git.example.org"]'
        case "input":
            return f'#[input.{_shown([*found.inputs, "nixpkgs"][0])}]\n#minimum_age = "3d"'
        case _:
            return f"[{section}]"


def _given(found: Found) -> dict[tuple[str, str], Any]:
    path = f"./{found.path}" if (found.path or "").startswith("~") else found.path
    values = {"path": path, "branch": found.branch, "remote": found.remote, "flake_dir": found.flake_dir}
    return {("repository", name): value for name, value in values.items() if value}


def _first_line(text: str | None) -> str:
    return (text or "").split("\n")[0]


def _seen(section: str, found: Found) -> Iterator[str]:
    names = {"hosts": found.hosts, "group": found.inputs}.get(section, ())
    if names:
        shown = ", ".join(_shown(name) for name in names[:NAMES_SHOWN])
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        yield from _comment(f"{'Hosts' if section == 'hosts' else 'Inputs'} found: {shown}{more}.")


def _shown(name: str) -> str:
    """A name inside a comment."""
    return _bare(name.encode(errors="replace").decode())


def _bare(name: str) -> str:
    """A name without quotes where TOML allows it."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _key(key: Key, given: Mapping[tuple[str, str], Any], found: Found) -> Iterator[str]:
    default = f" Default: {key.absent}." if key.absent else ""
    yield from _comment(key.meaning + default)
    if (key.section, key.name) in given:
        yield f"{key.name} = {toml(given[key.section, key.name])}"
        return
    value = key.example if key.default is None else key.default
    if (key.section, key.name) == ("group", "inputs") and found.inputs:
        value = [name.encode(errors="replace").decode() for name in found.inputs[:2]]
    yield f"#{key.name} = {toml(value)}"


def _comment(text: str) -> list[str]:
    """Prose, `# ` before each line; a key that is commented out has no space there."""
    lines = textwrap.wrap(text, WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return [f"# {line}" for line in lines]


def toml(value: Any) -> str:
    """A value as TOML on one line."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case str() | PurePath():
            return _quoted(str(value))
        case Mapping():
            inside = ", ".join(f"{_bare(name)} = {toml(each)}" for name, each in value.items())
            return f"{{ {inside} }}" if inside else "{}"
        case Sequence():
            return f"[{', '.join(toml(each) for each in value)}]"
        case _:
            raise TypeError(f"no TOML for {type(value).__name__}")


def _quoted(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{text!a} cannot be written in TOML: it is not UTF-8") from None
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\U{ord(character):08X}"


if __name__ == "__main__":
    sys.stdout.write(annotated(EXAMPLE))
