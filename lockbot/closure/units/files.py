"""Unit files: what they say, and whether the difference between two of them matters.

Both as NixOS' switch-to-configuration has it (pkgs/by-name/sw/switch-to-configuration-ng/src/main.rs, `parse_unit`
and `compare_units`), which is not quite how systemd reads them: what decides is what that program makes of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from lockbot.closure.toplevel import FileState, Toplevel

Sections = Mapping[str, Mapping[str, tuple[str, ...]]]

_KINDS = "service|socket|device|mount|automount|swap|target|path|timer|slice|scope"
_UNIT_NAME = re.compile(rf"[A-Za-z0-9:_.\\@-]{{1,255}}\.(?:{_KINDS})")
_INSTANCE = re.compile(r"(.*)@[^.]*\.(.*)")
_TRUE = frozenset({"1", "yes", "true", "on"})
_MOST_ALIASES = 8

_RUNS_ALL_THE_SAME = frozenset(
    {
        "Description",
        "Documentation",
        "OnFailure",
        "OnSuccess",
        "OnFailureJobMode",
        "IgnoreOnIsolate",
        "StopWhenUnneeded",
        "RefuseManualStart",
        "RefuseManualStop",
        "AllowIsolate",
        "CollectMode",
        "SourcePath",
    }
)
"""Keys of [Unit] that change nothing of what already runs."""


class UnitChange(IntEnum):
    """What a changed unit asks for; of several, the greatest counts."""

    NOTHING = 0
    RELOAD = 1
    RESTART = 2


@dataclass(frozen=True)
class UnitDirectory:
    """The units in one directory of a system, under their names."""

    toplevel: Toplevel
    path: str

    @cached_property
    def entries(self) -> frozenset[str]:
        """All that is in the directory. Units may want any number of others: most of those are not there."""
        return frozenset(self.toplevel.names(self.path))

    def names(self) -> frozenset[str]:
        return frozenset(filter(is_unit_name, self.entries))

    def beside(self, name: str, suffix: str) -> tuple[str, ...]:
        """The names of units in `NAME.wants`, say, that are not masked there."""
        directory = f"{name}.{suffix}"
        found = (one for one in self._inside(directory) if is_unit_name(one))
        return tuple(one for one in found if self.toplevel.link(f"{self.path}/{directory}/{one}") != "/dev/null")

    def state(self, name: str) -> FileState:
        if name not in self.entries:
            return FileState.MISSING
        return self.toplevel.state(f"{self.path}/{name}")

    def has(self, name: str) -> bool:
        """Whether a file is there, if only a mask."""
        return self.state(name) is not FileState.MISSING

    def drop_ins(self, name: str) -> tuple[str, ...]:
        directory = f"{name}.d"
        return tuple(f"{directory}/{one}" for one in self._inside(directory) if one.endswith(".conf"))

    def has_drop_ins(self, name: str) -> bool:
        """Whether there are drop-ins that are not all masked."""
        states = (self.toplevel.state(f"{self.path}/{one}") for one in self.drop_ins(name))
        return FileState.PRESENT in states

    def primary_name(self, name: str) -> str:
        """The name that an alias stands for. An alias is a link to another name in the same directory."""
        for _ in range(_MOST_ALIASES):
            target = self.toplevel.link(f"{self.path}/{name}") if name in self.entries else None
            if target is None or not is_unit_name(target):
                break
            name = target
        return name

    def read(self, name: str, file: str) -> Sections | None:
        """What a unit says whose file is `file` (its own or its template's), with drop-ins; None: unreadable."""
        files = (file, *self.drop_ins(file), *(self.drop_ins(name) if name != file else ()))
        said: dict[str, dict[str, tuple[str, ...]]] = {}
        for one in files:
            text = self.toplevel.text(f"{self.path}/{one}")
            entries = _parse(text) if text is not None else None
            if entries is None:
                return None
            _apply(said, entries)
        return said

    def _inside(self, directory: str) -> tuple[str, ...]:
        return self.toplevel.names(f"{self.path}/{directory}") if directory in self.entries else ()


def is_unit_name(name: str) -> bool:
    """By systemd's rules. A file of any other name is none that it looks at."""
    return _UNIT_NAME.fullmatch(name) is not None


def template(name: str) -> str | None:
    """`getty@.service` for `getty@tty1.service`; None for one that is no instance."""
    parts = _INSTANCE.fullmatch(name)
    return f"{parts[1]}@.{parts[2]}" if parts else None


def is_set(unit: Sections, section: str, key: str, *, default: bool = False) -> bool:
    values = unit.get(section, {}).get(key, ())
    return values[-1] in _TRUE if values else default


def words(unit: Sections, section: str, key: str) -> list[str]:
    return " ".join(unit.get(section, {}).get(key, ())).split()


def compare(old: Sections, new: Sections) -> UnitChange:
    """What the difference asks for."""
    if len(new.keys() - old.keys()) > 1:
        return UnitChange.RESTART
    return max((_section_change(one, old, new) for one in old.keys() | new.keys()), default=UnitChange.NOTHING)


def _section_change(section: str, old: Sections, new: Sections) -> UnitChange:
    before, after = old.get(section, {}), new.get(section, {})
    if (section in old) != (section in new) and section != "Unit" and not before and not after:
        return UnitChange.RESTART  # an empty section, too, is a difference
    changes = (_key_change(section, key, before.get(key), after.get(key)) for key in before.keys() | after.keys())
    return max(changes, default=UnitChange.NOTHING)


def _key_change(
    section: str, key: str, before: tuple[str, ...] | None, after: tuple[str, ...] | None
) -> UnitChange:
    if before == after:
        return UnitChange.NOTHING
    match section, key:
        case "Unit", "X-Reload-Triggers":
            return UnitChange.RELOAD if after is not None else UnitChange.NOTHING
        case "Unit", _ if key in _RUNS_ALL_THE_SAME:
            return UnitChange.NOTHING
        case "Service", "ExecReload":  # without it, nothing can be reloaded any more
            return UnitChange.RELOAD if after is not None else UnitChange.NOTHING
        case "Mount", "Options" if before is not None and after is not None:
            return UnitChange.RELOAD
        case _:
            return UnitChange.RESTART


def _apply(said: dict[str, dict[str, tuple[str, ...]]], entries: Iterable[_Entry]) -> None:
    """Add what one file says to what those before it said. An empty value takes back what was said of its key."""
    own: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        keys = said.setdefault(entry.section, {})
        if entry.key is None:
            continue
        values = own.setdefault((entry.section, entry.key), [])
        if entry.value:
            values.append(entry.value)
        else:
            values.clear()
            keys.pop(entry.key, None)
    for (section, key), values in own.items():
        said[section][key] = tuple(chain(said[section].get(key, ()), values))


class _Entry(NamedTuple):
    section: str
    key: str | None
    """None: only the section's head."""
    value: str = ""


def _parse(text: str) -> list[_Entry] | None:
    """What stands in a file, but for [Install], which a switch doesn't look at; None where it can't be parsed."""
    try:
        return [entry for entry in _entries(text) if entry.section not in ("", "Install")]
    except ValueError:
        return None


def _entries(text: str) -> Iterator[_Entry]:
    """A value in quotation marks may go over lines; a line without `=` belongs to the next key.

    Raises ValueError where a section's head, a key or a value in quotation marks has no end.
    """
    at, section = 0, ""
    while (start := _SPACE.match(text, at)) and (at := start.end()) < len(text):
        if text[at] in "#;":
            at = _line_end(text, at)
        elif text[at] == "[":
            head = _match(_HEAD, text, at)
            at, section = head.end(), head[1].strip()
            yield _Entry(section, None)
        else:
            key = _match(_KEY, text, at)
            value, at = _value(text, key.end())
            yield _Entry(section, key[1].strip(), value)


def _match(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    found = pattern.match(text, at)
    if found is None:
        raise ValueError(f"no {pattern.pattern} at {at}")
    return found


_SPACE = re.compile(r"[ \t\r\n]*")
_HEAD = re.compile(r"\[([^\]]*)\]")
_KEY = re.compile(r"([^=:]+)[=:][ \t]*")


def _value(text: str, at: int) -> tuple[str, int]:
    """A value, and where it ends. Raises ValueError for a quotation mark that has no other."""
    quoted = ""
    if text[at : at + 1] in ("'", '"'):
        close = text.index(text[at], at + 1)
        quoted, at = text[at + 1 : close], close + 1
    end = _line_end(text, at)
    return (quoted + text[at:end]).strip(), end


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return end if end != -1 else len(text)
