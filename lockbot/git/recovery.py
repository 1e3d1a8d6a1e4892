"""Recovery: what an earlier run was killed in, or could not do, is found out and brought to its end.

Settles whether a commit was published; takes back what was half-written, and lets the branch follow to what was
pushed. Nothing here is begun anew.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace

from lockbot.errors import CommandError, LockbotError
from lockbot.git.busy import Checkout, checkouts
from lockbot.git.clone import Clone, Mark, is_complete, mark, marked, marked_before, unmark
from lockbot.git.command import Git
from lockbot.git.landing import BY_HAND, Landed, Stuck, follow, land, transfer, uncancelled
from lockbot.git.publish import how_to_follow
from lockbot.git.push import contains
from lockbot.git.source import LocalSource, RemoteSource, Repository, Source, remote_of
from lockbot.git.sync import SEEN_LOCAL, Base, fetch_local, fetch_remote, look, sync
from lockbot.git.userfiles import complete, git_dir, is_staged, restore, to_disk


def was_published(clone: Clone, source: Source, commit: str) -> bool:
    """After a crash: does the source's branch have the commit? If it was pushed, the local part is finished.

    Raises RemoteError when the remote can't be asked.
    """
    if isinstance(source, RemoteSource):
        return _was_pushed(clone, source, commit)
    repository = look(clone, source)
    seen = clone.git.resolve(SEEN_LOCAL)
    local = fetch_local(clone, repository)
    if local is not None and clone.has(commit) and clone.is_ancestor(commit, local):
        return True
    if local is not None and _was_torn(clone, repository, local, commit):
        return _lands(clone, repository, local, commit)
    if not source.push or repository.remote is None:
        return False
    remote = remote_of(repository)
    settled = contains(clone, remote, repository.remote_branch, commit)
    if settled is None or not settled.has:
        return False
    if fetch_remote(clone, remote, repository.remote_branch) is not None and clone.has(commit):
        mark(clone, Mark.PUSHED, repository.branch, commit)
        _lands(clone, repository, seen, commit)
    return True


def _lands(clone: Clone, repository: Repository, seen: str | None, commit: str) -> bool:
    """If not, `finish_earlier` tells why."""
    try:
        return isinstance(land(clone, repository, seen, commit), Landed)
    except LockbotError:
        clone.cancel.check()
        return False


def _was_torn(clone: Clone, repository: Repository, tip: str, commit: str) -> bool:
    """Was git killed, too, after it had written the user's files and before it moved the branch?

    Then what the commit changes is staged there; to go on is what git had in mind, and nothing of the user's.
    """
    if not clone.has(commit) or not clone.is_ancestor(tip, commit):
        return False
    git = clone.user.at(repository.path)
    with contextlib.suppress(CommandError):  # not all of the commit is there: git never came to write it
        trees = [clone.checkout(repository.path, tree.path) for tree in _trees(git, repository)]
        torn = [tree for tree in trees if is_staged(tree, tip, commit)]
        ours = marked(clone, Mark.TOUCHING, repository.branch) == commit
        for tree in torn if ours else []:
            with uncancelled(clone, tree) as sure:
                complete(sure, tip, commit)
        return bool(torn)
    return False


def _was_pushed(clone: Clone, source: RemoteSource, commit: str) -> bool:
    base = sync(clone, source)
    return clone.has(commit) and clone.is_ancestor(commit, base.commit)


@dataclass(frozen=True)
class Recovery:
    """`moved`: the branch is not where it was seen. `trouble`: what could not be finished this time either."""

    moved: bool = False
    notes: tuple[str, ...] = ()
    trouble: str | None = None


def finish_earlier(clone: Clone, source: Source, base: Base) -> Recovery:
    """Finish in the user's repository what an earlier run could not; `base` is what was just seen of it."""
    if not isinstance(source, LocalSource) or base.local is None:
        return Recovery()
    repository = look(clone, source, base.branch)
    try:
        notes = _make_whole(clone, repository, base.local)
        recovery = _clear(clone, repository, base.local)
        notes = (*notes, *recovery.notes)
        if recovery.trouble is not None:
            return replace(recovery, notes=notes)
        recovery = _finish(clone, repository, base, base.local)
    except LockbotError as error:
        clone.cancel.check()
        return Recovery(trouble=error.message)
    return replace(recovery, notes=(*notes, *recovery.notes))


def _make_whole(clone: Clone, repository: Repository, local: str) -> tuple[str, ...]:
    """A lockbot before this one moved refs to commits that had not arrived whole."""
    git = clone.user.at(repository.path)
    tip = git.resolve(repository.tracking) if repository.tracking is not None else None
    if repository.tracking is None or tip is None or is_complete(git, local, tip):
        return ()
    name = repository.tracking.removeprefix("refs/remotes/")
    if clone.has(tip):
        with contextlib.suppress(LockbotError):
            transfer(clone, git, local, tip)
            return (f"{name} in {repository.path} was at a commit of which a part was missing: it is whole again",)
        clone.cancel.check()
    return (
        f"{name} in {repository.path} is at a commit of which a part is missing: "
        f"run `git fetch --refetch {repository.remote}` there",
    )


def _clear(clone: Clone, repository: Repository, local: str) -> Recovery:
    """Take back what a killed run has left half-written."""
    begun = marked(clone, Mark.TOUCHING, repository.branch)
    if begun is None:
        return Recovery()
    notes: tuple[str, ...] = ()
    safe = True
    git = clone.user.at(repository.path)
    before = marked_before(clone, Mark.TOUCHING, repository.branch)
    if before is not None and clone.has(local) and clone.is_ancestor(begun, local):
        lost, safe = _completed(clone, repository, before, begun)
        if lost:
            what = "a power cut took what lockbot had written, and it can't be written again"
            return Recovery(trouble=f"in {repository.path}, {what}: {', '.join(lost)} ({BY_HAND})")
        if not safe:
            return Recovery()  # the mark stays, and the next run tries again
    elif clone.has(local) and clone.is_ancestor(local, begun):
        transfer(clone, git, local, begun)  # the user's git may have tidied it away since
        for tree in [tree for tree in _trees(git, repository) if tree.head == local]:
            there = clone.checkout(repository.path, tree.path)
            torn = os.path.lexists(git_dir(there) / "index.lock")  # git holds it for as long as it writes files
            with uncancelled(clone, there) as sure:
                back, left = restore(sure, local, begun, {}, begun=torn)
                safe = to_disk(sure, local, begun) and safe
            if back:
                what = "what a killed lockbot had begun to write was taken back"
                notes = (*notes, f"in {tree.path}, {what}: {', '.join(back)}")
            if left:
                what = (
                    "lockbot was killed while it wrote files, and does not know whether these are as you want them"
                )
                return Recovery(notes=notes, trouble=f"in {tree.path}, {what}: {', '.join(left)} ({BY_HAND})")
    if safe:
        unmark(clone, Mark.TOUCHING, repository.branch)
    return Recovery(notes=notes)


def _completed(clone: Clone, repository: Repository, before: str, begun: str) -> tuple[list[str], bool]:
    """See to it that a move is on the disk, though power was cut; what can't be written, and whether all is."""
    lost: list[str] = []
    safe = True
    for tree in _trees(clone.user.at(repository.path), repository):
        there = clone.checkout(repository.path, tree.path)
        with contextlib.suppress(CommandError), uncancelled(clone, there) as sure:  # one that git can't work in
            lost += complete(sure, before, begun)
            safe = to_disk(sure, before, begun) and safe
    return lost, safe


def _finish(clone: Clone, repository: Repository, base: Base, local: str) -> Recovery:
    """Let the branch follow to what was pushed."""
    pushed = marked(clone, Mark.PUSHED, repository.branch)
    if pushed is not None and base.remote is None:
        return Recovery()  # nobody can say whether it is there
    if pushed is not None and not clone.is_ancestor(pushed, base.remote or pushed):
        unmark(clone, Mark.PUSHED, repository.branch)
        pushed = None
    if pushed is None:
        return Recovery()
    ahead = pushed != local and clone.is_ancestor(local, pushed)
    result = land(clone, repository, local, pushed) if ahead else Landed()
    if not isinstance(result, Landed):
        told = f"{repository.branch} in {repository.path} still stays behind what lockbot made ({result.why})"
        fault = isinstance(result, Stuck) and result.fault
        how = how_to_follow(clone, repository, result)
        return Recovery(trouble=told) if fault else Recovery(notes=(f"{told}: {how}",))
    notes = follow(clone, repository, pushed)
    if not notes:
        unmark(clone, Mark.PUSHED, repository.branch)
    if ahead:
        done = f"{repository.branch} in {repository.path} now has {pushed[:10]}, which an earlier run could not"
        notes = (f"{done} move it to", *notes)
    return Recovery(moved=ahead, notes=notes)


def _trees(git: Git, repository: Repository) -> list[Checkout]:
    """Where the branch is checked out, as far as that is there."""
    ref = f"refs/heads/{repository.branch}"
    return [tree for tree in checkouts(git) if tree.branch == ref and tree.found and tree.path.is_dir()]
