"""One attempt on top of one base: what is proposed, what policy permits of it, and the best lock that holds.

    propose → permit → search → conclude

Nothing is published here. It must not know how a branch moves, nor what comes after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from lockbot.errors import LockbotError, SurroundingsError
from lockbot.history.input_states import Observation
from lockbot.judge import gate as gates
from lockbot.judge import verdict_cache
from lockbot.judge.verdict import Judged
from lockbot.judge.verdict_cache import VerdictCache
from lockbot.lock.ahead.lookout import Lookout
from lockbot.lock.propose import Proposal, propose
from lockbot.lock.request import UpdateRequest
from lockbot.lock.selected import SelectedLocks
from lockbot.model import Answer, FailureKind, Gate, Held, HostBuild, HostStatus, Looking, Phase
from lockbot.policy.upstream_log import InputRevisions, UpstreamLog
from lockbot.process import Deadline
from lockbot.report import words
from lockbot.search import interface
from lockbot.search.interface import SearchEvent, SearchResult, Selection
from lockbot.search.strategies import Strategy
from lockbot.state import UPSTREAMS
from lockbot.update import votes
from lockbot.update.candidate_commit import CandidateBuilder
from lockbot.update.explanation import Explanation, explain
from lockbot.update.input_status import InputStatuses, at_final_revision
from lockbot.update.oracle import Budget, CandidateOracle
from lockbot.update.permission import Permission, gatekeeper, permit
from lockbot.update.workspace import Workspace


@dataclass(frozen=True)
class SeriesCommit:
    """One more commit of a series, on top of the one before: inputs → references to pin them to, and of these
    inputs what kept them from their tips."""

    pins: Mapping[str, str]
    held: tuple[Held, ...]


@dataclass(frozen=True)
class AttemptResult:
    """What came of it. `judged` None: there is nothing to judge. `good`: it may be published."""

    held: tuple[Held, ...] = ()
    judged: Judged | None = None
    good: bool = False
    inputs: tuple[str, ...] = ()
    """Those of the first commit of a series: they are published by themselves."""
    series: tuple[SeriesCommit, ...] = ()
    """What is to be published after it."""
    observations: tuple[Observation, ...] = ()
    """How inputs stand, should this be published; `locked` is where they would be."""
    before: Mapping[str, str | None] = field(default_factory=dict)
    """Where they are while it is not."""
    paths: tuple[str, ...] = ()
    """Every input that the flake has."""

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Why it could not be judged (`web: timed out`), where that alone kept it out; empty: something was found
        to be broken by it, or it may be published."""
        builds = self.judged.verdict.builds if self.judged is not None and not self.good else ()
        found_out = any(item.reason.startswith("breaks") for item in self.held) or any(
            gates.of(build, Gate.NO_REGRESSION) is gates.Vote.BLAMES for build in builds
        )
        if found_out:
            return ()
        open_ = [build for build in builds if Answer.UNJUDGED in _answers(build)]
        return tuple(f"{name}: {why}" for name, why in sorted({_why_run_unjudged(build) for build in open_}))


class Attempt:
    def __init__(self, workspace: Workspace, request: UpdateRequest, held: Sequence[Held] = ()) -> None:
        """`held` is to be told of pinned inputs: known from before."""
        self._workspace = workspace
        self._context = workspace.context
        self._config = workspace.config
        self._record = workspace.record
        self._request = request
        self._held_before = tuple(held)
        ledger = self._context.history.ledger(self._record.run.flake)
        self._log = UpstreamLog(self._context.directory / UPSTREAMS, self._context.clone, ledger)
        self._builder = CandidateBuilder(workspace, self._log)

    def run(self) -> AttemptResult:
        with self._record.phase(Phase.PROPOSE):
            revisions = InputRevisions(self._log, self._config.policy)
            gate = gatekeeper(self._workspace, self._request, revisions)
            proposal = self._propose(revisions, gate.lookout)
            permission = permit(self._workspace, self._builder, self._request, proposal, revisions, gate)
            kept = (*self._held_before, *permission.held)
            held = at_final_revision(kept, permission.targets, proposal.before)
            self._record.note(*proposal.notes, *permission.result.warnings)
            changes = permission.lock.changes if permission.lock else ()
            self._record.set(changes=changes, held=held, differences=(), upstream=())
        statuses = InputStatuses(proposal, permission.result, held, permission.pinned)
        if permission.lock is None:
            result = AttemptResult(held, observations=statuses.observations({}, ()))
        else:
            with self._record.phase(Phase.JUDGE):
                result = self._judge(permission, held, statuses)
        return replace(result, before=proposal.before, paths=proposal.paths)

    def _propose(self, revisions: InputRevisions, lookout: Lookout) -> Proposal:
        nix, flake, fetching = self._context.nix, self._workspace.flake, self._config.fetching
        return propose(nix, flake, self._request, fetching, self._context.progress, revisions, lookout)

    # -- judging ------------------------------------------------------------------------------------------

    def _judge(self, permission: Permission, held: tuple[Held, ...], statuses: InputStatuses) -> AttemptResult:
        assert permission.lock is not None
        if not permission.targets:  # only what flake.nix itself asks for: take it or leave it
            judged = self._builder.judge(permission.lock)
            if _is_publishable(judged, self._config.gate):
                judged = self._builder.conclude(permission.lock, judged, held)
            good = _is_publishable(judged, self._config.gate)
            return AttemptResult(held, judged, good, observations=statuses.observations({}, ()))
        oracle = self._oracle(permission)
        oracle.probe(permission.targets, None)
        if self._is_red_anyway(oracle, permission) and not oracle.trouble:
            return AttemptResult(held, oracle.last_whole, observations=statuses.observations({}, ()))
        found, unsupported = votes.best_supported(
            oracle,
            permission.targets,
            groups=self._config.groups,
            strategy=self._config.strategy,
            gate=self._config.gate,
            watch=self._watch,
        )
        if oracle.trouble is not None:
            self._record.note(f"the search ended early: {oracle.trouble}")
            if not found.selection:
                raise SurroundingsError(oracle.trouble, "nothing was changed; the next run tries again")
        explanations = self._explain(found, permission, oracle)
        self._record.note(*permission.costs.note_waits(found, permission.result))
        explanations += [Explanation(one.held(permission.proposal.before)) for one in unsupported]
        return _Conclusion(self._workspace, self._builder, permission, oracle, held, statuses).of(
            found, explanations
        )

    def _oracle(self, permission: Permission) -> CandidateOracle:
        config = self._config
        path = verdict_cache.file(self._context.directory, self._record.run.flake)
        key, now = self._builder.verdict_key, self._context.clock()
        return CandidateOracle(
            self._builder,
            permission,
            gate=config.gate,
            budget=Budget(config.probes, Deadline(config.search_time, "the search")),
            cache=VerdictCache(path, key, now, config.remember_failures),
        )

    def _explain(self, found: SearchResult, permission: Permission, oracle: CandidateOracle) -> list[Explanation]:
        old, refused = permission.proposal.old, permission.costs.refused
        return [
            explain(finding, old, permission.targets, self._log, unjudged=oracle.unjudged, refused=refused)
            for finding in found.findings
        ]

    def _is_red_anyway(self, oracle: CandidateOracle, permission: Permission) -> bool:
        """Whether a host that was broken before blocks the update: no input is at fault, and no search helps."""
        if not gates.must_be_good(self._config.gate):
            return False
        judged = oracle.whole(permission.targets)
        builds = judged.verdict.builds if judged is not None else ()
        broken = {build.host.name for build in builds if build.status is HostStatus.BROKEN_BEFORE}
        repairable = votes.repairable(oracle, permission.targets, self._config.groups, self._config.strategy)
        return not broken <= repairable

    def _watch(self, event: SearchEvent) -> None:
        if isinstance(event, interface.Looking):
            what = "which revision" if event.revisions else "what"
            self._context.progress(Looking(f"{what} breaks {event.host}", event.inputs, event.probe, event.about))


@dataclass(frozen=True)
class _Conclusion:
    """From what the search found to the commit that may be published."""

    workspace: Workspace
    builder: CandidateBuilder
    permission: Permission
    oracle: CandidateOracle
    held: tuple[Held, ...]
    """What was kept back before the search."""
    statuses: InputStatuses

    def of(self, found: SearchResult, explanations: Sequence[Explanation]) -> AttemptResult:
        record = self.workspace.record
        kept = (*self.held, *(item for one in explanations for item in one.held))
        held = at_final_revision(kept, found.selection, self.permission.proposal.before)
        record.set(held=held)
        observations = self.statuses.observations(found.selection, explanations)
        if not found.selection:
            if asked_for := self._what_flake_nix_asks_for(held):
                return AttemptResult(held, asked_for, True, observations=observations)
            return AttemptResult(held, self._rejected(), False, observations=observations)
        steps = self._steps(found)
        later = found.selection.keys() - steps[0].keys()
        lock = self.permission.locks.make(steps[0])
        record.set(changes=lock.changes)
        judged = self.oracle.whole(steps[0]) or self.builder.judge(lock)
        if _is_publishable(judged, self.workspace.config.gate):
            judged = self.builder.conclude(lock, judged, [item for item in held if item.input not in later])
        self._keep(judged)
        series = tuple(
            _series_commit(before, after, self.permission.locks, held) for before, after in pairwise(steps)
        )
        good = _is_publishable(judged, self.workspace.config.gate)
        return AttemptResult(held, judged, good, tuple(sorted(steps[0])), series, observations)

    def _rejected(self) -> Judged | None:
        """What was judged of all together, as the record of a run that published nothing."""
        record, judged = self.workspace.record, self.oracle.last_whole
        if judged is None:  # nothing of it could be tried
            record.set(changes=())
            return None
        changes = self.permission.lock.changes if self.permission.lock is not None else ()
        record.set(changes=changes, candidate=judged.verdict.candidate.commit, hosts=judged.verdict.builds)
        return judged

    def _steps(self, found: SearchResult) -> tuple[Selection, ...]:
        """What is published in turn: all at once, or each update group by itself."""
        if self.workspace.config.strategy is not Strategy.EACH:
            return (found.selection,)
        wholes = ((step, self.oracle.whole(step)) for step in found.steps[:-1])
        # What only passes together with more goes with that.
        good = [
            step
            for step, judged in wholes
            if judged is not None and _is_publishable(judged, self.workspace.config.gate)
        ]
        return (*good, found.selection)

    def _what_flake_nix_asks_for(self, held: Sequence[Held]) -> Judged | None:
        """Where nothing may move: a lock with only what was lacking in it, if hosts are good with that. Without it
        nothing can be found out about them in the next run, either."""
        try:
            completed = self.permission.locks.make({})
        except LockbotError:  # with what may move, it can be had
            self.builder.cancel.check()
            return None
        judged = self.builder.judge(completed) if completed.changes else None
        if judged is None or not _is_publishable(judged, self.workspace.config.gate):
            return None
        judged = self.builder.conclude(completed, judged, held)
        if not _is_publishable(judged, self.workspace.config.gate):
            return None
        self.workspace.record.set(changes=completed.changes)
        self._keep(judged)
        return judged

    def _keep(self, judged: Judged) -> None:
        """On record, and safe from git's own garbage collection until the run is over."""
        record, commit = self.workspace.record, judged.verdict.candidate.commit
        record.set(candidate=commit, hosts=judged.verdict.builds)
        self.workspace.context.clone.keep(record.run.id, commit)


def _series_commit(
    before: Selection, after: Selection, locks: SelectedLocks, held: Sequence[Held]
) -> SeriesCommit:
    """What a step adds to the one before, as pins."""
    moved = {name: revision for name, revision in after.items() if before.get(name) != revision}
    pins = {name: locks.reference(name, revision) for name, revision in moved.items()}
    return SeriesCommit(pins, tuple(item for item in held if item.input in moved))


def _is_publishable(judged: Judged, gate: Gate) -> bool:
    return gates.publishable(judged.verdict.builds, gate)


def _answers(build: HostBuild) -> tuple[Answer, ...]:
    """A host's answers that count: the base's only where the host is not good now."""
    if build.here is None or build.status is HostStatus.UNCHANGED or build.here.answer is Answer.GOOD:
        return ()
    return (build.here.answer, *([build.base.answer] if build.base is not None else []))


def _why_run_unjudged(build: HostBuild) -> tuple[str, str]:
    why = words.failure(build.failure.kind) if build.failure is not None else "nothing is known"
    if build.failure is not None and build.here is not None and build.here.answer is Answer.UNJUDGED:
        why += f" ({build.failure.message})"
    elif build.base is not None:
        lacks = build.base.evidence == FailureKind.LOCK_FILE
        evidence = _INCOMPLETE_LOCK if lacks else build.base.evidence
        why += f", and not known without the update ({evidence})"
    return build.host.name, why


_INCOMPLETE_LOCK = "flake.lock lacks what flake.nix asks for: `nix flake lock`, and a commit of that, settles it"
