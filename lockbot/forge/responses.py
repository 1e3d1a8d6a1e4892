"""What a forge's API answered, read with care: anything may be in it, and nothing of what its documentation says.

Also the words in which each forge's own module says what it found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from lockbot.errors import LockbotError
from lockbot.policy.upstream_checks import Standing
from lockbot.report.escape import plain


class NoResponse(LockbotError):
    """A forge can't say. `everywhere`: it would not say anything about another commit either. `until`: when it may
    be asked again, where it told."""

    def __init__(self, message: str, *, everywhere: bool = True, until: datetime | None = None) -> None:
        super().__init__(message)
        self.everywhere = everywhere
        self.until = until


class NotThere(NoResponse):
    """What is asked about is not there, or not for who asks: a forge tells nobody which of the two."""


class NoRight(NoResponse):
    """It knows who asks (or wants to), and does not let them: 401, 403. `lacks`: what is missing, as it says."""

    def __init__(self, message: str, *, everywhere: bool = True, lacks: str = "") -> None:
        super().__init__(message, everywhere=everywhere)
        self.lacks = lacks


class Refused(NoResponse):
    """It was understood, and is not done: `status` (409, 422, ...), and `words`, the forge's own, in one line."""

    def __init__(self, message: str, status: int, words: str) -> None:
        super().__init__(message, everywhere=False)
        self.status = status
        self.words = words


class Uncertain(NoResponse):
    """Something was to be changed, and no answer came: it may have been done."""


class Renamed(NoResponse):
    """It is to be changed somewhere else, at `address`: the repository has moved."""

    def __init__(self, message: str, address: str) -> None:
        super().__init__(message, everywhere=False)
        self.address = address


@dataclass(frozen=True)
class ApiResponse:
    """A document, as JSON has it, and what stood in the header that lockbot reads."""

    document: object
    next: str | None = None
    """The address of the next page (`Link`)."""
    total: int | None = None
    """How many entries there are on all pages (`X-Total-Count`)."""
    scopes: tuple[str, ...] | None = None
    """What the token may do (`X-OAuth-Scopes`); None: that is told of other kinds of tokens only."""


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


class RequestState(StrEnum):
    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"
    """Without being merged."""


@dataclass(frozen=True)
class PullRequestStatus:
    """What became of a pull request (at GitLab: a merge request). `commit`, `date`: of one that is merged, the
    commit with which its branch has what it brings, and the day; None and empty: that is not told."""

    state: RequestState
    commit: str | None = None
    date: str = ""


def merged(commit: str, moment: str) -> PullRequestStatus:
    """One that is merged, from what a forge says of that: a commit, and a time as JSON has it."""
    told = COMMIT.fullmatch(commit) and commit
    return PullRequestStatus(RequestState.MERGED, told or None, moment[:10] if _DAY.match(moment) else "")


def not_merged(state: str, states: Mapping[str, RequestState]) -> PullRequestStatus:
    """One that is not, by a forge's own word for how it stands."""
    if state not in states:
        raise unexpected()
    return PullRequestStatus(states[state])


COMMIT = re.compile(r"[0-9a-f]{40}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Forge(Protocol):
    """What differs between forges. `path`: of a repository, as `place.Place` has it."""

    between: float
    """Seconds between two requests that change something, as it asks for."""

    def api(self, host: str) -> str:
        """Where a host's API begins."""
        ...

    def headers(self, token: str | None) -> Mapping[str, str]: ...

    def checks(self, ask: Asking, path: tuple[str, ...], revision: str) -> tuple[Check, ...]:
        """Every check of a commit, the latest try of each. Raises NoResponse."""
        ...

    def pull_request(self, ask: Asking, path: tuple[str, ...], number: int) -> PullRequestStatus:
        """What became of a pull request. Raises NoResponse."""
        ...

    def contains(self, ask: Asking, path: tuple[str, ...], ref: str, commit: str) -> bool | None:
        """Whether a branch, a tag or another commit contains a commit; None: it can't be asked cheaply, and the
        repository's own history tells. Raises NoResponse."""
        ...

    def commit(self, ask: Asking, path: tuple[str, ...], digits: str) -> str:
        """The only commit whose hash begins with these digits. Raises NoResponse."""
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
        raise NoResponse(f"there are more than {_PAGES} pages", everywhere=False)


def table(document: object) -> Mapping[str, object]:
    if not isinstance(document, dict):
        raise unexpected()
    return document


def commit_hash(record: Mapping[str, object], name: str) -> str:
    """A whole hash of git's default format."""
    value = text(record, name)
    if not COMMIT.fullmatch(value):
        raise unexpected()
    return value


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


def number(record: Mapping[str, object], name: str) -> int:
    value = record.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise unexpected()
    return value


def check_about(answer: ApiResponse, name: str, wanted: int) -> None:
    """What was changed is this one, as it says: who answers something else has not done it."""
    if number(table(answer.document), name) != wanted:
        raise unexpected()


_WORDS, _DEPTH = 300, 4


def words(document: object) -> str:
    """Why a forge did not do something, as it says itself, in one line: it has as many forms as endpoints."""
    return plain("; ".join(dict.fromkeys(_words(document, _DEPTH))), _WORDS)


def _words(document: object, depth: int) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, list) and depth:
        for one in document[:10]:
            yield from _words(one, depth - 1)
    elif isinstance(document, dict) and depth:
        named = [document[name] for name in _SAYING if name in document]
        # GitLab's `{"message": {"branch": ["is taken"]}}` has the fields' names for names.
        for one in named or (list(document.values()) if depth < _DEPTH else []):
            yield from _words(one, depth - 1)


_SAYING = ("message", "error", "error_description", "errors")


def unexpected() -> NoResponse:
    return NoResponse("it answers otherwise than its API is documented", everywhere=False)
