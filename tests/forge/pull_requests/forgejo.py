"""A Forgejo (or Gitea) on a `GitHost`: the API of one repository, its pull requests, and who may do what.

It answers as the API is described (https://codeberg.org/api/swagger) and, where that leaves it open, as Forgejo's
routers/api/v1 and services/pull do: in their order, with their words. It must not know lockbot.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from tests.forge.pull_requests import agit_hook
from tests.forge.pull_requests.agit_hook import State, new_request, open_request, state_of
from tests.forge.pull_requests.githost import Call, GitHost
from tests.forge.server import Reply

Request = dict[str, Any]
_NOT_FOUND = Reply({"message": "The target couldn't be found.", "url": "", "errors": []}, 404)
_GIT = (("receive.procReceiveRefs", "refs/for"), ("receive.advertisePushOptions", "true"))
_STYLES = {
    "merge": "allow_merge_commits",
    "rebase": "allow_rebase",
    "rebase-merge": "allow_rebase_explicit",
    "squash": "allow_squash_merge",
    "fast-forward-only": "allow_fast_forward_only_merge",
}
_MOMENT = "2026-11-20T09:08:07Z"


@dataclass
class ForgejoStandIn:
    """The repository `name` (OWNER/NAME), which `host` has already.

    `people`: what each may do (`none`, `read`, `write`); who has a token and is not among them may write.
    `scopes`: of a token; one that is not among them has all. `gitea`: does as Gitea does where the two differ.
    """

    host: GitHost
    name: str
    people: dict[str, str] = field(default_factory=lambda: {"alice": "write", "bob": "read"})
    scopes: dict[str, frozenset[str]] = field(default_factory=dict)
    organization: bool = True
    teams: tuple[str, ...] = ("maintainers",)
    labels: dict[str, int] = field(default_factory=lambda: {"bug": 1, "dependencies": 2})
    organization_labels: dict[str, int] = field(default_factory=lambda: {"automatic": 40})
    styles: tuple[str, ...] = ("merge", "rebase", "rebase-merge", "squash", "fast-forward-only")
    allow_manual_merge: bool = False
    autodetect_manual_merge: bool = False
    pull_requests: bool = True
    private: bool = False
    archived: bool = False
    gitea: bool = False
    mergers: frozenset[str] | None = None
    """Who may merge into a protected branch; None: whoever may write."""
    required: dict[str, list[str]] = field(default_factory=dict)
    """Patterns of required checks, by branch. One that is not there is not protected."""
    statuses: dict[str, dict[str, str]] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ("WIP:", "[WIP]")
    most: int = 50
    moved: int = 301
    """What a repository that was renamed is answered with under its old name."""

    def __post_init__(self) -> None:
        self._before: list[str] = []
        self.host.git_config = tuple(dict.fromkeys((*self.host.git_config, *_GIT)))
        for hook in ("proc-receive", "post-receive"):
            file = self._at / "hooks" / hook
            file.write_text(f"#!/bin/sh\nexec {sys.executable} {agit_hook.__file__} {hook}\n")
            file.chmod(0o755)
        (self._at / "forgejo.json").write_text('{"next": 1, "comment": 100, "requests": {}}')
        with self._state() as state:
            state["page"] = f"{self.host.url}/{self.name}"

    @property
    def _at(self) -> Path:
        return self.host.repository(self.name)

    def _state(self) -> Any:
        return state_of(self._at)

    # -- what happens to it --------------------------------------------------------------------------------

    def pushed(self, repository: str) -> None:
        """Requests follow their branches. One whose branch is gone is closed (services/repository/push.go), one
        that is contained in its base stays open unless that is looked for."""
        if repository not in (self.name, *self._before):
            return
        with self._state() as state:
            for one in self._open(state):
                self._follow(one)

    def _follow(self, one: Request) -> None:
        base, head = self.host.tip(self.name, one["base"]), one["commit"]
        if one["flow"] == 0:
            head = self.host.tip(self.name, one["head"])
        if base is None or head is None:
            one["state"] = "closed"
            return
        one["commit"] = head
        self.host.git(self.name, "update-ref", f"refs/pull/{one['number']}/head", head)
        if self.autodetect_manual_merge and self._within(head, base):
            merges = ("rev-list", "--ancestry-path", "--merges", "--reverse", f"{head}..{base}")
            self._done(one, (self.host.git(self.name, *merges).splitlines() or [head])[0])

    def status(self, commit: str, context: str, state: str) -> None:
        """A check's newest word on a commit. One that succeeds lets what is scheduled be looked at."""
        self.statuses.setdefault(commit, {})[context] = state
        if state == "success":
            with self._state() as all_of_it:
                for one in self._open(all_of_it):
                    if one["commit"] == commit:
                        self._merge_scheduled(one)

    # -- what people do ------------------------------------------------------------------------------------

    def request(self, number: int) -> Request:
        """As it is now."""
        with self._state() as state:
            return state["requests"][str(number)]  # type: ignore[no-any-return]  # as JSON has it

    def requests(self) -> list[Request]:
        with self._state() as state:
            return list(state["requests"].values())

    def edit(self, number: int, **fields: Any) -> None:
        """Whatever a person can change by hand: `title`, `body`, `labels` (numbers), `assignees`."""
        with self._state() as state:
            state["requests"][str(number)].update(fields)

    def close(self, number: int) -> None:
        assert self.request(number)["state"] == "open"
        self.edit(number, state="closed")

    def reopen(self, number: int) -> None:
        one = self.request(number)
        assert one["state"] == "closed"
        assert one["flow"] == 1 or self.host.tip(self.name, one["head"]) is not None
        self.edit(number, state="open")
        self.pushed(self.name)

    def retarget(self, number: int, base: str) -> None:
        assert self.host.tip(self.name, base) is not None
        self.edit(number, base=base)

    def comment(self, number: int, who: str, text: str) -> int:
        with self._state() as state:
            return self._comment(state, state["requests"][str(number)], who, text)

    def delete_comment(self, number: int, comment: int) -> None:
        with self._state() as state:
            one = state["requests"][str(number)]
            one["comments"] = [other for other in one["comments"] if other["id"] != comment]

    def review(self, number: int, who: str, word: str = "APPROVED") -> None:
        with self._state() as state:
            state["requests"][str(number)]["reviews"].append({"user": who, "team": None, "state": word})

    def delete_branch(self, branch: str) -> None:
        self.host.git(self.name, "update-ref", "-d", f"refs/heads/{branch}")
        self.pushed(self.name)

    def merge(self, number: int, do: str = "merge", who: str = "alice") -> str:
        """By a press of the button; the commit that the base has then."""
        with self._state() as state:
            one = state["requests"][str(number)]
            reply = self._merge(one, do, who)
            assert reply.status == 200, reply
            merged: str = one["merged_as"]
        self.pushed(self.name)
        return merged

    def rename(self, name: str) -> None:
        """To OWNER/NAME. git finds it under its old name, too."""
        old, self.name = self._at, name
        self._at.parent.mkdir(parents=True, exist_ok=True)
        old.rename(self._at)
        old.symlink_to(self._at)
        self._before.append(f"{old.parent.name}/{old.name.removesuffix('.git')}")
        with self._state() as state:
            state["page"] = f"{self.host.url}/{self.name}"

    # -- the API -------------------------------------------------------------------------------------------

    def __call__(self, call: Call) -> Reply:
        match = re.fullmatch(r"/api/v1/(repos/([^/]+)/([^/]+)|orgs/([^/]+))(/.*)?", call.path)
        if match is None:
            return _NOT_FOUND
        rest = match[5] or ""
        if call.token is not None and call.token not in self.host.tokens:
            return _error(401, "invalid username, password or token")
        if (refused := self._out_of_scope(call, "organization" if match[4] else _scope(rest))) is not None:
            return refused
        if match[4]:
            return self._of_organization(call, unquote(match[4]), rest)
        name = f"{unquote(match[2])}/{unquote(match[3])}"
        if name.lower() in [one.lower() for one in self._before]:
            now = call.path.replace(f"/repos/{match[2]}/{match[3]}", f"/repos/{self.name}", 1)
            query = "?" + "&".join(f"{key}={quote(value)}" for key, value in call.query.items())
            return Reply(b"", self.moved, {"Location": now + (query if call.query else "")})
        if name.lower() != self.name.lower() or (self.private and self._may(call) is None):
            return _NOT_FOUND
        if call.method != "GET" and call.token is None:
            return _error(401, "token is required")
        return self._route(call, rest)

    def _route(self, call: Call, rest: str) -> Reply:
        for method, pattern, answer in self._routes():
            found = re.fullmatch(pattern, rest)
            if method == call.method and found is not None:
                if rest.startswith("/pulls") and not self.pull_requests:
                    return _NOT_FOUND
                if self.archived and (method, pattern) in _NOT_ARCHIVED:
                    return _error(423, f"<Repository 1:{self.name}> is archived")
                return answer(call, *(unquote(group) for group in found.groups()))
        return _NOT_FOUND

    def _routes(self) -> Iterable[tuple[str, str, Callable[..., Reply]]]:
        return [
            ("GET", "", lambda call: Reply(self._repository(call))),
            ("GET", "/branches/(.+)", self._get_branch),
            ("GET", "/commits/([^/]+)/status", self._get_status),
            ("GET", "/labels", lambda call: self._page(call, _labels(self.labels), link=False)),
            ("GET", "/pulls", self._list),
            ("POST", "/pulls", self._create),
            ("GET", r"/pulls/(\d+)", self._with(lambda call, _, one: Reply(self._view(call, one)))),
            ("PATCH", r"/pulls/(\d+)", self._with(self._edit)),
            ("POST", r"/pulls/(\d+)/merge", self._with(self._post_merge)),
            ("DELETE", r"/pulls/(\d+)/merge", self._with(self._unschedule)),
            ("GET", r"/pulls/(\d+)/reviews", self._with(self._reviews)),
            ("POST", r"/pulls/(\d+)/requested_reviewers", self._with(self._request_review)),
            ("GET", "/pulls/([^/]+)/(.+)", self._by_branches),
            ("POST", r"/issues/(\d+)/labels", self._with(self._add_labels)),
            ("GET", r"/issues/(\d+)/comments", self._with(self._comments)),
            ("POST", r"/issues/(\d+)/comments", self._post_comment),
            ("PATCH", r"/issues/comments/(\d+)", self._edit_comment),
        ]

    def _with(self, answer: Callable[[Call, State, Request], Reply]) -> Callable[[Call, str], Reply]:
        """For a request by its number."""

        def found(call: Call, number: str) -> Reply:
            with self._state() as state:
                one = state["requests"].get(number)
                return answer(call, state, one) if one is not None else _NOT_FOUND

        return found

    # -- who ----------------------------------------------------------------------------------------------

    def _user(self, call: Call) -> str:
        return self.host.tokens.get(call.token or "", "")

    def _may(self, call: Call) -> str | None:
        """`read` or `write`; None: it is not even to be seen."""
        user = self._user(call)
        if not user:
            return None if self.private else "read"
        may = self.people.get(user, "write")
        return may if may != "none" else None

    def _out_of_scope(self, call: Call, category: str) -> Reply | None:
        have = self.scopes.get(call.token or "")
        level = "read" if call.method == "GET" else "write"
        if have is None or f"write:{category}" in have or f"{level}:{category}" in have:
            return None
        if self.gitea:
            told = f"required=[{level}:{category}], token scope={','.join(sorted(have))}"
            return _error(403, f"token does not have at least one of required scope(s), {told}")
        return _error(403, f"token does not have at least one of required scope(s): [{level}:{category}]")

    # -- what there is -------------------------------------------------------------------------------------

    def _of_organization(self, call: Call, owner: str, rest: str) -> Reply:
        if owner != self.name.split("/")[0] or not self.organization or (call.method, rest) != ("GET", "/labels"):
            return _NOT_FOUND
        return self._page(call, _labels(self.organization_labels), link=False)

    def _repository(self, call: Call) -> dict[str, Any]:
        may = self._may(call)
        manual = {
            "allow_manual_merge": self.allow_manual_merge,
            "autodetect_manual_merge": self.autodetect_manual_merge,
        }
        return {
            "id": 1,
            "name": self.name.split("/")[1],
            "full_name": self.name,
            "html_url": f"{self.host.url}/{self.name}",
            "private": self.private,
            "archived": self.archived,
            "default_branch": "main",
            "has_pull_requests": self.pull_requests,
            "permissions": {"admin": False, "push": may == "write", "pull": may is not None},
            "default_merge_style": "merge",
            **{allowed: style in self.styles for style, allowed in _STYLES.items()},
            **(manual if self.gitea else {}),
        }

    def _get_branch(self, _: Call, branch: str) -> Reply:
        tip, patterns = self.host.tip(self.name, branch), self.required.get(branch)
        if tip is None:
            return _NOT_FOUND
        return Reply(
            {
                "name": branch,
                "commit": {"id": tip},
                "protected": patterns is not None,
                "enable_status_check": patterns is not None,
                "status_check_contexts": patterns or [],
            }
        )

    def _get_status(self, call: Call, commit: str) -> Reply:
        if not self.host.git(self.name, "cat-file", "-t", commit, check=False):
            return _NOT_FOUND
        every = list(self.statuses.get(commit, {}).items())
        page = self._page(call, [{"context": name, "status": word, "target_url": ""} for name, word in every])
        if not page.body:
            return Reply({"state": "", "sha": "", "total_count": 0, "statuses": None})
        body = {"state": "pending", "sha": commit, "total_count": len(page.body), "statuses": page.body}
        return Reply(body, headers={"X-Total-Count": str(len(every))})

    def _page(self, call: Call, every: Sequence[Any], *, link: bool = True) -> Reply:
        size, page = min(self.most, call.number("limit", 30)), call.number("page", 1)
        headers = {"X-Total-Count": str(len(every))}
        if link and page * size < len(every):
            query = "&".join(f"{key}={value}" for key, value in {**call.query, "page": str(page + 1)}.items())
            headers["Link"] = f'<{self.host.url}{call.path}?{query}>; rel="next"'
        return Reply(list(every[(page - 1) * size : page * size]), headers=headers)

    # -- requests ------------------------------------------------------------------------------------------

    def _open(self, state: State) -> list[Request]:
        return [one for one in state["requests"].values() if one["state"] == "open"]

    def _view(self, call: Call, one: Request) -> dict[str, Any]:
        ref = f"refs/pull/{one['number']}/head"
        gone = one["flow"] == 1 or self.host.tip(self.name, one["head"]) is None
        page = f"{self.host.url}/{self.name}/pulls/{one['number']}"
        known = {number: name for name, number in {**self.labels, **self.organization_labels}.items()}
        repository = self._repository(call)
        return {
            "id": 1000 + one["number"],
            "number": one["number"],
            "url": page,
            "html_url": page,
            "user": {"id": 7, "login": one["author"]},
            "title": one["title"],
            "body": one["body"],
            "labels": [{"id": number, "name": known[number]} for number in one["labels"]],
            "assignees": [{"login": name} for name in one["assignees"]] or None,
            "state": "open" if one["state"] == "open" else "closed",
            "draft": self._draft(one),
            "mergeable": one["state"] == "open" and not self._draft(one),
            "merged": one["state"] == "merged",
            "merged_at": _MOMENT if one["state"] == "merged" else None,
            "merge_commit_sha": one["merged_as"],
            "base": {
                "label": one["base"],
                "ref": one["base"],
                "sha": self.host.tip(self.name, one["base"]) or "",
                "repo_id": 1,
                "repo": repository,
            },
            "head": {
                "label": "" if one["flow"] == 1 else one["head"],
                "ref": ref if gone else one["head"],
                "sha": one["commit"],
                "repo_id": one.get("repository", 1),
                "repo": repository,
            },
            **({} if self.gitea else {"flow": one["flow"]}),
        }

    def _draft(self, one: Request) -> bool:
        return str(one["title"]).upper().startswith(tuple(prefix.upper() for prefix in self.prefixes))

    def _list(self, call: Call) -> Reply:
        wanted = call.query.get("state", "open")
        with self._state() as state:
            found = [
                self._view(call, one)
                for one in reversed(state["requests"].values())
                if wanted == "all" or (one["state"] == "open") == (wanted == "open")
            ]
        return self._page(call, found)

    def _by_branches(self, call: Call, base: str, head: str) -> Reply:
        """The first there ever was, whatever became of it."""
        with self._state() as state:
            for one in state["requests"].values():
                if (one["base"], one["head"]) == (base, head):
                    return Reply(self._view(call, one))
        return _NOT_FOUND

    def _create(self, call: Call) -> Reply:
        form = call.document
        for name in ("head", "base", "title"):
            if not form.get(name):
                return _error(422, f"[{name.title()}]: Required")
        head, base = form["head"], form["base"]
        if head == base:
            return _error(422, "Invalid PullRequest: There are no changes between the head and the base")
        commit = self.host.tip(self.name, head)
        if commit is None or self.host.tip(self.name, base) is None:
            return _NOT_FOUND
        with self._state() as state:
            if (there := open_request(state, 0, head, base)) is not None:
                told = (
                    f"id: {1000 + there['number']}, issue_id: {there['number']}, head_repo_id: 1, base_repo_id: 1"
                )
                told += f", head_branch: {head}, base_branch: {base}"
                return _error(409, f"pull request already exists for these targets [{told}]")
            fields = {"title": _cut(form["title"]), "body": form.get("body", ""), "author": self._user(call)}
            made = new_request(state, flow=0, head=head, base=base, commit=commit, **fields)
            self.host.git(self.name, "update-ref", f"refs/pull/{made['number']}/head", commit)
            return Reply(self._view(call, made), 201)

    def _edit(self, call: Call, state: State, one: Request) -> Reply:
        form, writes = call.document, self._may(call) == "write"
        if not writes and one["author"] != self._user(call):
            return Reply(b"", 403)
        if form.get("title"):
            one["title"] = _cut(form["title"])
        if form.get("body") is not None:
            one["body"] = form["body"]
        if writes and form.get("assignees") is not None:
            for name in form["assignees"]:
                if not self._is_there(name):
                    message = f"user does not exist [uid: 0, name: {name}]"
                    return _error(422, f"Assignee does not exist: [name: {message}]")
            one["assignees"] = form["assignees"]
        if form.get("state") is not None:
            if one["state"] == "merged":
                return _error(412, "cannot change state of this pull request, it was already merged")
            one["state"] = form["state"]
        base = form.get("base") or one["base"]
        if base != one["base"]:
            if self.host.tip(self.name, base) is None:
                return _error(404, f"new base '{base}' not exist")
            if open_request(state, one["flow"], one["head"], base) is not None:
                return _error(409, "pull request already exists for these targets")
            one["base"] = base
        return Reply(self._view(call, one), 201)

    def _is_there(self, name: str) -> bool:
        return name.lower() in {one.lower() for one in (*self.people, *self.host.tokens.values())}

    # -- merging -------------------------------------------------------------------------------------------

    def _post_merge(self, call: Call, _: State, one: Request) -> Reply:
        form, user = call.document, self._user(call)
        do = form.get("Do", "")
        if do not in (*_STYLES, "manually-merged"):
            return _error(422, "[Do]: In")
        if one["state"] == "merged":
            return _error(405, "The PR is already merged" if self.gitea else "")
        if one["state"] == "closed":
            return _NOT_FOUND
        if not self._may_merge(user, one["base"], self._may(call)):
            return _error(405, "User not allowed to merge PR")
        if do == "manually-merged":
            return self._manually(one, form.get("MergeCommitID", ""))
        if self._draft(one):
            return _error(405, "Work in progress PRs cannot be merged")
        if form.get("merge_when_checks_succeed"):
            return self._schedule(one, do, user)
        if not self._passed(one):
            return _error(405, "Not all required status checks successful")
        if form.get("head_commit_id") not in (None, "", one["commit"]):
            return _error(409, "head out of date")
        return self._merge(one, do, user)

    def _may_merge(self, user: str, base: str, may: str | None) -> bool:
        if base in self.required and self.mergers is not None:
            return user in self.mergers
        return may == "write"

    def _manually(self, one: Request, commit: str) -> Reply:
        if not self.allow_manual_merge:
            return _error(405, "manually-merged is not allowed an allowed merge style for this repository")
        if len(commit) != 40 or not self.host.has(self.name, one["base"], commit):
            return _error(409, "Wrong commit ID") if self.gitea else Reply({}, 409)
        self._done(one, commit)
        return Reply(b"")

    def _schedule(self, one: Request, do: str, user: str) -> Reply:
        """Whether the way to merge is allowed is not looked at, and nothing is remembered of the commit."""
        if one["scheduled"] is not None:
            told = (
                f"pull request is already scheduled to auto merge when checks succeed [pull_id: {one['number']}]"
            )
            return _error(409, told)
        one["scheduled"] = {"do": do, "user": user}
        if self.gitea:
            self._merge_scheduled(one)
        return Reply(b"", 201)

    def _unschedule(self, _: Call, __: State, one: Request) -> Reply:
        if one["scheduled"] is None:
            return _NOT_FOUND
        one["scheduled"] = None
        return Reply(b"", 204)

    def _merge_scheduled(self, one: Request) -> None:
        """What goes wrong here is told to the server's log only."""
        if (planned := one["scheduled"]) is not None and self._passed(one) and not self._draft(one):
            self._merge(one, planned["do"], planned["user"])

    def _passed(self, one: Request) -> bool:
        """As services/pull/commit_status.go: of each pattern the first check that it matches; without patterns,
        all there are. A branch that is not protected asks for none."""
        if (patterns := self.required.get(one["base"])) is None:
            return True
        words = self.statuses.get(one["commit"], {})
        if not patterns:
            return bool(words) and all(word in _GOOD for word in words.values())
        firsts = [next((word for name, word in words.items() if fnmatchcase(name, one)), "") for one in patterns]
        return all(word in _GOOD for word in firsts)

    def _merge(self, one: Request, do: str, who: str) -> Reply:
        if do not in self.styles:
            return _error(405, f"{do} is not allowed an allowed merge style for this repository")
        base, head = self.host.tip(self.name, one["base"]), one["commit"]
        assert base is not None
        forward = self._within(base, head)
        if do == "fast-forward-only" and not forward:
            return _error(500, "")
        if do == "fast-forward-only" or (do == "rebase" and forward):
            made = head
        else:
            done = self.host.git(self.name, "merge-tree", "--write-tree", base, head, check=False)
            tree = done.splitlines()[0]
            if len(done.splitlines()) > 1:
                return _error(409, "merge conflict")
            # One commit for all that are rebased: what is in it is the same.
            parents = ["-p", base, *(["-p", head] if do == "merge" or do == "rebase-merge" else [])]
            made = self.host.git(self.name, "commit-tree", tree, *parents, "-m", f"{one['title']} ({do} by {who})")
        self.host.git(self.name, "update-ref", f"refs/heads/{one['base']}", made, base)
        self._done(one, made)
        return Reply(b"")

    def _done(self, one: Request, commit: str) -> None:
        one.update(state="merged", merged_as=commit, scheduled=None)

    def _within(self, commit: str, other: str) -> bool:
        """Whether `other` contains `commit`."""
        return self.host.git(self.name, "merge-base", commit, other, check=False) == commit

    # -- talking about it, and filing ----------------------------------------------------------------------

    def _add_labels(self, call: Call, _: State, one: Request) -> Reply:
        known = {**self.labels, **self.organization_labels}
        if self._may(call) != "write":
            return Reply(b"", 403)
        wanted = call.document.get("labels") or []
        ids = [known.get(label) if isinstance(label, str) else label for label in wanted]
        one["labels"] += [number for number in known.values() if number in ids and number not in one["labels"]]
        return Reply([{"id": number} for number in one["labels"]])

    def _reviews(self, call: Call, _: State, one: Request) -> Reply:
        return self._page(
            call,
            [
                {
                    "id": at,
                    "user": {"login": review["user"]} if review["user"] else None,
                    "team": {"name": review["team"]} if review["team"] else None,
                    "state": review["state"],
                }
                for at, review in enumerate(one["reviews"])
            ],
            link=False,
        )

    def _request_review(self, call: Call, _: State, one: Request) -> Reply:
        people, teams = call.document.get("reviewers") or [], call.document.get("team_reviewers") or []
        for name in people:
            if not self._is_there(name):
                return _error(404, f"User '{name}' not exist")
            if name == one["author"]:
                return _error(422, "poster of pr can't be reviewer")
            if self._may(call) != "write":
                return _error(422, "Doer can't choose reviewer")
        if self.organization and (unknown := [team for team in teams if team not in self.teams]):
            return _error(404, f"Team '{unknown[0]}' not exist")
        asked = [{"user": name, "team": None, "state": "REQUEST_REVIEW"} for name in people]
        if self.organization:
            asked += [{"user": None, "team": team, "state": "REQUEST_REVIEW"} for team in teams]
        one["reviews"] += asked
        return Reply([{"id": at} for at, _ in enumerate(asked)], 201)

    def _comments(self, _: Call, __: State, one: Request) -> Reply:
        """All of them, whatever page is asked for."""
        shown = [_shown(comment) for comment in one["comments"]]
        return Reply(shown, headers={"X-Total-Count": str(len(shown))})

    def _post_comment(self, call: Call, number: str) -> Reply:
        if not call.document.get("body"):
            return _error(422, "[Body]: Required")
        with self._state() as state:
            one = state["requests"].get(number)
            if one is None:
                return _NOT_FOUND
            made = self._comment(state, one, self._user(call), call.document["body"])
            return Reply({"id": made, "body": call.document["body"]}, 201)

    def _comment(self, state: State, one: Request, who: str, text: str) -> int:
        number: int = state["comment"]
        state["comment"] += 1
        one["comments"].append({"id": number, "user": who, "body": text})
        return number

    def _edit_comment(self, call: Call, number: str) -> Reply:
        if not call.document.get("body"):
            return _error(422, "[Body]: Required")
        with self._state() as state:
            for comment in [comment for one in state["requests"].values() for comment in one["comments"]]:
                if str(comment["id"]) == number:
                    if comment["user"] != self._user(call) and self._may(call) != "write":
                        return Reply(b"", 403)
                    comment["body"] = call.document["body"]
                    return Reply(_shown(comment))
        return _NOT_FOUND


_GOOD = ("success", "warning", "skipped")
_NOT_ARCHIVED = {
    ("POST", "/pulls"),
    ("POST", r"/pulls/(\d+)/merge"),
    ("DELETE", r"/pulls/(\d+)/merge"),
    ("POST", r"/issues/(\d+)/comments"),
    ("PATCH", r"/issues/comments/(\d+)"),
}
"""What an archived repository does not take."""


def _scope(rest: str) -> str:
    return "issue" if rest.startswith(("/issues", "/labels")) else "repository"


def _error(status: int, message: str) -> Reply:
    return Reply({"message": message, "url": "https://forgejo.example/api/swagger"}, status)


def _labels(numbers: dict[str, int]) -> list[dict[str, Any]]:
    return [{"id": number, "name": name, "color": "00aabb"} for name, number in numbers.items()]


def _shown(comment: dict[str, Any]) -> dict[str, Any]:
    return {"id": comment["id"], "user": {"login": comment["user"]}, "body": comment["body"]}


def _cut(title: str) -> str:
    """255 bytes, the last three of them an ellipsis where that is not all."""
    if len(title.encode()) <= 255:
        return title
    return title.encode()[:252].decode(errors="ignore") + "…"
