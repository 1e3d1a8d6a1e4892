"""A repository on GitHub with its pull requests: what people do with them, and what follows from a push.

Branches and merges are git's, in the host's bare repository. It must not know the API, nor lockbot.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.forge.pull_requests import merges
from tests.forge.pull_requests.githost import GitHost
from tests.forge.server import Reply, run, status

MOST_BODY = 65536
_GREEN = ("success", "neutral", "skipped")
_TITLE = 256


@dataclass
class Comment:
    id: int
    number: int
    author: str
    body: str


@dataclass
class Pull:
    """One pull request. `fork`: whose repository its branch is in; None: this very one. `auto_merge`: how."""

    number: int
    author: str
    title: str
    body: str
    branch: str
    base: str
    sha: str
    base_sha: str
    draft: bool = False
    fork: str | None = None
    open: bool = True
    merged_as: str | None = None
    auto_merge: str | None = None
    labels: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    teams: list[str] = field(default_factory=list)

    @property
    def node(self) -> str:
        return f"PR_kw{self.number}"


class Refuse(Exception):
    """Answered in place of what was asked for."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


class GitHubRepository:
    """`host`'s repository `name`; `GitHost.pushed` is to be its `pushed`.

    Protection is of two kinds: who may push is the host's (`GitHost.protect`), which checks must pass is in
    `required` (by branch protection) and `rules` (by rulesets). With `slow`, what was pushed is not seen before
    `catch_up`.
    """

    def __init__(self, host: GitHost, name: str, *, private: bool = False, drafts: bool = True) -> None:
        self.host = host
        self.name = name
        self.id = 1296269
        self.private = private
        self.drafts = drafts
        self.archived = False
        self.auto_merge = True
        self.methods = ["merge", "squash", "rebase"]
        self.writers = {"lockbot", "person"}
        """Accounts that may push, be assigned, and be asked for reviews."""
        self.teams = {"infra"}
        self.pulls: dict[int, Pull] = {}
        self.comments: dict[int, Comment] = {}
        self.runs: dict[str, list[dict[str, Any]]] = {}
        self.statuses: dict[str, list[dict[str, Any]]] = {}
        self.required: dict[str, list[str]] = {}
        self.rules: dict[str, list[str]] = {}
        self.slow = False
        self.former: set[str] = set()
        """Names that it had."""
        self.gone: set[str] = set()
        """Forks that were deleted."""
        self.moment = "2026-11-22T09:08:07Z"
        self.lock = threading.RLock()
        self._comments_made = 0

    # -- what a person does -----------------------------------------------------------------------------------

    def open(
        self,
        branch: str,
        base: str = "main",
        title: str = "A request",
        who: str = "person",
        fork: str | None = None,
    ) -> Pull:
        """Of a branch, or (`fork`: OWNER/NAME) of one of the same name and commit in somebody's fork."""
        return self.create(who, {"title": title, "head": branch, "base": base}, fork)

    def close(self, number: int) -> None:
        self.change(number, {"state": "closed"})

    def reopen(self, number: int) -> None:
        self.change(number, {"state": "open"})

    def retarget(self, number: int, base: str) -> None:
        self.change(number, {"base": base})

    def edit(self, number: int, **changed: str) -> None:
        """Its title, or its body."""
        self.change(number, changed)

    def comment(self, number: int, body: str, who: str = "person") -> int:
        with self.lock:
            self._comments_made += 1
            made = Comment(1000 + self._comments_made, number, who, body)
            self.comments[made.id] = made
            return made.id

    def delete_comment(self, comment: int) -> None:
        del self.comments[comment]

    def delete_branch(self, branch: str) -> None:
        self.host.git(self.name, "update-ref", "-d", f"refs/heads/{branch}")
        self.pushed(self.name)

    def merge(self, number: int, method: str = "merge") -> str:
        """By the button on its page; the commit that its base has it with."""
        with self.lock:
            pull = self.pulls[number]
            assert pull.open and method in self.methods
            base = self.host.tip(self.name, pull.base)
            assert base is not None
            subject = f"{pull.title} (#{number})" if method == "squash" else f"Merge pull request #{number}"
            made = merges.METHODS[method](self.host, self.name, base, pull.sha, subject)
            self.host.git(self.name, "update-ref", f"refs/heads/{pull.base}", made)
            self._merged(pull, made)
            self._follow()
            return made

    def check(self, commit: str, name: str, conclusion: str | None) -> None:
        """A check run's latest try; None: it runs."""
        with self.lock:
            others = [one for one in self.runs.get(commit, []) if one["name"] != name]
            made = run(name, conclusion, "completed" if conclusion else "in_progress")
            self.runs[commit] = [*others, made]
            self._follow()

    def status(self, commit: str, context: str, state: str) -> None:
        with self.lock:
            others = [one for one in self.statuses.get(commit, []) if one["context"] != context]
            self.statuses[commit] = [*others, status(context, state)]
            self._follow()

    def rename(self, name: str) -> None:
        """To OWNER/NAME. What was its address leads there, for git, too."""
        with self.lock:
            old, new = self.host.repository(self.name), self.host.repository(name)
            new.parent.mkdir(parents=True, exist_ok=True)
            old.rename(new)
            old.symlink_to(new)
            self.former.add(self.name)
            self.name = name

    # -- what follows from a push -----------------------------------------------------------------------------

    def pushed(self, repository: str) -> None:
        if repository in {self.name, *self.former} and not self.slow:
            self.catch_up()

    def catch_up(self) -> None:
        with self.lock:
            self._follow()

    def _follow(self) -> None:
        for pull in [one for one in self.pulls.values() if one.open]:
            self._follow_branches(pull)
        for pull in [one for one in self.pulls.values() if one.open and one.auto_merge]:
            if self.standing(pull) in ("clean", "unstable") and not self.conflicts(pull):
                assert pull.auto_merge is not None
                self.merge(pull.number, pull.auto_merge)

    def _follow_branches(self, pull: Pull) -> None:
        base = self.host.tip(self.name, pull.base)
        head = pull.sha if pull.fork else self.host.tip(self.name, pull.branch)
        base_moved, pull.base_sha = base != pull.base_sha, base or pull.base_sha
        if base is not None and base_moved and self.host.has(self.name, pull.base, head or pull.sha):
            pull.sha = head or pull.sha
            self._merged(pull, pull.sha)
        elif base is None or head is None:
            pull.open = False
        elif head != pull.sha:
            pull.sha = head
            # Nothing is left to be merged.
            pull.open = not self.host.has(self.name, pull.base, head)

    def _merged(self, pull: Pull, commit: str) -> None:
        pull.open, pull.merged_as, pull.auto_merge = False, commit, None

    def standing(self, pull: Pull) -> str:
        """Its `mergeable_state`."""
        passed = {one["name"]: one["conclusion"] in _GREEN for one in self.runs.get(pull.sha, [])}
        passed |= {one["context"]: one["state"] == "success" for one in self.statuses.get(pull.sha, [])}
        if pull.draft:
            return "draft"
        needed = {*self.required.get(pull.base, []), *self.rules.get(pull.base, [])}
        if not all(passed.get(name, False) for name in needed):
            return "blocked"
        return "clean" if all(passed.values()) else "unstable"

    def conflicts(self, pull: Pull) -> bool:
        return merges.conflict(self.host, self.name, pull.base_sha, pull.sha)

    # -- what is asked for, by whomever ------------------------------------------------------------

    def create(self, who: str, asked: Mapping[str, Any], fork: str | None) -> Pull:
        with self.lock:
            title, body = self._wording(asked)
            owner, _, branch = str(asked.get("head", "")).rpartition(":")
            base, tip = asked.get("base"), self.host.tip(self.name, branch)
            target = self.host.tip(self.name, str(base))
            if tip is None or owner not in ("", self.name.split("/")[0]):
                raise Refuse(_invalid("PullRequest", "head"))
            if target is None:
                raise Refuse(_invalid("PullRequest", "base"))
            if self.host.has(self.name, str(base), tip):
                raise Refuse(failed(f"No commits between {base} and {branch}"))
            where = fork or self.name
            if any(one.open and self.source(one) == where and one.branch == branch and one.base == base
                   for one in self.pulls.values()):  # fmt: skip
                raise Refuse(failed(f"A pull request already exists for {where.split('/')[0]}:{branch}."))
            draft = asked.get("draft") is True
            if draft and not self.drafts:
                raise Refuse(said("Draft pull requests are not supported in this repository.", 422))
            number = len(self.pulls) + 1
            made = Pull(number, who, title, body, branch, str(base), tip, target, draft, fork)
            self.pulls[number] = made
            return made

    def _wording(self, asked: Mapping[str, Any]) -> tuple[str, str]:
        title, body = asked.get("title"), asked.get("body") or ""
        if not isinstance(title, str) or not title:
            raise Refuse(
                Reply({"message": "Validation Failed", "errors": [_error("title", "missing_field")]}, 422)
            )
        for what, text, most in (("title", title, _TITLE), ("body", body, MOST_BODY)):
            if len(text) > most:
                raise Refuse(failed(f"{what} is too long (maximum is {most} characters)", what, "Issue"))
        return title, body

    def change(self, number: int, asked: Mapping[str, Any]) -> Pull:
        """Whatever else is asked for is ignored, `draft` for one."""
        with self.lock:
            pull = self.pulls[number]
            pull.title, pull.body = self._wording({"title": pull.title, "body": pull.body, **asked})
            if (base := asked.get("base")) is not None:
                target = self.host.tip(self.name, base)
                if target is None:
                    raise Refuse(_invalid("PullRequest", "base"))
                pull.base, pull.base_sha = base, target
            if asked.get("state") == "closed":
                pull.open, pull.auto_merge = False, None
            if asked.get("state") == "open" and not pull.open:
                self._open_again(pull)
            return pull

    def _open_again(self, pull: Pull) -> None:
        tip = self.host.tip(self.name, pull.branch)
        if pull.merged_as is not None or tip is None:
            raise Refuse(failed("state cannot be changed. The branch was deleted, or it is merged.", "state"))
        pull.open, pull.sha = True, tip

    def source(self, pull: Pull) -> str:
        return pull.fork or self.name


def said(message: str, status: int) -> Reply:
    return Reply(
        {"message": message, "documentation_url": "https://docs.github.com/rest", "status": status}, status
    )


def _error(field: str, code: str, resource: str = "PullRequest") -> dict[str, Any]:
    return {"resource": resource, "field": field, "code": code}


def _invalid(resource: str, field: str) -> Reply:
    return Reply({"message": "Validation Failed", "errors": [_error(field, "invalid", resource)]}, 422)


def failed(message: str, field: str = "base", resource: str = "PullRequest") -> Reply:
    error = _error(field, "custom", resource) | {"message": message}
    return Reply({"message": "Validation Failed", "errors": [error]}, 422)
