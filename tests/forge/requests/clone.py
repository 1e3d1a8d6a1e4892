"""Somebody's clone of a `GitHost`'s repository: real commits, really pushed. It must not know lockbot."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

from tests.forge.requests.githost import GitHost
from tests.nixes import git_environment
from tests.upstream import run_git


@dataclass
class Clone:
    directory: Path
    host: GitHost
    name: str
    token: str = "secret-token"  # noqa: S105  # the stand-in's
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        basic = b64encode(f"oauth2:{self.token}".encode()).decode()
        self.environment = git_environment(self.directory.parent / f"{self.directory.name}-home") | {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{self.host.url}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
        }
        self.git("init", "--quiet", "--initial-branch=main", ".")

    @property
    def url(self) -> str:
        return f"{self.host.url}/{self.name}.git"

    def git(self, *arguments: str, check: bool = True) -> str:
        return run_git(self.directory, self.environment, *arguments, check=check).strip()

    def commit(self, subject: str, on: str | None = None, body: str = "") -> str:
        """A commit with a file of its own, on top of another; None: the first one."""
        (self.directory / f"{subject.replace('/', '-')[:60]}.txt").write_text(subject)
        if on is not None:
            self.git("checkout", "--quiet", "--detach", on)
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", f"{subject}\n\n{body}")
        return self.git("rev-parse", "HEAD")

    def push(self, commit: str, branch: str, *options: str, ref: str = "") -> subprocess.CompletedProcess[str]:
        """By force, with push options; what git prints."""
        asked = [argument for option in options for argument in ("-o", option)]
        target = f"+{commit}:{ref or f'refs/heads/{branch}'}"
        return subprocess.run(
            ["git", "push", *asked, self.url, target],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
