"""A repository on GitHub, as its API tells it and lets it be changed.

https://docs.github.com/en/rest, there repos, pulls, issues, checks, commits/statuses, branches and repos/rules,
and https://docs.github.com/en/graphql/reference/mutations. Refusals have GitHub's own words where people report
them; those of enabling auto-merge twice, or for another commit, are made up. It must not know lockbot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode

from tests.forge.pull_requests.githost import Call, GitHost
from tests.forge.pull_requests.github_repository import (
    MOST_BODY,
    Comment,
    GitHubRepository,
    Pull,
    Refuse,
    failed,
    said,
)
from tests.forge.server import Reply

PREFIX = "/api/v3"


@dataclass(frozen=True)
class Token:
    """What a token may. `scopes`: of a classic one; None: a fine-grained one, by the names of its permissions."""

    scopes: tuple[str, ...] | None = None
    permissions: Mapping[str, str] = field(
        default_factory=lambda: {
            "contents": "write",
            "pull_requests": "write",
            "checks": "read",
            "statuses": "read",
        }
    )

    def may(self, wanted: str, *, private: bool) -> bool:
        """`wanted` as in `X-Accepted-GitHub-Permissions`: any of the sets that semicolons divide."""
        if self.scopes is not None:
            reads = "write" not in wanted and not private
            return reads or "repo" in self.scopes or ("public_repo" in self.scopes and not private)
        return any(all(map(self._has, one.split(","))) for one in wanted.split("; "))

    def _has(self, wanted: str) -> bool:
        name, level = wanted.split("=")
        return name == "metadata" or self.permissions.get(name) in (level, "write")


class GitHubStandIn(GitHubRepository):
    """`GitHost.api` and `GitHost.pushed` are to be this and its `pushed`.

    Which rights a token has is in `rights`; one that is not there has all that lockbot needs.
    """

    def __init__(self, host: GitHost, name: str, *, private: bool = False, drafts: bool = True) -> None:
        super().__init__(host, name, private=private, drafts=drafts)
        self.rights: dict[str, Token] = {}
        self.most = 100
        """Entries on a page, whatever is asked for."""

    # -- answering --------------------------------------------------------------------------------------------

    def __call__(self, call: Call) -> Reply:
        with self.lock:
            try:
                reply = self._answer(call)
            except Refuse as refused:
                reply = refused.reply
            scopes = self._token(call).scopes
            more = {} if scopes is None else {"X-OAuth-Scopes": ", ".join(scopes)}
            return Reply(reply.body, reply.status, {**reply.headers, **more}, reply.hang, reply.drip)

    def _answer(self, call: Call) -> Reply:
        if call.token is not None and call.token not in self.host.tokens:
            return said("Bad credentials", 401)
        if call.method == "POST" and call.path in ("/graphql", "/api/graphql"):
            return self._graphql(call)
        path = call.path.removeprefix(PREFIX)
        match = re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)?", path)
        if match and unquote(match[1]) in self.former:
            return self._moved(call, match[2] or "")
        rest = path.removeprefix(f"/repositories/{self.id}")
        if rest == path:
            if match is None or unquote(match[1]).casefold() != self.name.casefold():
                return said("Not Found", 404)
            rest = match[2] or ""
        for method, pattern, wanted, answer in _ROUTES:
            if call.method == method and (found := re.fullmatch(pattern, rest)):
                self._authorize(call, wanted)
                return answer(self, call, *map(unquote, found.groups()))
        return said("Not Found", 404)

    def _moved(self, call: Call, rest: str) -> Reply:
        """https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api"""
        prefix = PREFIX if call.path.startswith(PREFIX) else ""
        query = f"?{urlencode(call.query)}" if call.query else ""
        where = f"{self.host.url}{prefix}/repositories/{self.id}{rest}{query}"
        code = 301 if call.method == "GET" else 307
        return Reply({"message": "Moved Permanently", "url": where}, code, {"Location": where})

    def _token(self, call: Call) -> Token:
        return self.rights.get(call.token or "", Token())

    def _authorize(self, call: Call, wanted: str) -> None:
        writes, token = "write" in wanted, self._token(call)
        if call.token is None:
            if self.private or writes:
                raise Refuse(said("Requires authentication", 401) if writes else said("Not Found", 404))
            return
        if not (token.may(wanted, private=self.private) or (not writes and not self.private)):
            # It is nobody's business that it is there, whom nothing of it is shown.
            hidden = token.scopes is not None or (self.private and not token.permissions)
            message = "Not Found" if hidden else "Resource not accessible by personal access token"
            headers = {"X-Accepted-GitHub-Permissions": wanted}
            raise Refuse(Reply({"message": message}, 404 if hidden else 403, {} if hidden else headers))
        if writes and self.archived:
            raise Refuse(said("Repository was archived so is read-only.", 403))

    def _page(self, call: Call, every: Sequence[Any]) -> tuple[Sequence[Any], dict[str, str]]:
        size, page = min(100, self.most, call.number("per_page", 30)), call.number("page", 1)
        some = every[(page - 1) * size : page * size]
        if page * size >= len(every):
            return some, {}
        following = urlencode({**call.query, "page": page + 1})
        return some, {"Link": f'<{self.host.url}{call.path}?{following}>; rel="next"'}

    def _repository(self, call: Call) -> Reply:
        account = self.host.tokens.get(call.token or "")
        shown: dict[str, Any] = {
            **self._named(),
            "archived": self.archived,
            "default_branch": self.host.git(self.name, "symbolic-ref", "--short", "HEAD"),
        }
        if account is not None:
            # The account's, whatever its token may: https://github.com/semantic-release/github/issues/895
            shown["permissions"] = {"admin": False, "push": account in self.writers, "pull": True}
        if account in self.writers:
            shown["allow_auto_merge"] = self.auto_merge
            named = {"merge": "merge_commit", "squash": "squash_merge", "rebase": "rebase_merge"}
            shown |= {f"allow_{named[method]}": method in self.methods for method in named}
        return Reply(shown)

    def _named(self) -> dict[str, Any]:
        owner, name = self.name.split("/")
        site = f"{self.host.url}/{self.name}"
        return {
            "id": self.id,
            "name": name,
            "full_name": self.name,
            "private": self.private,
            "owner": _user(owner),
            "html_url": site,
        }

    # -- pull requests

    def _list(self, call: Call) -> Reply:
        state, head, base = call.query.get("state", "open"), call.query.get("head", ""), call.query.get("base")
        owner, colon, branch = head.partition(":")
        every = [
            self._shown(one)
            for one in reversed(self.pulls.values())
            if state in ("all", "open" if one.open else "closed")
            and (not colon or (one.branch == branch and self.source(one).split("/")[0] == owner))
            and base in (None, one.base)
        ]
        some, headers = self._page(call, every)
        return Reply(some, headers=headers)

    def _look(self, _call: Call, number: str) -> Reply:
        pull = self._pull(number)
        more = {
            "merged": pull.merged_as is not None,
            "mergeable": None if not pull.open else not self.conflicts(pull),
            "mergeable_state": self.standing(pull) if pull.open else "unknown",
            "comments": sum(one.number == pull.number for one in self.comments.values()),
        }
        return Reply(self._shown(pull) | more)

    def _create(self, call: Call) -> Reply:
        pull = self.create(self._account(call), call.document, None)
        return Reply(self._shown(pull), 201)

    def _update(self, call: Call, number: str) -> Reply:
        return Reply(self._shown(self.change(self._pull(number).number, call.document)))

    def _pull(self, number: str) -> Pull:
        if int(number) not in self.pulls:
            raise Refuse(said("Not Found", 404))
        return self.pulls[int(number)]

    def _account(self, call: Call) -> str:
        return self.host.tokens[call.token or ""]

    def _shown(self, pull: Pull) -> dict[str, Any]:
        own = self._named()
        source = None if pull.fork in self.gone else own
        if source and pull.fork:
            source = own | {"id": self.id + 1, "full_name": pull.fork}
        owner = self.source(pull).split("/")[0]
        return {
            "id": 7000 + pull.number,
            "node_id": pull.node,
            "number": pull.number,
            "html_url": f"{self.host.url}/{self.name}/pull/{pull.number}",
            "state": "open" if pull.open else "closed",
            "title": pull.title,
            "body": pull.body or None,
            "user": _user(pull.author),
            "draft": pull.draft,
            "head": {"label": f"{owner}:{pull.branch}", "ref": pull.branch, "sha": pull.sha, "repo": source},
            "base": {"label": f"{own['owner']['login']}:{pull.base}", "ref": pull.base, "sha": pull.base_sha,
                     "repo": own},
            "merged_at": self.moment if pull.merged_as else None,
            "merge_commit_sha": pull.merged_as or "7" * 40,
            "auto_merge": {"merge_method": pull.auto_merge, "enabled_by": _user("lockbot")}
            if pull.auto_merge else None,
            "labels": [{"id": 1, "name": name} for name in pull.labels],
            "assignees": [_user(one) for one in pull.assignees],
            "requested_reviewers": [_user(one) for one in pull.reviewers],
            "requested_teams": [{"slug": one, "name": one} for one in pull.teams],
        }  # fmt: skip

    # -- filing, comments

    def _label(self, call: Call, number: str) -> Reply:
        pull = self._pull(number)
        pull.labels = list(dict.fromkeys([*pull.labels, *call.document["labels"]]))
        return Reply([{"id": 1, "name": name} for name in pull.labels])

    def _assign(self, call: Call, number: str) -> Reply:
        pull = self._pull(number)
        able = [one for one in call.document["assignees"] if one in self.writers]
        pull.assignees = list(dict.fromkeys([*pull.assignees, *able]))
        return Reply(self._shown(pull), 201)

    def _review(self, call: Call, number: str) -> Reply:
        pull = self._pull(number)
        people, teams = call.document.get("reviewers", []), call.document.get("team_reviewers", [])
        if pull.author in people:
            return said("Review cannot be requested from pull request author.", 422)
        if not {*people} <= self.writers or not {*teams} <= self.teams:
            why = "One or more of the users or teams you specified is not a collaborator of the"
            return said(f"Reviews may only be requested from collaborators. {why} {self.name} repository.", 422)
        pull.reviewers = list(dict.fromkeys([*pull.reviewers, *people]))
        pull.teams = list(dict.fromkeys([*pull.teams, *teams]))
        return Reply(self._shown(pull), 201)

    def _comments(self, call: Call, number: str) -> Reply:
        pull = self._pull(number)
        every = [_said_so(one) for one in self.comments.values() if one.number == pull.number]
        some, headers = self._page(call, every)
        return Reply(some, headers=headers)

    def _comment(self, call: Call, number: str) -> Reply:
        body = self._comment_body(call)
        return Reply(
            _said_so(self.comments[self.comment(self._pull(number).number, body, self._account(call))]), 201
        )

    def _edit_comment(self, call: Call, comment: str) -> Reply:
        found = self.comments.get(int(comment))
        if found is None or found.number not in self.pulls:
            return said("Not Found", 404)
        found.body = self._comment_body(call)
        return Reply(_said_so(found))

    def _comment_body(self, call: Call) -> str:
        body = str(call.document["body"])
        if len(body) > MOST_BODY:
            raise Refuse(failed(f"Body is too long (maximum is {MOST_BODY} characters)", "data", "IssueComment"))
        return body

    def _merge(self, call: Call, number: str) -> Reply:
        pull, method = self._pull(number), call.document.get("merge_method", "merge")
        if call.document.get("sha", pull.sha) != pull.sha:
            return said("Head branch was modified. Review and try the merge again.", 409)
        if not pull.open or self.standing(pull) not in ("clean", "unstable") or method not in self.methods:
            return said("Pull Request is not mergeable", 405)
        return Reply({"sha": self.merge(pull.number, method), "merged": True})

    # -- checks, protection

    def _runs(self, call: Call, commit: str) -> Reply:
        every = self._known(self.runs, commit)
        some, headers = self._page(call, every)
        return Reply({"total_count": len(every), "check_runs": some}, headers=headers)

    def _combined(self, call: Call, commit: str) -> Reply:
        every = self._known(self.statuses, commit)
        some, headers = self._page(call, every)
        return Reply({"state": "pending", "sha": commit, "statuses": some}, headers=headers)

    def _known(self, some: Mapping[str, list[dict[str, Any]]], commit: str) -> list[dict[str, Any]]:
        if not self.host.git(self.name, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", check=False):
            raise Refuse(said(f"No commit found for SHA: {commit}", 422))
        return some.get(commit, [])

    def _branch(self, _call: Call, branch: str) -> Reply:
        tip = self.host.tip(self.name, branch)
        if tip is None:
            return said("Branch not found", 404)
        needed = self.required.get(branch)
        lines = (self.host.repository(self.name) / "protected").read_text().splitlines()
        guarded = any(line.split()[0] == f"refs/heads/{branch}" for line in lines)
        checks = {
            "enforcement_level": "everyone" if needed else "off",
            "contexts": needed or [],
            "checks": [{"context": one, "app_id": None} for one in needed or []],
        }
        protection = {"enabled": guarded or needed is not None, "required_status_checks": checks}
        return Reply({
            "name": branch,
            "commit": {"sha": tip},
            "protected": guarded or needed is not None or branch in self.rules,
            "protection": protection,
        })  # fmt: skip

    def _ruled(self, call: Call, branch: str) -> Reply:
        listed = [{"context": one, "integration_id": 15368} for one in self.rules.get(branch, [])]
        parameters = {"required_status_checks": listed, "strict_required_status_checks_policy": False}
        rules: list[dict[str, Any]] = [{"type": "deletion", "ruleset_id": 1}, {"type": "non_fast_forward"}]
        if listed:
            rules.append({"type": "required_status_checks", "parameters": parameters, "ruleset_id": 1})
        some, headers = self._page(call, rules)
        return Reply(some, headers=headers)

    def _compare(self, _call: Call, base: str, head: str) -> Reply:
        both = [
            self.host.git(self.name, "rev-parse", "--verify", "--quiet", one, check=False) for one in (base, head)
        ]
        if not all(both):
            return said("Not Found", 404)
        behind, ahead = map(int, self.host.git(self.name, "rev-list", "--count", "--left-right",
                                               f"{both[0]}...{both[1]}").split())  # fmt: skip
        words = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
        return Reply({"status": words.get((ahead > 0, behind > 0), "diverged"), "files": []})

    # -- GraphQL: one mutation, its values beside it

    def _graphql(self, call: Call) -> Reply:
        if call.token is None:
            return said("This endpoint requires you to be authenticated.", 401)
        match = re.fullmatch(
            r"mutation\(\$input: (\w+)!\) \{ (\w+)\(input: \$input\) \{ clientMutationId \} \}",
            call.document["query"],
        )
        mutation = match[2] if match else ""
        if match is None or mutation not in _MUTATIONS or match[1] != f"{mutation[0].upper()}{mutation[1:]}Input":
            return Reply({"errors": [{"message": "Parse error on the query"}]})
        values = call.document["variables"]["input"]
        error = self._unfit(call, values) or _MUTATIONS[mutation](self, self._by_node(values), values)
        data = {"data": {mutation: None if error else {"clientMutationId": None}}}
        if error:
            data["errors"] = [{"type": error[0], "path": [mutation], "message": error[1]}]  # type: ignore[assignment]
        return Reply(data)

    def _unfit(self, call: Call, values: Mapping[str, str]) -> tuple[str, str] | None:
        token = self._token(call)
        if not token.may("pull_requests=write,contents=write", private=self.private):
            if token.scopes is not None:
                return (
                    "INSUFFICIENT_SCOPES",
                    "Your token has not been granted the required scopes to execute this query.",
                )
            return "FORBIDDEN", "Resource not accessible by personal access token"
        node = values["pullRequestId"]
        if not any(one.node == node for one in self.pulls.values()):
            return "NOT_FOUND", f"Could not resolve to a node with the global id of '{node}'"
        return None

    def _by_node(self, values: Mapping[str, str]) -> Pull:
        return next(one for one in self.pulls.values() if one.node == values["pullRequestId"])

    def _to_draft(self, pull: Pull, _values: Mapping[str, str]) -> tuple[str, str] | None:
        if not self.drafts:
            return (
                "FORBIDDEN",
                f"lockbot does not have permission to convert the pull request {pull.node} to draft.",
            )
        pull.draft = True
        return None

    def _to_ready(self, pull: Pull, _values: Mapping[str, str]) -> tuple[str, str] | None:
        pull.draft = False
        return None

    def _to_auto_merge(self, pull: Pull, values: Mapping[str, str]) -> tuple[str, str] | None:
        method, standing = values.get("mergeMethod", "MERGE").lower(), self.standing(pull)
        if not self.auto_merge:
            return "UNPROCESSABLE", "Auto merge is not allowed for this repository"
        if not pull.open or standing == "draft":
            return "UNPROCESSABLE", "Can't enable auto-merge for this pull request."
        if values.get("expectedHeadOid", pull.sha) != pull.sha:
            return "UNPROCESSABLE", "Head sha did not match the expected head oid."
        if method not in self.methods:
            return "UNPROCESSABLE", f"Merge method {method} is not allowed on this repository"
        if pull.auto_merge:
            return "UNPROCESSABLE", "Auto merge is already enabled"
        if standing != "blocked":
            return "UNPROCESSABLE", f"Pull request Pull request is in {standing} status"
        pull.auto_merge = method
        return None


def _user(login: str) -> dict[str, Any]:
    return {"login": login, "id": len(login), "type": "User"}


def _said_so(comment: Comment) -> dict[str, Any]:
    return {"id": comment.id, "node_id": "IC_1", "user": _user(comment.author), "body": comment.body}


_Answer = Callable[..., Reply]
_ON_IT = "issues=write; pull_requests=write"
_ROUTES: Sequence[tuple[str, str, str, _Answer]] = [
    ("GET", "", "metadata=read", GitHubStandIn._repository),
    ("GET", "/pulls", "pull_requests=read", GitHubStandIn._list),
    ("POST", "/pulls", "pull_requests=write", GitHubStandIn._create),
    ("GET", r"/pulls/(\d+)", "pull_requests=read", GitHubStandIn._look),
    ("PATCH", r"/pulls/(\d+)", "pull_requests=write", GitHubStandIn._update),
    ("PUT", r"/pulls/(\d+)/merge", "contents=write", GitHubStandIn._merge),
    ("POST", r"/pulls/(\d+)/requested_reviewers", "pull_requests=write", GitHubStandIn._review),
    ("POST", r"/issues/(\d+)/labels", _ON_IT, GitHubStandIn._label),
    ("POST", r"/issues/(\d+)/assignees", _ON_IT, GitHubStandIn._assign),
    ("GET", r"/issues/(\d+)/comments", "issues=read; pull_requests=read", GitHubStandIn._comments),
    ("POST", r"/issues/(\d+)/comments", _ON_IT, GitHubStandIn._comment),
    ("PATCH", r"/issues/comments/(\d+)", _ON_IT, GitHubStandIn._edit_comment),
    ("GET", "/commits/([0-9a-f]+)/check-runs", "checks=read", GitHubStandIn._runs),
    ("GET", "/commits/([0-9a-f]+)/status", "statuses=read", GitHubStandIn._combined),
    ("GET", "/branches/([^/]+)", "contents=read", GitHubStandIn._branch),
    ("GET", "/rules/branches/([^/]+)", "metadata=read", GitHubStandIn._ruled),
    ("GET", r"/compare/(.+)\.\.\.(.+)", "contents=read", GitHubStandIn._compare),
]
"""What is asked for, the permission that it takes, and what answers."""
_MUTATIONS: Mapping[str, Callable[[GitHubStandIn, Pull, Mapping[str, str]], tuple[str, str] | None]] = {
    "convertPullRequestToDraft": GitHubStandIn._to_draft,
    "markPullRequestReadyForReview": GitHubStandIn._to_ready,
    "enablePullRequestAutoMerge": GitHubStandIn._to_auto_merge,
}
