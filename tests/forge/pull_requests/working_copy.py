"""Somebody's clone of a repository on a `GitHost`, whose commits go there over HTTP. It must not know lockbot."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from pathlib import Path

from tests.forge.pull_requests.githost import GitHost
from tests.nixes import git_environment
from tests.upstream import run_git


class WorkingCopy:
    """Empty at first: the first commit begins `main`."""

    def __init__(self, host: GitHost, name: str, directory: Path, token: str = "secret-token") -> None:  # noqa: S107
        self._directory = directory
        # The token is in the environment: no URL, no argument has it.
        signed = b64encode(f"x-access-token:{token}".encode()).decode()
        self._environment = git_environment(directory.parent / f"{directory.name}-home") | {
            "NO_PROXY": "*",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{host.url}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {signed}",
        }
        directory.mkdir()
        self.git("init", "--quiet", "--initial-branch=main", ".")
        self.git("remote", "add", "origin", f"{host.url}/{name}.git")

    def git(self, *arguments: str) -> str:
        return run_git(self._directory, self._environment, *arguments).strip()

    def commit(self, subject: str, on: str | None = None, body: str = "") -> str:
        """A commit with a file of its own, on top of another; None: of what is checked out, at first nothing."""
        if on is not None:
            self.git("checkout", "--quiet", "--detach", on)
        (self._directory / f"{subject.replace('/', '-')[:60]}.txt").write_text(subject)
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", f"{subject}\n\n{body}")
        return self.git("rev-parse", "HEAD")

    def send(self, commit: str, branch: str, *options: str, ref: str = "") -> subprocess.CompletedProcess[str]:
        """By force, with push options, to a branch or a `ref` that is none; whatever comes of it."""
        asked = [argument for option in options for argument in ("-o", option)]
        return subprocess.run(
            ["git", "push", *asked, "origin", f"+{commit}:{ref or f'refs/heads/{branch}'}"],
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def push(self, branch: str, subject: str, *, on: str | None = None) -> str:
        """A commit on top of the host's branch `on` (None: as in `commit`), pushed as `branch`; what was there is
        replaced."""
        self.git("fetch", "--quiet", "--prune", "origin")
        commit = self.commit(subject, on and f"origin/{on}")
        self.git("push", "--quiet", "--force", "origin", f"{commit}:refs/heads/{branch}")
        return commit

    def push_to(self, commit: str, branch: str) -> None:
        """Fast-forward a branch to a commit."""
        self.git("push", "--quiet", "origin", f"{commit}:refs/heads/{branch}")

    def delete(self, branch: str) -> None:
        self.git("push", "--quiet", "origin", f":refs/heads/{branch}")
