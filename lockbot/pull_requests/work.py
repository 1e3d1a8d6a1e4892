"""What the steps of looking after pull requests share: where they are, what is remembered, what is seen.

It must not know what follows from that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from lockbot.errors import Cancelled, DeadlineExceeded, LockbotError
from lockbot.forge.pull_requests.interface import RequestSeen
from lockbot.forge.responses import NoResponse
from lockbot.git.clone import Clone
from lockbot.git.source import Source
from lockbot.git.sync import Base
from lockbot.history.pull_requests import PullRequests
from lockbot.history.store import History
from lockbot.model import News, PullRequest, PullRequestState, RequestDone, RequestStep
from lockbot.pull_requests.branches import Branches, destination
from lockbot.pull_requests.settings import RequestSettings, Way
from lockbot.pull_requests.site import Site
from lockbot.pull_requests.standing import Sight


@dataclass
class Work:
    """On one flake's requests, in one run. `site` None: on no forge that is known."""

    clone: Clone
    source: Source
    history: History
    flake: str
    settings: RequestSettings
    way: Way
    site: Site | None
    clock: Callable[[], datetime]
    done: list[RequestDone] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def kept(self) -> PullRequests:
        return self.history.pull_requests(self.flake)

    @property
    def writes(self) -> bool:
        """Whether the forge can be told anything but by a push."""
        return self.site is not None and self.site.writes

    def branches(self, base: Base) -> Branches:
        remote, branch = destination(self.clone, self.source, base)
        place = self.site.place if self.site is not None else None
        return Branches(self.clone, remote, branch, self.way, self.settings, place)

    def sight(self, request: PullRequest, branches: Branches, base: Base) -> Sight:
        """How a request stands, as it is seen just now. Raises RemoteError, NoResponse."""
        request = replace(request, number=branches.number(request))
        tip = branches.tip(request)
        seen = self.site.look(request) if self.site is not None else None
        number = seen.number if seen is not None else request.number
        return Sight(tip, self.contained(request.commit, base), seen, number)

    def contained(self, commit: str, base: Base) -> bool:
        """Whether the base branch has a commit."""
        return self.clone.has(commit) and self.clone.is_ancestor(commit, base.commit)

    def held(self, request: PullRequest) -> tuple[str, ...]:
        """Those of its inputs that the user holds elsewhere than where it would bring them."""
        holds, now = self.history.ledger(self.flake).holds(), self.clock()
        return tuple(
            move.input
            for move in request.moves
            if (hold := holds.get(move.input)) is not None and hold.active(now) and hold.at != move.new
        )

    def save(self, request: PullRequest) -> PullRequest:
        """Keep it as it is now."""
        self.kept.save(request)
        return request

    def end(self, request: PullRequest, state: PullRequestState, news: str) -> PullRequest:
        """It is over, and why."""
        told = self.news(request, news)
        return self.save(replace(told, state=state, changed=self.clock(), waits="", left_alone=""))

    def news(self, request: PullRequest, text: str) -> PullRequest:
        return request.says(News(self.clock(), text))

    def tell(self, request: PullRequest, step: RequestStep, text: str = "") -> None:
        self.done.append(
            RequestDone(step, request.branch, request.commit, request.number, request.url, request.inputs, text)
        )

    def comment(self, request: PullRequest, seen: RequestSeen | None) -> PullRequest:
        """Have the request's comment tell the news, where one can be written. Raises NoResponse."""
        if self.site is None or not self.site.writes or seen is None:
            return request
        return self.site.comment(request, seen)

    @contextmanager
    def noting(self, what: str) -> Iterator[None]:
        """What goes wrong in here is told and left for the next run; what ends the whole run is not held up."""
        try:
            yield
        except (Cancelled, DeadlineExceeded):
            raise
        except LockbotError as error:
            self.clone.cancel.check()
            self.silent(error)
            self.notes.append(f"{what}: {error.message}; the next run tries again")
        finally:
            self.take_notes()

    def silent(self, error: LockbotError) -> None:
        """A forge that gives no answers is not asked again in this run."""
        if self.site is not None and isinstance(error, NoResponse) and error.everywhere:
            self.site.silent = error

    def take_notes(self) -> None:
        if self.site is not None:
            self.notes += [note for note in self.site.notes if note not in self.notes]
            self.site.notes.clear()
