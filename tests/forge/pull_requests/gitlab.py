"""GitLab's API for merge requests, as it is documented, over a real repository. It must not know lockbot.

What the documentation leaves open is as lib/api/merge_requests.rb has it: what is refused with which status, and
that a request is merged at once, though it was to be merged later, where it has no pipeline.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode

from tests.forge.pull_requests.githost import Call
from tests.forge.pull_requests.gitlab_project import BUSY, DEVELOPER, GitLabProject, Note, Request
from tests.forge.server import Reply

_MOMENT = "2026-11-27T09:08:07.123Z"
_CHANGES = ("title", "description", "target_branch", "state_event", "labels", "add_labels", "remove_labels",
            "reviewer_ids", "assignee_ids", "squash", "remove_source_branch")  # fmt: skip


class Refusal(Exception):
    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body)
        self.reply = Reply(body, status, headers or {})


def refusal(status: int, message: object) -> Refusal:
    return Refusal(status, {"message": message})


@dataclass
class GitLabStandIn(GitLabProject):
    """Answers below `HOST/api/v4`."""

    page_size: int = 100
    """How many entries there are on a page at most."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.host.api = self

    def __call__(self, call: Call) -> Reply:
        with self._lock:
            try:
                reply = self._answer(call)
            except Refusal as refused:
                return refused.reply
            self._tell()
            return reply

    def _answer(self, call: Call) -> Reply:
        who = self.host.tokens.get(call.token or "")
        if call.token is not None and who is None:
            raise refusal(401, "401 Unauthorized")
        path = call.path.removeprefix("/api/v4")
        if path == call.path:
            return Reply(b"<html>not here</html>", 404, {"Content-Type": "text/html"})
        if who is None and call.method != "GET":
            raise refusal(401, "401 Unauthorized")
        if path == "/personal_access_tokens/self":
            return self._token(call, who)
        if call.token is not None:
            self._check_scope(call)
        if path == "/users":
            return self._found_users(call, who)
        if match := re.fullmatch(r"/projects/([^/]+)(/.+)?", path):
            self._check_project(call, who, unquote(match[1]), match[2] or "")
            return self._routed(call, who or "", match[2] or "")
        raise Refusal(404, {"error": "404 Not Found"})

    def _check_scope(self, call: Call) -> None:
        enough = ("api", "read_api") if call.method == "GET" else ("api",)
        if not set(enough) & set(self._scopes(call.token or "")):
            words = "The request requires higher privileges than provided by the access token."
            body = {"error": "insufficient_scope", "error_description": words, "scope": " ".join(enough)}
            raise Refusal(403, body)

    def _check_project(self, call: Call, who: str | None, which: str, rest: str) -> None:
        if which not in (str(self.id), self.name, *self.moved_from):
            raise refusal(404, "404 Project Not Found")
        if self.private and self.access.get(who or "", 0) < 10:
            raise refusal(404, "404 Project Not Found")
        if which in self.moved_from:
            if call.method != "GET":
                raise refusal(405, "Non GET methods are not allowed for moved projects")
            where = f"{self.host.url}/api/v4/projects/{self.id}{rest}?{urlencode(call.query)}"
            raise Refusal(302, f"This resource has been moved temporarily to {where}.", {"Location": where})

    def _routed(self, call: Call, who: str, rest: str) -> Reply:
        routes: dict[tuple[str, str], Callable[..., Reply]] = {
            ("GET", r""): self._project,
            ("GET", r"/repository/commits/([^/]+)"): self._commit,
            ("GET", r"/merge_requests"): self._listed,
            ("POST", r"/merge_requests"): self._opened,
            ("GET", r"/merge_requests/(\d+)"): self._shown,
            ("PUT", r"/merge_requests/(\d+)"): self._changed,
            ("PUT", r"/merge_requests/(\d+)/merge"): self._merged,
            ("GET", r"/merge_requests/(\d+)/notes"): self._noted,
            ("POST", r"/merge_requests/(\d+)/notes"): self._commented,
            ("PUT", r"/merge_requests/(\d+)/notes/(\d+)"): self._edited,
        }
        for (method, pattern), answer in routes.items():
            if method == call.method and (match := re.fullmatch(pattern, rest)):
                return answer(call, who, *match.groups())
        raise Refusal(404, {"error": "404 Not Found"})

    def _token(self, call: Call, who: str | None) -> Reply:
        if who is None or call.token is None:
            raise refusal(401, "401 Unauthorized")
        return Reply({"id": 4, "name": "lockbot's", "revoked": False, "active": True, "user_id": self._number(who),
                      "scopes": list(self._scopes(call.token)), "created_at": _MOMENT, "last_used_at": _MOMENT,
                      "expires_at": self.expires.get(call.token)})  # fmt: skip

    def _found_users(self, call: Call, who: str | None) -> Reply:
        if who is None:
            raise refusal(403, "403 Forbidden - Not authorized to access /api/v4/users")
        wanted = call.query.get("username", "").lower()
        return Reply([self._user(name) for name in self._users if name.lower() == wanted])

    def _project(self, _: Call, who: str) -> Reply:
        level = self.access.get(who)
        role = {"access_level": level, "notification_level": 3} if level is not None else None
        return Reply({
            "id": self.id, "path_with_namespace": self.name, "web_url": f"{self.host.url}/{self.name}",
            "default_branch": "main", "archived": self.archived, "jobs_enabled": True,
            "merge_requests_enabled": self.merge_requests_enabled, "merge_method": self.merge_method,
            "only_allow_merge_if_pipeline_succeeds": self.pipeline_must_succeed,
            "permissions": {"project_access": role, "group_access": None},
        })  # fmt: skip

    def _commit(self, _: Call, __: str, ref: str) -> Reply:
        sha = self.host.git(
            self.name, "rev-parse", "--verify", "--quiet", f"{unquote(ref)}^{{commit}}", check=False
        )
        if not sha:
            raise refusal(404, "404 Commit Not Found")
        return Reply({"id": sha, "short_id": sha[:8], "last_pipeline": self._pipeline(sha)})

    def _listed(self, call: Call, _: str) -> Reply:
        found = sorted(self.requests.values(), key=lambda request: -request.iid)
        if (state := call.query.get("state", "all")) != "all":
            found = [request for request in found if request.state == state]
        for key, name in (("source_branch", "branch"), ("target_branch", "target")):
            if key in call.query:
                found = [request for request in found if getattr(request, name) == call.query[key]]
        return self._page(call, [self._document(request) for request in found])

    def _shown(self, _: Call, __: str, iid: str) -> Reply:
        return Reply(self._document(self._request(iid)))

    def _opened(self, call: Call, who: str) -> Reply:
        self._check_role(who)
        for name in ("title", "source_branch", "target_branch"):
            if name not in call.document:
                raise Refusal(400, {"error": f"{name} is missing"})
        asked = call.document
        self._check_text(asked)
        self._check_branches(None, asked["source_branch"], asked["target_branch"])
        if self._tip(asked["source_branch"]) is None:
            raise refusal(400, {"source_branch": ["does not exist"]})
        branches = asked["source_branch"], asked["target_branch"]
        request = self._new(who, *branches, asked["title"].strip(), asked.get("description") or "")
        request.squash = asked.get("squash") is True
        return Reply(self._document(request), 201)

    def _changed(self, call: Call, who: str, iid: str) -> Reply:
        request, asked = self._request(iid), call.document
        if request.author != who:
            self._check_role(who)
        if not any(name in asked for name in _CHANGES):
            raise Refusal(400, {"error": f"{', '.join(_CHANGES)} are missing, at least one must be provided"})
        self._check_text(asked)
        self._check_branches(request, request.branch, asked.get("target_branch", request.target))
        request.title = asked.get("title", request.title).strip()
        request.description = asked.get("description", request.description)
        request.target = asked.get("target_branch", request.target)
        added = [label for label in str(asked.get("add_labels", "")).split(",") if label]
        request.labels += [label for label in added if label not in request.labels]
        for name in ("reviewer", "assignee"):
            if f"{name}_ids" in asked:
                setattr(request, f"{name}s", self._people(asked[f"{name}_ids"]))
        if asked.get("state_event") == "close":
            self._close(request, who)
        return Reply(self._document(request))

    def _merged(self, call: Call, who: str, iid: str) -> Reply:
        request, asked = self._request(iid), call.document or {}
        if self.access.get(who, 0) < self.may_merge:
            raise refusal(401, "401 Unauthorized")
        if asked.get("sha") not in (None, request.sha):
            raise refusal(409, f"SHA does not match HEAD of source branch: {request.sha}")
        if request.state != "opened":
            raise refusal(405, "405 Method Not Allowed")
        request.squash = request.squash or asked.get("squash") is True
        status, mergeable = self._status(request.sha), self._mergeable(request)
        if asked.get("auto_merge") is True or asked.get("merge_when_pipeline_succeeds") is True:
            if not mergeable or status in BUSY:
                request.auto = request.sha
                return Reply(self._document(request))
            if status not in (None, "success"):
                raise refusal(405, "405 Method Not Allowed")
        elif not mergeable:
            raise refusal(405, "405 Method Not Allowed")
        self._merge(request, "squash" if request.squash else self.merge_method)
        return Reply(self._document(request))

    def _noted(self, call: Call, _: str, iid: str) -> Reply:
        notes = [self._shown_note(note) for note in self._request(iid).notes]
        return self._page(call, notes if call.query.get("sort") == "asc" else notes[::-1])

    def _commented(self, call: Call, who: str, iid: str) -> Reply:
        return Reply(self._shown_note(self._note(self._request(iid), who, self._body(call))), 201)

    def _edited(self, call: Call, who: str, iid: str, id: str) -> Reply:
        for note in self._request(iid).notes:
            if note.id == int(id):
                if note.author != who:
                    raise refusal(403, "403 Forbidden")
                note.body = self._body(call)
                return Reply(self._shown_note(note))
        raise refusal(404, "404 Note Not Found")

    # -- what is refused ----------------------------------------------------------------------------------------

    def _check_role(self, who: str) -> None:
        if not self.merge_requests_enabled or self.archived or self.access.get(who, 0) < DEVELOPER:
            raise refusal(403, "403 Forbidden")

    def _check_text(self, asked: Mapping[str, Any]) -> None:
        for name, most in (("title", 255), ("description", 1_048_576)):
            if len(asked.get(name) or "") > most:
                raise refusal(400, {name: [f"is too long (maximum is {most} characters)"]})
        if not asked.get("title", "x").strip():
            raise Refusal(400, {"error": "title is empty"})

    def _check_branches(self, request: Request | None, branch: str, target: str) -> None:
        if branch == target:
            raise refusal(422, ["You can't use same project/branch for source and target"])
        for other in self._open():
            same = other.branch == branch and other.target == target and not other.fork
            if other is not request and same and (request is None or request.state == "opened"):
                words = f"Another open merge request already exists for this source branch: !{other.iid}"
                raise refusal(409, [words])

    def _body(self, call: Call) -> str:
        body = call.document.get("body", "")
        if not body.strip():
            raise refusal(400, {"note": ["can't be blank"]})
        if len(body) > 1_000_000:
            raise refusal(400, {"note": ["is too long (maximum is 1000000 characters)"]})
        return str(body)

    # -- what is shown ------------------------------------------------------------------------------------------
    def _request(self, iid: str) -> Request:
        if int(iid) not in self.requests:
            raise refusal(404, "404 Not found")
        return self.requests[int(iid)]

    def _people(self, ids: Sequence[int]) -> list[str]:
        """Without Premium it takes the first, and says nothing of the others."""
        some = ids if self.premium else ids[:1]
        return [self._users[id - 1] for id in some if 0 < id <= len(self._users)]

    def _document(self, request: Request) -> dict[str, Any]:
        return {
            "id": 1000 + request.iid, "iid": request.iid, "project_id": self.id, "title": request.title,
            "description": request.description, "state": request.state, "draft": request.draft,
            "work_in_progress": request.draft, "source_branch": request.branch, "target_branch": request.target,
            "source_project_id": 99 if request.fork else self.id, "target_project_id": self.id,
            "author": self._user(request.author), "labels": request.labels, "sha": request.sha,
            "reviewers": [self._user(name) for name in request.reviewers],
            "assignees": [self._user(name) for name in request.assignees],
            "merge_when_pipeline_succeeds": request.auto is not None, "merge_error": None,
            "merge_commit_sha": request.merge_commit, "squash_commit_sha": request.squash_commit,
            "squash": request.squash, "detailed_merge_status": self._detail(request),
            "head_pipeline": self._pipeline(request.sha), "created_at": _MOMENT,
            "merged_at": _MOMENT if request.state == "merged" else None,
            "web_url": f"{self.host.url}/{self.name}/-/merge_requests/{request.iid}",
        }  # fmt: skip

    def _detail(self, request: Request) -> str:
        if request.state != "opened":
            return "not_open"
        if request.draft:
            return "draft_status"
        if self.pipeline_must_succeed and (status := self._status(request.sha)) != "success":
            return "ci_still_running" if status in BUSY else "ci_must_pass"
        return "mergeable" if self._mergeable(request) else "need_rebase"

    def _pipeline(self, sha: str) -> dict[str, Any] | None:
        if sha not in self.pipelines:
            return None
        number, status = self.pipelines[sha]
        page = f"{self.host.url}/{self.name}/-/pipelines/{number}"
        return {"id": number, "sha": sha, "ref": "lockbot", "status": status, "web_url": page}

    def _user(self, name: str) -> dict[str, Any]:
        return {"id": self._number(name), "username": name, "name": name.title(), "state": "active"}

    def _shown_note(self, note: Note) -> dict[str, Any]:
        return {"id": note.id, "body": note.body, "author": self._user(note.author), "system": note.system,
                "created_at": _MOMENT, "noteable_type": "MergeRequest"}  # fmt: skip

    def _page(self, call: Call, every: Sequence[Any]) -> Reply:
        size, page = min(self.page_size, call.number("per_page", 20)), call.number("page", 1)
        some = every[(page - 1) * size : page * size]
        headers = {"X-Total": str(len(every)), "X-Page": str(page)}
        if page * size < len(every):
            query = urlencode({**call.query, "page": page + 1})
            headers["Link"] = f'<{self.host.url}{call.path}?{query}>; rel="next"'
        return Reply(some, headers=headers)
