"""What forges say of their repositories beside checks: pull requests, and which commit is in which branch.

Nothing is remembered but that a host gives no answers: it is asked once more by another `Repositories`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from lockbot.forge.address import PullRequestAddress
from lockbot.forge.clients import Clients
from lockbot.forge.http import Client, Patience
from lockbot.forge.place import Account, Place
from lockbot.forge.responses import Forge, NoResponse, NotThere, PullRequestStatus
from lockbot.process import CancelToken

_PATIENCE = Patience(timeout=15.0, tries=2)
"""Nobody waits for long: it is asked again in an hour."""
_Answer = TypeVar("_Answer")


class Repositories:
    """Asks forges. `accounts` is what the configuration says, by host.

    All raise NoResponse (NotThere: what is asked about is not there), Cancelled and DeadlineExceeded.
    """

    def __init__(
        self,
        accounts: Mapping[str, Account],
        cancel: CancelToken,
        clock: Callable[[], datetime],
        patience: Patience | None = None,
    ) -> None:
        self._clients = Clients(accounts, cancel, clock, patience or _PATIENCE)
        self._silent: dict[str, NoResponse] = {}

    def pull_request(self, request: PullRequestAddress) -> PullRequestStatus:
        """What became of a pull request."""
        place = request.place
        return self._ask(
            place,
            "repository or pull request",
            lambda forge, client: forge.pull_request(client, place.path, request.number),
        )

    def contains(self, place: Place, ref: str, commit: str) -> bool | None:
        """Whether a branch, a tag or another commit contains a commit; None: this forge can't say."""
        return self._ask(
            place,
            "repository, branch or commit",
            lambda forge, client: forge.contains(client, place.path, ref, commit),
        )

    def commit(self, place: Place, digits: str) -> str:
        """The only commit whose hash begins with these digits."""
        what = "repository or commit"
        found = self._ask(place, what, lambda forge, client: forge.commit(client, place.path, digits))
        if not found.startswith(digits):
            raise NotThere(f"{place.host} has no commit {digits}, but something else that is called so")
        return found

    def _ask(self, place: Place, what: str, question: Callable[[Forge, Client], _Answer]) -> _Answer:
        if place.host in self._silent:
            raise self._silent[place.host]
        try:
            return question(*self._clients.of(place, what))
        except NoResponse as error:
            if error.everywhere:
                self._silent[place.host] = error
            raise
