"""What may be tried of a proposal: where its inputs may go, what is kept back, the lock with all that may move.

Policy decides (`policy.engine`), and so does what would have to be compiled (`costs`); here both meet one
proposal. It must not know which of it turns out to be good.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lockbot.errors import LockbotError
from lockbot.lock.ahead.lookout import Lookout
from lockbot.lock.propose import Lock, Proposal
from lockbot.lock.request import UpdateRequest
from lockbot.lock.selected import NotFetched, SelectedLocks
from lockbot.lock.unmovable import FETCH_FAILED
from lockbot.model import Held, InputChange
from lockbot.policy.decide import forced
from lockbot.policy.decisions import Move
from lockbot.policy.engine import PolicyEngine
from lockbot.policy.result import PolicyResult
from lockbot.policy.upstream_log import InputRevisions
from lockbot.search.interface import RevisionRange, Selection
from lockbot.update.candidate_commit import CandidateBuilder
from lockbot.update.costs import CompileCosts
from lockbot.update.explanation import explain_unlockable
from lockbot.update.workspace import Workspace


@dataclass(frozen=True)
class Permission:
    """Answers, for one proposal, what may be tried. `lock` has everything that may move; None: nothing may, or
    nothing is new. `held` is what is kept back."""

    proposal: Proposal
    result: PolicyResult
    locks: SelectedLocks
    costs: CompileCosts
    lock: Lock | None
    held: tuple[Held, ...]
    pinned: frozenset[str]
    """Inputs that go where the user said."""
    _engine: PolicyEngine
    _revisions: InputRevisions

    @property
    def targets(self) -> Selection:
        """Where each input may go: the revision up to which it is looked for."""
        return self.result.targets

    def revisions(self, name: str) -> RevisionRange:
        """What an input can be moved to, up to its target."""
        locked, target = self.proposal.old.locked(name), self.targets[name]
        if locked is None or name in self.pinned or self._engine.holds_at(name, target):
            return RevisionRange((target,), complete=False)  # there or nowhere
        return self._revisions.between(name, locked, target)

    def may_try(self, selection: Selection) -> bool:
        """Whether policy lets these inputs be at these revisions, where those are below what it permits."""
        return all(self._engine.may_try(self.result, name, revision) for name, revision in selection.items())

    def lock_at(self, selection: Selection) -> Lock:
        """The lock with a selection. Raises LockbotError where an input brings along what policy does not let
        through: known only from the lock; and where there is no such lock."""
        lock = self.locks.make(selection)
        if not self._engine.may_bring(self.result, lock.changes):
            raise LockbotError("what an input brings along at this revision is not allowed")
        return lock


def permit(
    workspace: Workspace,
    builder: CandidateBuilder,
    request: UpdateRequest,
    proposal: Proposal,
    revisions: InputRevisions,
    gate: Gatekeeper,
) -> Permission:
    """What may be tried of a proposal. Raises LockbotError where flake.nix itself asks for what is not allowed."""
    pinned, engine = frozenset(request.overrides), gate.engine
    _record_tips(engine, proposal, pinned)
    still = {name: (at, at) for name, at in proposal.asked.items() if name not in proposal.tips}
    unfetched = {name: Move(one.change, one.beneath) for name, one in proposal.unfetched.items()}
    others = {name: at for name, at in (still | proposal.stuck).items() if name not in unfetched}
    result = engine.permit(proposal.changes, proposal.tips, pinned, others, unfetched)
    locks = _locks(workspace, proposal, gate.lookout)
    costs = CompileCosts(builder, locks, engine, proposal.locked_before, pinned)
    costs.hold_back(result)
    lock = _LockOfAll(workspace, proposal, pinned, engine, result, locks).make()
    unlockable = [
        explain_unlockable(one, proposal.locked_before[one.input], revisions.log)
        for one in proposal.unlockable
        if not engine.is_held(one.input)
    ]
    held = (*proposal.held, *unlockable, *result.held)
    return Permission(
        proposal,
        result,
        locks,
        costs,
        lock=lock,
        held=held,
        pinned=pinned,
        _engine=engine,
        _revisions=revisions,
    )


@dataclass(frozen=True)
class Gatekeeper:
    """Policy of one attempt, and who sees to it that nothing is fetched which that does not let through."""

    engine: PolicyEngine
    lookout: Lookout


def gatekeeper(workspace: Workspace, request: UpdateRequest, revisions: InputRevisions) -> Gatekeeper:
    context = workspace.context
    engine = PolicyEngine(
        workspace.config.policy,
        context.history.ledger(workspace.record.run.flake),
        revisions.log,
        workspace.base.commit,
        context.clock(),
        context.checks,
        context.requests.asked(workspace.base) if context.requests is not None else (),
    )

    def may_fetch(change: InputChange, beneath: Sequence[InputChange], owner: str | None) -> str | None:
        return engine.why_not_fetched(Move(change, tuple(beneath)), owner, pinned=owner in request.overrides)

    return Gatekeeper(engine, Lookout(context.nix, may_fetch, workspace.config.fetching.timeout))


def _record_tips(engine: PolicyEngine, proposal: Proposal, pinned: frozenset[str]) -> None:
    # A revision that the user named need not be where the branch is; one below a tip that can't be locked has been
    # out for as long.
    lower = {one.input for one in proposal.unlockable if one.revision}
    engine.record_tips({name: tip for name, tip in proposal.tips.items() if name in lower})
    engine.record_tips({name: tip for name, tip in proposal.asked.items() if name not in pinned})


def _locks(workspace: Workspace, proposal: Proposal, lookout: Lookout) -> SelectedLocks:
    unlockable = {one.input: one.tip for one in proposal.unlockable}
    return SelectedLocks(
        workspace.context.nix,
        workspace.flake,
        proposal.base,
        dict(proposal.asked) | unlockable | dict(proposal.tips),
        workspace.config.fetching.timeout,
        lookout,
        incomplete=any(forced(change) for change in proposal.changes),
    )


@dataclass(frozen=True)
class _LockOfAll:
    """Makes the lock with everything that may move; and holds what shows, by that, that it may not."""

    workspace: Workspace
    proposal: Proposal
    pinned: frozenset[str]
    engine: PolicyEngine
    result: PolicyResult
    locks: SelectedLocks

    def make(self) -> Lock | None:
        self._hold_the_rest_of_groups()
        targets = self.result.targets
        if not self.proposal.changes and not targets:
            return None
        tips = {name: tip.revision for name, tip in self.proposal.tips.items()}
        if targets == tips:
            lock = Lock(self.proposal.content, self.proposal.changes)
            self.locks.known(targets, lock)
            return lock
        elsewhere = frozenset(name for name, revision in targets.items() if revision != tips.get(name))
        self._hold_the_unfetchable(elsewhere)
        self._hold_the_rest_of_groups()
        lock = self.locks.make(targets)
        if elsewhere:
            self.engine.recheck(lock.changes, self.result, elsewhere)
            self._hold_the_rest_of_groups()
            lock = self.locks.make(targets)
        return lock if lock.changes else None

    def _hold_the_rest_of_groups(self) -> None:
        kept = {item.input for item in self.proposal.held} | self.proposal.stuck.keys()
        asked_for = {change.input for change in self.proposal.changes if forced(change)}
        groups = self.workspace.config.groups
        self.result.hold_groups(groups, kept, asked_for | self.pinned, self.proposal.locked_before)

    def _hold_the_unfetchable(self, names: Iterable[str]) -> None:
        """Inputs whose older revision can't be had don't stop the others."""
        for name in sorted(names):
            try:
                self.locks.make({name: self.result.targets[name]})
            except NotFetched as error:
                moves = {one: Move(it.change, it.beneath) for one, it in error.unfetched.items()}
                self.engine.hold_unfetched(moves, self.result)
            except LockbotError as error:
                self.workspace.context.nix.cancel.check()
                revision = self.result.targets.pop(name)
                detail = f"{revision[:12]} could not be locked: {error.message}"
                self.result.held.append(Held(name, FETCH_FAILED, detail, self.proposal.before.get(name)))
