"""A pull request that asks to take what was judged, as lockbot remembers it between runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from lockbot.model.change import InputChange


class Landing(StrEnum):
    """Who brings what was judged to the base branch, once a pull request asks for it."""

    PEOPLE = "people"
    WHEN_CHECKS_PASS = "when-checks-pass"  # noqa: S105 -- no password
    """lockbot, by a push of its own, when the forge's required checks have passed."""
    AT_ONCE = "at-once"
    """lockbot, by a push of its own, as soon as the request is open."""


class PullRequestState(StrEnum):
    """How one stands. Only the first two may change still."""

    PENDING = "pending"
    """Its branch is pushed, or about to be; it is not known to be open."""
    OPEN = "open"
    LANDED = "landed"
    """The base branch has the very commit that was judged."""
    MERGED = "merged"
    """A person or the forge merged it, as another commit."""
    CLOSED = "closed"
    """By a person: these revisions are not proposed again."""
    OVERTAKEN = "overtaken"
    """lockbot closed it: another request has its changes, or newer ones."""
    EMPTY = "empty"
    """lockbot closed it: the base branch has moved its inputs by itself."""
    HELD = "held"
    """lockbot closed it: the user holds one of its inputs elsewhere."""

    @property
    def active(self) -> bool:
        return self in (PullRequestState.PENDING, PullRequestState.OPEN)

    @property
    def ours_to_close(self) -> bool:
        """lockbot has decided that it is over: what is still open on the forge is closed, its branch removed."""
        return self in (
            PullRequestState.LANDED,
            PullRequestState.OVERTAKEN,
            PullRequestState.EMPTY,
            PullRequestState.HELD,
        )


@dataclass(frozen=True)
class Move:
    """An input, from a revision to another; None: it was not there, or is gone."""

    input: str
    old: str | None
    new: str | None

    @classmethod
    def of(cls, change: InputChange) -> Move:
        old, new = (one.revision if one is not None else None for one in (change.old, change.new))
        return cls(change.input, old, new)


@dataclass(frozen=True)
class Text:
    """What is written on the forge, whole; `written`: a digest of what was written last, empty: nothing yet."""

    title: str = ""
    body: str = ""
    draft: bool = False
    written: str = ""


@dataclass(frozen=True)
class News:
    """Something that the request's one comment tells."""

    moment: datetime
    text: str


@dataclass(frozen=True)
class Comment:
    """lockbot's only comment on a request. `id`: the forge's; `written` as in Text."""

    news: tuple[News, ...] = ()
    id: str | None = None
    written: str = ""


@dataclass(frozen=True)
class PullRequest:
    """One, and what lockbot has pushed for it. `flake` as in Run; `base` is the branch that it asks to move."""

    id: str
    flake: str
    base: str
    group: str
    """Which inputs share a request: names in a row; empty: all."""
    branch: str
    run: str
    """The run that judged `commit`."""
    commit: str
    """The commit that was judged, and is (or is about to be) the branch's tip."""
    parent: str
    """The commit of the base branch that it was judged on."""
    opened: datetime
    changed: datetime
    state: PullRequestState = PullRequestState.PENDING
    pushed: str | None = None
    """The branch's tip as lockbot left it; None: nothing was pushed yet. Other than `commit` while that is on its
    way."""
    number: int | None = None
    url: str | None = None
    moves: tuple[Move, ...] = ()
    hosts: dict[str, str] = field(default_factory=dict)
    """Host → how it fared with `commit` (HostStatus)."""
    text: Text = field(default_factory=Text)
    comment: Comment = field(default_factory=Comment)
    filed: bool = False
    """Its labels, reviewers and assignees were asked for."""
    left_alone: str = ""
    """Why lockbot leaves it to people, in a sentence; empty: it does not."""
    waits: str = ""
    """What keeps it from landing, in a sentence."""
    merged_as: str | None = None
    tidied: bool = False
    """Nothing is left to be done about it: it is closed on the forge, and its branch is gone or another's."""

    @property
    def label(self) -> str:
        """`#5`, at GitLab `!5`; or its branch: for a sentence."""
        return _label(self.number, self.url, self.branch)

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(move.input for move in self.moves))

    @property
    def reached(self) -> bool:
        """Whether anything of it has come to the remote, as far as is known. A branch may be there from before."""
        return self.state is not PullRequestState.PENDING or self.pushed == self.commit

    def known_as(self, number: int, url: str | None) -> PullRequest:
        """The forge's number of it, and its page. One that had another has nothing of what was written on that."""
        if self.number in (None, number):
            return replace(self, number=number, url=url)
        text, comment = replace(self.text, written=""), replace(self.comment, id=None, written="")
        return replace(self, number=number, url=url, text=text, comment=comment, filed=False)

    def move_of(self, input: str) -> Move | None:
        return next((move for move in self.moves if move.input == input), None)

    @property
    def ours(self) -> frozenset[str]:
        """What the branch's tip may be, if nobody else has moved it."""
        return frozenset(filter(None, (self.commit, self.pushed)))

    def says(self, news: News) -> PullRequest:
        if self.comment.news and self.comment.news[-1].text == news.text:
            return self
        comment = replace(self.comment, news=(*self.comment.news, news)[-NEWS_KEPT:])
        return replace(self, comment=comment)


def _label(number: int | None, url: str | None, branch: str) -> str:
    if number is None:
        return branch
    return f"!{number}" if "/-/merge_requests/" in (url or "") else f"#{number}"


NEWS_KEPT = 30
"""Of so many things a request's comment tells; older ones go."""


class RequestStep(StrEnum):
    """What a run has done about one request."""

    OPENED = "opened"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    """It is open, and has what this run would propose."""
    LANDED = "landed"
    MERGED = "merged"
    CLOSED = "closed"
    """By lockbot: it is overtaken, or empty."""
    REFUSED = "refused"
    """A person closed one with these revisions: none is opened."""
    LEFT_ALONE = "left alone"
    WAITING = "waiting"
    """Its branch is pushed, and the forge could not be asked to open it, or has no way to."""

    @property
    def asks(self) -> bool:
        """Whether it has what was judged, and waits to be taken."""
        return self in (RequestStep.OPENED, RequestStep.UPDATED, RequestStep.UNCHANGED, RequestStep.WAITING)


@dataclass(frozen=True)
class RequestDone:
    """What a run has done about one request, and where that is."""

    step: RequestStep
    branch: str
    commit: str | None = None
    number: int | None = None
    url: str | None = None
    inputs: tuple[str, ...] = ()
    text: str = ""
    """What to tell a person of it, beside."""

    @property
    def label(self) -> str:
        """As of PullRequest."""
        return _label(self.number, self.url, self.branch)
