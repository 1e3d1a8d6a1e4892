"""Publish: move the user's branch to the commit that was judged, or leave everything as it is.

First the remote, then the local branch. Only ever a fast-forward from what sync saw, and in a work tree only
what git itself allows. Where the local branch can't be moved, the commit is parked on a branch of lockbot's.
"""

from __future__ import annotations

import contextlib
import hashlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from lockbot.errors import CommandError, LockbotError, SurroundingsError, UsageError
from lockbot.git.busy import Checkout, checkouts, operation
from lockbot.git.clone import Clone
from lockbot.git.command import Git
from lockbot.git.failure import last_line
from lockbot.git.push import Pushed, contains, push_commit
from lockbot.git.source import RemoteSource, Repository, Source, remote_at
from lockbot.git.sync import SEEN_LOCAL, Base, fetch, fetch_remote, find_remote, look, saw, sync
from lockbot.process import CancelToken

TRAILER = "Lockbot-Run"
"""In the message of every commit of lockbot's; only such a tip of a parking branch is overwritten."""
_PARKED = "\0"
"""Stands in a command for the parking branch, which is not chosen yet; no argument holds it otherwise."""
_Commands = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Moved:
    """The branch has the commit: on the remote if `pushed`, and locally where no note says otherwise."""

    pushed: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BaseMoved:
    """Someone moved the branch since sync; nothing was published: sync and propose again."""

    why: str


@dataclass(frozen=True)
class Parked:
    """The branch stands as it was; the commit is on `branch` of the user's repository."""

    branch: str
    why: str
    advice: tuple[str, ...]
    """Commands for the user to run, in order."""


Published = Moved | BaseMoved | Parked


@dataclass(frozen=True)
class _Stuck:
    """Why the local branch was not moved, and what the user can run once _PARKED is there."""

    why: str
    advice: _Commands = ()


def parking(branch: str, flake_dir: str) -> str:
    """The branch that this flake's update is parked on: `lockbot/update-main`, `lockbot/update-main+hosts,one`.

    No two flakes have the same, and git takes it as it took the branch, however long both are.
    """
    name = "lockbot/update-" + branch.replace("%", "%25").replace("+", "%2B")
    quoted = quote(flake_dir, safe="", errors="surrogateescape").replace("%2F", ",")
    # What `quote` leaves alone and git does not: `..`, `.lock`, `~`.
    name += f"+{quoted.replace('.', '%2E').replace('~', '%7E')}" if flake_dir else ""
    return "/".join(map(_file_name, name.split("/")))


def _file_name(part: str) -> str:
    """A part of a branch's name that a file can have, `.lock` behind it; no two long ones become the same."""
    data = part.encode(errors="surrogateescape")
    if len(data) <= _LONGEST_PART:
        return part
    return f"{data[: _LONGEST_PART - 9].decode(errors='ignore')}-{hashlib.sha256(data).hexdigest()[:8]}"


_LONGEST_PART = 240


def publish(
    clone: Clone, source: Source, base: Base, commit: str, *, run: str, flake_dir: str = "", push: bool = True
) -> Published:
    """Publish a commit that was built on `base`. `run` and `flake_dir` name a parking branch, if need be.

    Raises CommandError when the remote refuses, RemoteError when it can't be reached; nothing has moved then.
    """
    if not clone.is_ancestor(base.commit, commit):
        raise LockbotError(f"{commit} is not built on {base.commit}: it is not published")
    if isinstance(source, RemoteSource):
        return _publish_remote(clone, source, base, commit, push=push)
    repository = look(clone, source, base.branch)
    pushed = False
    if push and source.push and base.push_allowed and base.remote is not None and repository.remote is not None:
        if moved := _moved_already(clone, repository, base, commit):
            return moved
        remote = find_remote(clone, repository)
        if push_commit(clone, remote, repository.remote_branch, seen=base.remote, commit=commit) is Pushed.MOVED:
            return BaseMoved(f"{repository.remote_branch} of {remote.shown} has moved")
        pushed = True
    try:
        result = _move_local(clone, repository, base.local, commit)
    except (CommandError, SurroundingsError) as error:
        if not pushed:
            raise
        result = _Stuck(error.message)
    if pushed:
        return Moved(pushed=True, notes=_after_push(clone, repository, base, commit, result))
    if isinstance(result, _Stuck):
        return _park(clone, repository, commit, result, parking(repository.branch, flake_dir), run)
    return result


def _publish_remote(clone: Clone, source: RemoteSource, base: Base, commit: str, *, push: bool) -> Published:
    if not (push and source.push and base.remote is not None):
        raise UsageError(
            "a repository at a URL can only be published to by pushing", "set push = true, or dry-run"
        )
    remote = remote_at(source.url, clone.user.config())
    if push_commit(clone, remote, base.branch, seen=base.remote, commit=commit) is Pushed.MOVED:
        return BaseMoved(f"{base.branch} of {remote.shown} has moved")
    with contextlib.suppress(LockbotError):  # it is published; only `status` looks there before the next fetch
        saw(clone, source, commit)
    return Moved(pushed=True)


def _moved_already(clone: Clone, repository: Repository, base: Base, commit: str) -> BaseMoved | None:
    """Before push: the user's new commits would make the local branch diverge from what is pushed."""
    tip = clone.user.at(repository.path).resolve(f"refs/heads/{repository.branch}")
    return BaseMoved(f"{repository.branch} has moved") if tip not in (base.local, commit, None) else None


def _after_push(
    clone: Clone, repository: Repository, base: Base, commit: str, result: Moved | BaseMoved | _Stuck
) -> tuple[str, ...]:
    """What to tell when the remote has it; and let the user's remote-tracking branch know, as `git push` does."""
    git = clone.user.at(repository.path)
    old = git.resolve(repository.tracking) if repository.tracking is not None else None
    if old and repository.tracking and git.run("merge-base", "--is-ancestor", old, commit, check=False).code == 0:
        git.run("update-ref", "-m", "lockbot: push", repository.tracking, commit, old, check=False)
    if isinstance(result, Moved):
        return result.notes
    return (f"pushed, but {base.branch} in {repository.path} stays where it was ({result.why}): `git pull` there",)


def _move_local(clone: Clone, repository: Repository, seen: str | None, commit: str) -> Moved | BaseMoved | _Stuck:
    """Fast-forward the local branch from `seen`, if that is where it is."""
    git = clone.user.at(repository.path)
    ref = f"refs/heads/{repository.branch}"
    # The objects first: what follows is then quick, and the branch is looked at as late as can be.
    git.run("fetch", *_FETCH, "--", str(clone.directory), commit)
    tip = git.resolve(ref)
    if tip is None:
        again = ("git", "-C", str(repository.path), "branch", repository.branch, _PARKED)
        return _Stuck(f"the branch {repository.branch} was deleted", (again,))
    if git.holds("merge-base", "--is-ancestor", commit, tip):
        return Moved(pushed=False)
    if tip != seen:
        return BaseMoved(f"{repository.branch} has moved")
    trees = checkouts(git)
    if found := operation(repository, trees):
        return _Stuck(
            f"{found.what} of {repository.branch} is under way in {found.path}",
            (_merge(found.path),),
        )
    trees = [tree for tree in trees if tree.branch == ref]
    if not trees:
        return _move_unused(clone, git, repository, commit)
    if len(trees) > 1:
        where = " and ".join(str(tree.path) for tree in trees)
        return _Stuck(f"{repository.branch} is checked out more than once: {where}")
    return _move_checkout(clone, git, trees[0], tip, commit)


_FETCH = ("--quiet", "--no-tags", "--no-prune", "--no-recurse-submodules", "--no-write-fetch-head")


def _move_unused(clone: Clone, git: Git, repository: Repository, commit: str) -> Moved | _Stuck:
    """A branch that is checked out nowhere; git refuses it here if that has changed."""
    with _uncancelled(clone, git) as sure:
        done = sure.run("fetch", *_FETCH, "--", ".", f"{commit}:refs/heads/{repository.branch}", check=False)
    if done.code == 0:
        return Moved(pushed=False)
    command = ("git", "-C", str(repository.path), "fetch", ".", f"{_PARKED}:{repository.branch}")
    return _Stuck(f"git refuses: {last_line(done.stderr)}", (command,))


def _move_checkout(clone: Clone, git: Git, tree: Checkout, seen: str, commit: str) -> Moved | BaseMoved | _Stuck:
    """A branch that is checked out: git moves it together with the files, or touches nothing."""
    there = git.at(tree.path)
    merge = ("merge", "--ff-only", "--no-autostash", "--no-squash", "--no-verify-signatures", "--quiet")
    try:
        if there.ask("symbolic-ref", "HEAD") != tree.branch or there.resolve("HEAD") != seen:
            return BaseMoved(f"{tree.branch} has moved")
        with _uncancelled(clone, there) as sure:
            done = sure.run(*merge, commit, check=False)
    except CommandError as error:  # the directory is gone, for one
        return _Stuck(f"git refuses: {error.message}")
    if done.code == 0 and there.resolve("HEAD") == commit:
        return Moved(pushed=False)
    files = [line.strip() for line in done.stderr.splitlines() if line.startswith("\t")]
    why = "changes that are not committed are in the way: " + ", ".join(files) if files else last_line(done.stderr)
    stash = [("git", "-C", str(tree.path), "stash", "push", "--", *files)] if files else []
    return _Stuck(f"git refuses in {tree.path}: {why}", (*stash, _merge(tree.path)))


def _merge(path: Path) -> tuple[str, ...]:
    return ("git", "-C", str(path), "merge", _PARKED)


@contextlib.contextmanager
def _uncancelled(clone: Clone, git: Git) -> Iterator[Git]:
    """For the one step that writes to the user's work tree: it takes milliseconds, and half of it is worse."""
    clone.cancel.check()
    token = CancelToken()
    try:
        yield replace(git, cancel=token, timeout=min(git.timeout, 60.0))
    finally:
        token.close()


def _park(clone: Clone, repository: Repository, commit: str, stuck: _Stuck, place: str, run: str) -> Parked:
    """Put the commit on the branch `place`, or, where that is the user's, on one named after the run."""
    git = clone.user.at(repository.path)
    error: CommandError | None = None
    for name in (place, f"{place}-{run}", f"lockbot-update-{run}"):
        old = git.resolve(f"refs/heads/{name}")
        if old == commit:
            return _parked(name, stuck)
        if old is not None and not _is_ours(git, name, old):
            continue
        try:
            message = f"lockbot: park {run}"
            git.run("update-ref", "-m", message, f"refs/heads/{name}", commit, old or "0" * 40)
        except CommandError as refused:  # a branch called `lockbot` leaves no room for `lockbot/…`
            error = refused
            continue
        return _parked(name, stuck)
    raise error or LockbotError(f"{stuck.why}; and no branch was free to park {commit} on")


def _parked(name: str, stuck: _Stuck) -> Parked:
    told = ([word.replace(_PARKED, name) for word in command] for command in stuck.advice)
    return Parked(name, stuck.why, tuple(map(shlex.join, told)))


def _is_ours(git: Git, name: str, tip: str) -> bool:
    ref = f"refs/heads/{name}"
    if any(tree.branch == ref for tree in checkouts(git)):
        return False
    return bool(git.ask("show", "-s", f"--format=%(trailers:key={TRAILER},valueonly)", tip, "--").strip())


def only_updates(clone: Clone, base: str, old: str, new: str) -> bool:
    """Whether two commits are in the history of `base`, with updates of lockbot's alone between them."""
    there = clone.has(old) and clone.has(new)
    if not (there and clone.is_ancestor(old, new) and clone.is_ancestor(new, base)):
        return False
    trailer = f"--format=%(trailers:key={TRAILER},valueonly,separator=%x2C)"
    runs = clone.git.ask("log", trailer, f"{old}..{new}", "--").split("\n")
    return all(run.strip() for run in runs)


def settle(clone: Clone, source: Source, commit: str) -> bool:
    """After a crash: does the source's branch have the commit? If it was pushed, the local part is finished.

    Raises RemoteError when the remote can't be asked.
    """
    if isinstance(source, RemoteSource):
        return _settle_remote(clone, source, commit)
    repository = look(clone, source)
    seen = clone.git.resolve(SEEN_LOCAL)
    local = fetch(clone, clone.user, str(repository.common), repository.branch, SEEN_LOCAL, str(source.path))
    if local is not None and clone.has(commit) and clone.is_ancestor(commit, local):
        return True
    if local is not None and _is_torn(clone, repository, local, commit):
        return isinstance(_move_local(clone, repository, local, commit), Moved)
    if not source.push or repository.remote is None:
        return False
    remote = find_remote(clone, repository)
    settled = contains(clone, remote, repository.remote_branch, commit)
    if settled is None or not settled.has:
        return False
    if fetch_remote(clone, remote, repository.remote_branch) is not None and clone.has(commit):
        _move_local(clone, repository, seen, commit)  # refused: the next sync sees it behind, which is in order
    return True


def _is_torn(clone: Clone, repository: Repository, tip: str, commit: str) -> bool:
    """Was git killed, too, after it had written the user's files and before it moved the branch?

    Then what the commit changes is staged there; to go on is what git had in mind, and nothing of the user's.
    """
    if not clone.has(commit) or not clone.is_ancestor(tip, commit):
        return False
    paths = clone.git.ask("diff", "--name-only", "-z", tip, commit).split("\0")[:-1]
    git = clone.user.at(repository.path)
    trees = [tree for tree in checkouts(git) if tree.branch == f"refs/heads/{repository.branch}"]
    look_at = ("--literal-pathspecs", "diff-index", "--cached", "--quiet", commit, "--", *paths)
    return any(git.at(tree.path).run(*look_at, check=False).code == 0 for tree in trees)


def _settle_remote(clone: Clone, source: RemoteSource, commit: str) -> bool:
    base = sync(clone, source)
    return clone.has(commit) and clone.is_ancestor(commit, base.commit)
