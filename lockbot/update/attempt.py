"""One attempt on top of one base: what is proposed, what the policy allows, and the best lock that holds.

Nothing is published here. It must not know how a branch moves, nor what comes after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from lockbot.errors import LockbotError, SurroundingsError
from lockbot.git.publish import only_updates
from lockbot.git.sync import Base
from lockbot.git.worktree import Worktree
from lockbot.history.values import Observation
from lockbot.judge import gate as gates
from lockbot.judge.verdict import Judged
from lockbot.lock import propose
from lockbot.lock.chosen import SelectedLocks
from lockbot.lock.propose import Lock, Proposal
from lockbot.lock.request import UpdateRequest
from lockbot.lock.unmovable import FETCH_FAILED
from lockbot.model import Answer, FailureKind, Gate, Held, HostBuild, HostStatus, Locked, Looking, Phase
from lockbot.nix import lockfile
from lockbot.nix.lockfile import LOCK_NAME, LockFile
from lockbot.policy import decide
from lockbot.policy.engine import PolicyEngine, PolicyResult
from lockbot.policy.rules import revisions_of
from lockbot.policy.upstream_log import UpstreamLog
from lockbot.process import Deadline
from lockbot.report import words
from lockbot.search import interface
from lockbot.search.interface import RevisionRange, SearchEvent, SearchResult, Selection
from lockbot.search.strategies import Strategy
from lockbot.state import UPSTREAMS
from lockbot.update import explanation, support, verdict_cache
from lockbot.update.candidates import CandidateBuilder
from lockbot.update.context import RunConfig, RunContext
from lockbot.update.costs import CompileCosts
from lockbot.update.explanation import Explanation
from lockbot.update.input_status import InputStatuses, standing
from lockbot.update.oracle import Budget, CandidateOracle
from lockbot.update.record import Record
from lockbot.update.verdict_cache import VerdictCache


@dataclass(frozen=True)
class SeriesCommit:
    """One more commit: inputs → references to pin them to, and of these inputs what kept them from their tips."""

    pins: Mapping[str, str]
    held: tuple[Held, ...]


@dataclass(frozen=True)
class AttemptResult:
    """What came of it. `judged` None: there is nothing to judge. `good`: it may be published."""

    held: tuple[Held, ...] = ()
    judged: Judged | None = None
    good: bool = False
    then: tuple[SeriesCommit, ...] = ()
    """What is to be published after it, each on top of the one before."""
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
        return tuple(f"{name}: {why}" for name, why in sorted({_why_unjudged(build) for build in open_}))


class Attempt:
    def __init__(
        self,
        tools: RunContext,
        rules: RunConfig,
        wish: UpdateRequest,
        record: Record,
        base: Base,
        tree: Worktree,
        flake_dir: str,
        held: Sequence[Held] = (),
    ) -> None:
        """`held` is to be told of pinned inputs: known from before."""
        self._told_before = tuple(held)
        self._tools = tools
        self._base = base
        self._rules = rules
        self._wish = wish
        self._record = record
        self._builder = CandidateBuilder(tools, rules, record, base, tree, flake_dir)
        self._ledger = tools.history.ledger(record.run.flake)
        self._histories = UpstreamLog(tools.directory / UPSTREAMS, tools.clone, self._ledger)

    def run(self) -> AttemptResult:
        path = self._builder.flake / LOCK_NAME
        with self._record.phase(Phase.PROPOSE):
            before = path.read_bytes() if path.is_file() else None
            proposal = propose.propose(
                self._tools.nix,
                self._builder.flake,
                self._wish,
                self._rules.fetching,
                self._tools.progress,
                self._between,
            )
            old = LockFile.parse(before.decode(errors="replace")) if before is not None else lockfile.EMPTY
            proposed = path.read_bytes() if proposal.changes else b""  # before others are made in its place
            permits = self._permit(proposal)
            tips = dict(proposal.asked) | {one.input: one.tip for one in proposal.unlockable} | dict(proposal.tips)
            incomplete = any(decide.forced(change) for change in proposal.changes)
            timeout = self._rules.fetching.timeout
            locks = SelectedLocks(
                self._tools.nix, self._builder.flake, before, tips, timeout, incomplete=incomplete
            )
            free, check = self._wish.overrides.keys(), self._tools.nix.cancel.check
            costs = CompileCosts(self._builder, locks, self._keeper, proposal.locked_before, free, check)
            costs.hold_back(permits)
            lock = self._lock(proposal, proposed, permits, locks)
            kept = (*self._told_before, *proposal.held, *self._unlockable(proposal), *permits.held)
            held = standing(kept, permits.targets, proposal.before)
            self._record.note(*proposal.notes, *permits.loud)
            self._record.set(changes=lock.changes if lock else (), held=held)
        seen = InputStatuses(proposal, permits, held, frozenset(self._wish.overrides))
        if lock is None:
            unseen = seen.observations({}, ())
            return AttemptResult(held, observations=unseen, before=proposal.before, paths=proposal.paths)
        with self._record.phase(Phase.JUDGE):
            attempted = self._judge(permits, locks, costs, lock, old, held, seen)
            return replace(attempted, before=proposal.before, paths=proposal.paths)

    # -- proposing ----------------------------------------------------------------------------------------

    def _between(self, name: str, locked: Locked, target: str) -> RevisionRange:
        kind = revisions_of(locked, self._rules.book.of(name))
        return self._histories.revisions(name, locked, target, kind)

    def _unlockable(self, proposal: Proposal) -> list[Held]:
        return [
            explanation.explain_unlockable(one, proposal.locked_before[one.input], self._histories)
            for one in proposal.unlockable
            if not self._keeper.is_held(one.input)
        ]

    def _permit(self, proposal: Proposal) -> PolicyResult:
        keeper = PolicyEngine(
            self._rules.book,
            self._ledger,
            self._histories,
            self._tools.clock(),
            self._tools.checks,
            lambda old, new: only_updates(self._tools.clone, self._base.commit, old, new),
        )
        asked = {name: tip for name, tip in proposal.asked.items() if name not in self._wish.overrides}
        # A revision that the user named need not be where the branch is; one below a tip that can't be locked has
        # been out for as long.
        lower = {one.input for one in proposal.unlockable if one.revision}
        keeper.see({name: tip for name, tip in proposal.tips.items() if name in lower})
        keeper.see(asked)
        self._keeper = keeper
        still = {name: (at, at) for name, at in proposal.asked.items() if name not in proposal.tips}
        pinned = frozenset(self._wish.overrides)
        return keeper.permit(proposal.changes, proposal.tips, pinned, still | proposal.stuck)

    def _lock(
        self, proposal: Proposal, proposed: bytes, permits: PolicyResult, locks: SelectedLocks
    ) -> Lock | None:
        """The lock with everything that may move; None when nothing may, or nothing is new."""
        self._without_the_rest_of_a_group(proposal, permits)
        if not proposal.changes and not permits.targets:
            return None
        tips = {name: tip.revision for name, tip in proposal.tips.items()}
        if permits.targets == tips:
            lock = Lock(proposed, proposal.changes)
            locks.known(permits.targets, lock)
            return lock
        elsewhere = frozenset(name for name, revision in permits.targets.items() if revision != tips.get(name))
        self._without_the_unfetchable(elsewhere, proposal, permits, locks)
        self._without_the_rest_of_a_group(proposal, permits)
        lock = locks.make(permits.targets)
        if elsewhere:
            self._keeper.recheck(lock.changes, permits, elsewhere)
            self._without_the_rest_of_a_group(proposal, permits)
            lock = locks.make(permits.targets)
        return lock if lock.changes else None

    def _without_the_rest_of_a_group(self, proposal: Proposal, permits: PolicyResult) -> None:
        kept = {item.input for item in proposal.held} | proposal.stuck.keys()
        asked_for = {change.input for change in proposal.changes if decide.forced(change)}
        free = asked_for | self._wish.overrides.keys()
        permits.hold_groups(self._rules.groups, kept, free, proposal.locked_before)

    def _without_the_unfetchable(
        self, names: Iterable[str], proposal: Proposal, permits: PolicyResult, locks: SelectedLocks
    ) -> None:
        """Hold inputs whose older revision can't be had: they don't stop the others."""
        for name in sorted(names):
            try:
                locks.make({name: permits.targets[name]})
            except LockbotError as error:
                self._tools.nix.cancel.check()
                revision = permits.targets.pop(name)
                detail = f"{revision[:12]} could not be locked: {error.message}"
                permits.held.append(Held(name, FETCH_FAILED, detail, proposal.before.get(name)))

    # -- judging ------------------------------------------------------------------------------------------

    def _judge(
        self,
        permits: PolicyResult,
        locks: SelectedLocks,
        costs: CompileCosts,
        lock: Lock,
        old: LockFile,
        held: tuple[Held, ...],
        seen: InputStatuses,
    ) -> AttemptResult:
        if not permits.targets:  # only what flake.nix itself asks for: take it or leave it
            judged = self._builder.judge(lock, held)
            return AttemptResult(held, judged, self._is_good(judged), observations=seen.observations({}, ()))
        oracle = CandidateOracle(
            self._builder,
            locks,
            held=held,
            gate=self._rules.gate,
            budget=Budget(self._rules.probes, Deadline(self._rules.search_time, "the search")),
            cancel=self._tools.nix.cancel,
            answers=VerdictCache(
                verdict_cache.file(self._tools.directory, self._record.run.flake),
                self._builder.context,
                self._tools.clock(),
                self._rules.remember_failures,
            ),
            revisions=lambda name: self._revisions(name, permits, old),
            may_try=lambda name, revision: self._keeper.may_try(permits, name, revision),
            may_bring=lambda changes: self._keeper.may_bring(permits, changes),
            may_build=costs.may_build,
        )
        oracle.probe(permits.targets, None)
        if self._rules.gate is Gate.ALL_GREEN and self._is_red_anyway(oracle, permits) and not oracle.trouble:
            return AttemptResult(held, oracle.last_whole, observations=seen.observations({}, ()))
        found, unheard = support.best_supported(
            oracle,
            permits.targets,
            groups=self._rules.groups,
            strategy=self._rules.strategy,
            gate=self._rules.gate,
            watch=self._watch,
        )
        if oracle.trouble is not None:
            self._record.note(f"the search ended early: {oracle.trouble}")
            if not found.selection:
                raise SurroundingsError(oracle.trouble, "nothing was changed; the next run tries again")
        told = [
            explanation.explain(
                finding,
                old,
                permits.targets,
                self._histories,
                why_open=oracle.why_open,
                too_costly=costs.refusal,
            )
            for finding in found.findings
        ]
        self._record.note(*costs.explain(found, permits))
        told += [Explanation(one.held(seen.proposal.before)) for one in unheard]
        return self._conclude(found, oracle, locks, lock, held, told, seen)

    def _conclude(
        self,
        found: SearchResult,
        oracle: CandidateOracle,
        locks: SelectedLocks,
        lock: Lock,
        held: tuple[Held, ...],
        told: Sequence[Explanation],
        seen: InputStatuses,
    ) -> AttemptResult:
        kept = (*held, *(item for one in told for item in one.held))
        held = standing(kept, found.selection, seen.proposal.before)
        self._record.set(held=held)
        observations = seen.observations(found.selection, told)
        if not found.selection:
            if asked_for := self._what_flake_nix_asks_for(locks, held):
                return AttemptResult(held, asked_for, True, observations=observations)
            judged = oracle.last_whole
            if judged is None:  # nothing of it could be tried
                self._record.set(changes=())
            else:
                self._record.set(
                    changes=lock.changes,
                    candidate=judged.verdict.candidate.commit,
                    hosts=judged.verdict.builds,
                )
            return AttemptResult(held, judged, False, observations=seen.observations({}, told))
        steps: tuple[Selection, ...] = (found.selection,)
        if self._rules.strategy is Strategy.EACH:  # what only passes together with more goes with that
            steps = (*(step for step in found.steps[:-1] if self._is_taken(oracle.whole(step))), found.selection)
        later = found.selection.keys() - steps[0].keys()
        chosen = locks.make(steps[0])
        self._record.set(changes=chosen.changes)
        judged = oracle.whole(steps[0])
        if judged is None or told or not judged.truthful:
            # What is published says what was held back and why: known only now.
            known = judged.verdict.builds if judged is not None else ()
            judged = self._builder.judge(
                chosen, [item for item in held if item.input not in later], expected=known
            )
        self._record.set(candidate=judged.verdict.candidate.commit, hosts=judged.verdict.builds)
        self._tools.clone.keep(self._record.run.id, judged.verdict.candidate.commit)
        then = tuple(_then(before, after, locks, held) for before, after in pairwise(steps))
        return AttemptResult(held, judged, self._is_good(judged), then, observations)

    def _what_flake_nix_asks_for(self, locks: SelectedLocks, held: Sequence[Held]) -> Judged | None:
        """Where nothing may move: a lock with only what was lacking in it, if hosts are good with that. Without it
        nothing can be found out about them in the next run, either."""
        try:
            completed = locks.make({})
        except LockbotError:  # with what may move, it can be had
            self._tools.nix.cancel.check()
            return None
        judged = self._builder.judge(completed, held) if completed.changes else None
        if judged is None or not self._is_good(judged):
            return None
        commit = judged.verdict.candidate.commit
        self._record.set(changes=completed.changes, candidate=commit, hosts=judged.verdict.builds)
        self._tools.clone.keep(self._record.run.id, commit)
        return judged

    def _is_red_anyway(self, oracle: CandidateOracle, permits: PolicyResult) -> bool:
        """Whether a host that was broken before blocks the update: no input is at fault, and no search helps."""
        judged = oracle.whole(permits.targets)
        builds = judged.verdict.builds if judged is not None else ()
        broken = {build.host.name for build in builds if build.status is HostStatus.BROKEN_BEFORE}
        return not broken <= support.repairable(oracle, permits.targets, self._rules.groups, self._rules.strategy)

    def _is_taken(self, judged: Judged | None) -> bool:
        return judged is not None and self._is_good(judged)

    def _is_good(self, judged: Judged) -> bool:
        return gates.publishable(judged.verdict.builds, self._rules.gate)

    def _revisions(self, name: str, permits: PolicyResult, old: LockFile) -> RevisionRange:
        locked = old.locked(name)
        target = permits.targets[name]
        if locked is None or name in self._wish.overrides or self._keeper.holds_at(name, target):
            return RevisionRange((target,), complete=False)  # there or nowhere
        return self._between(name, locked, target)

    def _watch(self, step: SearchEvent) -> None:
        if isinstance(step, interface.Looking):
            what = "which revision" if step.revisions else "what"
            self._tools.progress(Looking(f"{what} breaks {step.host}", step.inputs, step.probe, step.about))


def _answers(build: HostBuild) -> tuple[Answer, ...]:
    """A host's answers that count: the base's only where the host is not good now."""
    if build.here is None or build.status is HostStatus.UNCHANGED or build.here.answer is Answer.GOOD:
        return ()
    return (build.here.answer, *([build.base.answer] if build.base is not None else []))


def _why_unjudged(build: HostBuild) -> tuple[str, str]:
    why = words.failure(build.failure.kind) if build.failure is not None else "nothing is known"
    if build.failure is not None and build.here is not None and build.here.answer is Answer.UNJUDGED:
        why += f" ({build.failure.message})"
    elif build.base is not None:
        lacks = build.base.evidence == FailureKind.LOCK_FILE
        evidence = _INCOMPLETE_LOCK if lacks else build.base.evidence
        why += f", and not known without the update ({evidence})"
    return build.host.name, why


_INCOMPLETE_LOCK = "flake.lock lacks what flake.nix asks for: `nix flake lock`, and a commit of that, settles it"


def _then(
    before: Mapping[str, str], after: Mapping[str, str], locks: SelectedLocks, held: Sequence[Held]
) -> SeriesCommit:
    """What a step adds to the one before, as pins."""
    moved = {name: revision for name, revision in after.items() if before.get(name) != revision}
    pins = {name: locks.reference(name, revision) for name, revision in moved.items()}
    return SeriesCommit(pins, tuple(item for item in held if item.input in moved))
