"""The files of one commit with some inputs moved: each a commit of lockbot's own, that nobody else gets to see.

The same files and inputs make the same commit each time. It must not know how a host fares with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from lockbot.git.clone import Clone
from lockbot.git.worktree import Authorship, Worktree, commit
from lockbot.lock.selected import SelectedLocks
from lockbot.model import ChangeKind, InputChange
from lockbot.oserrors import naming
from lockbot.review.bisect.result import Source

KEPT_AS = "bisect"


class MovedInputs:
    """In a work tree of the commit. `lock_name`: the path of its flake.lock, from the top."""

    def __init__(
        self,
        clone: Clone,
        tree: Worktree,
        lock_name: str,
        locks: SelectedLocks,
        authorship: Authorship,
        when: datetime,
    ) -> None:
        self._clone = clone
        self._tree = tree
        self._lock_name = lock_name
        self._locks = locks
        self._authorship = authorship
        self._when = when
        self._base = clone.read_file(tree.commit, lock_name)

    def at(self, selection: Mapping[str, str]) -> Source:
        """With these inputs at these revisions. Raises as `SelectedLocks.make` does."""
        return self.with_lock(self._locks.make(selection).content, selection)

    def with_lock(self, content: bytes, selection: Mapping[str, str]) -> Source:
        """With a lock that there is already, which moves these."""
        return Source(self._tree.commit, self._commit(content), dict(selection))

    def _commit(self, content: bytes) -> str:
        if content == self._base:
            return self._tree.commit
        path = self._tree.path / self._lock_name
        with naming(path):
            path.write_bytes(content)
        message = "lockbot: bisecting\n"
        return commit(
            self._clone,
            self._tree,
            [self._lock_name],
            message,
            name=KEPT_AS,
            authorship=self._authorship,
            when=self._when,
        )


def movable(changes: Sequence[InputChange]) -> dict[str, InputChange]:
    """What can be moved by itself of what differs between two locks, by input path.

    What another input brings along moves with that.
    """
    moved = {
        one.input: one
        for one in changes
        if one.kind is ChangeKind.UPDATED and one.old is not None and one.new is not None and one.new.revision
    }
    return {name: one for name, one in moved.items() if not any(holder in moved for holder in _holders(name))}


def _holders(path: str) -> list[str]:
    """`a/b/c` → `a`, `a/b`."""
    names = path.split("/")
    return ["/".join(names[:length]) for length in range(1, len(names))]
