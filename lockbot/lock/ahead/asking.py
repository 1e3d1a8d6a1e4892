"""What a flake.nix asks for under each input's name, as Nix reads it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lockbot.lock.ahead.trees import TOO_DEEP
from lockbot.nix.flakeref import Attr, FlakeRef, FlakeRefError
from lockbot.nix.lockfile.nodes import InputPath

_NOT_PLACE = ("flake", "follows", "inputs")


@dataclass(frozen=True)
class Asked:
    """One input: the reference it is asked for by, or what it follows. `unclear`: a reference that can't be read.

    `inputs` are those of its own that are overridden.
    """

    ref: FlakeRef | None = None
    follows: bool = False
    flake: bool = True
    unclear: str = ""
    inputs: Mapping[str, Asked] = field(default_factory=dict)


def asked(inputs: Mapping[str, object]) -> dict[str, Asked]:
    """A flake.nix's `inputs`, as JSON has them. One that has only a name is looked up in a registry."""
    found = {name: _asked(one) for name, one in inputs.items()}
    return {
        name: one if one.ref or one.follows or one.unclear else _by_name(name, one) for name, one in found.items()
    }


def overrides(found: Mapping[str, Asked], path: InputPath = ()) -> Iterator[tuple[InputPath, Asked]]:
    """What is overridden of the inputs' own inputs, by input path."""
    for name, one in found.items():
        for inner, override in one.inputs.items():
            if override.ref or override.follows or override.unclear:
                yield (*path, name, inner), override
        yield from overrides(one.inputs, (*path, name))


def _asked(attrs: object) -> Asked:
    if not isinstance(attrs, Mapping):
        return Asked(unclear=str(attrs)[:80])
    inner = attrs.get("inputs", {})
    if not isinstance(inner, Mapping):
        return Asked(unclear="too many overrides" if inner == TOO_DEEP else str(inner)[:80])
    inputs = {name: _asked(one) for name, one in inner.items()}
    flake = attrs.get("flake") is not False
    if attrs.get("follows") is not None:
        return Asked(follows=True, flake=flake, inputs=inputs)
    place: dict[str, Attr] = {
        name: value
        for name, value in attrs.items()
        if name not in _NOT_PLACE and isinstance(value, str | int | bool)
    }
    try:
        return Asked(_reference(place), flake=flake, inputs=inputs)
    except FlakeRefError as error:
        return Asked(flake=flake, unclear=error.message, inputs=inputs)


def _reference(place: Mapping[str, Attr]) -> FlakeRef | None:
    if "type" in place:
        return FlakeRef.from_attrs(place)
    url = place.get("url")
    if url is None:
        return None
    text = str(url)
    # Nix takes what starts so for a path; a colon would make it a URL only after letters.
    return FlakeRef("path", (("path", text),)) if text.startswith(("/", ".")) else FlakeRef.read(text)


def _by_name(name: str, one: Asked) -> Asked:
    return Asked(FlakeRef("indirect", (("id", name),)), flake=one.flake, inputs=one.inputs)
