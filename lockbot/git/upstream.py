"""Asking upstream repositories where their branches are, without downloading anything.

Knows how a flake reference names a git repository; must not know locks or inputs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from lockbot.errors import LockbotError
from lockbot.git.command import Git

_AT_ONCE = 8
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FORGES = {
    "github": ("github.com", "https://{host}/{owner}/{repo}.git"),
    "gitlab": ("gitlab.com", "https://{host}/{owner}/{repo}.git"),
    "sourcehut": ("git.sr.ht", "https://{host}/{owner}/{repo}"),
}


@dataclass(frozen=True)
class Tip:
    """Where a branch is: a commit, or why that could not be found out."""

    revision: str | None
    problem: str | None = None


@dataclass(frozen=True)
class _Branch:
    url: str
    ref: str
    pinned: str | None = None
    """The reference names a commit: it never moves."""


def ask_tips(git: Git, references: Mapping[str, str]) -> dict[str, Tip]:
    """The tips of several flake references (by any name), several at a time."""
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        return dict(zip(references, executor.map(lambda ref: _ask(git, ref), references.values()), strict=True))


def _ask(git: Git, reference: str) -> Tip:
    branch = _branch(reference)
    if branch is None:
        return Tip(None, "only git repositories can be asked without downloading")
    if branch.pinned is not None:
        return Tip(branch.pinned)
    try:
        finished = git.run("ls-remote", "--quiet", "--", branch.url, branch.ref, check=False)
    except LockbotError as error:
        git.cancel.check()
        return Tip(None, error.message)
    if finished.code != 0:
        return Tip(None, (finished.stderr.strip().splitlines() or ["git ls-remote failed"])[-1])
    found = {ref: commit for commit, _, ref in (line.partition("\t") for line in finished.stdout.splitlines())}
    for ref in (branch.ref, f"refs/heads/{branch.ref}", f"refs/tags/{branch.ref}^{{}}", f"refs/tags/{branch.ref}"):
        if ref in found:
            return Tip(found[ref])
    return Tip(None, f"there is no {branch.ref} upstream")


def _branch(reference: str) -> _Branch | None:
    """Which branch of which repository a flake reference follows; None where it is no git repository."""
    parts = urlsplit(reference)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if parts.scheme in _FORGES:
        host, pattern = _FORGES[parts.scheme]
        owner, repo, *rest = [unquote(part) for part in parts.path.split("/")] + [""]
        if not repo:
            return None
        named = "/".join(part for part in rest if part)
        named = named or query.get("ref", "") or query.get("rev", "")
        url = pattern.format(host=query.get("host", host), owner=owner, repo=repo)
        return _at(url, named)
    if parts.scheme.startswith("git+") or parts.scheme == "git":
        url = parts._replace(scheme=parts.scheme.removeprefix("git+"), query="", fragment="").geturl()
        return _at(url, query.get("rev", "") or query.get("ref", ""))
    return None


def _at(url: str, named: str) -> _Branch:
    return _Branch(url, named or "HEAD", named if _COMMIT.fullmatch(named) else None)
