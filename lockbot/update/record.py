"""The record of a run while it is made: phases, notes, the end. Every step is in the history before the next."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from lockbot.errors import CommandError, LockbotError
from lockbot.judge.hosts import gone_hosts, new_hosts, words_of_hosts
from lockbot.judge.verdict import Baseline
from lockbot.model import FailureKind, Host, HostBuild, HostStatus, Note, Outcome, Phase, PhaseStarted, Run
from lockbot.review.chained import chained, chained_upstream
from lockbot.update.context import RunContext

EARLIER_RUNS = 500
"""In so many a host is looked for, before it is called new."""


class Record:
    """One run, as it becomes. `run` is its present state."""

    def __init__(self, context: RunContext, run: Run) -> None:
        self._context = context
        self.run = run
        self._publishing = False
        self._new_hosts: frozenset[str] = frozenset()
        self._phase: tuple[Phase, float, float] | None = None
        """The one that is on, what it took before, and when it began this time."""
        context.history.start(run)

    def set(self, **fields: Any) -> None:
        """Replace fields of the run."""
        self.run = replace(self.run, **fields)

    def compare_hosts(self, judged: Sequence[Host], listed: Collection[Host] | None) -> None:
        """Say which hosts are new, and which are gone since the last run. `listed`: all that the flake has; None:
        it can't say."""
        earlier = self._context.history.hosts_judged(self.run.flake, self.run.id, EARLIER_RUNS)
        last = self._context.history.hosts_judged(self.run.flake, self.run.id, 1)
        self._new_hosts = new_hosts(earlier, judged)
        gone = gone_hosts(last, listed) if listed is not None else ()
        self.note(*words_of_hosts(self._new_hosts, gone))

    def as_told(self, builds: Iterable[HostBuild]) -> tuple[HostBuild, ...]:
        """Hosts as they are called: one that is new was not broken before."""
        return tuple(
            replace(build, status=HostStatus.NEW_AND_BROKEN)
            if build.status is HostStatus.BROKEN_BEFORE and build.host.name in self._new_hosts
            else build
            for build in builds
        )

    @contextlib.contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Tell that a phase begins, and add up how long it takes. Judging tells by itself, with its hosts."""
        if phase is not Phase.JUDGE:
            self._context.progress(PhaseStarted(phase))
        self._context.history.mark_phase(self.run.id, phase)
        self._phase = phase, self.run.seconds.get(phase, 0.0), time.monotonic()
        try:
            yield
        finally:
            self._add_up()
            self._phase = None

    def _add_up(self) -> None:
        """The time of the phase that is on, up to now."""
        if self._phase is not None:
            phase, before, begun = self._phase
            spent = before + time.monotonic() - begun
            self.set(seconds={**self.run.seconds, phase: round(spent, 3)})

    def note(self, *texts: str) -> None:
        """Sentences for the user; the same one is told once."""
        for text in texts:
            if text not in self.run.notes:
                self.set(notes=(*self.run.notes, text))
                self._context.progress(Note(text))

    @contextlib.contextmanager
    def publishing(self, commit: str) -> Iterator[None]:
        """What is cut off in here may have happened: only the next start can find out."""
        self.set(hosts=self.as_told(self.run.hosts))
        self._context.history.save(self.run)  # whole, for the next start to complete
        self._context.history.mark_publishing(self.run.id, commit)
        self._publishing = True
        try:
            yield
        except CommandError:  # refused: nothing has moved
            self._publishing = False
            raise
        self._publishing = False

    def end(self, outcome: Outcome, *, error: str | None = None, hint: str | None = None) -> None:
        """Close the record; cut off while publishing, it stays open for the next start."""
        self._add_up()  # the last phase is on still
        self.set(hosts=self.as_told(self.run.hosts))
        self.set(outcome=outcome, finished=self._context.clock(), error=error, hint=hint or None)
        open_end = self._publishing and outcome in (Outcome.INTERRUPTED, Outcome.FAILED)
        self._context.history.save(replace(self.run, outcome=None) if open_end else self.run)

    def amend(self, before: Run) -> None:
        """Make one record of a commit that was published `before`, and of what came on top of it since."""
        after = self.run
        landed = after.commit is not None and after.commit != before.commit
        took = landed or after.outcome is Outcome.REQUESTED
        self.set(
            base=before.base,
            commit=after.commit or before.commit,
            outcome=_outcome(before, after, landed=landed),
            changes=(*before.changes, *(after.changes if took else ())),
            held=(*before.held, *(item for item in after.held if item not in before.held)),
            pushed=after.pushed if landed else before.pushed,
            differences=chained(before.differences, after.differences) if took else before.differences,
            upstream=chained_upstream(before.upstream, after.upstream) if took else before.upstream,
            error=before.error or (None if took else after.error),
        )
        self._context.history.save(self.run)

    def remember(self, fingerprint: str, commit: str, baseline: Baseline) -> None:
        """Keep what hosts were found to be at a commit, for later runs under the same fingerprint
        (`RunConfig.fingerprint`)."""
        self._context.history.remember(self.run.flake, fingerprint, commit, list(map(_lasting, baseline.values())))

    def keep_log(self, host: str, text: str, limit: int) -> None:
        problem = self._context.history.write_log(self.run.id, host, text, limit)
        if problem is not None:
            self.note(problem)


def _outcome(before: Run, after: Run, *, landed: bool) -> Outcome | None:
    """Of both together: nothing counts as published where nothing has landed."""
    if before.commit is not None or landed:
        return before.outcome if before.commit is not None and landed else Outcome.PARTLY_PUBLISHED
    return Outcome.REQUESTED if after.outcome is Outcome.REQUESTED else before.outcome


def _lasting(build: HostBuild) -> HostBuild:
    """Of a host that could not be judged, its derivation is what remains; and that nothing here can build it."""
    if build.failure is None or build.failure.kind.own or build.drv is None:
        return build
    platform = build.failure.kind is FailureKind.PLATFORM
    status = HostStatus.NOT_BUILDABLE_HERE if platform else HostStatus.EVALUATED
    return replace(build, status=status, failure=None, here=None)


def error_text(error: LockbotError) -> str:
    """The message, with the command to paste and its last lines where a tool failed."""
    if isinstance(error, CommandError) and error.command:
        return f"{error.message}\n  {error.command}\n{error.output}".rstrip()
    return error.message
