"""One repository on its forge: what lockbot's requests are there, and how they are made so.

Where lockbot has no token, it only looks, as anybody may; what it is not told then is not known.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from lockbot.forge.http import Client
from lockbot.forge.place import Place
from lockbot.forge.pull_requests.interface import (
    Limits,
    Path,
    RepositorySeen,
    RequestForge,
    RequestSeen,
    Wording,
)
from lockbot.forge.responses import NoResponse, NotThere, Refused, RequestState, Uncertain
from lockbot.model import PullRequest, PullRequestState
from lockbot.pull_requests import checks
from lockbot.pull_requests.settings import RequestSettings
from lockbot.pull_requests.wording.texts import COMMENT_MARK, comment, wording


@dataclass
class Site:
    """`writes`: lockbot has a token there."""

    place: Place
    forge: RequestForge
    api: Client
    settings: RequestSettings
    writes: bool
    notes: list[str] = field(default_factory=list)
    """What a person is to be told."""
    silent: NoResponse | None = None
    """Why it gives no answers at all, once that is known."""
    _seen: RepositorySeen | None = None

    @property
    def limits(self) -> Limits:
        return self.forge.limits

    @property
    def repository(self) -> RepositorySeen:
        """Asked for once. Raises NoResponse."""
        if self.silent is not None:
            raise self.silent
        if self._seen is None:
            self._seen = self.forge.repository(self.api, self.place.path)
            if [part.lower() for part in self._seen.path] != [part.lower() for part in self.place.path]:
                was, now = ("/".join(path) for path in (self.place.path, self._seen.path))
                self.notes.append(
                    f"{was} is called {now} at {self.place.host} by now: change the remote's address"
                )
        if self._seen.archived:
            raise Refused(f"{'/'.join(self._seen.path)} is archived at {self.place.host}", 403, "archived")
        return self._seen

    @property
    def _path(self) -> Path:
        return self.repository.path

    def look(self, request: PullRequest) -> RequestSeen | None:
        """How it stands; None: there is none, or nobody is told. With a token, raises NoResponse."""
        try:
            if request.number is None:
                return self.forge.find(self.api, self._path, request.branch)
            seen = self.forge.look(self.api, self._path, request.number)
            if self.writes and seen.branch != request.branch:
                # Somebody else's has that number, as where the repository was made anew, or is another by now.
                return self.forge.find(self.api, self._path, request.branch)
            return seen
        except NotThere:
            if not self.writes:
                return None
            if request.number is None or self._seen is None or self._is_listed(request):
                raise
            return _deleted(request, request.number)
        except NoResponse:
            if self.writes:
                raise
            return None

    def _is_listed(self, request: PullRequest) -> bool:
        """Whether one that can't be seen is open nevertheless. Only one that is not was deleted, which is taken
        for a no."""
        found = self.forge.find(self.api, self._path, request.branch)
        return found is not None and found.number == request.number

    def write(self, request: PullRequest, seen: RequestSeen | None) -> tuple[PullRequest, RequestSeen]:
        """Have it open, and say what it is to say; with how it stands then. `seen`: as `look` told just now.

        Raises NoResponse."""
        wanted = wording(request.text)
        seen = seen or self._open(request, wanted)
        request = request.known_as(seen.number, seen.url)
        digest = _digest(wanted.title, wanted.body, str(wanted.draft))
        if request.text.written != digest:
            self.forge.change(self.api, self._path, seen, wanted)
            seen = replace(seen, wording=wanted)
        text = replace(request.text, written=digest)
        return replace(request, state=PullRequestState.OPEN, text=text), seen

    def file(self, request: PullRequest) -> PullRequest:
        """Labels, reviewers, assignees: asked for once."""
        assert request.number is not None
        people = self.settings.people
        if not request.filed and (people.labels or people.reviewers or people.assignees):
            self.notes += self.forge.file(self.api, self._path, request.number, people)
        return replace(request, filed=True)

    def _open(self, request: PullRequest, wanted: Wording) -> RequestSeen:
        try:
            return self.forge.open(self.api, self._path, request.branch, request.base, wanted)
        except (Refused, Uncertain):
            # There is one: of a lockbot that was stopped, or an answer that was lost.
            if (found := self.forge.find(self.api, self._path, request.branch)) is None:
                raise
            return found

    def comment(self, request: PullRequest, seen: RequestSeen) -> PullRequest:
        """Have its one comment tell the news. Raises NoResponse."""
        kept = request.comment
        if not kept.news:
            return request
        text = comment([(one.moment, one.text) for one in kept.news], self.limits.comment or self.limits.body)
        digest = _digest(text)
        if digest == kept.written:
            return request
        written = self._comment(seen, text, kept.id or self._find_comment(seen))
        return replace(request, comment=replace(kept, id=written, written=digest))

    def _comment(self, seen: RequestSeen, text: str, known: str | None) -> str:
        """Where somebody has deleted it, it is written anew; but never beside one that is there."""
        try:
            return self.forge.comment(self.api, self._path, seen.number, text, known)
        except NotThere:
            found = self._find_comment(seen) if known is not None else None
            if known is None or found == known:
                raise
            return self.forge.comment(self.api, self._path, seen.number, text, found)

    def _find_comment(self, seen: RequestSeen) -> str | None:
        return self.forge.find_comment(self.api, self._path, seen, COMMENT_MARK)

    def close(self, seen: RequestSeen) -> None:
        self.forge.close(self.api, self._path, seen.number)

    def landed(self, seen: RequestSeen, commit: str) -> None:
        self.forge.landed(self.api, self._path, seen, commit)

    def waits_for_checks(self, request: PullRequest) -> str:
        """What of its checks has not passed, in a sentence; empty: nothing."""
        return checks.waits_for(self.forge.checks(self.api, self._path, request.base, request.commit))

    def merge_when_passed(self, seen: RequestSeen, commit: str) -> None:
        self.forge.merge_when_passed(self.api, self._path, seen, commit)

    def page_to_open(self, request: PullRequest) -> str:
        scheme = "http" if self.api.base.startswith("http://") else "https"
        site = f"{scheme}://{self.place.host}"
        return self.forge.page_to_open(site, self.place.path, request.branch, request.base)


def _deleted(request: PullRequest, number: int) -> RequestSeen:
    page, text = request.url or "", wording(request.text)
    return RequestSeen(number, page, RequestState.CLOSED, request.branch, request.base, "", text)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode(errors="surrogatepass")).hexdigest()[:16]
