"""The checks of inputs' commits, asked of the forges that have them: the callable that the cycle is handed.

Each commit is asked about once in a run; a host that gave no answer is not asked again in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from lockbot.forge.clients import Clients
from lockbot.forge.http import Patience
from lockbot.forge.place import Account, Place, place_of
from lockbot.forge.responses import Check, NoResponse
from lockbot.model import Locked
from lockbot.nix import forges
from lockbot.nix.flakeref import FlakeRef
from lockbot.policy.upstream_checks import Checks, Standing
from lockbot.process import CancelToken

_COMMIT = re.compile(r"[0-9a-f]{40}")
_LINK = re.compile(r"https?://[!-~]{1,500}")
_NAME_SHOWN = 80


class UpstreamChecks:
    """An `upstream_checks.AskChecks`. `accounts` is what the configuration says, by host."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        cancel: CancelToken,
        clock: Callable[[], datetime],
        patience: Patience | None = None,
    ) -> None:
        self._clients = Clients(accounts, cancel, clock, patience or Patience())
        self._known: dict[tuple[Place, str], Checks] = {}
        self._silent: dict[str, Checks] = {}

    def __call__(self, locked: Locked, revision: str) -> Checks:
        """Raises Cancelled, and DeadlineExceeded for the whole run's."""
        place = place_of(locked, self._clients.accounts)
        if place is None or not _COMMIT.fullmatch(revision):
            return Checks(Standing.NO_FORGE)
        if place.host in self._silent:
            return self._silent[place.host]
        if (place, revision) not in self._known:
            self._known[place, revision] = self._ask(place, locked, revision)
        return self._known[place, revision]

    def _ask(self, place: Place, locked: Locked, revision: str) -> Checks:
        forge, client = self._clients.of(place, "repository or commit")
        try:
            checks = forge.checks(client, place.path, revision)
        except NoResponse as error:
            answer = Checks(Standing.UNKNOWN, error.message, until=error.until)
            if error.everywhere:
                self._silent[place.host] = answer
            return answer
        return sum_up(checks, forges.commit_link(FlakeRef.read(locked.url), revision))


def sum_up(checks: tuple[Check, ...], page: str | None) -> Checks:
    """One red check makes a commit red, one that is not done yet makes it pending. `page` is the commit's own."""
    for standing in (Standing.RED, Standing.PENDING):
        found = [check for check in checks if check.standing is standing]
        if found:
            return Checks(standing, _told(found), next((link for one in found if (link := _link(one))), page))
    return Checks(Standing.GREEN if checks else Standing.NONE, link=page)


def _told(found: list[Check]) -> str:
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    word = _plain(found[0].word).replace("_", " ") or "unknown"
    return f"check '{_plain(found[0].name)}' is {word}{more}"


def _plain(text: str) -> str:
    """Anybody may name a check: one line, and not too long."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= _NAME_SHOWN else f"{text[: _NAME_SHOWN - 1]}…"


def _link(check: Check) -> str | None:
    return check.link if check.link is not None and _LINK.fullmatch(check.link) else None
