"""Which units of a system run: guessed from files, since nobody here can ask the machine.

Those count as running that are pulled in from where the system starts: by links in `*.wants` and `*.requires`, and
by what units say themselves (`Wants=`, `Requires=`, …). A unit that only a socket, a timer, D-Bus, a device or a
person starts does not, though it may run at the moment of the switch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lockbot.closure.toplevel import FileState
from lockbot.closure.units.files import UnitDirectory, is_unit_name, template, words

_PULLING = (
    ("Unit", "Wants"),
    ("Unit", "Requires"),
    ("Unit", "BindsTo"),
    ("Unit", "Upholds"),
    ("Service", "Sockets"),
    ("Service", "Slice"),
)


def active_units(units: UnitDirectory, roots: Iterable[str]) -> frozenset[str]:
    """The units that run once `roots` do, by their own names rather than aliases; only those that have a file."""
    seen: set[str] = set()
    left = list(roots)
    while left:
        name = units.primary_name(left.pop())
        if name not in seen:
            seen.add(name)
            left.extend(_pulled_in(units, name))
    return frozenset(name for name in seen if unit_file(units, name) is not None)


def unit_file(units: UnitDirectory, name: str) -> str | None:
    """The name of the file that a unit comes from, its own or its template's; None: none, or it is masked."""
    if units.has(name):
        return name if units.state(name) is FileState.PRESENT else None
    base = template(name)
    return base if base is not None and units.state(base) is FileState.PRESENT else None


def _pulled_in(units: UnitDirectory, name: str) -> Iterator[str]:
    if units.state(name) is FileState.MASKED:
        return
    base = template(name)
    for one in (name, base) if base is not None else (name,):
        for suffix in ("wants", "requires", "upholds"):
            yield from units.beside(one, suffix)
    file = unit_file(units, name)
    said = units.read(name, file) if file is not None else None
    if said is not None:
        for section, key in _PULLING:
            found = (_expand(word, name) for word in words(said, section, key))
            yield from (one for one in found if is_unit_name(one))


def _expand(word: str, name: str) -> str:
    """A name in which systemd puts the instance for `%i`."""
    return word.replace("%i", name.partition("@")[2].rpartition(".")[0])
