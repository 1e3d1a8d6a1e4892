"""A user's repository, perhaps with a remote, and lockbot's clone of it: what the tests here are about."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lockbot.git.clone import Clone, open_clone
from lockbot.git.publish import Published, publish
from lockbot.git.source import LocalSource, RemoteSource, Source
from lockbot.git.sync import Base, sync
from lockbot.git.worktree import Authorship, Identity, Signing, commit, worktree
from lockbot.process import CancelToken

LOCK = "flake.lock"
WHEN = datetime(2025, 3, 1, 6, 30, tzinfo=UTC)
LOCKBOT = Identity("lockbot", "lockbot@example.org")
MESSAGE = "flake.lock: update nixpkgs\n\nWhy.\n\nLockbot-Run: r1\n"


@dataclass
class World:
    """Everything lies under `root`. `git` runs git as the user would, and fails the test if git fails."""

    root: Path
    environ: dict[str, str]
    cancel: CancelToken
    timeout: float = 30.0
    user: Path = field(init=False)
    remote: Path = field(init=False)

    def __post_init__(self) -> None:
        self.user = self.root / "user"
        self.remote = self.root / "remote.git"

    def git(self, directory: Path, *args: str, check: bool = True) -> str:
        done = subprocess.run(
            ["git", "-C", str(directory), *args], env=self.environ, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def make(self, branch: str = "main") -> World:
        """The user's repository, with one commit that holds a lock."""
        self.git(self.root, "init", "--quiet", f"--initial-branch={branch}", str(self.user))
        (self.user / "hosts").mkdir()
        (self.user / "hosts" / "one.nix").write_text("{ }\n")
        (self.user / "flake.nix").write_text("{ outputs = _: { }; }\n")
        self.write("old")
        self.user_commit("start")
        return self

    def with_remote(self) -> World:
        self.git(self.root, "init", "--quiet", "--bare", str(self.remote))
        self.git(self.user, "remote", "add", "origin", str(self.remote))
        self.git(self.user, "push", "--quiet", "--set-upstream", "origin", "HEAD")
        return self

    def write(self, text: str, name: str = LOCK) -> None:
        (self.user / name).write_text(f'{{ "lock": "{text}" }}\n')

    def user_commit(self, subject: str, directory: Path | None = None) -> str:
        self.git(directory or self.user, "add", "--all")
        self.git(directory or self.user, "commit", "--quiet", "--allow-empty", "-m", subject)
        return self.tip(directory or self.user, "HEAD")

    def colleague(self, subject: str = "colleague") -> str:
        """Someone else pushes a commit to the remote's main."""
        other = self.root / "colleague"
        if not other.exists():
            self.git(self.root, "clone", "--quiet", str(self.remote), str(other))
        self.git(other, "pull", "--quiet")
        (other / f"{subject}.txt").write_text(subject)
        made = self.user_commit(subject, other)
        self.git(other, "push", "--quiet")
        return made

    def tip(self, directory: Path, name: str = "main") -> str:
        return self.git(directory, "rev-parse", "--verify", "--end-of-options", name)

    def source(self, *, push: bool = True, path: Path | None = None, branch: str | None = None) -> LocalSource:
        return LocalSource(path or self.user, branch, push=push)

    def url(self, *, push: bool = True) -> RemoteSource:
        return RemoteSource(str(self.remote), push=push)

    def open(self) -> Clone:
        return open_clone(
            self.root / "state" / "clone.git",
            self.root / "state" / "trees",
            environ=self.environ,
            cancel=self.cancel,
            timeout=self.timeout,
        )

    def candidate(
        self, clone: Clone, source: Source, base: Base, text: str = "new", *, sign: Signing | None = None
    ) -> str:
        """A commit on the base in which only the lock differs."""
        with worktree(clone, base.commit, source) as tree:
            (tree.path / LOCK).write_text(f'{{ "lock": "{text}", "on": "{base.commit}" }}\n')
            by = Authorship(LOCKBOT, sign=sign)
            return commit(clone, tree, [LOCK], MESSAGE, name="r1", authorship=by, when=WHEN)

    def proposed(self, source: Source) -> tuple[Clone, Base, str]:
        """Sync, and a candidate on what was found."""
        clone = self.open()
        base = sync(clone, source)
        return clone, base, self.candidate(clone, source, base)

    def cycle(self, source: Source) -> tuple[Published, str]:
        """Sync, propose and publish; what became of it, and the commit."""
        clone, base, made = self.proposed(source)
        return publish(clone, source, base, made, run="r1"), made

    def hooks(self, directory: Path, *names: str) -> Path:
        """Make hooks that tell when they run; where they tell it."""
        told = self.root / "hook-ran"
        for name in names:
            script(directory / "hooks" / name, f"echo {name} >> '{told}'")
        return told

    def status(self, directory: Path | None = None) -> str:
        """`status --porcelain`, without the white space cut away."""
        return subprocess.run(
            ["git", "-C", str(directory or self.user), "status", "--porcelain"],
            env=self.environ,
            capture_output=True,
            text=True,
            check=True,
        ).stdout


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path
