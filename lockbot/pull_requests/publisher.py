"""Publishing by pull requests: what the update cycle is handed (`update.context.PullRequests`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from lockbot.errors import LockbotError, UsageError
from lockbot.git.clone import Clone
from lockbot.git.source import LocalSource, Source
from lockbot.git.sync import Base, look
from lockbot.history.store import History
from lockbot.model import Run
from lockbot.pull_requests import closing, looking_after, offering
from lockbot.pull_requests.settings import RequestSettings, Way
from lockbot.pull_requests.site import Site
from lockbot.pull_requests.work import Work
from lockbot.update.context import Offer, Offered


class Publisher:
    """One flake's. `site` None: its remote is on no forge that is known."""

    def __init__(
        self,
        clone: Clone,
        source: Source,
        history: History,
        flake: str,
        settings: RequestSettings,
        way: Way,
        site: Site | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._make: Callable[[], Work] = partial(Work, clone, source, history, flake, settings, way, site, clock)
        self._clone = clone
        self._source = source

    def refusal(self, base: Base) -> LockbotError | None:
        """Why none can be made on top of this base."""
        if isinstance(self._source, LocalSource):
            repository = look(self._clone, self._source, base.branch)
            if repository.no_push is not None:
                return UsageError(repository.no_push, "pull requests need a remote that is pushed to")
        if not self._source.push:
            return UsageError("pull requests are pushed, and repository.push is off", "set it on, or publish.mode")
        if base.remote is None:
            return UsageError(f"{base.branch} is on no remote", "pull requests need one: push the branch there")
        if base.commit != base.remote:
            why = base.notes[-1] if base.notes else f"{base.branch} is not where its remote has it"
            return LockbotError(f"a pull request would ask for more than the update: {why}", "bring them together")
        return None

    def look_after(self, base: Base) -> Offered:
        """See how those that were opened before stand now, and land what may be landed."""
        work = self._make()
        landed = looking_after.look_after_all(work, base)
        work.kept.prune()
        return Offered(tuple(work.done), tuple(work.notes), landed)

    def asked(self, base: Base) -> frozenset[tuple[str, str]]:
        """By those that were asked for by name, as by `lockbot revert`: a run of all would take them over."""
        work = self._make()
        return frozenset(
            (move.input, move.new)
            for one in work.kept.all(work.branches(base).base)
            if one.state.active and one.group and one.parent == base.commit
            for move in one.moves
            if move.new is not None
        )

    def offer(self, offer: Offer) -> Offered:
        """Open one, or make the one that there is ask for this commit."""
        work = self._make()
        became = offering.offer(work, offer)
        return replace(became, done=tuple(work.done), notes=tuple(work.notes))

    def close_overtaken(self, base: Base, run: Run, flake_dir: str) -> Offered:
        """Close those that this run has made pointless."""
        work = self._make()
        with work.noting("overtaken pull requests could not be closed"):
            closing.close_pointless(work, base, run, flake_dir)
        return Offered(tuple(work.done), tuple(work.notes))
