"""Somebody's clone of a repository on a `GitHost`, whose commits go there over HTTP. It must not know lockbot."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

from tests.forge.requests.githost import GitHost
from tests.upstream import run_git


class WorkingCopy:
    def __init__(self, host: GitHost, name: str, directory: Path, token: str = "secret-token") -> None:  # noqa: S107
        self._directory = directory
        person = {"NAME": "lockbot", "EMAIL": "lockbot@example.org"}
        # The token is in the environment: no URL, no argument has it.
        signed = b64encode(f"x-access-token:{token}".encode()).decode()
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "NO_PROXY": "*",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {signed}",
            **{f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in person.items()},
        }
        directory.mkdir()
        self.git("clone", "--quiet", f"{host.url}/{name}.git", ".")

    def git(self, *arguments: str) -> str:
        return run_git(self._directory, self._environment, *arguments).strip()

    def push(self, branch: str, subject: str, *, on: str | None = None) -> str:
        """A commit on top of `on` (None: of nothing), pushed as `branch`; what was there is replaced."""
        self.git("fetch", "--quiet", "--prune")
        if on is None:
            self.git("checkout", "--quiet", "--orphan", branch)
        else:
            self.git("checkout", "--quiet", "-B", branch, f"origin/{on}")
        (self._directory / f"{subject}.txt").write_text(subject)
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", subject)
        self.git("push", "--quiet", "--force", "origin", branch)
        return self.git("rev-parse", "HEAD")

    def push_to(self, commit: str, branch: str) -> None:
        """Fast-forward a branch to a commit."""
        self.git("push", "--quiet", "origin", f"{commit}:refs/heads/{branch}")

    def delete(self, branch: str) -> None:
        self.git("push", "--quiet", "origin", f":refs/heads/{branch}")
