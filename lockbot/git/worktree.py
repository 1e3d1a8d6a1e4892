"""Candidates: a worktree of the clone, and commits made in it that are on no branch.

Knows how to make exactly the commit that is asked for; must not know what is in flake.lock.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from lockbot import files
from lockbot.errors import DeadlineExceeded, LockbotError, UsageError
from lockbot.git.clone import TREE_PREFIX, Clone
from lockbot.git.command import Git, Pair
from lockbot.git.commits import signatures
from lockbot.git.failure import last_line
from lockbot.git.source import LocalSource, Source, remote_at, remote_of
from lockbot.git.sync import look


@dataclass(frozen=True)
class Worktree:
    """A checkout of one commit. Its HEAD stays there, whatever is committed from it."""

    path: Path
    commit: str
    submodules: bool
    """The commit has submodules, and they are checked out: evaluate with `?submodules=1`."""
    notes: tuple[str, ...] = ()

    def inside(self, directory: str) -> Path:
        """The place of a directory of the commit's (empty: the top). Raises UsageError where a link leads there:
        what is written to it would be written wherever that points, in the user's home, say."""
        place = self.path
        for part in Path(directory).parts:
            place /= part
            if place.is_symlink():
                link = place.relative_to(self.path)
                raise UsageError(
                    f"{directory} in the repository is reached by a symbolic link ({link}), which is not followed",
                    "set `[repository] flake_dir` to the directory itself",
                )
        return place


@dataclass(frozen=True)
class Identity:
    name: str
    email: str


class SigningFormat(StrEnum):
    OPENPGP = "openpgp"
    SSH = "ssh"


@dataclass(frozen=True)
class Signing:
    """How commits are signed. `key`: a GPG key id; for SSH a file or `key::ssh-ed25519 …` (in the agent)."""

    format: SigningFormat
    key: str
    program: str | None = None
    """Instead of gpg or ssh-keygen."""


@dataclass(frozen=True)
class Authorship:
    """Whose commits they are, and how they are signed."""

    author: Identity
    committer: Identity | None = None
    """None: the author."""
    sign: Signing | None = None


@contextlib.contextmanager
def worktree(clone: Clone, commit: str, source: Source, *, submodules: bool = True) -> Iterator[Worktree]:
    """Check a commit out, detached, for as long as the context lasts. No hook and no filter runs (LFS: pointers).

    Submodules come from where `source` says; that they can't be had is a note, not an error.
    """
    path = Path(tempfile.mkdtemp(prefix=TREE_PREFIX, dir=clone.trees))
    try:
        with clone.blaming_damage():
            clone.git.run("worktree", "add", "--quiet", "--detach", "--", str(path), commit)
        tree = Worktree(path, commit, submodules=False)
        if submodules and clone.read_file(commit, ".gitmodules") is not None:
            tree = _with_submodules(clone, tree, source)
        yield tree
    finally:
        _discard(clone, path)  # without git: it must work when the run was cancelled


def _discard(clone: Clone, path: Path) -> None:
    record = clone.directory / "worktrees" / path.name
    with contextlib.suppress(OSError):
        record = Path((path / ".git").read_text().strip().removeprefix("gitdir: "))
    files.remove_tree(path)
    if record.parent == clone.directory.resolve() / "worktrees" or record.parent == clone.directory / "worktrees":
        files.remove_tree(record)


def _with_submodules(clone: Clone, tree: Worktree, source: Source) -> Worktree:
    git, url, is_path = _submodule_access(clone, source)
    # The remote's address is what `url = ../other` in .gitmodules is relative to.
    allowed = ("protocol.file.allow", "always" if is_path else "never")
    git = git.at(tree.path).plain().configured(("remote.origin.url", url), allowed)
    git = replace(git, ruleset=clone.confinement.for_own_remote)  # theirs may be as private
    try:
        finished = git.run("submodule", "--quiet", "update", "--init", "--recursive", "--checkout", check=False)
        why = last_line(finished.stderr) if finished.code != 0 else None
    except DeadlineExceeded as error:
        clone.cancel.check()
        why = error.message
    if why is None:
        return replace(tree, submodules=True)
    return replace(
        tree, notes=(f"the submodules could not be checked out, the flake is judged without them: {why}",)
    )


def _submodule_access(clone: Clone, source: Source) -> tuple[Git, str, bool]:
    """How to reach submodules: git, the address they are relative to, and whether that is on this machine."""
    if isinstance(source, LocalSource):
        repository = look(clone, source)
        if repository.remote is None:
            return clone.user, str(repository.path), True
        remote = remote_of(repository)
    else:
        remote = remote_at(source.url)
    return clone.towards(remote), remote.url, remote.is_path


@dataclass(frozen=True)
class Incomplete:
    """What a flake that is evaluated from a worktree lacks: in a sentence, and the paths that it is about."""

    why: str
    paths: tuple[str, ...]


def incomplete(clone: Clone, tree: Worktree) -> Incomplete | None:
    """What a flake that is evaluated from here lacks of what the user's work tree has; None: nothing is known to.

    Nix reads the committed content: git-crypt's and LFS's files as they are stored, and no submodule that could
    not be checked out.
    """
    git = clone.git.at(tree.path)
    listed = git.run("ls-tree", "-r", "-z", "--full-tree", tree.commit).stdout
    entries = [entry.partition("\t") for entry in listed.split("\0") if entry]
    submodules = tuple(path for entry, _, path in entries if entry.startswith(_SUBMODULE))
    if submodules and not tree.submodules:
        return Incomplete("its submodules are not checked out here", submodules)
    names = "\0".join(path for _, _, path in entries)
    said = git.run("check-attr", "-z", "--stdin", "filter", stdin=names.encode(errors="surrogateescape")).stdout
    fields = said.split("\0")
    values = zip(fields[0::3], fields[2::3], strict=False)
    filtered = {path: value for path, value in values if value not in _NO_FILTER}
    if not filtered:
        return None
    path, value = next(iter(filtered.items()))
    return Incomplete(f"git's filter {value} is not applied here ({path}, for one)", tuple(filtered))


_SUBMODULE = "160000 "
_NO_FILTER = frozenset({"unspecified", "unset", "set", ""})


def commit(
    clone: Clone,
    tree: Worktree,
    paths: Sequence[str],
    message: str,
    *,
    name: str,
    authorship: Authorship,
    when: datetime,
) -> str:
    """Commit these paths (as they lie in the worktree) on top of its commit, on no branch; the new commit's id.

    It is kept until `clone.forget(name)`. Raises LockbotError when they hold nothing new.
    """
    git = clone.git.at(tree.path)
    git.run("read-tree", tree.commit)  # whatever was staged meanwhile (Nix does) is none of the commit
    git.run("--literal-pathspecs", "add", "--force", "--", *paths)
    content = git.ask("write-tree")
    if content == git.ask("rev-parse", f"{tree.commit}^{{tree}}"):
        raise LockbotError(f"nothing to commit: {', '.join(paths)} did not change")
    who = _people(authorship, when)
    return _commit_tree(clone, content, (tree.commit,), message, who, authorship.sign, name)


def recommit(clone: Clone, commit: str, message: str, *, name: str, sign: Signing | None = None) -> str:
    """The same tree, parents, people and dates with another message; kept by `name` in the old one's place."""
    form = "%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd"
    shown = clone.git.ask("show", "-s", "--date=raw", f"--format={form}", commit, "--")
    content, parents, *people = shown.split("\0")
    names = [f"GIT_{role}_{part}" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL", "DATE")]
    who = {key: f"@{value}" if key.endswith("DATE") else value for key, value in zip(names, people, strict=True)}
    return _commit_tree(clone, content, tuple(parents.split()), message, who, sign, name)


def try_signing(clone: Clone, authorship: Authorship, when: datetime) -> None:
    """Sign a commit of nothing, which nobody keeps. Raises what `commit` would: there is no key, or it may not."""
    nothing = clone.git.run("mktree", stdin=b"").stdout.strip()
    who = _people(authorship, when)
    _commit_tree(clone, nothing, (), "lockbot: a trial", who, authorship.sign, _TRIAL)
    clone.forget(_TRIAL)


_TRIAL = "trial"


def _people(authorship: Authorship, when: datetime) -> dict[str, str]:
    date = f"@{int(when.astimezone(UTC).timestamp())} +0000"
    return {
        f"GIT_{role}_{part}": value
        for role, person in (
            ("AUTHOR", authorship.author),
            ("COMMITTER", authorship.committer or authorship.author),
        )
        for part, value in (("NAME", person.name), ("EMAIL", person.email), ("DATE", date))
    }


def _commit_tree(
    clone: Clone,
    content: str,
    parents: tuple[str, ...],
    message: str,
    who: Mapping[str, str],
    sign: Signing | None,
    name: str,
) -> str:
    git = clone.git if sign is None else clone.with_keys
    git = replace(git, environment={**git.environment, **who})
    options = [option for parent in parents for option in ("-p", parent)]
    if sign is not None:
        git = git.configured(*_signing(sign))
        options.append("-S")
    text = message.replace("\0", "").encode(errors="replace")
    made = git.run("commit-tree", *options, "-F", "-", content, stdin=text).stdout.strip()
    if sign is not None:
        signatures.require(clone, made)  # before hosts are built for hours: that key may not be an allowed one
    clone.keep(name, made)
    return made


def _signing(sign: Signing) -> Iterator[Pair]:
    yield ("gpg.format", sign.format.value)
    key = sign.key
    if sign.format is SigningFormat.SSH and not key.startswith("key::"):
        key = os.path.expanduser(key)  # noqa: PTH111  # a key may also be a literal, which Path would mangle
    if key:  # without one, gpg takes the committer's
        yield ("user.signingKey", key)
    if sign.program is not None:
        yield ("gpg.program" if sign.format is SigningFormat.OPENPGP else "gpg.ssh.program", sign.program)
