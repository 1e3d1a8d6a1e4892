"""Publish: move the user's branch to the commit that was judged, or leave everything as it is.

First the remote, then the local branch. Only ever a fast-forward from what sync saw, and in a work tree only
what git itself allows. Where the local branch can't be moved, the commit is parked on a branch of lockbot's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
from dataclasses import dataclass, replace
from urllib.parse import quote

from lockbot.errors import CommandError, LockbotError, UsageError
from lockbot.git.busy import Checkout, catching_up, checkouts
from lockbot.git.clone import Clone, Mark, hand_over, is_whole, mark, marked, unmark
from lockbot.git.command import Git
from lockbot.git.landing import (
    BY_HAND,
    PARKED,
    BaseMoved,
    Landed,
    Stuck,
    follow,
    git_dir,
    is_staged,
    land,
    take_back,
    uncancelled,
)
from lockbot.git.push import Pushed, contains, push_commit, push_further
from lockbot.git.source import LocalSource, RemoteSource, Repository, Source, remote_at, remote_of
from lockbot.git.sync import SEEN_LOCAL, TRAILER, Base, fetch_local, fetch_remote, look, saw, sync


@dataclass(frozen=True)
class Moved:
    """The branch has the commit: on the remote if `pushed`, and locally where nothing tells otherwise."""

    pushed: bool
    notes: tuple[str, ...] = ()
    trouble: LockbotError | None = None
    """Why the local branch does not have what was pushed, where that is nothing that the user wants so."""


@dataclass(frozen=True)
class Parked:
    """The branch stands as it was; the commit is on `branch` of the user's repository."""

    branch: str
    why: str
    advice: tuple[str, ...]
    """Commands for the user to run, in order."""


Published = Moved | BaseMoved | Parked


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
    And CommandError when a fault keeps the branch from being moved, and nothing was pushed.
    """
    if not clone.is_ancestor(base.commit, commit):
        raise LockbotError(f"{commit} is not built on {base.commit}: it is not published")
    if isinstance(source, RemoteSource):
        return _publish_remote(clone, source, base, commit, push=push)
    repository = look(clone, source, base.branch)
    if push and source.push and base.push_allowed and base.remote is not None and repository.remote is not None:
        if moved := _moved_already(clone, repository, base, commit):
            return moved
        remote = remote_of(repository)
        mark(clone, Mark.PUSHED, repository.branch, commit)
        if push_commit(clone, remote, repository.remote_branch, seen=base.remote, commit=commit) is Pushed.MOVED:
            return BaseMoved(f"{repository.remote_branch} of {remote.shown} has moved")
        further = push_further(clone, remote, repository.remote_branch, commit)
        home = _bring_home(clone, repository, base, commit)
        return replace(home, notes=(*further, *home.notes))
    match land(clone, repository, base.local, commit):
        case Landed():
            return Moved(pushed=False)
        case BaseMoved() as moved:
            return moved
        case Stuck(fault=True) as stuck:  # nothing that the user is to choose: the next run does it
            raise CommandError(
                f"{base.branch} was not moved: {stuck.why}", "lockbot tries again with its next run"
            )
        case Stuck() as stuck:
            return _park(clone, repository, commit, stuck, parking(repository.branch, flake_dir), run)


def _bring_home(clone: Clone, repository: Repository, base: Base, commit: str) -> Moved:
    """The remote has it, whatever becomes of the local branch."""
    try:
        result = land(clone, repository, base.local, commit)
        notes = follow(clone, repository, commit)
        if isinstance(result, Landed) and not notes:
            unmark(clone, Mark.PUSHED, repository.branch)
    except LockbotError as error:
        return Moved(pushed=True, trouble=error)
    if isinstance(result, Landed):
        return Moved(pushed=True, notes=notes)
    stays = f"{base.branch} in {repository.path} stays where it was ({result.why})"
    how = _catching_up(clone, repository, result)
    if isinstance(result, Stuck) and result.fault:
        return Moved(pushed=True, notes=notes, trouble=CommandError(stays, how))
    return Moved(pushed=True, notes=(*notes, f"pushed, but {stays}: {how}"))


def _catching_up(clone: Clone, repository: Repository, result: BaseMoved | Stuck) -> str:
    """What the user can run, in order, where the branch did not follow to what was pushed."""
    last = catching_up(clone.user, repository, rebase=isinstance(result, BaseMoved))
    advice = result.advice if isinstance(result, Stuck) else ()
    before = [f"`{shlex.join(command)}`" for command in advice if PARKED not in " ".join(command)]
    return ", then ".join((*before, last))


def behind(clone: Clone, source: Source, base: Base) -> str | None:
    """That the branch lacks what its remote has, where nothing is published that would have brought it."""
    if not isinstance(source, LocalSource) or base.local is None or base.remote != base.commit:
        return None
    count = clone.count(base.local, base.commit)
    if not count:
        return None
    how = catching_up(clone.user, look(clone, source, base.branch))
    return f"{base.branch} is {count} commit(s) behind its remote, and stays there: {how} brings it there"


def _publish_remote(clone: Clone, source: RemoteSource, base: Base, commit: str, *, push: bool) -> Published:
    if not (push and source.push and base.remote is not None):
        raise UsageError(
            "a repository at a URL can only be published to by pushing", "set push = true, or dry-run"
        )
    remote = remote_at(source.url)
    if push_commit(clone, remote, base.branch, seen=base.remote, commit=commit) is Pushed.MOVED:
        return BaseMoved(f"{base.branch} of {remote.shown} has moved")
    with contextlib.suppress(LockbotError):  # it is published; only `status` looks there before the next fetch
        saw(clone, source, commit)
    return Moved(pushed=True)


def _moved_already(clone: Clone, repository: Repository, base: Base, commit: str) -> BaseMoved | None:
    """Before push: the user's new commits would make the local branch diverge from what is pushed."""
    tip = clone.user.at(repository.path).resolve(f"refs/heads/{repository.branch}")
    return BaseMoved(f"{repository.branch} has moved") if tip not in (base.local, commit, None) else None


def _park(clone: Clone, repository: Repository, commit: str, stuck: Stuck, place: str, run: str) -> Parked:
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
            message = f"{_PARK} {run}"
            git.run("update-ref", "--create-reflog", "-m", message, f"refs/heads/{name}", commit, old or "0" * 40)
        except CommandError as refused:  # a branch called `lockbot` leaves no room for `lockbot/…`
            error = refused
            continue
        return _parked(name, stuck)
    raise error or LockbotError(f"{stuck.why}; and no branch was free to park {commit} on")


_PARK = "lockbot: park"
"""How the reflog says that a branch was moved by `_park`."""


def _parked(name: str, stuck: Stuck) -> Parked:
    told = ([word.replace(PARKED, name) for word in command] for command in stuck.advice)
    return Parked(name, stuck.why, tuple(map(shlex.join, told)))


def _is_ours(git: Git, name: str, tip: str) -> bool:
    """Whether the branch is as lockbot left it: what somebody amended keeps the trailer, and is theirs."""
    ref = f"refs/heads/{name}"
    if any(tree.branch == ref for tree in checkouts(git)):
        return False
    moves = git.run("log", "--walk-reflogs", "--max-count=1", "--format=%H %gs", ref, "--", check=False).stdout
    if moves and not moves.startswith(f"{tip} {_PARK}"):
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
    """If not, `mend` tells why."""
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
        trees = (clone.checkout(repository.path, tree.path) for tree in _trees(git, repository))
        return any(is_staged(tree, tip, commit) for tree in trees)
    return False


def _settle_remote(clone: Clone, source: RemoteSource, commit: str) -> bool:
    base = sync(clone, source)
    return clone.has(commit) and clone.is_ancestor(commit, base.commit)


# -- what an earlier run could not finish ------------------------------------------------------------------------


@dataclass(frozen=True)
class Mended:
    """`moved`: the branch is not where it was seen. `trouble`: what could not be finished this time either."""

    moved: bool = False
    notes: tuple[str, ...] = ()
    trouble: str | None = None


def mend(clone: Clone, source: Source, base: Base) -> Mended:
    """Finish in the user's repository what an earlier run could not; `base` is what was just seen of it."""
    if not isinstance(source, LocalSource) or base.local is None:
        return Mended()
    repository = look(clone, source, base.branch)
    try:
        notes = _make_whole(clone, repository, base.local)
        mended = _clear(clone, repository, base.local)
        notes = (*notes, *mended.notes)
        if mended.trouble is not None:
            return replace(mended, notes=notes)
        mended = _finish(clone, repository, base, base.local)
    except LockbotError as error:
        clone.cancel.check()
        return Mended(trouble=error.message)
    return replace(mended, notes=(*notes, *mended.notes))


def _make_whole(clone: Clone, repository: Repository, local: str) -> tuple[str, ...]:
    """A lockbot before this one moved refs to commits that had not arrived whole."""
    git = clone.user.at(repository.path)
    tip = git.resolve(repository.tracking) if repository.tracking is not None else None
    if repository.tracking is None or tip is None or is_whole(git, local, tip):
        return ()
    name = repository.tracking.removeprefix("refs/remotes/")
    if clone.has(tip):
        with contextlib.suppress(LockbotError):
            hand_over(clone, git, local, tip)
            return (f"{name} in {repository.path} was at a commit of which a part was missing: it is whole again",)
        clone.cancel.check()
    return (
        f"{name} in {repository.path} is at a commit of which a part is missing: "
        f"run `git fetch --refetch {repository.remote}` there",
    )


def _clear(clone: Clone, repository: Repository, local: str) -> Mended:
    """Take back what a killed run has left half-written."""
    begun = marked(clone, Mark.TOUCHING, repository.branch)
    if begun is None:
        return Mended()
    notes: tuple[str, ...] = ()
    if clone.has(local) and local != begun and clone.is_ancestor(local, begun):
        git = clone.user.at(repository.path)
        hand_over(clone, git, local, begun)  # the user's git may have tidied it away since
        for tree in [tree for tree in _trees(git, repository) if tree.head == local]:
            there = clone.checkout(repository.path, tree.path)
            torn = os.path.lexists(git_dir(there) / "index.lock")  # git holds it for as long as it writes files
            with uncancelled(clone, there) as sure:
                back, left = take_back(sure, local, begun, {}, begun=torn)
            if back:
                what = "what a killed lockbot had begun to write was taken back"
                notes = (*notes, f"in {tree.path}, {what}: {', '.join(back)}")
            if left:
                what = (
                    "lockbot was killed while it wrote files, and does not know whether these are as you want them"
                )
                return Mended(notes=notes, trouble=f"in {tree.path}, {what}: {', '.join(left)} ({BY_HAND})")
    unmark(clone, Mark.TOUCHING, repository.branch)
    return Mended(notes=notes)


def _finish(clone: Clone, repository: Repository, base: Base, local: str) -> Mended:
    """Let the branch follow to what was pushed."""
    pushed = marked(clone, Mark.PUSHED, repository.branch)
    if pushed is not None and base.remote is None:
        return Mended()  # nobody can say whether it is there
    if pushed is not None and not clone.is_ancestor(pushed, base.remote or pushed):
        unmark(clone, Mark.PUSHED, repository.branch)
        pushed = None
    if pushed is None:
        return Mended()
    ahead = pushed != local and clone.is_ancestor(local, pushed)
    result = land(clone, repository, local, pushed) if ahead else Landed()
    if not isinstance(result, Landed):
        told = f"{repository.branch} in {repository.path} still stays behind what lockbot made ({result.why})"
        fault = isinstance(result, Stuck) and result.fault
        how = _catching_up(clone, repository, result)
        return Mended(trouble=told) if fault else Mended(notes=(f"{told}: {how}",))
    notes = follow(clone, repository, pushed)
    if not notes:
        unmark(clone, Mark.PUSHED, repository.branch)
    if ahead:
        done = f"{repository.branch} in {repository.path} now has {pushed[:10]}, which an earlier run could not"
        notes = (f"{done} move it to", *notes)
    return Mended(moved=ahead, notes=notes)


def _trees(git: Git, repository: Repository) -> list[Checkout]:
    """Where the branch is checked out, as far as that is there."""
    ref = f"refs/heads/{repository.branch}"
    return [tree for tree in checkouts(git) if tree.branch == ref and tree.path.is_dir()]
