"""flake.nix and flake.lock as they are committed, wherever lockbot is started.

Unlike a run it needs no branch, no history and no state: a detached or shallow checkout, as CI's, will do.
Reads the user's repository, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lockbot import surroundings
from lockbot.app import App, Place, flake_around
from lockbot.commands.committed import branch_now, branch_tip
from lockbot.errors import LockbotError, UsageError
from lockbot.git import failure
from lockbot.git.command import Git
from lockbot.git.commits.links import LINK, entry, followed
from lockbot.git.source import check_branch
from lockbot.lint.files import Presence
from lockbot.nix.lockfile import LOCK_NAME

NIX_NAME = "flake.nix"
LARGEST = 4 * 1024 * 1024
"""Bytes: a real lock has 1 to 200 kB, and git's answers are held in memory."""


@dataclass(frozen=True)
class FlakeFiles:
    """A flake at one commit. `lock` None: there is none; then `presence` says where else one is."""

    where: str
    """What is looked at, for people: `main (33ddeb9)`."""
    flake_nix: str
    lock: str | None
    presence: Presence
    mentioned: Callable[[str], bool]
    """Whether a word stands in any other file of the repository."""
    is_changed: bool = False
    """The work tree has something else in one of them."""
    problem: LockbotError | None = None
    """Why the lock that is there can't be read."""


@dataclass(frozen=True)
class _Place:
    """A commit, and where the flake lies in it. `tree`: the work tree that has it checked out."""

    git: Git
    commit: str
    name: str
    directory: str
    tree: Path | None = None
    linked: str | None = None
    """Where flake.nix lies in fact, if it is a link to there."""

    def path(self, name: str) -> str:
        return f"{self.directory}/{name}" if self.directory else name

    @property
    def own(self) -> tuple[str, ...]:
        """The paths of the flake's two files."""
        return (self.path(NIX_NAME), self.path(LOCK_NAME), *([self.linked] if self.linked else []))


def committed(app: App) -> FlakeFiles:
    """Raises UsageError where there is no repository, no commit or no flake.nix in it."""
    with _place(app) as place:
        place = _with_link(place)
        flake_nix = _content(place, place.linked or place.path(NIX_NAME))
        if flake_nix is None:
            raise UsageError(
                f"there is no flake.nix in {place.directory or 'the repository'} at {place.name}",
                "commit it, or set `[repository] flake_dir`",
            )
        lock, problem = None, None
        try:
            lock = _content(place, place.path(LOCK_NAME))
        except UsageError as error:
            problem = error
        return FlakeFiles(
            place.name,
            flake_nix,
            lock,
            Presence.THERE if lock is not None or problem is not None else _presence(place),
            lambda word: _mentioned(place, word),
            is_changed=_is_changed(place),
            problem=problem,
        )


@contextmanager
def _place(app: App) -> Iterator[_Place]:
    wanted = app.settings.repository
    if wanted.url is None:
        yield _local(app)
        return
    place = app.place()
    if app.read_only:
        yield _last_fetched(app, place)
        return
    with branch_now(app, place) as (clone, base):
        yield _Place(clone.git, base.commit, f"{base.branch} ({base.commit[:7]})", app.flake_dir(place))


def _last_fetched(app: App, place: Place) -> _Place:
    git, commit = branch_tip(app, place)
    if commit is None:
        raise UsageError(f"the branch of {place.identity} was not fetched yet", "the next run fetches it")
    branch = place.source.branch or "the default branch"
    return _Place(git, commit, f"{branch} ({commit[:7]}), as it was fetched last", app.flake_dir(place))


def _local(app: App) -> _Place:
    wanted = app.settings.repository
    path = wanted.path or flake_around(surroundings.here())
    if not path.is_dir():
        raise UsageError(f"{path} is not a directory", "give the path of the repository that holds the flake")
    git = app.git(path)
    asked = git.run("rev-parse", "--is-inside-work-tree", "--show-prefix", check=False)
    if "not a git repository" in asked.stderr:
        raise UsageError(f"{path} is not in a git repository", "run `git init` there and commit the flake")
    if asked.code != 0:
        raise failure.explain(asked)
    in_tree, _, prefix = asked.stdout.partition("\n")
    head = git.run("symbolic-ref", "--quiet", "--short", "HEAD", check=False).stdout.strip()
    branch = check_branch(git, wanted.branch) if wanted.branch else None
    commit = git.resolve(f"refs/heads/{branch}" if branch else "HEAD")
    if commit is None:
        raise UsageError(f"{path} has no commit{f' on {branch}' if branch else ''}", "commit the flake first")
    is_checked_out = in_tree == "true" and branch in (None, head)
    directory = wanted.flake_dir or prefix.rstrip("\n").rstrip("/")
    name = f"{branch or head or 'a detached HEAD'} ({commit[:7]})"
    top = Path(git.ask("rev-parse", "--show-toplevel")) if is_checked_out else None
    return _Place(git, commit, name, directory, top)


def _with_link(place: _Place) -> _Place:
    """Nix follows a flake.nix that is a link to another file of the flake's repository."""
    path = place.path(NIX_NAME)
    found = entry(place.git, place.commit, path)
    linked = followed(place.git, place.commit, path) if found is not None and found[0] == LINK else None
    return replace(place, linked=linked)


def _content(place: _Place, path: str) -> str | None:
    """A file's text; None: there is none. Raises UsageError for what is no file, or too large."""
    listed = place.git.ask("--literal-pathspecs", "ls-tree", "-z", "-l", "--full-tree", place.commit, "--", path)
    fields = listed.partition("\t")[0].split()
    if len(fields) != 4:
        return None
    mode, kind, identity, size = fields
    if mode == LINK or kind != "blob":
        raise UsageError(f"{path} is no regular file at {place.name}", "put the file itself there")
    if int(size) > LARGEST:
        raise UsageError(f"{path} has {size} bytes, more than {LARGEST}", "that is no flake's")
    return place.git.run("cat-file", "blob", identity).stdout


def _presence(place: _Place) -> Presence:
    """Where a lock is that is not committed."""
    if place.tree is None:
        return Presence.NOWHERE
    path = place.path(LOCK_NAME)
    if place.git.at(place.tree).run("check-ignore", "--quiet", "--", path, check=False).code == 0:
        return Presence.IGNORED
    return Presence.NOT_COMMITTED if (place.tree / path).is_file() else Presence.NOWHERE


def _is_changed(place: _Place) -> bool:
    if place.tree is None:
        return False
    git = place.git.at(place.tree)
    return git.run("--literal-pathspecs", "diff", "--quiet", "HEAD", "--", *place.own, check=False).code == 1


def _mentioned(place: _Place, word: str) -> bool:
    """Not known is yes."""
    own = (f":(top,exclude,literal){path}" for path in place.own)
    pattern = ("--quiet", "--word-regexp", "--fixed-strings", "-I", "-e", word)
    return place.git.run("grep", *pattern, place.commit, "--", ":(top)", *own, check=False).code != 1
