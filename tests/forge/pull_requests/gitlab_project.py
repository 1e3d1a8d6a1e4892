"""A project of GitLab's and its merge requests: what people and pushes do to them. It must not know lockbot.

Everything is done at once where GitLab does it in the background. As MergeRequests::RefreshService has it, a
request follows its branch, and is merged when a push brings its newest commit to its target branch.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

from tests.forge.pull_requests.githost import GitHost
from tests.forge.pull_requests.gitlab_push import Push, read_pushes, set_up, tell_hooks

DEVELOPER = 30
BUSY = ("created", "pending", "preparing", "running", "waiting_for_resource", "scheduled", "manual")


@dataclass
class Note:
    id: int
    author: str
    body: str
    system: bool = False


@dataclass
class Request:
    """`sha`: its newest commit, which outlives its branch. `auto`: with which it is to merge itself.
    `fork`: whether its branch is a fork's."""

    iid: int
    author: str
    branch: str
    target: str
    title: str
    description: str
    sha: str
    state: str = "opened"
    labels: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    squash: bool = False
    auto: str | None = None
    merge_commit: str | None = None
    squash_commit: str | None = None
    fork: bool = False

    @property
    def draft(self) -> bool:
        return re.match(r"\s*(\[draft\]|\(draft\)|draft:)", self.title, re.IGNORECASE) is not None


@dataclass
class GitLabProject:
    """One project, `name`, whose repository the host has."""

    host: GitHost
    name: str
    id: int = 7
    access: dict[str, int] = field(default_factory=lambda: {"lockbot": 40})
    """Roles by user name: 20 may read, 30 pushes branches, 40 is a maintainer."""
    scopes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of tokens; of one that is not here: `api`."""
    expires: dict[str, str] = field(default_factory=dict)
    requests: dict[int, Request] = field(default_factory=dict)
    pipelines: dict[str, tuple[int, str]] = field(default_factory=dict)
    """The last one of a commit: its id and status."""
    pipeline_must_succeed: bool = False
    merge_method: str = "merge"
    may_merge: int = DEVELOPER
    private: bool = False
    premium: bool = False
    archived: bool = False
    merge_requests_enabled: bool = True
    moved_from: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._users = ["root", *self.host.tokens.values()]
        self._notes = 300
        self._targets: dict[str, str | None] = {}
        self.host.git_config += (("receive.advertisePushOptions", "true"),)
        self.host.pushed = self.pushed
        set_up(self.host.repository(self.name))
        self._tell()

    # -- what people do -----------------------------------------------------------------------------------------

    def user(self, name: str, access: int | None = None) -> None:
        """There is somebody of this name; `access`: with a role in the project."""
        self._number(name)
        if access is not None:
            self.access[name] = access
        self._tell()

    def pipeline(self, sha: str, status: str) -> None:
        """A commit's pipeline goes on; what waits for it is merged."""
        with self._lock:
            number = self.pipelines[sha][0] if sha in self.pipelines else 900 + len(self.pipelines)
            self.pipelines[sha] = number, status
            for request in self._open():
                if request.auto == request.sha == sha and status == "success" and self._mergeable(request):
                    self._merge(request, self.merge_method)
            self._tell()

    def close(self, number: int, who: str = "root") -> None:
        with self._lock:
            self._close(self.requests[number], who)
            self._tell()

    def reopen(self, number: int) -> None:
        with self._lock:
            request = self.requests[number]
            assert request.state == "closed"
            request.state, request.sha = "opened", self._tip(request.branch) or request.sha
            self._tell()

    def retarget(self, number: int, target: str) -> None:
        with self._lock:
            self.requests[number].target = target
            self._tell()

    def comment(self, number: int, body: str, who: str = "root") -> Note:
        with self._lock:
            return self._note(self.requests[number], who, body)

    def delete_branch(self, number: int) -> None:
        self.host.git(self.name, "update-ref", "-d", f"refs/heads/{self.requests[number].branch}")
        self.pushed(self.name)

    def merge(self, number: int, how: str = "merge") -> str:
        """As people do on its page: `merge`, `squash`, or `ff`; the target branch's commit."""
        with self._lock:
            self._merge(self.requests[number], how)
            self._tell()
        tip = self._tip(self.requests[number].target)
        assert tip is not None
        return tip

    def rename(self, name: str) -> None:
        """It is called so now; git finds it by its old name, too."""
        old, new = self.host.repository(self.name), self.host.repository(name)
        new.parent.mkdir(parents=True, exist_ok=True)
        old.rename(new)
        old.symlink_to(new)
        self.moved_from.add(self.name)
        self.name = name
        self._tell()

    # -- what a push does ---------------------------------------------------------------------------------------

    def pushed(self, repository: str) -> None:
        if repository != self.name and repository not in self.moved_from:
            return
        with self._lock:
            self._follow()
            for push in read_pushes(self.host.repository(self.name)):
                for branch in push.branches:
                    self._by_options(push, branch)
            self._tell()

    def _follow(self) -> None:
        """Requests have their branches' commits; those whose commits have come to their target are merged."""
        for request in self._open():
            tip = self._tip(request.branch)
            if tip is not None and tip != request.sha and not request.fork:
                request.sha = tip
                if request.auto not in (None, tip):
                    request.auto = None
                    self._note(request, "root", "aborted the automatic merge", system=True)
        for request in self._open():
            before, now = self._targets.get(request.target), self._tip(request.target)
            if before is not None and now not in (None, before) and self._came(request.sha, before, str(now)):
                request.state, request.merge_commit, request.auto = "merged", request.sha, None

    def _came(self, sha: str, before: str, now: str) -> bool:
        return self._contains(now, sha) and not self._contains(before, sha)

    def _by_options(self, push: Push, branch: str) -> None:
        options = {key: value for key, value in push.options if key.startswith("merge_request.")}
        if not options or branch == "main" or self.access.get(push.user, 0) < DEVELOPER:
            return
        target = options.get("merge_request.target")
        if target is not None and self._tip(target) is None:
            return
        request = self._of_branch(branch)
        if request is None:
            if "merge_request.create" not in options:
                return
            request = self._by_push(push, branch, target or "main")
        request.target = target or request.target
        self._change_by_options(request, push)

    def _by_push(self, push: Push, branch: str, target: str) -> Request:
        """The title and the description are the commit's, where there is only one; the pusher is assigned."""
        commits = self.host.git(self.name, "rev-list", f"{target}..{branch}").splitlines()
        title, body = branch.replace("-", " ").capitalize(), ""
        if len(commits) == 1:
            message = self.host.git(self.name, "log", "-1", "--format=%B", commits[0])
            title, _, body = message.partition("\n\n")
        request = self._new(push.user, branch, target, title, body)
        request.assignees = [push.user]
        return request

    def _change_by_options(self, request: Request, push: Push) -> None:
        for key, value in push.options:
            match key:
                case "merge_request.title":
                    request.title = value
                case "merge_request.description":
                    request.description = value.replace("\\n", "\n")
                case "merge_request.label" if value not in request.labels:
                    request.labels.append(value)
                case "merge_request.assign" if value in self._users:
                    request.assignees = [*request.assignees, value] if self.premium else [value]
                case "merge_request.auto_merge" | "merge_request.merge_when_pipeline_succeeds":
                    request.auto = request.sha
        if any(key == "merge_request.draft" for key, _ in push.options) and not request.draft:
            request.title = f"Draft: {request.title}"

    # -- git ----------------------------------------------------------------------------------------------------

    def _tip(self, branch: str) -> str | None:
        return self.host.tip(self.name, branch)

    def _contains(self, commit: str, sha: str) -> bool:
        missing = self.host.git(self.name, "rev-list", "--max-count=1", sha, f"^{commit}", check=False)
        return not missing

    def _mergeable(self, request: Request) -> bool:
        target = self._tip(request.target)
        if request.draft or target is None or self._tip(request.branch) is None:
            return False
        if self.pipeline_must_succeed and self._status(request.sha) != "success":
            return False
        return self.merge_method != "ff" or self._contains(request.sha, target)

    def _merge(self, request: Request, how: str) -> None:
        target = self._tip(request.target)
        assert target is not None
        request.merge_commit = request.squash_commit = None
        if how == "ff":
            assert self._contains(request.sha, target), "it can't be fast-forwarded"
            made = request.sha
        else:
            tree = self.host.git(self.name, "merge-tree", "--write-tree", target, request.sha)
            parents = ["-p", target] if how == "squash" else ["-p", target, "-p", request.sha]
            made = self.host.git(self.name, "commit-tree", tree, *parents, "-m", request.title)
            request.squash = how == "squash"
            request.merge_commit, request.squash_commit = (None, made) if request.squash else (made, None)
        request.state, request.auto = "merged", None
        self.host.git(self.name, "update-ref", f"refs/heads/{request.target}", made)
        self._note(request, "root", "merged", system=True)
        self._follow()

    # -- what there is ------------------------------------------------------------------------------------------

    def _open(self) -> list[Request]:
        return [request for request in self.requests.values() if request.state == "opened"]

    def _of_branch(self, branch: str) -> Request | None:
        return next((one for one in self._open() if one.branch == branch and not one.fork), None)

    def _new(self, who: str, branch: str, target: str, title: str, description: str) -> Request:
        iid = max(self.requests, default=0) + 1
        sha = self._tip(branch)
        assert sha is not None
        self.requests[iid] = Request(iid, who, branch, target, title, description, sha)
        return self.requests[iid]

    def _close(self, request: Request, who: str) -> None:
        if request.state == "opened":
            request.state, request.auto = "closed", None
            self._note(request, who, "closed", system=True)

    def _note(self, request: Request, who: str, body: str, *, system: bool = False) -> Note:
        self._notes += 1
        request.notes.append(Note(self._notes, who, body, system))
        return request.notes[-1]

    def _status(self, sha: str) -> str | None:
        return self.pipelines[sha][1] if sha in self.pipelines else None

    def _scopes(self, token: str) -> tuple[str, ...]:
        return self.scopes.get(token, ("api",))

    def _number(self, name: str) -> int:
        if name not in self._users:
            self._users.append(name)
        return self._users.index(name) + 1

    def _pushes(self, token: str, user: str) -> bool:
        scoped = {"api", "write_repository"} & set(self._scopes(token))
        return bool(scoped) and self.access.get(user, 0) >= DEVELOPER and not self.archived

    def _tell(self) -> None:
        """Hooks know what they have to: who may push, which requests there are, and the next one's number."""
        self._targets = {one.target: self._tip(one.target) for one in self._open()}
        denied = [user for token, user in self.host.tokens.items() if not self._pushes(token, user)]
        tell_hooks(
            self.host.repository(self.name),
            page=f"{self.host.url}/{self.name}/-/merge_requests",
            next_number=max(self.requests, default=0) + 1,
            open_requests={one.branch: one.iid for one in self._open() if not one.fork},
            denied=denied,
        )
