"""Inputs' own histories, as the cycle asks for them: how two revisions are related, what lies between, who did it.

Where a history can't be had (a tarball, a private forge, no network) the answer is that nothing is known: a
missing history never stops an update. Which of an input's revisions count is its rules' to say; what is decided by
them is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lockbot.errors import LockbotError
from lockbot.git.clone import Clone
from lockbot.git.inputs.changed_files import changed_files
from lockbot.git.inputs.listing import Listing, list_commits
from lockbot.git.inputs.revisions import Description, Relation, Upstream, open_upstream
from lockbot.git.inputs.upstream import Origin
from lockbot.git.publish import only_updates
from lockbot.history.input_states import SeenTip
from lockbot.history.ledger import Ledger
from lockbot.model import Locked
from lockbot.nix import forges
from lockbot.nix.flakeref import FlakeRef, FlakeRefError
from lockbot.policy.origin import origin_of
from lockbot.policy.rules import PolicyRules, RevisionKind, revisions_of
from lockbot.process import Deadline
from lockbot.redact import redact
from lockbot.search.interface import RevisionRange

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class UpstreamRange:
    """What lies between two states of an input; without a `listing` it is not known, and `problem` says why."""

    listing: Listing | None = None
    touching: Mapping[str, tuple[str, ...]] | None = None
    """Commit → those of the files asked for that it changed; None: not asked for, or not found out."""
    problem: str | None = None


class UpstreamLog:
    """Answers from copies of upstream histories, which lie in `root`; and, of the user's own repository, from
    `clone`."""

    def __init__(self, root: Path, clone: Clone, ledger: Ledger) -> None:
        self._root = root
        self._clone = clone
        self._ledger = ledger

    def relation(self, old: Locked, new: Locked) -> Relation:
        """How the new revision stands to the old one, in the place where the new one comes from."""
        before, after = old.rev, new.rev
        if before is None or after is None:
            return Relation.UNKNOWN
        since = old.last_modified
        answer = self._ask(new, lambda upstream: upstream.relation(before, after, since=since))
        return answer or Relation.UNKNOWN

    def revisions(self, name: str, locked: Locked, target: str, kind: RevisionKind) -> RevisionRange:
        """What lies between the locked revision and the target, as far as that can be had."""
        if kind is RevisionKind.TIPS:
            return RevisionRange((*self._tips(name, locked, target), target), complete=False)
        before = locked.rev
        if before is None:
            return RevisionRange((target,), complete=False)
        since = locked.last_modified
        found = self._ask(locked, lambda upstream: upstream.revisions(before, target, since=since))
        commits = tuple(commit.rev for commit in found.commits) if found is not None else ()
        return RevisionRange(commits or (target,), complete=bool(commits))

    def range(
        self, old: Locked, new: Locked, *, wanted: Callable[[str], bool] | None, few: int, deadline: Deadline
    ) -> UpstreamRange | None:
        """The commits between two states, in the place where the new one comes from; None: it has no history.

        Of more than a `few`, also which changed files that are `wanted` (None: nobody asks). Whatever is not known
        by the deadline is left out.
        """
        before, after = old.rev, new.rev
        origin = origin_of(new.original)
        if origin is None or before is None or after is None:
            return None
        try:
            with self._opened(origin, deadline) as upstream:
                listing = list_commits(upstream, before, after, since=old.last_modified)
                return _with_files(upstream, listing, wanted if len(listing.commits) > few else None)
        except LockbotError as error:
            self._clone.cancel.check()
            return UpstreamRange(problem=redact(error.message))

    def describe(self, locked: Locked, revision: str) -> Description | None:
        """What an upstream commit says of itself."""
        return self._ask(locked, lambda upstream: upstream.describe(revision))

    def only_own_updates(self, base: str, old: str, new: str) -> bool:
        """Whether both are commits of the user's own repository, as of `base`, and all that lies between are
        updates that lockbot made there."""
        return only_updates(self._clone, base, old, new)

    def _tips(self, name: str, locked: Locked, target: str) -> Sequence[str]:
        seen = tips_ahead(self._ledger.tips(name, locked.original), locked)
        older = seen[seen.index(target) + 1 :] if target in seen else seen
        return tuple(reversed(older))

    def _ask(self, locked: Locked, question: Callable[[Upstream], _Answer]) -> _Answer | None:
        origin = origin_of(locked.original)
        if origin is None:
            return None
        try:
            with self._opened(origin) as upstream:
                return question(upstream)
        except LockbotError:
            self._clone.cancel.check()
            return None

    def _opened(self, origin: Origin, deadline: Deadline | None = None) -> AbstractContextManager[Upstream]:
        timeout = self._clone.timeout if deadline is None else min(self._clone.timeout, max(deadline.left, 0))
        clone = self._clone
        return open_upstream(
            self._root,
            origin,
            environ=clone.access,
            cancel=clone.cancel,
            timeout=timeout,
            confinement=clone.confinement,
        )


def _with_files(upstream: Upstream, listing: Listing, wanted: Callable[[str], bool] | None) -> UpstreamRange:
    if wanted is None:
        return UpstreamRange(listing)
    try:
        revs = [commit.rev for commit in listing.commits]
        return UpstreamRange(listing, touching=changed_files(upstream.cache, revs, wanted))
    except LockbotError as error:
        upstream.cache.cancel.check()
        return UpstreamRange(listing, problem=redact(error.message))


@dataclass(frozen=True)
class InputRevisions:
    """What each input could be moved to: tips or commits, as its rules want it."""

    log: UpstreamLog
    rules: PolicyRules

    def between(self, name: str, locked: Locked, target: str) -> RevisionRange:
        """From the locked revision up to a target."""
        return self.log.revisions(name, locked, target, revisions_of(locked, self.rules.of(name)))


def tips_ahead(tips: Sequence[SeenTip], locked: Locked) -> tuple[str, ...]:
    """The revisions that came after the locked revision, of those seen (the one seen last first).

    Where the locked one was never seen at the tip, those whose commit is dated later: of others nothing is known.
    """
    revisions = [tip.revision for tip in tips]
    if locked.revision in revisions:
        ahead = tips[: revisions.index(locked.revision)]
    else:
        date = locked.last_modified
        ahead = [tip for tip in tips if date is not None and tip.committed is not None and tip.committed > date]
    return tuple(tip.revision for tip in ahead)


def commit_link(locked: Locked, revision: str) -> str | None:
    """The web page of one upstream commit."""
    try:
        return forges.commit_link(FlakeRef.read(locked.url), revision)
    except FlakeRefError:
        return None
