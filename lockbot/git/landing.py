"""Landing: bring a commit into the user's repository and move the branch there, wholly or not at all.

Every write to the user's refs is in here, but for parking; what was written to their files in vain is put back by
`userfiles`. Whichever fails: no ref moves to a commit of which something is missing, nothing half-done stays in a
work tree, and what is the user's is never touched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lockbot.errors import CommandError, LockbotError
from lockbot.git.busy import Checkout, checkouts, operation, setting_aside
from lockbot.git.clone import Clone, Mark, is_complete, mark, unmark
from lockbot.git.command import Git
from lockbot.git.failure import last_line, refusal
from lockbot.git.source import Repository
from lockbot.git.userfiles import attempt, backed_up, changed_paths, differing_paths, obstacles, restore, to_disk
from lockbot.process import CancelToken, Finished

PARKED = "\0"
"""Stands in a command for the parking branch, which is not chosen yet; no argument holds it otherwise."""
Commands = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Landed:
    """The local branch has the commit."""


@dataclass(frozen=True)
class BaseMoved:
    """Someone moved the branch since sync; nothing was published: sync and propose again."""

    why: str


@dataclass(frozen=True)
class Stuck:
    """Why the local branch was not moved, and what the user can run once PARKED is there."""

    why: str
    advice: Commands = ()
    fault: bool = False
    """It is nothing that the user is at: a lock file, a full disk."""


def land(clone: Clone, repository: Repository, seen: str | None, commit: str) -> Landed | BaseMoved | Stuck:
    """Fast-forward the local branch from `seen`, if that is where it is. Raises what `transfer` raises."""
    git = clone.user.at(repository.path)
    ref = f"refs/heads/{repository.branch}"
    # The objects first: what follows is then quick, and the branch is looked at as late as can be.
    transfer(clone, git, git.resolve(ref), commit)
    tip = git.resolve(ref)
    if tip is None:
        again = ("git", "-C", str(repository.path), "branch", repository.branch, PARKED)
        return Stuck(f"the branch {repository.branch} was deleted", (again,))
    if git.holds("merge-base", "--is-ancestor", commit, tip):
        return Landed()
    if tip != seen:
        return BaseMoved(f"{repository.branch} has moved")
    trees = checkouts(git)
    if found := operation(repository, trees):
        return Stuck(
            f"{found.what} of {repository.branch} is under way in {found.path}",
            (_merge(found.path),),
        )
    trees = [tree for tree in trees if tree.branch == ref]
    if not trees:
        return _move_unused(clone, git, repository, tip, commit)
    if len(trees) > 1:
        where = " and ".join(str(tree.path) for tree in trees)
        return Stuck(f"{repository.branch} is checked out more than once: {where}")
    return _move_checkout(clone, repository, trees[0], tip, commit)


_FETCH = ("--quiet", "--no-tags", "--no-prune", "--no-recurse-submodules", "--no-write-fetch-head")


def transfer(clone: Clone, git: Git, known: str | None, commit: str) -> None:
    """Bring all that a commit reaches into the user's repository, where all that `known` reaches is already.

    Raises CommandError where not all of it arrives; nothing has changed then.
    """
    if is_complete(git, known, commit):
        return
    # A pack comes into being as a whole; of loose objects, a full disk leaves some.
    git = git.configured(("fetch.unpackLimit", "1"))
    # Other refs may be at commits of which something is missing: they are neither asked nor believed ...
    only = (f"--negotiation-tip={known}",) if known else ()
    _fetch(clone, git, commit, *only)
    if not is_complete(git, known, commit):
        _fetch(clone, git, commit, "--refetch")  # ... but what is at such a ref, git takes for complete
        if not is_complete(git, known, commit):
            raise CommandError(
                f"{git.directory} is damaged: not all of {commit} arrives there", "run `git fsck` there"
            )


def _fetch(clone: Clone, git: Git, commit: str, *options: str) -> None:
    done = git.run("fetch", *_FETCH, *options, "--", str(clone.directory), commit, check=False)
    if done.code != 0:
        raise done.error(
            f"git cannot write the update into {git.directory}: {last_line(done.stderr) or f'code {done.code}'}",
            "is there room on that disk, and may lockbot's user write there?",
        )


def _move_unused(
    clone: Clone, git: Git, repository: Repository, seen: str, commit: str
) -> Landed | BaseMoved | Stuck:
    """A branch that is checked out nowhere."""
    ref = f"refs/heads/{repository.branch}"
    with uncancelled(clone, git) as sure:
        done = _move_ref(sure, ref, seen, commit)
        if done.code == 0 and any(tree.branch == ref for tree in checkouts(sure)):  # by now it is
            _move_ref(sure, ref, commit, seen)
    tip = git.resolve(ref)
    if tip is not None and git.holds("merge-base", "--is-ancestor", commit, tip):
        return Landed()
    if tip != seen or done.code == 0:
        return BaseMoved(f"{repository.branch} has moved")
    return Stuck(f"git refuses: {refusal(done)}", (_fetch_parked(repository),), fault=True)


def _move_ref(git: Git, ref: str, old: str, new: str) -> Finished:
    """From `old`, or not at all."""
    return attempt(git, "update-ref", "-m", "lockbot: update", ref, new, old)


def _move_checkout(
    clone: Clone, repository: Repository, tree: Checkout, seen: str, commit: str
) -> Landed | BaseMoved | Stuck:
    """A branch that is checked out: it is moved together with the files, or all is put back."""
    if not tree.found:
        why = f"where it is checked out is not known here ({tree.path} is a separate git directory)"
        return Stuck(why, (("git", "merge", PARKED),))
    if not tree.path.is_dir():
        prune = ("git", "-C", str(repository.path), "worktree", "prune")
        return Stuck(f"{tree.path}, where it is checked out, is gone", (prune, _fetch_parked(repository)))
    there, ref = clone.checkout(repository.path, tree.path), f"refs/heads/{repository.branch}"
    left: list[str] = []
    try:
        if _head(there) != (ref, seen):
            return BaseMoved(f"{repository.branch} has moved")
        found = obstacles(there, seen, commit)
        if found.unknown:
            return _obstructed(there, tree, found.paths)
        clean = not found.changes
        with backed_up(there, seen, commit, wanted=clean) as copies, uncancelled(clone, there) as sure:
            if clean:  # only now: what is written from here on may be taken back
                mark(clone, Mark.TOUCHING, repository.branch, commit, before=seen)
            done = _fast_forward(sure, ref, seen, commit)
            stays = _head(sure) in ((ref, seen), (ref, commit))
            tip = sure.resolve(ref)
            if not stays:
                _withdraw(sure, seen, commit)
            elif clean and tip == seen:
                _, left = restore(sure, seen, commit, copies, begun=True)
            safe = to_disk(sure, seen, commit)
        if clean and not left and safe:
            unmark(clone, Mark.TOUCHING, repository.branch)
        if tip is not None and there.holds("merge-base", "--is-ancestor", commit, tip):
            return Landed()
        if not stays or tip != seen:
            return BaseMoved(f"{repository.branch} has moved")
    except LockbotError as error:
        clone.cancel.check()
        return Stuck(f"git refuses: {error.message}", fault=True)
    if found.changes:
        return _obstructed(there, tree, found.paths)
    why = refusal(done)
    if left:
        why += f"; what lockbot had begun to write there could not be taken back: {', '.join(left)} ({BY_HAND})"
    fault = not any(words in done.stderr for words in _THEIRS)
    return Stuck(f"git refuses in {tree.path}: {why}", (_merge(tree.path),), fault=fault)


def _head(git: Git) -> tuple[str, str | None]:
    """The ref that HEAD stands for ("": none, it is detached), and its commit."""
    return git.run("symbolic-ref", "--quiet", "HEAD", check=False).stdout.strip(), git.resolve("HEAD")


_THEIRS = ("resolve your current index", "would be overwritten by merge", "not uptodate")
"""What git says of something that the user is at."""
_READ_TREE = ("read-tree", "-m", "-u", "--no-recurse-submodules")
_FAST_FORWARD = "lockbot-fast-forward"
_BOTH = f"""!f() {{
git {" ".join(_READ_TREE)} "$2" "$3" && git update-ref -m "lockbot: update" "$1" "$3" "$2"
}}; f"""


def _fast_forward(git: Git, ref: str, old: str, new: str) -> Finished:
    """Bring index and work tree from `old` to `new`, all of it or nothing, and then this branch and no other.

    Not by `git merge`: that moves whichever branch is checked out by the time it comes to it. Both in one command
    of git's, as there: it comes to its end though lockbot is killed.
    """
    attempt(git, "update-index", "-q", "--refresh")  # a file that was only touched is in nobody's way
    return attempt(git.configured((f"alias.{_FAST_FORWARD}", _BOTH)), _FAST_FORWARD, ref, old, new)


def _withdraw(git: Git, old: str, new: str) -> None:
    """HEAD has left the branch since it was looked at: what was written for that is in no other's index."""
    if changed_paths(git, old, new) & differing_paths(git, "diff-index", "--cached", "HEAD"):
        attempt(git, *_READ_TREE, new, old)


def _obstructed(git: Git, tree: Checkout, paths: list[str]) -> Stuck:
    why = "changes that are not committed are in the way: " + ", ".join(paths)
    return Stuck(f"git refuses in {tree.path}: {why}", (*setting_aside(git, paths), _merge(tree.path)))


BY_HAND = "the next run tries again; `git restore --staged --worktree` does it by hand"


def _fetch_parked(repository: Repository) -> tuple[str, ...]:
    return ("git", "-C", str(repository.path), "fetch", ".", f"{PARKED}:{repository.branch}")


def _merge(path: object) -> tuple[str, ...]:
    return ("git", "-C", str(path), "merge", PARKED)


@contextlib.contextmanager
def uncancelled(clone: Clone, git: Git) -> Iterator[Git]:
    """For the one step that writes to the user's work tree: half of it is worse than to wait until it is done.

    That takes milliseconds, unless the user's filters are slow; then, at most what each git command may take.
    """
    clone.cancel.check()
    token = CancelToken()
    try:
        yield replace(git, cancel=token)
    finally:
        token.close()


def follow(clone: Clone, repository: Repository, commit: str) -> tuple[str, ...]:
    """Let the ref that follows the remote's branch know of a commit that was pushed, as `git push` does.

    What to tell where it can't be moved; it is never moved to what is not wholly there.
    """
    ref = repository.tracking
    git = clone.user.at(repository.path)
    old = git.resolve(ref) if ref is not None else None
    if ref is None or old is None or old == commit or not git.resolve(commit):
        return ()
    if not git.holds("merge-base", "--is-ancestor", old, commit):
        return ()
    if not is_complete(git, git.resolve(f"refs/heads/{repository.branch}"), commit):
        return ()
    done = git.run("update-ref", "-m", "lockbot: push", ref, commit, old, check=False)
    if done.code == 0:
        return ()
    name = ref.removeprefix("refs/remotes/")
    return (f"{name} in {repository.path} could not be moved ({refusal(done)}): `git fetch` there does it",)
