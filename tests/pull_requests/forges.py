"""The three forges' stand-ins, as one: what a week of nights asks of a forge, whichever it is. It must not know
lockbot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.forge.pull_requests.forgejo import ForgejoStandIn
from tests.forge.pull_requests.githost import GitHost
from tests.forge.pull_requests.github import GitHubStandIn
from tests.forge.pull_requests.gitlab import GitLabStandIn

NAME = "owner/flake"
TOKEN = "secret-token"  # noqa: S105  # of a stand-in


@dataclass(frozen=True)
class Shown:
    """A request as its page shows it. `state`: open, closed or merged."""

    number: int
    state: str
    branch: str
    base: str
    head: str
    title: str
    body: str
    draft: bool


class Forge(Protocol):
    host: GitHost
    kind: str
    api: str
    """Where its API begins, behind the host's address."""

    def requests(self) -> list[Shown]:
        """All that there ever were, the oldest first."""
        ...

    def comments(self, number: int) -> list[str]: ...

    def delete_comments(self, number: int) -> None: ...

    def close(self, number: int) -> None: ...

    def reopen(self, number: int) -> None: ...

    def retarget(self, number: int, base: str) -> None: ...

    def merge(self, number: int, how: str = "merge") -> str: ...

    def check(self, commit: str, state: str) -> None:
        """`success`, `failure` or `pending`."""
        ...

    def require_check(self) -> None:
        """One must have passed before main may be merged into."""
        ...

    def rename(self, name: str) -> None: ...

    def make_draft(self, number: int) -> None: ...

    def is_anothers(self, number: int, branch: str, words: str) -> None:
        """As if this number had always been a request of that branch's, with these words for title and text."""
        ...


class _People:
    """What people do, which all three can be asked for in the same words."""

    there: GitHubStandIn | GitLabStandIn | ForgejoStandIn

    def close(self, number: int) -> None:
        self.there.close(number)

    def reopen(self, number: int) -> None:
        self.there.reopen(number)

    def retarget(self, number: int, base: str) -> None:
        self.there.retarget(number, base)

    def merge(self, number: int, how: str = "merge") -> str:
        return self.there.merge(number, how)

    def rename(self, name: str) -> None:
        self.there.rename(name)


class OnGitHub(_People):
    there: GitHubStandIn
    kind, api = "github", "/api/v3"

    def __init__(self, host: GitHost) -> None:
        self.host, self.there = host, GitHubStandIn(host, NAME)
        host.api, host.pushed = self.there, self.there.pushed

    def requests(self) -> list[Shown]:
        return [
            Shown(
                one.number,
                "open" if one.open else "merged" if one.merged_as else "closed",
                one.branch,
                one.base,
                one.sha,
                one.title,
                one.body,
                one.draft,
            )
            for one in self.there.pulls.values()
        ]

    def comments(self, number: int) -> list[str]:
        return [one.body for one in self.there.comments.values() if one.number == number]

    def delete_comments(self, number: int) -> None:
        for one in [one for one in self.there.comments.values() if one.number == number]:
            self.there.delete_comment(one.id)

    def check(self, commit: str, state: str) -> None:
        self.there.check(commit, "ci", None if state == "pending" else state)

    def require_check(self) -> None:
        self.there.required["main"] = ["ci"]

    def make_draft(self, number: int) -> None:
        self.there.pulls[number].draft = True

    def is_anothers(self, number: int, branch: str, words: str) -> None:
        one = self.there.pulls[number]
        one.branch, one.title, one.body = branch, words, words
        self.there.pushed(NAME)


class OnGitLab(_People):
    there: GitLabStandIn
    kind, api = "gitlab", "/api/v4"

    def __init__(self, host: GitHost) -> None:
        self.host, self.there = host, GitLabStandIn(host, NAME)

    def requests(self) -> list[Shown]:
        words = {"opened": "open"}
        return [
            Shown(
                one.iid,
                words.get(one.state, one.state),
                one.branch,
                one.target,
                one.sha,
                one.title.removeprefix("Draft: "),
                one.description,
                one.draft,
            )
            for one in self.there.requests.values()
        ]

    def comments(self, number: int) -> list[str]:
        return [note.body for note in self.there.requests[number].notes if not note.system]

    def delete_comments(self, number: int) -> None:
        self.there.requests[number].notes.clear()

    def check(self, commit: str, state: str) -> None:
        self.there.pipeline(commit, {"failure": "failed"}.get(state, state))

    def require_check(self) -> None:
        self.there.pipeline_must_succeed = True

    def make_draft(self, number: int) -> None:
        one = self.there.requests[number]
        one.title = f"Draft: {one.title}"

    def is_anothers(self, number: int, branch: str, words: str) -> None:
        one = self.there.requests[number]
        one.branch, one.title, one.description = branch, words, words
        self.host.pushed(NAME)


class OnForgejo(_People):
    there: ForgejoStandIn
    kind, api = "forgejo", "/api/v1"

    def __init__(self, host: GitHost) -> None:
        self.host, self.there = host, ForgejoStandIn(host, NAME)
        host.api, host.pushed = self.there, self.there.pushed

    def requests(self) -> list[Shown]:
        return [
            Shown(
                one["number"],
                "merged" if one.get("merged_as") else one["state"],
                one["head"],
                one["base"],
                one["commit"],
                one["title"].removeprefix("WIP: "),
                one["body"],
                one["title"].startswith("WIP: "),
            )
            for one in self.there.requests()
        ]

    def comments(self, number: int) -> list[str]:
        return [one["body"] for one in self.there.request(number)["comments"]]

    def delete_comments(self, number: int) -> None:
        for one in self.there.request(number)["comments"]:
            self.there.delete_comment(number, one["id"])

    def check(self, commit: str, state: str) -> None:
        self.there.status(commit, "ci", state)

    def require_check(self) -> None:
        self.there.required["main"] = ["ci"]

    def make_draft(self, number: int) -> None:
        self.there.edit(number, title=f"WIP: {self.there.request(number)['title']}")

    def is_anothers(self, number: int, branch: str, words: str) -> None:
        self.there.edit(number, head=branch, title=words, body=words)
        self.there.pushed(NAME)


WAYS = {"github": True, "gitlab": True, "forgejo": True, "gitlab by push options": False, "forgejo by AGit": False}
"""Ways to a request, by a forge's name first: whether lockbot has a token; git has one always."""

FORGES: Mapping[str, Callable[[GitHost], Forge]] = {"github": OnGitHub, "gitlab": OnGitLab, "forgejo": OnForgejo}


def host_of(directory: Path) -> GitHost:
    """A machine with an empty repository NAME."""
    host = GitHost(directory, tokens={TOKEN: "lockbot"})
    host.create(NAME)
    return host
