"""The commit that a person means, by any name that git knows, brought into lockbot's clone.

Knows names of revisions; must not know what is looked for in the commit. Changes nothing of the user's.
"""

from __future__ import annotations

import re
from typing import assert_never

from lockbot.errors import UsageError
from lockbot.git.clone import Clone
from lockbot.git.command import Git
from lockbot.git.failure import RemoteError
from lockbot.git.source import LocalSource, RemoteSource, Source, remote_at
from lockbot.git.sync import Base, fetch_commit, look, run_remote, sync

_ID = re.compile(r"[0-9a-f]{40}")
_LONGEST = 1000


def commit_named(clone: Clone, source: Source, name: str) -> str:
    """The full id of the commit that `name` (a branch, a tag, `HEAD~2`, a hash) stands for in the source.

    The clone has it then, and all that it reaches. Raises UsageError where there is none.
    """
    _refuse(name)
    match source:
        case LocalSource():
            repository = look(clone, source)
            commit = _resolved(clone.user.at(repository.path), name)
            if commit is None:
                raise _unknown(name, str(repository.path))
            if not clone.has(commit):
                with clone.blaming_damage():
                    fetch_commit(clone, repository, commit)
            return commit
        case RemoteSource():
            return _of_remote(clone, source, name)
        case _:
            assert_never(source)


def find_commit(git: Git, name: str, where: str) -> str:
    """The same in a repository as it lies there: nothing is fetched. `where` is what errors call it."""
    _refuse(name)
    commit = _resolved(git, name)
    if commit is None:
        raise _unknown(name, where)
    return commit


def commits_between(clone: Clone, old: str, new: str) -> tuple[str, ...]:
    """The commits that `new` has and `old` has not, along the first parents, the oldest first."""
    return tuple(clone.git.ask("rev-list", "--first-parent", "--reverse", new, f"^{old}").split())


def split_range(text: str) -> tuple[str, str]:
    """`A..B` → A and B; a side that is left out is HEAD, as for git. Raises UsageError."""
    old, dots, new = text.partition("..")
    if not dots or new.startswith(".") or ".." in new:
        raise UsageError(
            f"{text[:_LONGEST]!r} is no range of commits", "write OLD..NEW, for example origin/main..HEAD"
        )
    return old or "HEAD", new or "HEAD"


def _refuse(name: str) -> None:
    if not name or name.startswith("-") or not name.isprintable() or len(name) > _LONGEST:
        raise UsageError(
            f"{name[:100]!r} cannot be the name of a commit",
            "give a branch, a tag, a hash, or HEAD~2 and the like",
        )


def _resolved(git: Git, name: str) -> str | None:
    """None, too, for what git takes for a name and is no commit: `^main`, `main..other`, `main:flake.nix`."""
    # In two steps: of `:/text`, what is put behind it would be a part.
    meant = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", name, check=False).stdout.strip()
    return git.resolve(meant) if _ID.fullmatch(meant) else None


def _of_remote(clone: Clone, source: RemoteSource, name: str) -> str:
    """Of a URL only its branch is known by name, and whatever lies behind that by its hash."""
    base = sync(clone, source)
    commit = _resolved(clone.git, _in_clone(base, name))
    if commit is None and _ID.fullmatch(name):
        remote = remote_at(source.url)
        options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
        try:
            run_remote(clone.towards(remote), remote.shown, "fetch", *options, "--", remote.name, name)
        except RemoteError:
            clone.cancel.check()
            raise
        commit = _resolved(clone.git, name)
    if commit is None:
        raise _unknown(name, source.url)
    return commit


def _in_clone(base: Base, name: str) -> str:
    """What is called by the branch's name, or HEAD, in the remote: by the commit's there."""
    start = re.match(r"[^~^]*", name)
    head = start[0] if start is not None else ""
    return base.commit + name[len(head) :] if head in ("HEAD", "@", base.branch) else name


def _unknown(name: str, where: str) -> UsageError:
    return UsageError(
        f"there is no commit {name!r} in {where}", "`git log --oneline` lists them; fetch what is not there yet"
    )
