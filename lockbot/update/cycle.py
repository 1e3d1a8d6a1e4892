"""One update cycle: sync, propose, judge, publish, record.

It must not know where its settings come from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from lockbot import oserrors
from lockbot.errors import Cancelled, LockbotError, UnjudgedError, UsageError
from lockbot.git import publish, recovery
from lockbot.git.clone import CloneDamagedError
from lockbot.git.commits import signatures
from lockbot.git.landing import BaseMoved
from lockbot.git.publish import Moved, Parked
from lockbot.git.source import Source
from lockbot.git.sync import Base, sync
from lockbot.git.worktree import worktree
from lockbot.judge import gc_roots
from lockbot.judge.verdict import Judged
from lockbot.lock.local import named_files
from lockbot.lock.request import UpdateRequest
from lockbot.lock.unmovable import CANNOT_LOCK
from lockbot.model import KILLED, HostBuild, HostStatus, Outcome, Phase, Run
from lockbot.search.strategies import Strategy
from lockbot.state import ROOTS
from lockbot.update.attempt import Attempt, AttemptResult, SeriesCommit
from lockbot.update.context import Offer, Offered, PullRequests, RunConfig, RunContext
from lockbot.update.record import Record, error_text
from lockbot.update.workspace import Workspace


def run_cycle(context: RunContext, config: RunConfig, request: UpdateRequest, run: Run) -> Run:
    """Run one cycle to its end and return its record. The caller holds the repository's lock.

    Failures of lockbot and its surroundings end in the record (`failed`, `interrupted`); UsageError and
    bugs are recorded and raised.
    """
    return _Cycle(context, config, request, run).go()


def recover(context: RunContext, source: Source, repository: str, flake: str, *, keep_results: int) -> None:
    """Close the records of runs that were killed: what they had published stands, the rest never happened.

    So it is done for the repository's other flakes, too, unless what one was about to publish is not to be seen:
    that is left to its own next run, which may know another remote.
    """
    left: set[str] = set()
    for run in context.history.unfinished(repository):
        published = context.history.whereabouts(run.id).publishing
        # On the branch that it was, whatever is checked out by now.
        meant = replace(source, branch=run.branch) if published is not None else source
        landed = published is not None and recovery.was_published(context.clone, meant, published)
        own = run.flake == flake
        if published is not None and not landed and not own:
            left.add(run.id)
            continue
        lost = Outcome.FAILED if run.error else Outcome.INTERRUPTED
        whole = Outcome.PARTLY_PUBLISHED if run.held else Outcome.PUBLISHED
        notes = ["the run ended before it could say how; the next one found out"]
        if landed and own and (problem := _root(context, run, run.hosts, keep_results)):
            notes.append(problem)
        context.history.save(
            replace(
                run,
                outcome=whole if landed else lost,
                commit=published if landed else None,
                finished=context.clock(),
                error=None if landed else (run.error or KILLED),
                notes=(*run.notes, *notes),
            )
        )
    for name in context.clone.kept().keys() - left:
        context.clone.forget(name)


def _root(context: RunContext, run: Run, builds: Iterable[HostBuild], newest: int) -> str | None:
    """Keep an accepted commit's results from collection. What is published stays so: trouble is a sentence."""
    outputs = [build.out for build in builds if build.out and build.status in _HAVE_OUTPUTS]
    try:
        gc_roots.keep(context.nix, context.directory / ROOTS, run.flake, run.id, outputs, newest=newest)
    except (LockbotError, OSError) as error:
        why = error_text(error) if isinstance(error, LockbotError) else str(error)
        return f"the results are not safe from garbage collection: {why}"
    return None


_JUDGED = frozenset(
    {Outcome.UNCHANGED, Outcome.PUBLISHED, Outcome.PARTLY_PUBLISHED, Outcome.REQUESTED, Outcome.REJECTED}
)
_HAVE_OUTPUTS = frozenset({HostStatus.BUILT, HostStatus.UNCHANGED})


class _Cycle:
    def __init__(self, context: RunContext, config: RunConfig, request: UpdateRequest, run: Run) -> None:
        self.context = context
        self.config = config
        self.request = request
        self.record = Record(context, run)
        self.commit: SeriesCommit | None = None
        """Which of the series is on, after the first; None: the first."""
        self.series: list[SeriesCommit] = []
        """What is to come on top of the first commit, where each update group gets one of its own."""
        self.base: Base | None = None
        self.looked_after = False
        """Earlier pull requests were looked after, once in a run."""
        self.deciding = False
        """The attempt is judged: from here on, something may be published."""
        self.damaged = False
        """lockbot's clone was found to be damaged, and made anew, once in a run."""
        self.unfinished: str | None = None
        """What an earlier run left undone in the user's repository, and this one could not do either."""

    def go(self) -> Run:
        record = self.record
        try:
            # What is damaged may be read at any step, and would fail each run at the same.
            with oserrors.explaining(), self.context.clone.blaming_damage():
                self._go()
        except Cancelled as error:
            record.end(Outcome.INTERRUPTED, error=error.message)
        except UsageError as error:
            record.end(Outcome.FAILED, error=error.message, hint=error.hint)
            raise
        except UnjudgedError as error:
            record.end(Outcome.UNJUDGED, error=error_text(error), hint=error.hint)
        except LockbotError as error:
            record.end(Outcome.FAILED, error=error_text(error), hint=error.hint)
        except BaseException as error:
            record.end(Outcome.FAILED, error=f"a bug in lockbot: {error!r}", hint="please report it")
            raise
        finally:
            with contextlib.suppress(LockbotError):  # a commit kept too long does no harm; a lost error would
                self.context.clone.forget(record.run.id)
        return record.run

    def _go(self) -> None:
        """The update; and where each input gets a commit of its own, the others after the first."""
        self._attempts()
        while self.series and (self.record.run.commit is not None or self.record.run.requests):
            first = self.record.run
            self.commit, *self.series = self.series
            self.request = UpdateRequest(None, self.commit.pins)
            try:
                self._attempts()
            finally:
                self.record.amend(first)
        self._close_overtaken()

    def _attempts(self) -> None:
        for _ in range(self.config.publish_tries):
            if self._healed_attempt():
                return
        self.record.end(
            Outcome.STALE, hint="the branch keeps moving faster than hosts build; the next run tries again"
        )

    def _healed_attempt(self) -> bool:
        """One attempt; a second, where lockbot's clone turned out to be damaged before anything was decided."""
        self.deciding = False
        try:
            with self.context.clone.blaming_damage():
                return self._attempt()
        except CloneDamagedError as error:
            if self.deciding or self.damaged:
                raise
            self.damaged = True
            self.record.note(f"{error.message}: it was thrown away, and the run began anew")
            return self._attempt()

    def _attempt(self) -> bool:
        """One attempt; False when the base moved and another may help."""
        with self.record.phase(Phase.SYNC):
            base = self._sync()
        if base.overtaken is not None:
            hint = f"bring them together ({base.overtaken}), and push; lockbot then goes on"
            self.record.end(Outcome.STALE, error=base.notes[-1], hint=hint)
            return True
        if self.context.requests is not None and not self.config.dry_run:
            if (refusal := self.context.requests.refusal(base)) is not None:
                self.record.end(Outcome.STALE, error=refusal.message, hint=refusal.hint)
                return True
            base = self._look_after(self.context.requests, base)
        with worktree(self.context.clone, base.commit, self.config.source) as tree:
            self.record.note(*tree.notes)
            flake_dir = self._flake_dir(base)
            self.context.nix.permit(named_files(self.context.clone, base.commit, flake_dir))
            held = self.commit.held if self.commit is not None else ()
            workspace = Workspace(self.context, self.config, self.record, base, tree, flake_dir)
            result = Attempt(workspace, self.request, held).run()
        self.record.set(held=result.held)
        self.deciding = True
        return self._decide(base, result)

    def _sync(self) -> Base:
        """Fetch; and finish in the user's repository what an earlier run could not."""
        clone, source = self.context.clone, self.config.source
        base = sync(clone, source)
        self.unfinished = None
        if not self.config.dry_run:
            finished = recovery.finish_earlier(clone, source, base)
            self.record.note(*finished.notes)
            self.unfinished = finished.trouble
            if finished.trouble is not None:
                self.record.note(finished.trouble)
            if finished.moved:
                base = sync(clone, source)
        self.base = base
        self.record.set(base=base.commit, branch=base.branch)
        self.record.note(*base.notes)
        signatures.require_branch(clone, base.branch, base.commit, remember=True)
        return base

    def _look_after(self, requests: PullRequests, base: Base) -> Base:
        """How earlier requests stand. What lands is what to go on from."""
        if self.looked_after:
            return base
        self.looked_after = True
        found = requests.look_after(base)
        self._tell(found)
        return self._sync() if found.landed is not None else base

    def _tell(self, found: Offered) -> None:
        self.record.note(*found.notes)
        known = self.record.run.requests
        self.record.set(requests=(*known, *(one for one in found.done if one not in known)))

    def _close_overtaken(self) -> None:
        """Not while it is not known how things stand: what went wrong is told, and the next run looks again."""
        run, requests = self.record.run, self.context.requests
        if requests is None or self.base is None or self.config.dry_run or run.outcome not in _JUDGED:
            return
        self._tell(requests.close_overtaken(self.base, run, self._flake_dir(self.base)))
        self.context.history.save(self.record.run)

    def _flake_dir(self, base: Base) -> str:
        return self.config.flake_dir or base.subdirectory

    def _decide(self, base: Base, result: AttemptResult) -> bool:
        judged = result.judged
        if judged is None or not result.good:
            self._observe(result, moved=False)
            if told := publish.behind(self.context.clone, self.config.source, base):
                self.record.note(told)
            self._end_unpublished(result)
            return True
        outcome = Outcome.PARTLY_PUBLISHED if result.held else Outcome.PUBLISHED
        if self.config.dry_run:
            self._end_dry(judged.verdict.candidate.commit, base, outcome)
            return True
        with self.record.phase(Phase.PUBLISH):
            if self.context.requests is not None:
                return self._offer(self.context.requests, base, result, judged, outcome)
            return self._publish(base, result, judged, outcome)

    def _end_dry(self, commit: str, base: Base, outcome: Outcome) -> None:
        if self.context.requests is None:
            self.record.note(f"dry run: would publish {commit} on {base.branch}")
            self.record.end(outcome)
        else:
            self.record.note(f"dry run: a pull request would ask to take {commit} on {base.branch}")
            self.record.end(Outcome.REQUESTED)

    def _end_unpublished(self, result: AttemptResult) -> None:
        if result.judged is None and self.unfinished is not None:
            self.record.end(Outcome.FAILED, error=self.unfinished, hint="lockbot tries again with its next run")
        elif result.judged is None:
            waiting = {item.input for item in result.held if item.reason != CANNOT_LOCK}
            refused = any(item.reason == CANNOT_LOCK and item.input not in waiting for item in result.held)
            self.record.end(Outcome.REJECTED if refused else Outcome.UNCHANGED)
        elif reasons := result.unjudged:
            self.record.end(
                Outcome.UNJUDGED,
                error="the update could not be judged: " + "; ".join(reasons),
                hint="nothing was published and no input is blamed; the next run tries again",
            )
        else:
            self.record.end(Outcome.REJECTED)

    def _observe(self, result: AttemptResult, *, moved: bool) -> None:
        """Into the ledger: how inputs stand now. A lost line there costs an alarm's precision, not the update."""
        if self.commit is not None:
            return  # the first commit's attempt saw it all; this one has only seen what it was told to pin
        seen = result.observations
        if not moved:
            seen = tuple(replace(one, locked=result.before.get(one.input)) for one in seen)
        with contextlib.suppress(LockbotError):
            ledger = self.context.history.ledger(self.record.run.flake)
            ledger.record(seen)
            ledger.forget_inputs(result.paths)

    def _publish(self, base: Base, result: AttemptResult, judged: Judged, outcome: Outcome) -> bool:
        commit = judged.verdict.candidate.commit
        context = self.context
        with self.record.publishing(commit):
            published = publish.publish(
                context.clone,
                self.config.source,
                base,
                commit,
                run=self.record.run.id,
                flake_dir=self._flake_dir(base),
                push=self.config.push,
            )
        match published:
            case Moved():
                self.record.note(*published.notes)
                self.record.set(commit=commit, pushed=published.pushed)
                if published.trouble is None:
                    self.record.end(outcome)
                    self.series.extend(result.series)
                else:
                    self._end_half_way(published.trouble)
                self._observe(result, moved=True)
                self._keep(commit, judged)
            case BaseMoved():
                self.record.note(f"{published.why} while lockbot worked: it began anew on top")
                return False
            case Parked():
                self.record.set(parked=published.branch)
                advice = "\n".join([f"the update waits on {published.branch}; to take it:", *published.advice])
                self._observe(result, moved=False)
                self.record.end(Outcome.STALE, error=published.why, hint=advice)
            case _:
                assert_never(published)
        return True

    def _offer(
        self, requests: PullRequests, base: Base, result: AttemptResult, judged: Judged, outcome: Outcome
    ) -> bool:
        """A pull request for it; False where that is to land at once, and the base has moved."""
        commit = judged.verdict.candidate.commit
        inputs = self._inputs_of_request(result)
        with self.record.publishing(commit):
            made = requests.offer(Offer(self.record.run, base, commit, inputs, self._flake_dir(base)))
        self._tell(made)
        if made.moved is not None:
            self.record.note(f"{made.moved.why} while lockbot worked: it began anew on top")
            return False
        if made.landed is not None:
            self.record.set(commit=made.landed, pushed=True)
            self.record.end(outcome)
        elif made.trouble is not None:
            hint = made.trouble.hint or "the next run tries again; what was built is not built again"
            self.record.end(Outcome.FAILED, error=error_text(made.trouble), hint=hint)
        else:
            self.record.end(Outcome.REQUESTED)
        self.series.extend(result.series)
        self._observe(result, moved=made.landed is not None)
        self._keep(commit, judged)
        return True

    def _inputs_of_request(self, result: AttemptResult) -> tuple[str, ...] | None:
        """Which inputs share a request: each update group of a series has its own, and what was asked for by
        name; else all that there are."""
        if self.commit is not None:
            return self._whole_groups(self.commit.pins)
        if result.series or self.config.strategy is Strategy.EACH:
            return self._whole_groups(result.inputs) or None
        return tuple(sorted(self.request.named)) or None

    def _whole_groups(self, inputs: Iterable[str]) -> tuple[str, ...]:
        """With those that have not moved tonight: a group's request is the same every night."""
        moved = frozenset(inputs)
        return tuple(sorted(moved.union(*(group for group in self.config.groups if group & moved))))

    def _end_half_way(self, trouble: LockbotError) -> None:
        """The remote has the commit and the user's branch has not: published, and yet no success."""
        outcome = Outcome.INTERRUPTED if isinstance(trouble, Cancelled) else Outcome.FAILED
        hint = "; ".join(filter(None, [trouble.hint, "lockbot tries again with its next run"]))
        self.record.end(outcome, error=f"pushed, but {error_text(trouble)}", hint=hint)

    def _keep(self, commit: str, judged: Judged) -> None:
        """What was accepted is the next run's base; its results, and this base's, are kept from collection."""
        with contextlib.suppress(LockbotError):  # it only costs the next run an evaluation
            self.record.remember(self.config.fingerprint, commit, judged.candidate)
        builds = [*judged.verdict.builds, *judged.base.values()]
        if problem := _root(self.context, self.record.run, builds, self.config.keep_results):
            self.record.note(problem)
            self.context.history.save(self.record.run)
