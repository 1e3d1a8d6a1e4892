"""Upstream repositories: how one is named, and where its branches are now, without downloading anything.

Knows git's URLs and refs; must not know flake references (`policy.origin` makes an Origin of one) or locks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from lockbot.errors import LockbotError, UsageError
from lockbot.git import failure
from lockbot.git.command import Git, Pair
from lockbot.git.failure import RemoteError
from lockbot.git.sync import run_remote
from lockbot.model import FailureKind
from lockbot.process import Deadline
from lockbot.redact import redact

REMOTE = "upstream"
"""What an origin's remote is called in the configuration that is handed to git."""

_AT_ONCE = 8
_COMMIT = re.compile(r"[0-9a-f]{40}")
_URL = re.compile(r"(?:https?|ssh|git|file)://[!-~]+|/[ -~]+|[\w.-]+@[\w.-]+:[!-~]+", re.ASCII)
# What `git check-ref-format` forbids, and a leading dash.
_BAD_REF = re.compile(r"^[-/]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{|/\.|\.lock(?:/|$)|[/.]$|^\.|^@?$")


@dataclass(frozen=True)
class Origin:
    """A branch (or a tag) of a git repository. Raises UsageError for what git should never be given.

    A password in the URL, which flake.nix has put there, goes to git as it is; it gets into no argument.
    `ref` as git takes it: `main`, `refs/tags/v1`, `HEAD` for the default branch.
    """

    url: str
    ref: str = "HEAD"
    pinned: str | None = None
    """The one commit that is wanted, where the reference names it: it never moves."""

    def __post_init__(self) -> None:
        if not _URL.fullmatch(self.url):
            raise UsageError(f"{redact(self.url)[:200]!r} cannot be the address of an upstream repository")
        if _BAD_REF.search(self.ref):
            raise UsageError(f"{self.ref[:100]!r} cannot be the name of a branch")
        if self.pinned is not None and not _COMMIT.fullmatch(self.pinned):
            raise UsageError(f"{self.pinned[:80]!r} is not a commit of git's default format (SHA-1)")

    @property
    def is_path(self) -> bool:
        """It lies on this machine."""
        return self.url.startswith(("/", "file://"))

    @property
    def config(self) -> tuple[Pair, ...]:
        """The remote REMOTE, as configuration for one command; no program is ever run for a URL (`ext::`)."""
        # A repository on this machine seldom allows filters: its upload-pack is ours to start, and to tell.
        local = ((f"remote.{REMOTE}.uploadpack", "git -c uploadpack.allowFilter=true upload-pack"),)
        return (
            (f"remote.{REMOTE}.url", self.url),
            *(local if self.is_path else ()),
            ("protocol.ext.allow", "never"),
            ("protocol.version", "2"),  # the one in which a commit can be asked for by its hash
        )


@dataclass(frozen=True)
class Tip:
    """Where a branch is: a commit, or why that could not be found out (`problem` and its kind, `failure`)."""

    revision: str | None
    ref: str | None = None
    """The whole name of what was found: `refs/heads/main` (also behind HEAD), `refs/tags/v1`."""
    problem: str | None = None
    failure: FailureKind | None = None


def ask_tips(git: Git, origins: Mapping[str, Origin], deadline: Deadline | None = None) -> dict[str, Tip]:
    """The tips of several origins (by any name), several at a time; each is asked once.

    `git` gives the user's environment. `deadline` is for all of them: what has no answer by then is a NETWORK
    failure, as is a server that hangs. Raises only what ends the whole run: Cancelled, DeadlineExceeded.
    """
    distinct = list(dict.fromkeys(origins.values()))
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        tips = dict(zip(distinct, executor.map(lambda origin: _ask(git, origin, deadline), distinct), strict=True))
    return {name: tips[origin] for name, origin in origins.items()}


def _ask(git: Git, origin: Origin, deadline: Deadline | None) -> Tip:
    if origin.pinned is not None:
        return Tip(origin.pinned)
    left = min(git.timeout, deadline.left) if deadline is not None else git.timeout
    if left <= 0:
        return Tip(None, problem="it was not asked: the time was up", failure=FailureKind.NETWORK)
    # An annotated tag is an object of its own: the commit behind it is listed as NAME^{}.
    names = (origin.ref, f"{origin.ref}^{{}}")
    try:
        listing = _list(replace(git, timeout=left), origin, "--symref", "--", REMOTE, *names)
    except LockbotError as error:
        git.cancel.check()
        kind = error.kind if isinstance(error, RemoteError) else FailureKind.UNKNOWN
        return Tip(None, problem=error.message, failure=kind)
    return _find(listing, origin.ref)


def ask_tags(git: Git, origin: Origin) -> tuple[str, ...]:
    """The names of an origin's tags, `v1.2`. Raises LockbotError where it can't be asked."""
    listing = _list(git, origin, "--tags", "--refs", "--", REMOTE)
    names = (line.partition("\trefs/tags/")[2] for line in listing.splitlines())
    return tuple(name for name in names if name)


def _list(git: Git, origin: Origin, *arguments: str) -> str:
    """What `ls-remote` lists."""
    finished = run_remote(git.configured(*origin.config), origin.url, "ls-remote", "--quiet", *arguments)
    if finished.code != 0:
        raise failure.explain_remote(finished, origin.url)
    return finished.stdout


def _find(listing: str, ref: str) -> Tip:
    """The commit in what `ls-remote` lists; a branch comes before a tag of the same name."""
    pairs = [line.split("\t", 1) for line in listing.splitlines() if "\t" in line]
    symbolic = {name: value.removeprefix("ref: ") for value, name in pairs if value.startswith("ref: ")}
    found = {name: value for value, name in pairs if _COMMIT.fullmatch(value)}
    for name in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref}"):
        if commit := found.get(f"{name}^{{}}") or found.get(name):
            return Tip(commit, symbolic.get(name, name))
    what = "default branch" if ref == "HEAD" else f"branch or tag {ref}"
    return Tip(None, problem=f"there is no {what} upstream", failure=FailureKind.NOT_FOUND)
