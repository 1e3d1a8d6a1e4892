"""One update cycle: sync, propose, judge, publish, record.

The candidate is committed before it is judged, and what is published is that very commit. Its message tells
how its hosts fared, so it is written as a prediction; where the verdict differs, the message is put right and
the new commit is judged (what is built is not built again). It must not know where its settings come from.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import assert_never

from lockbot.errors import Cancelled, CommandError, LockbotError, UsageError
from lockbot.git import publish
from lockbot.git.clone import Clone
from lockbot.git.publish import BaseMoved, Moved, Parked
from lockbot.git.source import Source
from lockbot.git.sync import Base, sync
from lockbot.git.worktree import Identity, Signing, Worktree, commit, recommit, worktree
from lockbot.history.store import History
from lockbot.model import (
    Candidate,
    Gate,
    Host,
    HostBuild,
    HostStatus,
    InputChange,
    Note,
    Outcome,
    Phase,
    PhaseStarted,
    Progress,
    Run,
)
from lockbot.nix import evaluate
from lockbot.nix.command import Nix, local_flake
from lockbot.nix.flakeref import compare_link
from lockbot.process import Deadline
from lockbot.report.commit import commit_message
from lockbot.update import judge, propose, roots
from lockbot.update.hosts import Selection, select
from lockbot.update.judge import Baseline, Judged
from lockbot.update.propose import LOCK_NAME, Proposal, Wish

REWRITES = 4
"""How often a commit's message is put right before the run gives up: hosts that fare otherwise each time."""


@dataclass(frozen=True)
class Rules:
    """What the configuration says about a cycle, in plain values."""

    source: Source
    flake_dir: str
    selection: Selection
    gate: Gate
    fetching: propose.Limits
    judging: judge.Limits
    author: Identity
    committer: Identity
    signing: Signing | None
    subject: str
    publish_tries: int
    keep_results: int
    log_limit: int
    push: bool = True
    dry_run: bool = False


@dataclass(frozen=True)
class Tools:
    """What a cycle works with. `directory` is the repository's own place in the state directory."""

    nix: Nix
    clone: Clone
    history: History
    directory: Path
    progress: Progress
    clock: Callable[[], datetime]


def run_cycle(tools: Tools, rules: Rules, wish: Wish, run: Run) -> Run:
    """Run one cycle to its end and return its record. The caller holds the repository's lock.

    Failures of lockbot and its surroundings end in the record (`failed`, `interrupted`); UsageError and
    bugs are recorded and raised.
    """
    return _Cycle(tools, rules, wish, run).go()


def heal(tools: Tools, source: Source, repository: str) -> None:
    """Close the records of runs that were killed: what they had published stands, the rest never happened."""
    for run in tools.history.unfinished(repository):
        published = tools.history.whereabouts(run.id).publishing
        landed = published is not None and publish.settle(tools.clone, source, published)
        lost = Outcome.FAILED if run.error else Outcome.INTERRUPTED
        tools.history.save(
            replace(
                run,
                outcome=Outcome.PUBLISHED if landed else lost,
                commit=published if landed else None,
                finished=tools.clock(),
                error=None if landed else (run.error or "lockbot was killed"),
                notes=(*run.notes, "the run ended before it could say how; the next one found out"),
            )
        )
        tools.clone.forget(run.id)


_HAVE_OUTPUTS = frozenset({HostStatus.BUILT, HostStatus.UNCHANGED})


class _Cycle:
    def __init__(self, tools: Tools, rules: Rules, wish: Wish, run: Run) -> None:
        self.tools = tools
        self.rules = rules
        self.wish = wish
        self.run = run
        self.publishing = False

    def go(self) -> Run:
        self.tools.history.start(self.run)
        try:
            self._tries()
        except Cancelled as error:
            self._end(Outcome.INTERRUPTED, error=error.message)
        except UsageError as error:
            self._end(Outcome.FAILED, error=error.message, hint=error.hint)
            raise
        except LockbotError as error:
            self._end(Outcome.FAILED, error=_words(error), hint=error.hint)
        except BaseException as error:
            self._end(Outcome.FAILED, error=f"a bug in lockbot: {error!r}", hint="please report it")
            raise
        finally:
            with contextlib.suppress(LockbotError):  # a commit kept too long does no harm; a lost error would
                self.tools.clone.forget(self.run.id)
        return self.run

    def _tries(self) -> None:
        for _ in range(self.rules.publish_tries):
            if self._try():
                return
        self._end(Outcome.STALE, hint="the branch keeps moving faster than hosts build; the next run tries again")

    def _try(self) -> bool:
        """One go at it; False when the base moved and another may help."""
        with self._phase(Phase.SYNC):
            base = sync(self.tools.clone, self.rules.source)
            self.run = replace(self.run, base=base.commit, branch=base.branch)
            self.note(*base.notes)
        with worktree(self.tools.clone, base.commit, self.rules.source) as tree:
            self.note(*tree.notes)
            flake_dir = self.rules.flake_dir or base.subdirectory
            with self._phase(Phase.PROPOSE):
                proposal = propose.propose(
                    self.tools.nix, tree.path / flake_dir, self.wish, self.rules.fetching, self.tools.progress
                )
                self.note(*proposal.notes)
                self.run = replace(self.run, changes=proposal.changes, held=proposal.held)
            if not proposal.changes:
                self._end(Outcome.UNCHANGED)
                return True
            with self._phase(Phase.JUDGE):
                judged = _Judging(self, base, tree, flake_dir, proposal).judge()
            return self._decide(base, judged)

    def _decide(self, base: Base, judged: Judged) -> bool:
        verdict = judged.verdict
        if verdict.blocking(self.rules.gate):
            self._end(Outcome.REJECTED)
            return True
        outcome = Outcome.PARTLY_PUBLISHED if self.run.held else Outcome.PUBLISHED
        if self.rules.dry_run:
            self.note(f"dry run: would publish {verdict.candidate.commit} on {base.branch}")
            self._end(outcome)
            return True
        with self._phase(Phase.PUBLISH):
            return self._publish(base, judged, outcome)

    def _publish(self, base: Base, judged: Judged, outcome: Outcome) -> bool:
        commit = judged.verdict.candidate.commit
        tools = self.tools
        tools.history.mark_publishing(self.run.id, commit)
        self.publishing = True
        published = publish.publish(
            tools.clone, self.rules.source, base, commit, run=self.run.id, push=self.rules.push
        )
        self.publishing = False
        match published:
            case Moved():
                self.note(*published.notes)
                self.run = replace(self.run, commit=commit, pushed=published.pushed)
                self._end(outcome)
                self._keep(commit, judged)
            case BaseMoved():
                self.note(f"{published.why} while lockbot worked: it began anew on top")
                return False
            case Parked():
                self.run = replace(self.run, parked=published.branch)
                advice = "\n".join([f"the update waits on {published.branch}; to take it:", *published.advice])
                self._end(Outcome.STALE, error=published.why, hint=advice)
            case _:
                assert_never(published)
        return True

    def _keep(self, commit: str, judged: Judged) -> None:
        """What was accepted is the next run's base; its results, and this base's, are kept from collection."""
        self.remember(commit, judged.candidate)
        builds = [*judged.verdict.builds, *judged.base.values()]
        outputs = [build.out for build in builds if build.out and build.status in _HAVE_OUTPUTS]
        try:
            roots.keep(
                self.tools.nix,
                self.tools.directory / "roots",
                self.run.id,
                outputs,
                newest=self.rules.keep_results,
            )
        except LockbotError as error:  # published is published
            self.note(f"the results are not safe from garbage collection: {_words(error)}")
            self.tools.history.save(self.run)

    def remember(self, commit: str, baseline: Baseline) -> None:
        self.tools.history.remember(self.run.repository, commit, list(baseline.values()))

    # -- the record ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _phase(self, phase: Phase, detail: str = "") -> Iterator[None]:
        self.tools.progress(PhaseStarted(phase, detail))
        self.tools.history.mark_phase(self.run.id, phase)
        begun = time.monotonic()
        try:
            yield
        finally:
            spent = self.run.seconds.get(phase, 0.0) + time.monotonic() - begun
            self.run = replace(self.run, seconds={**self.run.seconds, phase: round(spent, 3)})

    def note(self, *texts: str) -> None:
        for text in texts:
            if text not in self.run.notes:
                self.run = replace(self.run, notes=(*self.run.notes, text))
                self.tools.progress(Note(text))

    def _end(self, outcome: Outcome, *, error: str | None = None, hint: str | None = None) -> None:
        self.run = replace(self.run, outcome=outcome, finished=self.tools.clock(), error=error, hint=hint)
        # Cut off while publishing: only the next start can find out what became of it.
        open_end = self.publishing and outcome in (Outcome.INTERRUPTED, Outcome.FAILED)
        self.tools.history.save(replace(self.run, outcome=None) if open_end else self.run)


class _Judging:
    """The part of a try that makes commits and judges them until the message tells the truth."""

    def __init__(self, cycle: _Cycle, base: Base, tree: Worktree, flake_dir: str, proposal: Proposal) -> None:
        self.cycle = cycle
        self.tools = cycle.tools
        self.rules = cycle.rules
        self.base = base
        self.tree = tree
        self.flake_dir = flake_dir
        self.proposal = proposal
        remembered = self.tools.history.baseline(cycle.run.repository, base.commit).values()
        self.known: Baseline = {build.host.attribute: build for build in remembered}
        self.when = self.tools.clock()

    def judge(self) -> Judged:
        at_base = self._hosts(self.base.commit, may_fail=True)
        predicted = select(at_base, self.rules.selection) if at_base else ()
        message = self._message([_predicted(host, self.known) for host in predicted])
        made = commit(
            self.tools.clone,
            self.tree,
            [str(Path(self.flake_dir) / LOCK_NAME)],
            message,
            name=self.cycle.run.id,
            identity=self.rules.author,
            committer=self.rules.committer,
            when=self.when,
            sign=self.rules.signing,
        )
        # A host that the candidate no longer has is judged, too: it fails.
        here = self._hosts(made, may_fail=bool(at_base))
        hosts = select(tuple(dict.fromkeys((*here, *at_base))), self.rules.selection)
        self.tools.progress(PhaseStarted(Phase.JUDGE, f"{len(hosts)} hosts", hosts=len(hosts)))
        carried: list[HostBuild] = []
        for _ in range(REWRITES):
            judged = self._judge_commit(made, hosts, carried)
            truth = self._message(judged.verdict.builds)
            if truth == message or judged.verdict.blocking(self.rules.gate):
                return judged
            message = truth
            made = recommit(self.tools.clone, made, message, name=self.cycle.run.id, sign=self.rules.signing)
            carried = [build for build in judged.verdict.builds if build.status is HostStatus.UNCHANGED]
        raise LockbotError(
            "the hosts fare differently each time they are built: no message holds true",
            "see `lockbot show` for which; a build that fails at random is the usual reason",
        )

    def _judge_commit(self, made: str, hosts: Sequence[Host], carried: Sequence[HostBuild]) -> Judged:
        candidate = Candidate(self.base.commit, made, self.proposal.changes)
        self.cycle.run = replace(self.cycle.run, candidate=made)
        judged = judge.judge(
            self.tools.nix,
            candidate,
            hosts,
            tree=self.tree.path,
            flake_dir=self.flake_dir,
            submodules=self.tree.submodules,
            known=self.known,
            limits=self.rules.judging,
            progress=self.tools.progress,
            carried=carried,
        )
        self.cycle.run = replace(self.cycle.run, hosts=judged.verdict.builds)
        self.cycle.remember(self.base.commit, judged.base)
        self.known = {**self.known, **judged.base}
        self._keep_logs(judged.verdict.builds)
        return judged

    def _hosts(self, at: str, *, may_fail: bool) -> tuple[Host, ...]:
        """The names the flake has at a commit. Where it can't say and may fail, none: judging tells why."""
        flake = local_flake(self.tree.path, at, self.flake_dir, submodules=self.tree.submodules)
        deadline = Deadline(self.rules.judging.evaluation.timeout, "asking the flake for its hosts")
        try:
            return evaluate.host_names(self.tools.nix, flake, deadline)
        except CommandError:
            if not may_fail:
                raise
            return ()

    def _message(self, builds: Sequence[HostBuild]) -> str:
        return commit_message(
            self.cycle.run.id,
            self.proposal.changes,
            builds,
            subject_template=self.rules.subject,
            now=self.when,
            links=_links(self.proposal.changes),
            held=self.proposal.held,
        )

    def _keep_logs(self, builds: Sequence[HostBuild]) -> None:
        for build in builds:
            if build.failure is not None and (text := build.failure.log or "\n".join(build.failure.tail)):
                problem = self.tools.history.write_log(
                    self.cycle.run.id, build.host.name, text, self.rules.log_limit
                )
                if problem is not None:
                    self.cycle.note(problem)


def _words(error: LockbotError) -> str:
    """The message, with the command to paste and its last lines where a tool failed."""
    if isinstance(error, CommandError) and error.command:
        return f"{error.message}\n  {error.command}\n{error.output}".rstrip()
    return error.message


def _links(changes: Sequence[InputChange]) -> dict[str, str]:
    links = {change.input: compare_link(change.old, change.new) for change in changes if change.old and change.new}
    return {name: link for name, link in links.items() if link}


def _predicted(host: Host, known: Baseline) -> HostBuild:
    """What will most likely be found out about a host: it builds, unless it did not last time."""
    before = known.get(host.attribute)
    if before is not None and before.failure is not None:
        return replace(before, host=host, status=HostStatus.BROKEN_BEFORE)
    if before is not None and before.status is HostStatus.NOT_BUILDABLE_HERE:
        return replace(before, host=host)
    return HostBuild(host, HostStatus.EVALUATED if host.evaluate_only else HostStatus.BUILT)
