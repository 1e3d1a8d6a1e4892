"""The branches of pull requests, on the remote: where they are, pushed and removed. Knows git; asks no forge.

Nobody's commit is overwritten: every push is made on the condition that the branch is where lockbot left it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from lockbot.errors import LockbotError
from lockbot.forge.place import Place
from lockbot.forge.pull_requests.push_options import agit, gitlab, said
from lockbot.git.clone import REQUESTS, Clone
from lockbot.git.push import delete_own_branch, push_for_review, push_own_branch
from lockbot.git.source import LocalSource, Remote, Source, remote_at, remote_of
from lockbot.git.sync import TRAILER, Base, fetch, heads, look
from lockbot.model import Landing, PullRequest
from lockbot.pull_requests.settings import RequestSettings, Way
from lockbot.pull_requests.wording.texts import wording

_NUMBER = re.compile(r"[1-9][0-9]{0,9}")


@dataclass(frozen=True)
class Pushed:
    """What became of a push. `number`, `page`: the request's, where the remote told; else where to open it."""

    moved: bool = False
    """Somebody else had moved the branch: nothing was pushed."""
    number: int | None = None
    page: str | None = None


@dataclass(frozen=True)
class Branches:
    """On one remote. `base`: the branch there that requests ask to move. `place`: where on a forge that is."""

    clone: Clone
    remote: Remote
    base: str
    way: Way
    settings: RequestSettings
    place: Place | None

    def tip(self, request: PullRequest) -> str | None:
        """Where it is; None: it is not there. Raises RemoteError."""
        number = self.number(request)
        if self.way is not Way.AGIT:
            ref = f"refs/heads/{request.branch}"
        elif number is None:
            return None
        else:
            ref = f"refs/pull/{number}/head"
        return heads(self.clone, self.remote, ref).get(ref)

    def number(self, request: PullRequest) -> int | None:
        """Its number, as far as it is known; of one that a push has made, also by what it was made of."""
        if self.way is not Way.AGIT or request.number is not None:
            return request.number
        refs = heads(self.clone, self.remote, "refs/pull/*/head")
        numbers = (ref.split("/")[2] for ref, commit in refs.items() if commit in request.ours)
        return max((int(number) for number in numbers if _NUMBER.fullmatch(number)), default=None)

    def push(self, request: PullRequest, seen: str | None) -> Pushed:
        """Put it at the request's commit, if it is where it was seen. Raises LockbotError where it is refused."""
        self.bring(request)
        if self.way is Way.AGIT:
            return self._push_agit(request, seen)
        options = self._gitlab(request) if self.way is Way.PUSH_OPTIONS else []
        done = push_own_branch(self.clone, self.remote, request.branch, request.commit, seen=seen, options=options)
        return Pushed(done.moved, *self._said(done.said))

    def _said(self, told: str) -> tuple[int | None, str | None]:
        return said(told, self.place.host, self.place.path) if self.place is not None else (None, None)

    def _push_agit(self, request: PullRequest, seen: str | None) -> Pushed:
        # No lease can be had on what is no branch. Only who opened such a request may push to it.
        if seen is not None and self.tip(request) != seen:
            return Pushed(moved=True)
        options = agit(request.branch, wording(request.text))
        told = push_for_review(self.clone, self.remote, request.commit, f"refs/for/{self.base}", options)
        return Pushed(False, *self._said(told))

    def _gitlab(self, request: PullRequest) -> list[str]:
        # Without a token nobody is told how checks stand: then only GitLab itself can wait for them.
        waits = self.settings.auto_merge and self.settings.landing is Landing.WHEN_CHECKS_PASS
        return gitlab(self.base, wording(request.text), self.settings.people, auto_merge=waits)

    def remove(self, request: PullRequest, seen: str) -> None:
        """If it is where it was seen."""
        if self.way is not Way.AGIT:
            delete_own_branch(self.clone, self.remote, request.branch, seen=seen)

    def bring(self, request: PullRequest) -> None:
        """Have the request's commit in the clone, which may be a new one, and keep it there."""
        if not self.clone.has(request.commit):
            self._fetch(request)
        if not self.clone.has(request.commit):
            raise LockbotError(
                f"{request.commit}, which {request.branch} is to have, is nowhere to be found",
                "the next run judges another one",
            )
        self.clone.keep_request(request.id, request.commit)

    def is_lockbots(self, request: PullRequest, tip: str) -> bool:
        """Whether a branch that nothing is remembered of is lockbot's: its commit is, as lockbot made it.

        Who amends or rebases one keeps its author's date, and whose committer lockbot is may be a person, too."""
        if self._fetch(request) != tip:
            return False
        form = f"--format=%ce%x00%(trailers:key={TRAILER},valueonly)%x00%P%x00%at%x00%ct"
        mail, run, parents, made, committed = self.clone.git.ask("show", "-s", form, tip, "--").split("\0")
        base = self.clone.git.resolve(f"{tip}^")
        alone = len(parents.split()) == 1 and base is not None
        return alone and mail == self.settings.committer and bool(run.strip()) and made == committed

    def _fetch(self, request: PullRequest) -> str | None:
        git, into = self.clone.towards(self.remote), REQUESTS + request.id
        return fetch(self.clone, git, self.remote.name, request.branch, into, self.remote.shown)


def destination(clone: Clone, source: Source, base: Base) -> tuple[Remote, str]:
    """Where requests go: the remote, and its branch that they ask to move."""
    if not isinstance(source, LocalSource):
        return remote_at(source.url), base.branch
    repository = look(clone, source, base.branch)
    return remote_of(repository), repository.remote_branch


def known_tips(requests: Collection[PullRequest], branch: str) -> frozenset[str]:
    """Where lockbot has left this branch before, for whichever request."""
    return frozenset(tip for one in requests if one.branch == branch for tip in one.ours)
