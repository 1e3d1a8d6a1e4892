"""Push one commit to one branch of a remote, and find out for certain what became of it. Branches of lockbot's own
are made, moved and removed, too.

Never moves a branch that is not where it was seen. Knows nothing of the user's local repository.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from lockbot.errors import CommandError, LockbotError, SurroundingsError
from lockbot.git import failure
from lockbot.git.clone import Clone
from lockbot.git.failure import RemoteError
from lockbot.git.source import Remote
from lockbot.git.sync import fetch_remote, heads, run_remote
from lockbot.model import FailureKind
from lockbot.process import Finished
from lockbot.redact import redact

_OPTIONS = ("--porcelain", "--atomic", "--no-verify", "--no-follow-tags", "--recurse-submodules=no")


class Pushed(StrEnum):
    DONE = "done"
    """The remote's branch has the commit."""
    MOVED = "moved"
    """Someone moved or deleted the remote's branch; nothing was pushed."""


def push_commit(clone: Clone, remote: Remote, branch: str, *, seen: str, commit: str) -> Pushed:
    """Move the remote's branch from `seen` to `commit`, or leave it.

    Whatever git says but success is settled by asking the remote. Raises CommandError with the remote's words
    when it refuses (a hook, a protected branch), RemoteError when it can't be reached.
    """
    if not clone.is_ancestor(seen, commit):  # a lease alone would permit to throw commits away
        raise LockbotError(f"{commit} is not built on {seen}: it is not pushed")
    ref = f"refs/heads/{branch}"
    lease = f"--force-with-lease={ref}:{seen}"
    git = clone.towards(remote)
    try:
        finished = run_remote(
            git, remote.shown_for_push, "push", *_OPTIONS, lease, "--", remote.name, f"{commit}:{ref}"
        )
        if finished.code == 0 and f":{ref}\t" in finished.stdout:
            return Pushed.DONE
        trouble = _refusal(finished, remote, branch)
    except RemoteError as error:  # it hung: perhaps after it had moved the branch
        trouble = error
    settled = contains(clone, remote, branch, commit)
    if settled is not None and settled.has:
        return Pushed.DONE
    if settled is None or settled.tip != seen:
        return Pushed.MOVED
    raise trouble


def push_further(clone: Clone, remote: Remote, branch: str, commit: str) -> tuple[str, ...]:
    """Push what the remote has to its further addresses; what to tell where that did not work.

    Only forward: one that has gone another way is left so.
    Raises nothing: the remote itself has it, so that the run goes on.
    """
    notes = []
    for other in remote.further:
        refspec = f"{commit}:refs/heads/{branch}"
        try:
            done = run_remote(
                clone.towards(other), other.shown_for_push, "push", *_OPTIONS, "--", other.name, refspec
            )
            trouble = _refusal(done, other, branch) if done.code else None
        except LockbotError as error:
            trouble = error
        if trouble is not None:
            notes.append(f"not pushed to {other.shown_for_push}: {trouble.message}; `git push` does it")
    return tuple(notes)


@dataclass(frozen=True)
class OwnBranch:
    """What became of a branch of lockbot's own. `said`: what the remote told whoever pushes, by lines."""

    moved: bool
    """Somebody else had moved it: nothing was pushed."""
    said: str = ""


def push_own_branch(
    clone: Clone, remote: Remote, branch: str, commit: str, *, seen: str | None, options: Sequence[str] = ()
) -> OwnBranch:
    """Put a branch of lockbot's own at a commit, whatever it was at, if it is where it was seen (None: it must not
    be there). `options`: for the server (`git push -o`).

    Whatever git says but success is settled by asking the remote. Raises as `push_commit` does.
    """
    ref = f"refs/heads/{branch}"
    lease = f"--force-with-lease={ref}:{seen or ''}"
    sent = [word for option in options for word in ("-o", option)]
    git = clone.towards(remote)
    try:
        finished = run_remote(
            git, remote.shown_for_push, "push", *_OPTIONS, *sent, lease, "--", remote.name, f"{commit}:{ref}"
        )
        if finished.code == 0:
            return OwnBranch(moved=False, said=redact(finished.stderr))
        trouble = _refusal(finished, remote, branch, advice=_OWN)
    except RemoteError as error:  # it hung: perhaps after it had moved the branch
        trouble = error
    tip = heads(clone, remote, ref).get(ref)
    if tip == commit:
        return OwnBranch(moved=False)
    if tip != seen:
        return OwnBranch(moved=True)
    raise trouble


def try_push(clone: Clone, remote: Remote, branch: str, commit: str) -> None:
    """Whether git gets in to push a branch, without pushing it. What the server's rules say is not known then.

    Raises as `push_commit` does.
    """
    refspec = f"{commit}:refs/heads/{branch}"
    git = clone.towards(remote)
    done = run_remote(git, remote.shown_for_push, "push", "--dry-run", *_OPTIONS, "--", remote.name, refspec)
    if done.code != 0:
        raise _refusal(done, remote, branch)


def push_for_review(clone: Clone, remote: Remote, commit: str, ref: str, options: Sequence[str]) -> str:
    """Push a commit to what is no branch (`refs/for/main`): the server makes a request of it. What it said."""
    sent = [word for option in options for word in ("-o", option)]
    finished = run_remote(
        clone.towards(remote),
        remote.shown_for_push,
        "push",
        "--porcelain",
        "--no-verify",
        "--no-follow-tags",
        "--recurse-submodules=no",
        *sent,
        "--",
        remote.name,
        f"{commit}:{ref}",
    )
    if finished.code != 0:
        raise _refusal(finished, remote, ref)
    return redact(finished.stderr)


def delete_own_branch(clone: Clone, remote: Remote, branch: str, *, seen: str) -> bool:
    """Remove a branch if it is where it was seen; whether it is gone. Raises as `push_commit` does."""
    ref = f"refs/heads/{branch}"
    lease = f"--force-with-lease={ref}:{seen}"
    git = clone.towards(remote)
    finished = run_remote(git, remote.shown_for_push, "push", *_OPTIONS, lease, "--", remote.name, f":{ref}")
    tip = heads(clone, remote, ref).get(ref)
    if tip == seen and finished.code != 0:
        raise _refusal(finished, remote, branch, advice=_OWN)
    return tip is None


@dataclass(frozen=True)
class Containment:
    """What the remote says: its branch's tip, and whether that has the commit."""

    tip: str
    has: bool


def contains(clone: Clone, remote: Remote, branch: str, commit: str) -> Containment | None:
    """Ask the remote whether its branch has the commit; None: it has no such branch. Raises RemoteError."""
    ref = f"refs/heads/{branch}"
    tip = heads(clone, remote, ref).get(ref)
    if tip is None:
        return None
    if tip == commit:
        return Containment(tip, has=True)
    if not clone.has(tip):
        tip = fetch_remote(clone, remote, branch)
        if tip is None:
            return None
    return Containment(tip, has=clone.has(commit) and clone.is_ancestor(commit, tip))


_REJECTED = re.compile(r"^!\t[^\t]*\t\[([^\]]*)\](?: \((.*)\))?$", re.MULTILINE)


_BASE = "let lockbot's user push to that branch, or set push = false"
_OWN = "let lockbot's user push branches that are called so, or set another publish.branches"


def _refusal(finished: Finished, remote: Remote, branch: str, advice: str = _BASE) -> LockbotError:
    """Why the push failed, in the remote's own words where it has any."""
    match = _REJECTED.search(finished.stdout)
    if finished.code == 0:  # as servers do that make a request for review of what is pushed
        return CommandError(
            f"{remote.shown_for_push} took what was pushed to {branch} for something else",
            "let it take pushes to that branch, or set push = false",
            command=finished.command,
            output=redact(finished.stdout),
        )
    if match is None:
        error = failure.explain_remote(finished, remote.shown_for_push)
        if isinstance(error, RemoteError) and error.kind is FailureKind.NOT_FOUND:
            error.hint = f"{error.hint} Where nothing is to be pushed, set push = false"
        return error
    reason = match.group(2) or match.group(1)
    lines = [
        line.removeprefix("remote:").strip() for line in finished.stderr.splitlines() if line.startswith("remote:")
    ]
    words = redact("\n".join(line for line in lines if line))
    # Another push is under way: nobody refuses anything. Pushed atomically, git says so beside the reason only.
    beside = [line for line in words.splitlines() if "cannot lock ref" in line]
    busy = reason if "lock" in reason else next(iter(beside), "")
    if busy and "declined" not in reason:
        return SurroundingsError(f"{remote.shown_for_push} is busy: {busy}", "try again")
    return CommandError(
        f"{remote.shown_for_push} refuses the push to {branch}: {reason}",
        advice,
        command=finished.command,
        output=words,
        code=finished.code,
    )
