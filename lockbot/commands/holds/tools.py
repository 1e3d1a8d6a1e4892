"""What it takes to ask whether a hold has ended: forges, git and Nix, all of them within one time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lockbot.app import App, Place
from lockbot.forge.place import Account
from lockbot.git.command import Git, user_environment
from lockbot.model import HoldEnd, UntilVersion
from lockbot.process import CancelToken, Deadline

if TYPE_CHECKING:  # heavy: requests, and Nix
    from lockbot.forge.repositories import Repositories
    from lockbot.nix.command import Nix


@dataclass(frozen=True)
class Tools:
    """Opened when they are first used. `cancel` is over when the run is, or the `deadline` for all questions."""

    app: App
    place: Place
    cancel: CancelToken
    deadline: Deadline

    @cached_property
    def accounts(self) -> Mapping[str, Account]:
        """What the configuration says of forges, by host."""
        return {host: account.account() for host, account in self.app.settings.forge.items()}

    @cached_property
    def repositories(self) -> Repositories:
        from lockbot.forge.repositories import Repositories

        return Repositories(self.accounts, self.cancel, self.app.clock)

    @cached_property
    def git(self) -> Git:
        environment = user_environment(self.app.access(self.place))
        return Git(self.place.directory, environment, self.cancel, _SECONDS, self.app.confinement.for_remotes)

    @cached_property
    def nix(self) -> Nix:
        return self.app.nix(self.place).with_cancel(self.cancel)


_SECONDS = 60.0


def needs_fetching(ends: HoldEnd | None) -> bool:
    """Whether the input has to be fetched to find out: nobody else tells a package's version."""
    return isinstance(ends, UntilVersion)


@contextmanager
def open_tools(app: App, place: Place, *, fetching: bool) -> Iterator[Tools]:
    """For a minute at most; where something is to be fetched, as long as that may take."""
    limit = app.settings.run.fetch_timeout
    deadline = Deadline(limit if fetching else min(limit, _SECONDS), "asking whether a hold has ended")
    with CancelToken(deadline, app.cancel) as cancel:
        yield Tools(app, place, cancel, deadline)
