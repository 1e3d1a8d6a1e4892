"""Merging in a bare repository, as forges do it: no work tree, and the branch is there at once. It must not know
lockbot."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.forge.pull_requests.githost import GitHost


def merge(host: GitHost, name: str, base: str, head: str, subject: str) -> str:
    """A commit with both parents, which is not in any branch yet."""
    return host.git(name, "commit-tree", tree(host, name, base, head), "-p", base, "-p", head, "-m", subject)


def squash(host: GitHost, name: str, base: str, head: str, subject: str) -> str:
    """One commit with all of it."""
    return host.git(name, "commit-tree", tree(host, name, base, head), "-p", base, "-m", subject)


def rebase(host: GitHost, name: str, base: str, head: str, subject: str) -> str:
    """Each commit anew, even where it would not have to be; the last one."""
    del subject
    onto = base
    for commit in host.git(name, "rev-list", "--reverse", f"{base}..{head}").splitlines():
        message = host.git(name, "log", "-1", "--format=%B", commit)
        onto = host.git(name, "commit-tree", tree(host, name, base, commit), "-p", onto, "-m", message)
    return onto


def tree(host: GitHost, name: str, base: str, head: str) -> str:
    """What both together are. They do not conflict (`conflict`)."""
    return host.git(name, "merge-tree", "--write-tree", base, head)


def conflict(host: GitHost, name: str, base: str, head: str) -> bool:
    """git tells conflicts below the tree, after an empty line."""
    return len(host.git(name, "merge-tree", "--write-tree", base, head, check=False).splitlines()) > 1


METHODS: Mapping[str, Callable[[GitHost, str, str, str, str], str]] = {
    "merge": merge,
    "squash": squash,
    "rebase": rebase,
}
