"""One update cycle: sync, propose, judge, publish, record.

It must not know where its settings come from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from lockbot.errors import Cancelled, LockbotError, UsageError
from lockbot.git import publish
from lockbot.git.publish import BaseMoved, Moved, Parked
from lockbot.git.source import Source
from lockbot.git.sync import Base, sync
from lockbot.git.worktree import worktree
from lockbot.model import HostBuild, HostStatus, Outcome, Phase, Run
from lockbot.update import propose, roots
from lockbot.update.judge import Judged
from lockbot.update.propose import LOCK_NAME, Lock, Wish
from lockbot.update.record import Record, words
from lockbot.update.rules import Rules, Tools
from lockbot.update.trial import Trial


def run_cycle(tools: Tools, rules: Rules, wish: Wish, run: Run) -> Run:
    """Run one cycle to its end and return its record. The caller holds the repository's lock.

    Failures of lockbot and its surroundings end in the record (`failed`, `interrupted`); UsageError and
    bugs are recorded and raised.
    """
    return _Cycle(tools, rules, wish, run).go()


def heal(tools: Tools, source: Source, repository: str, *, keep_results: int) -> None:
    """Close the records of runs that were killed: what they had published stands, the rest never happened."""
    for run in tools.history.unfinished(repository):
        published = tools.history.whereabouts(run.id).publishing
        # On the branch that it was, whatever is checked out by now.
        meant = replace(source, branch=run.branch) if published is not None else source
        landed = published is not None and publish.settle(tools.clone, meant, published)
        lost = Outcome.FAILED if run.error else Outcome.INTERRUPTED
        whole = Outcome.PARTLY_PUBLISHED if run.held else Outcome.PUBLISHED
        notes = ["the run ended before it could say how; the next one found out"]
        if landed and (problem := _root(tools, run.id, run.hosts, keep_results)):
            notes.append(problem)
        tools.history.save(
            replace(
                run,
                outcome=whole if landed else lost,
                commit=published if landed else None,
                finished=tools.clock(),
                error=None if landed else (run.error or "lockbot was killed"),
                notes=(*run.notes, *notes),
            )
        )
    for name in tools.clone.kept():
        tools.clone.forget(name)


def _root(tools: Tools, name: str, builds: Iterable[HostBuild], newest: int) -> str | None:
    """Keep an accepted commit's results from collection. What is published stays so: trouble is a sentence."""
    outputs = [build.out for build in builds if build.out and build.status in _HAVE_OUTPUTS]
    try:
        roots.keep(tools.nix, tools.directory / "roots", name, outputs, newest=newest)
    except (LockbotError, OSError) as error:
        why = words(error) if isinstance(error, LockbotError) else str(error)
        return f"the results are not safe from garbage collection: {why}"
    return None


_HAVE_OUTPUTS = frozenset({HostStatus.BUILT, HostStatus.UNCHANGED})


class _Cycle:
    def __init__(self, tools: Tools, rules: Rules, wish: Wish, run: Run) -> None:
        self.tools = tools
        self.rules = rules
        self.wish = wish
        self.record = Record(tools, run)

    def go(self) -> Run:
        record = self.record
        try:
            self._tries()
        except Cancelled as error:
            record.end(Outcome.INTERRUPTED, error=error.message)
        except UsageError as error:
            record.end(Outcome.FAILED, error=error.message, hint=error.hint)
            raise
        except LockbotError as error:
            record.end(Outcome.FAILED, error=words(error), hint=error.hint)
        except BaseException as error:
            record.end(Outcome.FAILED, error=f"a bug in lockbot: {error!r}", hint="please report it")
            raise
        finally:
            with contextlib.suppress(LockbotError):  # a commit kept too long does no harm; a lost error would
                self.tools.clone.forget(record.run.id)
        return record.run

    def _tries(self) -> None:
        for _ in range(self.rules.publish_tries):
            if self._try():
                return
        self.record.end(
            Outcome.STALE, hint="the branch keeps moving faster than hosts build; the next run tries again"
        )

    def _try(self) -> bool:
        """One go at it; False when the base moved and another may help."""
        with self.record.phase(Phase.SYNC):
            base = sync(self.tools.clone, self.rules.source)
            self.record.set(base=base.commit, branch=base.branch)
            self.record.note(*base.notes)
        with worktree(self.tools.clone, base.commit, self.rules.source) as tree:
            self.record.note(*tree.notes)
            flake_dir = self.rules.flake_dir or base.subdirectory
            with self.record.phase(Phase.PROPOSE):
                proposal = propose.propose(
                    self.tools.nix, tree.path / flake_dir, self.wish, self.rules.fetching, self.tools.progress
                )
                self.record.note(*proposal.notes)
                self.record.set(changes=proposal.changes, held=proposal.held)
            if not proposal.changes:
                self.record.end(Outcome.UNCHANGED)
                return True
            with self.record.phase(Phase.JUDGE):
                lock = Lock((tree.path / flake_dir / LOCK_NAME).read_bytes(), proposal.changes)
                trial = Trial(self.tools, self.rules, self.record, base, tree, flake_dir)
                judged = trial.judge(lock, proposal.held)
            return self._decide(base, judged)

    def _decide(self, base: Base, judged: Judged) -> bool:
        verdict = judged.verdict
        if verdict.blocking(self.rules.gate):
            self.record.end(Outcome.REJECTED)
            return True
        outcome = Outcome.PARTLY_PUBLISHED if self.record.run.held else Outcome.PUBLISHED
        if self.rules.dry_run:
            self.record.note(f"dry run: would publish {verdict.candidate.commit} on {base.branch}")
            self.record.end(outcome)
            return True
        with self.record.phase(Phase.PUBLISH):
            return self._publish(base, judged, outcome)

    def _publish(self, base: Base, judged: Judged, outcome: Outcome) -> bool:
        commit = judged.verdict.candidate.commit
        tools = self.tools
        with self.record.publishing(commit):
            published = publish.publish(
                tools.clone, self.rules.source, base, commit, run=self.record.run.id, push=self.rules.push
            )
        match published:
            case Moved():
                self.record.note(*published.notes)
                self.record.set(commit=commit, pushed=published.pushed)
                self.record.end(outcome)
                self._keep(commit, judged)
            case BaseMoved():
                self.record.note(f"{published.why} while lockbot worked: it began anew on top")
                return False
            case Parked():
                self.record.set(parked=published.branch)
                advice = "\n".join([f"the update waits on {published.branch}; to take it:", *published.advice])
                self.record.end(Outcome.STALE, error=published.why, hint=advice)
            case _:
                assert_never(published)
        return True

    def _keep(self, commit: str, judged: Judged) -> None:
        """What was accepted is the next run's base; its results, and this base's, are kept from collection."""
        with contextlib.suppress(LockbotError):  # it only costs the next run an evaluation
            self.record.remember(commit, judged.candidate)
        builds = [*judged.verdict.builds, *judged.base.values()]
        if problem := _root(self.tools, self.record.run.id, builds, self.rules.keep_results):
            self.record.note(problem)
            self.tools.history.save(self.record.run)
