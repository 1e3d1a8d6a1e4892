"""What the user has: a repository at a path, or a URL. Finds its branch and its remote.

Knows how users set up repositories; reads them, and must not write anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lockbot.errors import LockbotError, UsageError
from lockbot.git import failure
from lockbot.git.command import Git, Pair
from lockbot.git.settings import Setting, read, unattended
from lockbot.redact import redact, redact_url
from lockbot.surroundings import here as working_directory


@dataclass(frozen=True)
class LocalSource:
    """A repository at a path: bare or not, a sub-directory of a work tree, a linked worktree.

    branch None: the one that is checked out there. remote None: found (`discover`); "": none at all.
    `needs_branch` False: for what only looks at commits, none need be checked out, as in a CI service's clone.
    """

    path: Path
    branch: str | None = None
    remote: str | None = None
    push: bool = True
    needs_branch: bool = True


@dataclass(frozen=True)
class RemoteSource:
    """A repository at a URL. branch None: the remote's default branch."""

    url: str
    branch: str | None = None
    push: bool = True


Source = LocalSource | RemoteSource


@dataclass(frozen=True)
class Repository:
    """A repository of the user's, and the branch in it that is meant."""

    path: Path
    """The top of the work tree; the repository itself where it is bare."""
    common: Path
    """Its git directory, shared by all its worktrees."""
    bare: bool
    branch: str
    """Empty where none is checked out or named, and none is needed."""
    subdirectory: str
    """Where the given path lies in the work tree, as `hosts/one`; empty at the top."""
    remote: str | None
    """The name of its remote."""
    remote_branch: str
    tracking: str | None
    """The ref that follows the remote's branch here: `refs/remotes/origin/main`."""
    no_push: str | None
    """Why nothing is to be pushed there, in a sentence: git would push elsewhere. None: nothing is against it."""
    settings: tuple[Setting, ...] = field(repr=False)
    """All of git's configuration that holds in it; secrets, too."""

    @property
    def promisors(self) -> tuple[str, ...]:
        """The remotes that a partial clone gets from what it lacks; empty where it is whole."""
        named = {one.value for one in self.settings if one.key == "extensions.partialclone"}
        marked = (one for one in self.settings if re.fullmatch(r"remote\..+\.promisor", one.key, re.DOTALL))
        named |= {one.key[len("remote.") : -len(".promisor")] for one in marked if one.value.lower() in _YES}
        urls = {one.key for one in self.settings}
        return tuple(sorted(name for name in named if f"remote.{name}.url" in urls))


_YES = frozenset({"true", "yes", "on", "1"})


@dataclass(frozen=True)
class Remote:
    """A remote as git configuration, so that no URL (it may hold a token) comes into any argv."""

    name: str
    shown: str
    """How to tell a person."""
    config: tuple[Pair, ...] = field(repr=False)
    is_path: bool
    """It is a repository on this machine."""
    shown_for_push: str
    """Where a push goes; that may be another address."""
    further: tuple[Remote, ...] = ()
    """Where it is pushed to besides."""

    @property
    def url(self) -> str:
        return next(value for key, value in self.config if key == f"remote.{self.name}.url")


def discover(
    git: Git, path: Path, *, branch: str | None = None, remote: str | None = None, needs_branch: bool = True
) -> Repository:
    """Look at the repository at a path. `git` has all of the user's configuration; its directory does not matter.

    Raises UsageError: not a repository, shallow, SHA-256, dubious ownership, detached HEAD, no such remote, a name
    that no branch can have.
    """
    if not path.is_dir():
        raise UsageError(f"{path} is not a directory", "give the path of the repository that holds the flake")
    git = git.at(path.resolve())
    place = _inspect(git, path)
    prefix = PurePosixPath(place.prefix)
    top = git.directory.parents[len(prefix.parts) - 1] if prefix.parts else git.directory
    if branch:
        check_branch(git, branch)
    else:
        branch = _current_branch(git)
    if not branch and needs_branch:
        raise UsageError(
            f"no branch is checked out in {path} (detached HEAD)", "say which with `branch` in [repository]"
        )
    branch = _behind_alias(git, path, branch) if branch else ""
    settings = read(git)
    config = {one.key: one.value for one in settings}
    name = _remote_name(config, branch, remote)
    followed = name is not None and config.get(f"branch.{branch}.remote") == name
    # Of several, which a pull brings together, git calls the first the branch's upstream.
    merges = [one.value for one in settings if one.key == f"branch.{branch}.merge"] if followed else []
    merge = merges[0] if merges else ""
    remote_branch = merge.removeprefix("refs/heads/") if merge.startswith("refs/heads/") else branch
    tracking = git.ask("for-each-ref", "--format=%(upstream)", f"refs/heads/{branch}") if followed else ""
    return Repository(
        path=top if place.in_tree else place.common,
        common=place.common,
        bare=place.bare,
        branch=branch,
        subdirectory=place.prefix,
        remote=name,
        remote_branch=remote_branch,
        tracking=tracking if tracking.startswith("refs/remotes/") else None,
        no_push=_no_push(settings, branch, name, remote_branch, chosen=remote is not None),
        settings=settings,
    )


@dataclass(frozen=True)
class _Place:
    bare: bool
    in_tree: bool
    common: Path
    prefix: str


_QUESTIONS = (
    "--is-bare-repository",
    "--is-inside-work-tree",
    "--is-shallow-repository",
    "--show-object-format",
    "--path-format=absolute",
    "--git-common-dir",
    "--show-prefix",
)


def _inspect(git: Git, path: Path) -> _Place:
    """Where in what repository a directory is; refuses what lockbot can't work with."""
    finished = git.run("rev-parse", *_QUESTIONS, check=False)
    if finished.code != 0:
        if "not a git repository" in finished.stderr:
            raise UsageError(f"{path} is not in a git repository", "run `git init` there and commit the flake")
        raise failure.explain(finished)
    answers = finished.stdout.split("\n")
    if len(answers) != 7:  # six, and nothing after the last newline
        raise UsageError(f"lockbot cannot work in {str(path)!r}: the path holds a newline", "rename the directory")
    bare, in_tree, is_shallow, algorithm, common, prefix, _ = answers
    if algorithm != "sha1":
        raise failure.sha256(str(path))
    if is_shallow == "true":
        raise failure.shallow(str(path))
    return _Place(bare == "true", in_tree == "true", Path(common), prefix.rstrip("/"))


def _current_branch(git: Git) -> str:
    """Empty: HEAD is detached."""
    head = git.run("symbolic-ref", "--quiet", "HEAD", check=False).stdout.strip()
    return head.removeprefix("refs/heads/") if head.startswith("refs/heads/") else ""


def _behind_alias(git: Git, path: Path, branch: str) -> str:
    """The branch that a symbolic ref among the branches (an alias, `main` of `master`) stands for: git names that
    one as checked out, and moves it."""
    target = git.run("symbolic-ref", "--quiet", f"refs/heads/{branch}", check=False).stdout.strip()
    if target and not target.startswith("refs/heads/"):
        raise UsageError(
            f"the branch {branch} in {path} is an alias of {target}, which is no branch",
            "say with `branch` in [repository] which branch is meant",
        )
    return target.removeprefix("refs/heads/") or branch


def _remote_name(config: dict[str, str], branch: str, wanted: str | None) -> str | None:
    names = sorted(
        key[len("remote.") : -len(".url")] for key in config if re.fullmatch(r"remote\..+\.url", key, re.DOTALL)
    )
    if wanted:
        if wanted not in names:
            raise UsageError(f"there is no remote {wanted!r}", f"there are: {', '.join(names) or 'none'}")
        return wanted
    if wanted == "":
        return None
    followed = config.get(f"branch.{branch}.remote")
    if followed is not None:  # "." follows another local branch: nothing there to push to
        return followed if followed in names else None
    return "origin" if "origin" in names else None


def _no_push(
    settings: Sequence[Setting], branch: str, remote: str | None, remote_branch: str, *, chosen: bool
) -> str | None:
    """Why lockbot must not push to that remote's branch: the user has told git to push elsewhere, or nowhere.

    `chosen`: it is lockbot's own configuration that names the remote, or none.
    """
    config = {one.key: one.value for one in settings}
    to = config.get(f"branch.{branch}.pushremote", config.get("remote.pushdefault"))
    followed = config.get(f"branch.{branch}.remote", ".")
    if remote is None:
        unknown = f"{branch} follows {redact_url(followed)}, which is no remote of this repository"
        return None if chosen or followed == "." else unknown
    if not chosen and to not in (None, remote):
        return f"git pushes {branch} to {redact_url(to or '')}, not to {remote} where it is fetched from"
    there = f"refs/heads/{remote_branch}"
    told = [_pushed_to(one.value, branch) for one in settings if one.key == f"remote.{remote}.push"]
    targets = [target for target in told if target is not None]
    if targets and there not in targets:
        return f"git pushes {branch} to {targets[0]} of {remote}, not to {remote_branch}"
    return None


def _pushed_to(refspec: str, branch: str) -> str | None:
    """The ref that a refspec (`refs/heads/*:refs/for/*`) has a branch pushed to; None: it is not about it."""
    source, colon, target = refspec.removeprefix("+").partition(":")
    ref = f"refs/heads/{branch}"
    if (source, target) == ("", ""):  # `:` is every branch to one of its name
        return ref
    target = target if colon else source
    if "*" in source:
        before, _, behind = source.partition("*")
        if not (ref.startswith(before) and ref.endswith(behind)) or len(ref) < len(source) - 1:
            return None
        return target.replace("*", ref[len(before) : len(ref) - len(behind)])
    if source not in (ref, branch, f"heads/{branch}", "HEAD", "@"):
        return None
    return target if target.startswith("refs/") else f"refs/heads/{branch if target in ('HEAD', '@') else target}"


def check_branch(git: Git, name: str) -> str:
    """The name, if git would take it for a branch."""
    if name.startswith("-") or not git.run("check-ref-format", f"refs/heads/{name}", check=False).code == 0:
        raise UsageError(f"{name!r} cannot be the name of a branch", "see `git help check-ref-format`")
    return name


_OF_REMOTE = ("proxy", "proxyauthmethod", "uploadpack", "receivepack", "vcs")


def remote_of(repository: Repository) -> Remote:
    """The repository's remote, usable from lockbot's clone.

    What is let through of the user's settings holds there anyway; what the repository itself says of that (a key,
    a credential helper) is carried over.
    """
    name = repository.remote
    if name is None:
        raise LockbotError(f"{repository.path} has no remote")
    prefix = f"remote.{name}."
    config: list[Pair] = []
    urls: dict[str, list[str]] = {"url": [], "pushurl": []}
    for one in repository.settings:
        setting = one.key.removeprefix(prefix) if one.key.startswith(prefix) else ""
        if setting in urls:
            urls[setting].append(_absolute(one.value, lambda: repository.path))
        elif setting in _OF_REMOTE:
            config.append((one.key, one.value))
        elif one.of_repository and one.key == "core.sshcommand":
            config.append((one.key, unattended(one.value)))
        elif one.of_repository and one.let_through:
            config.append((one.key, one.value))
    url = urls["url"][0]
    to = urls["pushurl"] or urls["url"]
    # Where it is fetched from says whether a push arrived: that is pushed to first, and alone.
    first = url if url in to else to[0]

    def pushing_to(address: str, further: tuple[Remote, ...] = ()) -> Remote:
        # With a push URL, `url.*.pushInsteadOf` would not hold any more.
        own = ((f"{prefix}url", url), (f"{prefix}pushurl", address))
        pairs = (*config, *(own if urls["pushurl"] else [(f"{prefix}url", address)]))
        shown, to = (f"remote {name} ({redact_url(one)})" for one in (url, address))
        return Remote(name, shown, pairs, _is_path(url), to, further)

    return pushing_to(first, tuple(pushing_to(one) for one in dict.fromkeys(to) if one != first))


def remote_at(url: str) -> Remote:
    """A RemoteSource's remote. Raises UsageError for a URL that holds a password or names a program."""
    if not url or url.startswith("-") or not url.isprintable() or re.match(r"\w+::", url):
        raise UsageError(f"{redact(url)!r} cannot be the address of a repository")
    if redact(url) != url:
        raise UsageError(
            f"the address {redact(url)} holds a user name, a password or a token",
            "take it out, and give it to git by a credential helper",
        )
    config = (("remote.source.url", _absolute(url, working_directory)),)
    return Remote("source", url, config, _is_path(url), url)


def _is_path(url: str) -> bool:
    """As git decides it: `file://`, or no colon before the first slash."""
    return url.startswith("file://") or ":" not in url.partition("/")[0]


def _absolute(url: str, base: Callable[[], Path]) -> str:
    """A relative path is meant from the repository that names it; `~` is git's to resolve."""
    return str(base() / url) if _is_path(url) and not url.startswith(("/", "file://", "~")) else url
