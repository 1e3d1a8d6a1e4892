"""Publish: move the user's branch to the commit that was judged, or leave everything as it is.

First the remote, then the local branch. Only ever a fast-forward from what sync saw, and in a work tree only
what git itself allows. Where the local branch can't be moved, the commit is parked on a branch of lockbot's.
"""

from __future__ import annotations

import contextlib
import hashlib
import shlex
from dataclasses import dataclass, replace
from urllib.parse import quote

from lockbot.errors import CommandError, LockbotError, UsageError
from lockbot.git.busy import catching_up, checkouts
from lockbot.git.clone import Clone, Mark, mark, unmark
from lockbot.git.command import Git
from lockbot.git.commits import signatures
from lockbot.git.landing import (
    PARKED,
    BaseMoved,
    Landed,
    Stuck,
    follow,
    land,
)
from lockbot.git.push import Pushed, push_commit, push_further
from lockbot.git.source import LocalSource, RemoteSource, Repository, Source, remote_at, remote_of
from lockbot.git.sync import TRAILER, Base, look, remember_tip


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
    return branch_name(name)


def branch_name(name: str) -> str:
    """A branch's name, each part of it short enough for a file's; no two long ones become the same."""
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

    Raises SignatureError where it, or what is new below it, lacks a signature that it must have; CommandError when
    the remote refuses, RemoteError when it can't be reached; nothing has moved then. And CommandError when a fault
    keeps the branch from being moved, and nothing was pushed.
    """
    if not clone.is_ancestor(base.commit, commit):
        raise LockbotError(f"{commit} is not built on {base.commit}: it is not published")
    signatures.require(clone, commit, since=base.commit)
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
    how = how_to_follow(clone, repository, result)
    if isinstance(result, Stuck) and result.fault:
        return Moved(pushed=True, notes=notes, trouble=CommandError(stays, how))
    return Moved(pushed=True, notes=(*notes, f"pushed, but {stays}: {how}"))


def how_to_follow(clone: Clone, repository: Repository, result: BaseMoved | Stuck) -> str:
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
        remember_tip(clone, source, commit)
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
