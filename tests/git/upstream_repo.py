"""An upstream repository, and lockbot's copy of its history."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lockbot.git.inputs.revisions import Upstream, open_upstream
from lockbot.git.inputs.upstream import Origin
from lockbot.process import CancelToken
from tests.git.world import script

START = 1_700_000_000


@dataclass
class Repo:
    """A bare repository whose commits each have a file of their own, an hour apart; and lockbot's cache of it."""

    root: Path
    environ: dict[str, str]
    cancel: CancelToken
    path: Path = field(init=False)
    clock: int = START

    def __post_init__(self) -> None:
        self.path = self.root / "up.git"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", self.path], env=self.environ, check=True)

    def git(self, *args: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["git", *args],
            cwd=self.path,
            env=self.environ | (env or {}),
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode(errors="replace").strip()

    def commit(
        self,
        *parents: str,
        subject: str = "change",
        at: int | None = None,
        branch: str = "main",
        files: Sequence[str] = ("file",),
    ) -> str:
        """One commit, which the branch is then at, whatever it was at before; it changes these files."""
        return self._import([(subject, parents, at)], branch, [files])[0]

    def series(self, commits: Sequence[tuple[str, Sequence[str]]], parent: str) -> list[str]:
        """Commits one after another, each by its subject and the files that it changes."""
        said = [(subject, () if n else (parent,), None) for n, (subject, _) in enumerate(commits)]
        return self._import(said, "main", [files for _, files in commits])

    def line(self, count: int, *parents: str, branch: str = "main", weight: int = 0) -> list[str]:
        """Commits one after another; the first of them has these parents. `weight`: bytes that can't be packed."""
        subjects = ["change" + os.urandom(weight).hex() for _ in range(count)]
        return self._import([(said, () if n else parents, None) for n, said in enumerate(subjects)], branch)

    def _import(
        self,
        commits: Sequence[tuple[str, Sequence[str], int | None]],
        branch: str,
        files: Sequence[Sequence[str]] = (),
    ) -> list[str]:
        stream = bytearray()
        for number, (subject, parents, at) in enumerate(commits, start=1):
            self.clock += 3600
            who = f"Test Person <person@example.org> {self.clock if at is None else at} +0000"
            stream += f"commit refs/heads/{branch}\nmark :{number}\nauthor {who}\ncommitter {who}\n".encode()
            stream += f"data {len(subject.encode())}\n{subject}\n".encode()
            for word, parent in zip(("from", *["merge"] * len(parents)), parents, strict=False):
                stream += f"{word} {parent}\n".encode()
            for name in files[number - 1] if files else ("file",):
                stream += f"M 100644 inline {name}\ndata 10\n{self.clock}\n".encode()
            stream += f"get-mark :{number}\n".encode()
        return self.git("fast-import", "--quiet", "--done", "--force", stdin=bytes(stream) + b"done\n").split()

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    @property
    def state(self) -> Path:
        return self.root / "upstreams"

    @property
    def cache(self) -> Path:
        (found,) = self.state.glob("*.git")
        return found

    @contextmanager
    def open(
        self, url: str | None = None, *, timeout: float = 30, cancel: CancelToken | None = None
    ) -> Iterator[Upstream]:
        origin = Origin(url or self.url)
        with open_upstream(
            self.state, origin, environ=self.environ, cancel=cancel or self.cancel, timeout=timeout
        ) as upstream:
            yield upstream

    def ssh(self, command: str = 'exec sh -c "$last"') -> str:
        """A URL that reaches the repository by a stand-in for ssh: no option of ours reaches its upload-pack."""
        text = f"echo call >> {shlex.quote(str(self.calls))}\nfor last; do :; done\n{command}"
        self.environ["GIT_SSH_COMMAND"] = str(script(self.root / "ssh", text))
        self.environ["GIT_SSH_VARIANT"] = "ssh"
        return f"ssh://upstream.example{self.path}"

    @property
    def calls(self) -> Path:
        return self.root / "calls"

    def called(self) -> int:
        """How often a server was asked since the last look."""
        count = self.calls.read_text().count("call") if self.calls.exists() else 0
        self.calls.unlink(missing_ok=True)
        return count
