"""What forges can do with pull requests, in words that are no forge's own. Knows neither git nor any purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from lockbot.forge.responses import ApiResponse, Check, RequestState

Path = tuple[str, ...]
"""A repository's, as `place.Place` has it."""


class Api(Protocol):
    """One host's API (`http.Client`), from `base` on. Raises what that does."""

    host: str
    base: str

    def __call__(self, path: str) -> ApiResponse: ...

    def send(self, method: str, path: str, document: object = None) -> ApiResponse: ...


@dataclass(frozen=True)
class Wording:
    """What a request says. `title` is one line, `body` Markdown; both are within the forge's limits."""

    title: str
    body: str
    draft: bool = False


@dataclass(frozen=True)
class People:
    """Who is asked to look, and how it is filed: names as the forge has them."""

    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()


@dataclass(frozen=True)
class RequestSeen:
    """A request as its forge has it. `wording.title` is without the prefix that makes a draft of it."""

    number: int
    url: str
    """Its page."""
    state: RequestState
    branch: str
    """The branch that it asks to have merged."""
    base: str
    """The branch that it asks to be merged into."""
    head: str
    """The newest commit that it has, as far as the forge has come to know it."""
    wording: Wording
    author: str = ""
    merged_as: str | None = None
    """Of one that is merged, the commit with which the base has what it brings; None: that is not told."""
    handle: str = ""
    """By what else the forge knows it (GitHub's `node_id`)."""


@dataclass(frozen=True)
class RepositorySeen:
    """A repository as its forge has it. `path`: where it is now, perhaps not where it was looked for."""

    path: Path
    may_push: bool | None
    """Whether who asks may push branches to it; None: that is not told."""
    archived: bool = False
    auto_merge: bool = True
    """Whether a request can be told to merge itself when its checks have passed."""


@dataclass(frozen=True)
class ChecksSeen:
    """The checks of a commit, and those (by name) that must pass before it may come to the base branch; `required`
    None: the forge does not tell who asks."""

    checks: tuple[Check, ...]
    required: tuple[str, ...] | None = None


PUSH = "push a branch"
"""What only matters of a token that git signs in with."""


@dataclass(frozen=True)
class Right:
    """Something that lockbot has to be able to do, and whether it can (None: that can't be known beforehand)."""

    what: str
    """As in `can open a pull request`: `open a pull request`."""
    given: bool | None
    lacks: str = ""
    """The right that is missing, as the forge calls it: `Pull requests: write`, `scope api`."""
    said: str = ""
    """A sentence in place of all that, about what is no right."""


@dataclass(frozen=True)
class Limits:
    """Characters that the forge takes."""

    title: int
    body: int
    comment: int = field(default=0)


class RequestForge(Protocol):
    """All raise NoResponse and its kinds: NotThere, NoRight, Refused, Uncertain, Renamed."""

    limits: Limits
    needs: str
    """The rights that a token needs for all of this but `checks`, as the forge calls them."""
    needs_for_checks: str
    """Those that it needs for `checks`, beside them."""

    def repository(self, api: Api, path: Path) -> RepositorySeen: ...

    def rights(self, api: Api, path: Path, seen: RepositorySeen) -> tuple[Right, ...]:
        """What the token can do there, without doing it: push a branch, open a request. Never raises NoRight."""
        ...

    def find(self, api: Api, path: Path, branch: str) -> RequestSeen | None:
        """The open request of a branch of this very repository (no fork's), whatever its base."""
        ...

    def look(self, api: Api, path: Path, number: int) -> RequestSeen: ...

    def open(self, api: Api, path: Path, branch: str, base: str, wording: Wording) -> RequestSeen:
        """Raises Refused where there is one already, among other reasons: `find` tells."""
        ...

    def change(self, api: Api, path: Path, seen: RequestSeen, wording: Wording) -> None:
        """Make it say this: asks for nothing where it does."""
        ...

    def close(self, api: Api, path: Path, number: int) -> None: ...

    def file(self, api: Api, path: Path, number: int, people: People) -> tuple[str, ...]:
        """Label it, assign it, ask for reviews; sentences about what could not be done. People's own labels,
        assignees and reviewers stay."""
        ...

    def comment(self, api: Api, path: Path, number: int, text: str, known: str | None) -> str:
        """Write a comment, or (`known`: its id) edit it; the id. Raises NotThere where that one can't be seen:
        `find_comment` tells whether it is gone."""
        ...

    def find_comment(self, api: Api, path: Path, seen: RequestSeen, mark: str) -> str | None:
        """The id of the request's author's own comment that has `mark` in it."""
        ...

    def checks(self, api: Api, path: Path, base: str, commit: str) -> ChecksSeen: ...

    def merge_when_passed(self, api: Api, path: Path, seen: RequestSeen, commit: str) -> None:
        """Let the forge merge it when its checks have passed, if `commit` is its newest then. Doing so twice is
        no error."""
        ...

    def landed(self, api: Api, path: Path, seen: RequestSeen, commit: str) -> None:
        """The base has the very commit of a request that is still open: tell a forge that does not see that."""
        ...

    def page_to_open(self, site: str, path: Path, branch: str, base: str) -> str:
        """The page on which a person opens one. `site`: `https://HOST`."""
        ...
