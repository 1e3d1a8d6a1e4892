"""Pull requests, commits and comparisons as the three forges' APIs tell them, of a real repository.

They are the answers of a `server.Server`. It must not know lockbot.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.forge.server import Asked, Reply

NOT_FOUND = Reply({"message": "Not Found"}, 404)


@dataclass
class Pull:
    """`state`: open, merged or closed. `commit`: what it was merged as. `squash`, `as_is`: GitLab's other ways."""

    state: str = "open"
    commit: str | None = None
    moment: str = "2026-11-20T09:08:07Z"
    squash: bool = False
    as_is: bool = False


@dataclass
class Repository:
    """What git says of a bare repository; None: there is no such thing in it."""

    path: Path

    def commit(self, name: str) -> str | None:
        return self._git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")

    def merge_base(self, one: str, other: str) -> str | None:
        return self._git("merge-base", one, other)

    def _git(self, *arguments: str) -> str | None:
        done = subprocess.run(["git", *arguments], cwd=self.path, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None


@dataclass
class GitHub:
    repository: Repository
    pulls: dict[int, Pull] = field(default_factory=dict)
    prefix: str = ""
    name: str = "owner/repo"
    page = "pull"

    def __call__(self, asked: Asked) -> Reply:
        match = re.fullmatch(rf"{self.prefix}/repos/{self.name}/(pulls|compare|commits)/(.+)", asked.path)
        if match is None:
            return NOT_FOUND
        return getattr(self, f"_{match[1]}")(asked, unquote(match[2]))  # type: ignore[no-any-return]

    def _pulls(self, _: Asked, number: str) -> Reply:
        pull = self.pulls.get(int(number))
        if pull is None:
            return NOT_FOUND
        merged = pull.state == "merged"
        # Of one that is open, `merge_commit_sha` is a trial that nobody has.
        sha = pull.commit if merged else "7" * 40
        state = "open" if pull.state == "open" else "closed"
        moment = pull.moment if merged else None
        return Reply({"number": int(number), "state": state, "merged": merged, "merged_at": moment,
                      "merge_commit_sha": sha, "body": "fixes #1"})  # fmt: skip

    def _compare(self, asked: Asked, basehead: str) -> Reply:
        base, _, head = basehead.partition("...")
        ours, theirs = (self.repository.commit(one) for one in (base, head))
        if ours is None or theirs is None:
            return NOT_FOUND
        common = self.repository.merge_base(ours, theirs)
        status = ("identical" if ours == theirs else "behind" if common == theirs
                  else "ahead" if common == ours else "diverged")  # fmt: skip
        files = [] if asked.number("page", 1) > 1 else [{"filename": "x" * 1000}] * 300
        return Reply({"status": status, "ahead_by": 0, "behind_by": 0, "commits": [], "files": files})

    def _commits(self, _: Asked, digits: str) -> Reply:
        sha = self.repository.commit(digits)
        return (
            Reply({"message": f"No commit found for SHA: {digits}"}, 422) if sha is None else Reply({"sha": sha})
        )


@dataclass
class GitLab:
    repository: Repository
    pulls: dict[int, Pull] = field(default_factory=dict)
    prefix: str = ""
    name: str = "group%2Fdeep%2Frepo"
    page = "-/merge_requests"

    def __call__(self, asked: Asked) -> Reply:
        start = f"{self.prefix}/projects/{self.name}"
        if match := re.fullmatch(rf"{start}/merge_requests/(\d+)", asked.path):
            return self._request(int(match[1]))
        if match := re.fullmatch(rf"{start}/repository/commits/(.+)", asked.path):
            sha = self.repository.commit(unquote(match[1]))
            return Reply({"message": "404 Commit Not Found"}, 404) if sha is None else Reply({"id": sha})
        if asked.path == f"{start}/repository/merge_base":
            return self._merge_base(*asked.every["refs[]"])
        return Reply({"message": "404 Project Not Found"}, 404)

    def _request(self, number: int) -> Reply:
        pull = self.pulls.get(number)
        if pull is None:
            return Reply({"message": "404 Not found"}, 404)
        state = {"open": "opened"}.get(pull.state, pull.state)
        document: dict[str, Any] = {"iid": number, "state": state, "merged_at": None, "merge_commit_sha": None,
                                    "squash_commit_sha": None, "squash": pull.squash, "sha": "7" * 40}  # fmt: skip
        if pull.state == "merged":
            where = "squash_commit_sha" if pull.squash else "sha" if pull.as_is else "merge_commit_sha"
            document |= {"merged_at": pull.moment, where: pull.commit}
        return Reply(document)

    def _merge_base(self, one: str, other: str) -> Reply:
        commits = [self.repository.commit(ref) for ref in (one, other)]
        if None in commits:
            return Reply({"message": f"400 Bad request - Could not find ref: {other}"}, 400)
        common = self.repository.merge_base(one, other)
        return Reply({"message": "404 Merge Base Not Found"}, 404) if common is None else Reply({"id": common})


@dataclass
class Forgejo:
    repository: Repository
    pulls: dict[int, Pull] = field(default_factory=dict)
    prefix: str = ""
    name: str = "owner/repo"
    page = "pulls"

    def __call__(self, asked: Asked) -> Reply:
        start = f"{self.prefix}/repos/{self.name}"
        if match := re.fullmatch(rf"{start}/pulls/(\d+)", asked.path):
            return self._pull(int(match[1]))
        if match := re.fullmatch(rf"{start}/git/commits/(.+)", asked.path):
            sha = self.repository.commit(unquote(match[1]))
            return Reply({"message": "GetCommit"}, 404) if sha is None else Reply({"sha": sha})
        return Reply({"errors": None, "message": "not found", "url": ""}, 404)

    def _pull(self, number: int) -> Reply:
        pull = self.pulls.get(number)
        if pull is None:
            return Reply({"message": "not found"}, 404)
        merged = pull.state == "merged"
        state = "open" if pull.state == "open" else "closed"
        sha, moment = (pull.commit, pull.moment) if merged else (None, None)
        return Reply({"number": number, "state": state, "merged": merged, "merged_at": moment,
                      "merge_commit_sha": sha})  # fmt: skip
