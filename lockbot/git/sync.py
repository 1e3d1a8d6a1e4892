"""Sync: fetch the source's branch into the clone, and decide which commit a candidate is built on.

Knows how a local branch and its remote can stand to each other; must not change either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from lockbot.errors import CommandError, DeadlineExceeded, LockbotError, UsageError
from lockbot.git import failure
from lockbot.git.busy import catching_up
from lockbot.git.clone import Clone
from lockbot.git.command import Git
from lockbot.git.failure import RemoteError
from lockbot.git.source import (
    LocalSource,
    Remote,
    RemoteSource,
    Repository,
    Source,
    check_branch,
    discover,
    remote_at,
    remote_of,
)
from lockbot.model import FailureKind
from lockbot.process import NOBODY, Finished, Listener, duration

TRAILER = "Lockbot-Run"
"""In the message of every commit of lockbot's; only such a tip of a parking branch is overwritten."""
SEEN_LOCAL = "refs/lockbot/local"
SEEN_REMOTE = "refs/lockbot/remote"
"""Fixed names: no branch, whatever it is called, gets in the way of another."""
_SEEN_AT_URL = "refs/lockbot/seen/"
"""What stays of a URL's branch between runs, by a digest of its configured name: the clone serves several."""


_UPLOAD = (
    "--upload-pack=GIT_GRAFT_FILE=/dev/null git -c advice.graftFileDeprecated=false"
    " -c 'transfer.hideRefs=!refs/heads' -c 'uploadpack.hideRefs=!refs/heads' upload-pack",
)
"""What the user's repository hides from others, and what it takes for its beginning, does not concern lockbot."""
_UPLOAD_ANY = (
    "--upload-pack=GIT_GRAFT_FILE=/dev/null git -c advice.graftFileDeprecated=false"
    " -c uploadpack.allowAnySHA1InWant=true upload-pack",
)
_QUIETLY = (
    "--quiet",
    "--no-tags",
    "--no-recurse-submodules",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
)


@dataclass(frozen=True)
class Base:
    """What a candidate is built on, and what was seen when that was decided (full commit ids)."""

    commit: str
    branch: str
    local: str | None
    """The tip of the user's branch; None for a RemoteSource."""
    remote: str | None
    """The tip of the remote's branch; None: no remote, it lacks the branch, or it was not reached."""
    push_allowed: bool
    """False: pushing would push commits that the user has not."""
    subdirectory: str = ""
    """Where the source's path lies in its work tree."""
    overtaken: str | None = None
    """The remote has updates of lockbot's that this branch went another way than; what to do about it."""
    notes: tuple[str, ...] = ()


def sync(clone: Clone, source: Source) -> Base:
    """Fetch and decide. A damaged clone is made anew, with a note.

    Raises UsageError (shallow, SHA-256, no such branch, no commit, …), RemoteError (auth, network, not found).
    """
    try:
        base = _sync(clone, source)
    except CommandError:
        if clone.is_sound():
            raise
        clone = clone.rebuild()
        base = _sync(clone, source)
    return replace(base, notes=(*clone.notes, *base.notes))


def _sync(clone: Clone, source: Source) -> Base:
    match source:
        case LocalSource():
            return _sync_local(clone, source)
        case RemoteSource():
            return _sync_remote(clone, source)
        case _:
            assert_never(source)


def _sync_local(clone: Clone, source: LocalSource) -> Base:
    repository = look(clone, replace(source, needs_branch=True))
    git = clone.user.at(repository.path)
    if git.resolve(f"refs/heads/{repository.branch}") is None:
        names = git.ask("for-each-ref", "--format=%(refname)", "refs/heads/").splitlines()
        raise _no_branch(str(source.path), repository.branch, names)
    local = fetch_local(clone, repository)
    if local is None:
        raise LockbotError(f"the branch {repository.branch} vanished while it was fetched")
    base = Base(local, repository.branch, local, None, push_allowed=False, subdirectory=repository.subdirectory)
    if source.push and repository.no_push is not None:
        base = replace(base, notes=(f"{repository.no_push}: nothing is pushed",))
    if repository.remote is None:
        return base
    return _against_remote(clone, source, repository, base, local)


def _against_remote(clone: Clone, source: LocalSource, repository: Repository, base: Base, local: str) -> Base:
    remote = remote_of(repository)
    name = f"{remote.name}/{repository.remote_branch}"
    try:
        tip = fetch_remote(clone, remote, repository.remote_branch)
        if tip is None and _has_been_there(clone, repository) and not heads(clone, remote):
            # git takes an answer over HTTP that is cut off at its head for that of a server with no branches.
            raise RemoteError(
                FailureKind.NETWORK,
                f"{remote.shown} says that it has no branch at all, and {name} was there",
                "an answer that broke off may look so; if it is really empty, `git push` the branch again",
            )
    except RemoteError as error:
        if source.push:
            raise
        return _noted(base, f"{error.message}; only the local branch was looked at")
    if tip is None:
        return _noted(base, f"{remote.shown} has no branch {repository.remote_branch}: nothing is pushed")
    seen = replace(base, remote=tip)
    if clone.is_ancestor(local, tip):
        return replace(seen, commit=tip, push_allowed=repository.no_push is None)
    ahead = clone.count(tip, local)
    if clone.is_ancestor(tip, local):
        note = f"{base.branch} has {ahead} commit(s) that {name} has not: push them yourself, lockbot does not"
    else:
        behind = clone.count(local, tip)
        note = f"{base.branch} and {name} have diverged ({ahead} and {behind} commits): nothing is pushed"
        # One more update here would only contradict the one there.
        if source.push and clone.git.ask("rev-list", "--max-count=1", f"--grep=^{TRAILER}: ", f"{local}..{tip}"):
            seen = replace(seen, overtaken=catching_up(clone.user, repository, rebase=True))
    return _noted(seen, note)


def _has_been_there(clone: Clone, repository: Repository) -> bool:
    followed = repository.tracking
    return followed is not None and clone.user.at(repository.path).resolve(followed) is not None


def _noted(base: Base, note: str) -> Base:
    return replace(base, notes=(*base.notes, note))


def _sync_remote(clone: Clone, source: RemoteSource) -> Base:
    remote = remote_at(source.url)
    branch = check_branch(clone.user, source.branch) if source.branch else _default_branch(clone, remote)
    tip = fetch_remote(clone, remote, branch)
    if tip is None:
        raise _no_branch(remote.shown, branch, list(heads(clone, remote)))
    remember_tip(clone, source, tip)
    return Base(tip, branch, None, tip, push_allowed=True)


def last_seen(clone: Git, branch: str | None) -> str | None:
    """Where a URL's branch (None: its default) was seen last. `clone`: git in lockbot's clone."""
    seen = clone.resolve(_seen_at_url(branch))
    if seen is None and not clone.ask("for-each-ref", "--count=1", _SEEN_AT_URL):
        return clone.resolve(SEEN_REMOTE)  # an older lockbot made the clone, and knew of one branch only
    return seen


def _seen_at_url(branch: str | None) -> str:
    return _SEEN_AT_URL + hashlib.sha256((branch or "").encode(errors="surrogateescape")).hexdigest()[:16]


def remember_tip(clone: Clone, source: RemoteSource, commit: str) -> None:
    """Remember where a URL's branch is, for `last_seen`: it was just pushed there."""
    clone.git.run("update-ref", _seen_at_url(source.branch), commit)


def look(clone: Clone, source: LocalSource, branch: str | None = None) -> Repository:
    """The source's repository as it is now."""
    return discover(
        clone.reading,
        source.path,
        branch=branch or source.branch,
        remote=source.remote,
        needs_branch=source.needs_branch,
    )


def fetch_local(clone: Clone, repository: Repository) -> str | None:
    """Fetch the branch of the user's repository; its tip, or None when it has no such branch.

    What a partial clone lacks it does not hand on: that comes from where the user's git would get it.
    """
    where, shown = str(repository.common), str(repository.path)
    try:
        return fetch(clone, clone.user, where, repository.branch, SEEN_LOCAL, shown, _UPLOAD)
    except (CommandError, RemoteError):
        clone.cancel.check()
        if not repository.promisors:
            raise
    for name in repository.promisors:
        remote = remote_of(replace(repository, remote=name))
        told = run_remote(
            clone.towards(remote), remote.shown, "fetch", *_QUIETLY, "--prune", "--", name, _promised(name)
        )
        if told.code != 0:
            raise failure.explain_remote(told, remote.shown)
    try:
        return fetch(clone, clone.user, where, repository.branch, SEEN_LOCAL, shown, _UPLOAD)
    except (CommandError, RemoteError) as error:
        clone.cancel.check()
        raise failure.partial(shown, repository.promisors) from error


def fetch_commit(clone: Clone, repository: Repository, commit: str) -> None:
    """Bring one commit of the user's repository into the clone, with all that it reaches."""
    where, shown = str(repository.common), str(repository.path)
    finished = run_remote(clone.user, shown, "fetch", *_QUIETLY, "--no-prune", *_UPLOAD_ANY, "--", where, commit)
    if finished.code != 0 and repository.promisors:
        raise failure.partial(shown, repository.promisors)
    if finished.code != 0 or failure.SHALLOW.search(finished.stderr):
        raise failure.explain_remote(finished, shown)


def _promised(remote: str) -> str:
    """What one remote promises stays when another's is fetched."""
    digest = hashlib.sha256(remote.encode(errors="surrogateescape")).hexdigest()[:16]
    return f"+refs/heads/*:refs/lockbot/promised/{digest}/*"


def fetch_remote(clone: Clone, remote: Remote, branch: str) -> str | None:
    """Fetch a remote's branch; its tip, or None when it has no such branch. Raises RemoteError."""
    return fetch(clone, clone.towards(remote), remote.name, branch, SEEN_REMOTE, remote.shown)


def fetch(
    clone: Clone, git: Git, where: str, branch: str, into: str, shown: str, options: Sequence[str] = ()
) -> str | None:
    """Fetch one branch into a ref of the clone's; None when there is no such branch."""
    refspec = f"+refs/heads/{branch}:{into}"
    finished = run_remote(git, shown, "fetch", *_QUIETLY, "--no-prune", *options, "--", where, refspec)
    if "couldn't find remote ref" in finished.stderr:
        return None
    # A source that is shallow is refused ref by ref, with a mere warning.
    if finished.code != 0 or failure.SHALLOW.search(finished.stderr):
        raise failure.explain_remote(finished, shown)
    tip = clone.git.resolve(into)
    if tip is None:
        raise failure.explain_remote(finished, shown)
    return tip


def heads(clone: Clone, remote: Remote, pattern: str = "refs/heads/*") -> dict[str, str]:
    """Ask the remote: ref to commit. Raises RemoteError."""
    finished = run_remote(clone.towards(remote), remote.shown, "ls-remote", "--quiet", "--", remote.name, pattern)
    if finished.code != 0:
        raise failure.explain_remote(finished, remote.shown)
    pairs = [line.split("\t", 1) for line in finished.stdout.splitlines() if "\t" in line]
    return {ref: commit for commit, ref in pairs}


def _default_branch(clone: Clone, remote: Remote) -> str:
    finished = run_remote(
        clone.towards(remote), remote.shown, "ls-remote", "--quiet", "--symref", "--", remote.name, "HEAD"
    )
    if finished.code != 0:
        raise failure.explain_remote(finished, remote.shown)
    for line in finished.stdout.splitlines():
        if line.startswith("ref: refs/heads/") and line.endswith("\tHEAD"):
            return line[len("ref: refs/heads/") : -len("\tHEAD")]
    names = list(heads(clone, remote))
    if not names:
        raise _no_branch(remote.shown, "HEAD", names)
    raise UsageError(f"{remote.shown} names no default branch", f"say which with `branch`: {_listed(names)}")


def run_remote(
    git: Git, shown: str, *args: str, stdin: bytes | None = None, listener: Listener = NOBODY
) -> Finished:
    """Run a command that talks to another repository; its own deadline means that the other side hangs."""
    try:
        return git.run(*args, stdin=stdin, check=False, listener=listener)
    except DeadlineExceeded as error:
        git.cancel.check()  # the whole run's deadline is another matter
        raise RemoteError(
            FailureKind.NETWORK, f"{shown} did not answer within {duration(git.timeout)}", "try again later"
        ) from error


def _no_branch(where: str, branch: str, refs: list[str]) -> UsageError:
    if not refs:
        return UsageError(f"{where} has no commit yet", "commit the flake first")
    return UsageError(f"{where} has no branch {branch!r}", f"there are: {_listed(refs)}")


def _listed(refs: list[str]) -> str:
    names = [ref.removeprefix("refs/heads/") for ref in refs]
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
