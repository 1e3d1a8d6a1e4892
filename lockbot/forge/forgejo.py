"""Forgejo's and Gitea's API: a commit's combined status, in pages; pull requests and commits.

https://codeberg.org/api/swagger#/repository, there repoGetCombinedStatusByRef, repoGetPullRequest and
repoGetSingleCommit. It compares commits, too, but lists all that lie between, with all their files.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from lockbot.forge.responses import (
    ApiResponse,
    Asking,
    Check,
    NoResponse,
    PullRequestStatus,
    RequestState,
    commit_hash,
    merged,
    not_merged,
    table,
    tables,
    text,
)
from lockbot.policy.upstream_checks import Standing

_STATES = {
    "success": Standing.GREEN,
    "warning": Standing.GREEN,  # its own combined state takes both for a success
    "skipped": Standing.GREEN,
    "pending": Standing.PENDING,
}
_PAGES = 40


class Forgejo:
    def api(self, host: str) -> str:
        return f"https://{host}/api/v1"

    def headers(self, token: str | None) -> Mapping[str, str]:
        return {"Accept": "application/json"} | ({"Authorization": f"token {token}"} if token else {})

    def checks(self, ask: Asking, path: tuple[str, ...], revision: str) -> tuple[Check, ...]:
        found: list[Check] = []
        for page in range(1, _PAGES + 1):
            answer = ask(f"{_repository(path)}/commits/{revision}/status?limit=50&page={page}")
            some = _statuses(answer)
            found += some
            # It gives no `Link` here, `total_count` is that of this page, and its administrator limits pages.
            if not some or (answer.total is not None and len(found) >= answer.total):
                return tuple(found)
        raise NoResponse(f"there are more than {_PAGES} pages of checks", everywhere=False)

    def pull_request(self, ask: Asking, path: tuple[str, ...], number: int) -> PullRequestStatus:
        found = table(ask(f"{_repository(path)}/pulls/{number}").document)
        if found.get("merged") is True:
            return merged(text(found, "merge_commit_sha"), text(found, "merged_at"))
        return not_merged(text(found, "state"), _NOT_MERGED)

    def contains(self, ask: Asking, path: tuple[str, ...], ref: str, commit: str) -> None:
        del ask, path, ref, commit

    def commit(self, ask: Asking, path: tuple[str, ...], digits: str) -> str:
        without = "stat=false&verification=false&files=false"
        return commit_hash(table(ask(f"{_repository(path)}/git/commits/{digits}?{without}").document), "sha")


_NOT_MERGED = {"open": RequestState.OPEN, "closed": RequestState.CLOSED}


def _repository(path: tuple[str, ...]) -> str:
    owner, name = (quote(part, safe="") for part in path)
    return f"/repos/{owner}/{name}"


def _statuses(answer: ApiResponse) -> list[Check]:
    if answer.document is None:
        return []
    return [
        Check(
            text(status, "context"),
            _STATES.get(text(status, "status"), Standing.RED),
            text(status, "status"),
            text(status, "target_url") or None,
        )
        for status in tables(table(answer.document).get("statuses"))
    ]
