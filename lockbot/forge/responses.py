"""What a forge's API answered, read with care: anything may be in it, and nothing of what its documentation says.

Also the words in which each forge's own module says what it found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lockbot.errors import LockbotError
from lockbot.policy.upstream_checks import Standing


class NoResponse(LockbotError):
    """A forge can't say. `everywhere`: it would not say anything about another commit either. `until`: when it may
    be asked again, where it told."""

    def __init__(self, message: str, *, everywhere: bool = True, until: datetime | None = None) -> None:
        super().__init__(message)
        self.everywhere = everywhere
        self.until = until


@dataclass(frozen=True)
class ApiResponse:
    """A document, as JSON has it, and what stood in the header that lockbot reads."""

    document: object
    next: str | None = None
    """The address of the next page (`Link`)."""
    total: int | None = None
    """How many entries there are on all pages (`X-Total-Count`)."""


class Asking(Protocol):
    """Asks a forge: `path` is what follows the API's address, or a whole address that it gave itself."""

    def __call__(self, path: str) -> ApiResponse:
        """Raises NoResponse, and what ends the whole run."""
        ...


@dataclass(frozen=True)
class Check:
    """One check of one commit. `word`: what became of it, as its forge says."""

    name: str
    standing: Standing
    word: str
    link: str | None = None


class Forge(Protocol):
    """What differs between forges."""

    def api(self, host: str) -> str:
        """Where a host's API begins."""
        ...

    def headers(self, token: str | None) -> Mapping[str, str]: ...

    def checks(self, ask: Asking, path: tuple[str, ...], revision: str) -> tuple[Check, ...]:
        """Every check of a commit, the latest try of each. Raises NoResponse."""
        ...


_PAGES = 20


def pages(ask: Asking, path: str) -> Iterator[ApiResponse]:
    """An answer and those that follow it by `Link`."""
    following: str | None = path
    for _ in range(_PAGES):
        if following is None:
            return
        answer = ask(following)
        yield answer
        following = answer.next
    if following is not None:
        raise NoResponse(f"there are more than {_PAGES} pages of checks", everywhere=False)


def table(document: object) -> Mapping[str, object]:
    if not isinstance(document, dict):
        raise unexpected()
    return document


def tables(document: object) -> list[Mapping[str, object]]:
    """A list of tables; nothing is an empty one."""
    if document is None:
        return []
    if not isinstance(document, list):
        raise unexpected()
    return [table(one) for one in document]


def text(record: Mapping[str, object], name: str) -> str:
    """A text; what is missing is an empty one."""
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise unexpected()
    return value


def unexpected() -> NoResponse:
    return NoResponse("it answers otherwise than its API is documented", everywhere=False)
