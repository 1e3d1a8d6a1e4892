"""The kinds of host that there are: another is one line here."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Kind(StrEnum):
    """A kind of host: the flake's attribute set in which such hosts lie by name, and the path from one to what
    is built of it. None: there is no such set.
    """

    _value_: str
    path: tuple[str, ...] | None

    def __new__(cls, value: str, path: tuple[str, ...] | None) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.path = path
        return member

    @classmethod
    def sets(cls) -> dict[Self, tuple[str, ...]]:
        """The kinds that a flake is asked for, each with its path."""
        return {kind: kind.path for kind in cls if kind.path is not None}

    @classmethod
    def named(cls, last: str = "and") -> str:
        """`nixosConfigurations, … and homeConfigurations`, for a sentence."""
        *names, end = map(str, cls.sets())
        return f"{', '.join(names)} {last} {end}"


class HostKind(Kind):
    """Another kind of host is another line here: it is then listed, judged and told of."""

    NIXOS = ("nixosConfigurations", ("config", "system", "build", "toplevel"))
    DARWIN = ("darwinConfigurations", ("system",))
    HOME = ("homeConfigurations", ("activationPackage",))
    ATTRIBUTE = ("attribute", None)
    """Any other attribute, as the configuration names it."""
