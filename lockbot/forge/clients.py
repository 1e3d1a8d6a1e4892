"""Who asks a forge: its kind, and a client with what the configuration says about its host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lockbot.forge.forgejo import Forgejo
from lockbot.forge.github import GitHub
from lockbot.forge.gitlab import GitLab
from lockbot.forge.http import Client, Pace, Patience
from lockbot.forge.place import Account, Kind, Place
from lockbot.forge.responses import Forge
from lockbot.process import CancelToken

FORGES: Mapping[Kind, Forge] = {Kind.GITHUB: GitHub(), Kind.GITLAB: GitLab(), Kind.FORGEJO: Forgejo()}


@dataclass(frozen=True)
class Clients:
    """`accounts` is what the configuration says, by host."""

    accounts: Mapping[str, Account]
    cancel: CancelToken
    clock: Callable[[], datetime]
    patience: Patience
    paces: dict[str, Pace] = field(default_factory=dict)

    def of(self, place: Place, what: str) -> tuple[Forge, Client]:
        """For a repository on a forge. `what` may not be there, in the words of an error."""
        forge, account = FORGES[place.kind], self.accounts.get(place.host, Account())
        base, headers = account.url or forge.api(place.host), forge.headers(account.token)
        between = self.patience.between if self.patience.between is not None else forge.between
        pace = self.paces.setdefault(place.host, Pace(between))
        return forge, Client(base, headers, self.cancel, self.clock, self.patience, what, pace)
