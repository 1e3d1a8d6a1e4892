"""GitLab's API: the last pipeline of a commit, which is what its pages show (external statuses are part of it);
merge requests, commits, and which contains which.

https://docs.gitlab.com/api, there commits, merge_requests and repositories
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from lockbot.forge.responses import (
    Asking,
    Check,
    PullRequestStatus,
    RequestState,
    commit_hash,
    merged,
    not_merged,
    table,
    text,
)
from lockbot.policy.upstream_checks import Standing

_ENDED = {"success": Standing.GREEN, "failed": Standing.RED, "canceled": Standing.RED, "canceling": Standing.RED}


class GitLab:
    between = 0.0

    def api(self, host: str) -> str:
        return f"https://{host}/api/v4"

    def headers(self, token: str | None) -> Mapping[str, str]:
        return {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def checks(self, ask: Asking, path: tuple[str, ...], revision: str) -> tuple[Check, ...]:
        commit = table(ask(f"{project(path)}/repository/commits/{revision}?stats=false").document)
        pipeline = commit.get("last_pipeline")
        if pipeline is None:
            return ()
        pipeline = table(pipeline)
        status = text(pipeline, "status")
        if status == "skipped":  # as a whole, by `[skip ci]`: nothing was looked at
            return ()
        name = f"pipeline {pipeline.get('id')}"
        return (Check(name, _ENDED.get(status, Standing.PENDING), status, text(pipeline, "web_url") or None),)

    def pull_request(self, ask: Asking, path: tuple[str, ...], number: int) -> PullRequestStatus:
        found = table(ask(f"{project(path)}/merge_requests/{number}").document)
        state = text(found, "state")
        if state == "merged":
            return merged(merged_as(found), text(found, "merged_at"))
        return not_merged(state, NOT_MERGED)

    def contains(self, ask: Asking, path: tuple[str, ...], ref: str, commit: str) -> bool:
        refs = "&".join(f"refs[]={quote(one, safe='')}" for one in (ref, commit))
        common = table(ask(f"{project(path)}/repository/merge_base?{refs}").document)
        return commit_hash(common, "id") == commit

    def commit(self, ask: Asking, path: tuple[str, ...], digits: str) -> str:
        found = ask(f"{project(path)}/repository/commits/{digits}?stats=false").document
        return commit_hash(table(found), "id")


# `locked`: it is being merged just now.
NOT_MERGED = {"opened": RequestState.OPEN, "locked": RequestState.OPEN, "closed": RequestState.CLOSED}


def merged_as(found: Mapping[str, object]) -> str:
    """A merge commit; without one, what it was squashed to; where it was taken as it is, its own last commit."""
    if commit := text(found, "merge_commit_sha") or text(found, "squash_commit_sha"):
        return commit
    return text(found, "sha") if found.get("squash") is False else ""


def project(path: tuple[str, ...]) -> str:
    """Where the API has a repository."""
    return f"/projects/{quote('/'.join(path), safe='')}"
