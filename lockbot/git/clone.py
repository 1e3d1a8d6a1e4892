"""lockbot's own bare clone: opening and healing it, questions about its history, and marks of what was begun.

It holds nothing that cannot be fetched again, so what is damaged is thrown away. Must not know the update cycle.
Whoever opens it holds lockbot's own lock on the repository: lock files found in it are left-overs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from lockbot import files
from lockbot.confine import UNCONFINED, Confinement
from lockbot.errors import Cancelled, CommandError, DeadlineExceeded, LockbotError, SurroundingsError
from lockbot.git import settings
from lockbot.git.command import TIMEOUT, Git, Pair, own_environment, user_environment
from lockbot.git.failure import explain
from lockbot.git.source import Remote
from lockbot.process import CancelToken, Deadline

CANDIDATES = "refs/lockbot/candidate/"
REQUESTS = "refs/lockbot/request/"
TREE_PREFIX = "tree-"
"""How the directories of worktrees begin: nothing else under the given directory is touched."""
_LAST_SECOND = 253402300799  # of the year 9999

_FORMAT = "1"
"""Raise it when clones made by older versions must be made anew."""
_CONFIG = f"""\
[uploadpack]
	allowAnySHA1InWant = true
[lockbot]
	format = {_FORMAT}
"""
_AS_IT_WAS_MADE = re.compile(r"(?:error|warning) in (?:commit|tree|tag|blob) [0-9a-f]+: \w+: ")
_OBJECTS_OF_NIX = re.compile(r"\bGit (?:object|commit|tree|blob)\b|\blibgit2\b|object not found", re.IGNORECASE)
"""What Nix says of a repository that it can't read, in every version some of it."""
_HEAD = re.compile(rb"ref: refs/heads/[^\s/]+\n")
_LOOSE_LIMIT = 2000
_PACK_LIMIT = 40


class CloneDamagedError(SurroundingsError):
    """It was thrown away, and is empty now: what comes next fetches all of it."""


@dataclass(frozen=True)
class Clone:
    """The clone in `directory`, with its worktrees under `trees`."""

    directory: Path
    trees: Path
    environ: Mapping[str, str] = field(repr=False)
    """What lockbot was started with."""
    access: Mapping[str, str] = field(repr=False)
    """The same with no more of the user's git settings than are let through (`settings.restrict`)."""
    cancel: CancelToken
    timeout: float = TIMEOUT
    notes: tuple[str, ...] = ()
    """What had to be healed when it was opened, as sentences."""
    credentials: tuple[Pair, ...] = field(default=(), repr=False)
    """Configuration by which git signs in at remotes, beside what the user's own says."""
    confinement: Confinement = field(default=UNCONFINED, repr=False)
    signers: Path | None = None
    """Only what a key in this file of allowed signers signed is built on and published; None: anything."""

    @property
    def git(self) -> Git:
        """git in the clone, blind to the user's configuration."""
        return self._git(own_environment(self.environ))

    @property
    def with_keys(self) -> Git:
        """The same, with the user's keys."""
        return self.signing(self.git)

    def signing(self, git: Git) -> Git:
        """git that may use the user's keys: to sign, and to see what is signed."""
        # What ssh-keygen and gpg are given lies in temporary files: where they may read, wherever the user's are.
        environment = {**git.environment, "TMPDIR": str(self.directory)}
        return replace(git, environment=environment, ruleset=self.confinement.for_own_remote)

    @property
    def user(self) -> Git:
        """git that can talk to the user's repository, and with `at` work in it, its files excepted."""
        environment = user_environment(self.access) | {"GIT_NO_REPLACE_OBJECTS": "1"}  # what is really there
        return self._git(environment)

    @property
    def reading(self) -> Git:
        """git with all of the user's configuration, to find out what there is."""
        return self._git(user_environment(self.environ))

    def _git(self, environment: Mapping[str, str]) -> Git:
        return Git(self.directory, environment, self.cancel, self.timeout, self.confinement.for_git)

    def checkout(self, repository: Path, tree: Path) -> Git:
        """git that may write to a work tree of the user's: with their filters and line ends, as git must there."""
        git = self.reading
        if tree.is_dir() and not (tree / ".git").exists():
            # Files that a repository only points to (core.worktree) do not lead back to it.
            asked = git.at(repository).run("rev-parse", "--show-toplevel", "--absolute-git-dir", check=False)
            top, _, directory = asked.stdout.removesuffix("\n").partition("\n")
            if top == str(tree):
                named = {"GIT_DIR": directory, "GIT_WORK_TREE": top}
                return replace(git.at(tree), environment={**git.environment, **named})
        return git.at(tree)

    def towards(self, remote: Remote) -> Git:
        """git that can talk to a remote, by its name."""
        return replace(
            self.user,
            environment=user_environment(self.access, config=(*remote.config, *self.credentials)),
            ruleset=self.confinement.for_own_remote,
        )

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` contains `old`; a commit contains itself."""
        return self.git.holds("merge-base", "--is-ancestor", old, new)

    def count(self, old: str, new: str) -> int:
        """How many commits `new` has that `old` has not."""
        return int(self.git.ask("rev-list", "--count", new, f"^{old}"))

    def has(self, commit: str) -> bool:
        return self.git.resolve(commit) is not None

    def read_file(self, commit: str, path: str) -> bytes | None:
        """A file's content at a commit; None: no such file there (a directory is none)."""
        entry = self.git.ask("--literal-pathspecs", "ls-tree", "-z", commit, "--", path).partition("\t")[0].split()
        if len(entry) != 3 or entry[1] != "blob":
            return None
        # Written by git to a file of its own: `Finished` holds text, and not all of a long one.
        copy = self.directory / self.git.ask("unpack-file", entry[2])
        try:
            return copy.read_bytes()
        finally:
            copy.unlink(missing_ok=True)

    def substitutes(self, commit: str) -> bool:
        """Whether `git archive` writes what a commit is called into files of it (`export-subst`)."""
        # Not by `git grep`: its search makes code as it runs, which confinement forbids.
        listed = self.git.run("ls-tree", "-r", "-z", "--full-tree", "--name-only", commit).stdout
        attributes = [path for path in listed.split("\0") if path.rpartition("/")[2] == ".gitattributes"]
        return any(b"export-subst" in (self.read_file(commit, path) or b"") for path in attributes)

    def commit_date(self, commit: str) -> datetime:
        """When it was committed, in UTC. The committer chose it: never one that no calendar has."""
        seconds = int(self.git.ask("show", "-s", "--format=%ct", commit, "--"))
        return datetime.fromtimestamp(min(max(seconds, 0), _LAST_SECOND), UTC)

    def keep(self, name: str, commit: str) -> None:
        """Keep a commit from being collected, until `forget(name)`."""
        self.git.run("update-ref", CANDIDATES + name, commit)

    def keep_request(self, name: str, commit: str) -> None:
        """Keep the commit of a pull request, until `forget_request(name)`."""
        self.git.run("update-ref", REQUESTS + name, commit)

    def forget_request(self, name: str) -> None:
        self.git.run("update-ref", "-d", REQUESTS + name)

    def forget(self, name: str) -> None:
        """Let a kept commit go; one that is not kept is no error. Works in a run that is being stopped, too."""
        with CancelToken() as token:
            replace(self.git, cancel=token).run("update-ref", "-d", CANDIDATES + name)

    def kept(self) -> dict[str, str]:
        """Name to commit, of what is kept."""
        lines = self.git.ask("for-each-ref", "--format=%(objectname) %(refname)", CANDIDATES).splitlines()
        return {ref.removeprefix(CANDIDATES): commit for commit, ref in (line.split(" ", 1) for line in lines)}

    def is_sound(self) -> bool:
        """Whether all that its refs need can be read, or that takes too long to tell. For after a failure."""
        deadline = Deadline(self.timeout, "git fsck")  # the run's own may be over
        with CancelToken(deadline, self.cancel) as token, contextlib.suppress(DeadlineExceeded):
            done = replace(self.git, cancel=token).run("fsck", "--full", "--no-dangling", check=False)
            told = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            # What is wrong with a commit as somebody made it (a date, an address) is no damage: old ones have it.
            return done.code == 0 or (done.code > 0 and bool(told) and all(map(_AS_IT_WAS_MADE.match, told)))
        return True

    def rebuild(self) -> Clone:
        """Throw it away, and make an empty one."""
        _remove(self.directory)
        _clear_trees(self)
        _create(self)
        return replace(self, notes=(*self.notes, "lockbot's own clone was damaged and was made anew"))

    @contextlib.contextmanager
    def blaming_damage(self) -> Iterator[None]:
        """Where something failed because the clone is damaged: throw it away and say so."""
        try:
            yield
        except LockbotError as error:
            if isinstance(error, Cancelled) or not self._may_be_of(error) or self.is_sound():
                raise
            self.rebuild()
            raise CloneDamagedError(
                f"lockbot's own clone was damaged ({error.message})", "it was thrown away: run lockbot again"
            ) from error

    def _may_be_of(self, error: LockbotError) -> bool:
        """Whether git failed here, or Nix, which never ends where an object is cut off; not a remote at a push."""
        command, output = (error.command, error.output) if isinstance(error, CommandError) else ("", "")
        words = f"{error.message} {command} {output}"
        here = any(str(place) in words for place in (self.directory, self.trees)) or _OBJECTS_OF_NIX.search(words)
        return (bool(here) or isinstance(error, DeadlineExceeded)) and "push" not in command.split()

    def maintain(self) -> bool:
        """Pack what has piled up; True if there was anything to do. Not while a cycle runs."""
        lines = self.git.ask("count-objects", "-v").splitlines()
        counts = {
            name: int(value) for name, _, value in (line.partition(": ") for line in lines) if value.isdigit()
        }
        if counts.get("count", 0) < _LOOSE_LIMIT and counts.get("packs", 0) < _PACK_LIMIT:
            return False
        self.git.run("gc", "--quiet", "--prune=now")
        return True


def open_clone(
    directory: Path,
    trees: Path,
    *,
    environ: Mapping[str, str],
    access: Mapping[str, str] | None = None,
    cancel: CancelToken,
    timeout: float = TIMEOUT,
    confinement: Confinement = UNCONFINED,
) -> Clone:
    """Open the clone in `directory`, or make it; clear what a killed lockbot left behind.

    `trees` is where worktrees go. `environ` is the environment that lockbot was started with; `access` the
    narrowed one, made here where it is not given.
    """
    _make_private(directory.parent)
    _make_private(trees)
    if directory.is_symlink():
        _make_private(directory)
    if access is None:
        git = Git(directory.parent, user_environment(environ), cancel, timeout, confinement.for_git)
        found = settings.read(git)
        access = settings.restrict(environ, found, directory.parent / settings.FILE)
    clone = Clone(directory, trees, environ, access, cancel, timeout, confinement=confinement)
    for half in directory.parent.glob(f"{directory.name}.new-*"):
        _remove(half)
    if not directory.exists():
        _clear_trees(clone)
        _create(clone)
        return clone
    _clear_trees(clone)
    _clear_leftovers(directory)
    return clone if _is_usable(clone) else clone.rebuild()


def _make_private(directory: Path) -> None:
    try:
        files.directory(directory)  # what a link leads to would be taken for a killed run's, and removed
    except OSError as error:
        raise SurroundingsError(
            f"cannot make {directory}: {error.strerror}", "is the state directory right?"
        ) from error


def _create(clone: Clone) -> None:
    """Made aside and moved in: there is a whole clone or none."""
    aside = Path(tempfile.mkdtemp(prefix=f"{clone.directory.name}.new-", dir=clone.directory.parent))
    try:
        git = clone.git.at(aside)
        git.run(
            "init", "--quiet", "--bare", "--template=", "--initial-branch=lockbot", "--object-format=sha1", "."
        )
        with (aside / "config").open("a") as config:
            config.write(_CONFIG)
        aside.rename(clone.directory)
    finally:
        _remove(aside)


def _is_usable(clone: Clone) -> bool:
    """A cheap look: a repository of today's format, whose refs lead to commits. The rest shows in use."""
    try:
        if clone.git.run("config", "--get", "lockbot.format", check=False).stdout.strip() != _FORMAT:
            return False
        if clone.git.ask("rev-parse", "--is-bare-repository") != "true":
            return False
        if not _HEAD.fullmatch(files.read(clone.directory / "HEAD", 1024)):  # git takes more, but calls it strange
            return False
        refs = clone.git.run("for-each-ref", "--format=%(objectname)^{tree}", check=False)
        asked = clone.git.run("cat-file", "--batch-check", stdin=refs.stdout.encode(), check=False)
    except (CommandError, OSError):
        return False
    broken = refs.code != 0 or "broken ref" in refs.stderr or asked.code != 0
    return not broken and all(" tree " in line for line in asked.stdout.splitlines())


def _clear_trees(clone: Clone) -> None:
    """Worktrees of a run that was killed. Not by `worktree prune`: it spares one that was being made."""
    for tree in clone.trees.glob(f"{TREE_PREFIX}*"):
        _remove(tree)
    _remove(clone.directory / "worktrees")


def _clear_leftovers(directory: Path) -> None:
    """Lock files, half-written packs and objects."""
    for parent, directories, names in os.walk(directory):
        for name in names:
            if name.endswith(".lock") or name.startswith(("tmp_", ".tmp-", ".merge_file_")) or name == "gc.pid":
                (Path(parent) / name).unlink(missing_ok=True)
        for name in [name for name in directories if name.startswith("tmp_objdir-")]:
            _remove(Path(parent) / name)


def _remove(path: Path) -> None:
    """Whatever it is, and whether it is there or not."""
    files.remove_tree(path)
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)


# -- marks ---------------------------------------------------------------------------------------------------


class Mark(StrEnum):
    """What lockbot has begun with a commit: refs in its own clone, which outlive a kill and a power cut."""

    PUSHED = "pushed"
    """It may be on the remote: the local branch is to follow."""
    TOUCHING = "touching"
    """It may lie half-written in a work tree that was clean before, or not be on the disk there."""


def mark(clone: Clone, kind: Mark, branch: str, commit: str, before: str | None = None) -> None:
    """`before`: the commit that the branch is moved from."""
    lines = [f"update {_ref(kind, branch)} {commit}"]
    lines += [f"update {_ref(kind, branch, _BEFORE)} {before}"] if before is not None else []
    _change(clone.git, lines)


def marked(clone: Clone, kind: Mark, branch: str) -> str | None:
    return clone.git.resolve(_ref(kind, branch))


def marked_before(clone: Clone, kind: Mark, branch: str) -> str | None:
    """Where the branch was then."""
    return clone.git.resolve(_ref(kind, branch, _BEFORE))


def unmark(clone: Clone, kind: Mark, branch: str) -> None:
    """Works in a run that is being stopped, too."""
    with CancelToken() as token:
        sure = replace(clone.git, cancel=token)
        _change(sure, [f"delete {_ref(kind, branch)}", f"delete {_ref(kind, branch, _BEFORE)}"])


_BEFORE = "-before"


def _change(git: Git, lines: list[str]) -> None:
    git.run("update-ref", "--stdin", stdin="".join(f"{line}\n" for line in lines).encode())


def _ref(kind: Mark, branch: str, ending: str = "") -> str:
    name = hashlib.sha256(branch.encode(errors="surrogateescape")).hexdigest()[:16]
    return f"refs/lockbot/{kind}{ending}/{name}"


# -- what another repository has of it ------------------------------------------------------------------------


def is_complete(git: Git, known: str | None, commit: str) -> bool:
    """Whether all is there that a commit reaches and `known` does not.

    That a file's content is right, git sees to when it writes it: here it only has to be there, or, in a partial
    clone, with the remote that the clone counts on.
    """
    beyond = ("--not", known) if known else ()
    listing = ("rev-list", "--objects", "--quiet", "--exclude-promisor-objects")
    done = git.run(*listing, commit, *beyond, check=False)
    if done.code not in (0, 128):
        raise explain(done)
    return done.code == 0
