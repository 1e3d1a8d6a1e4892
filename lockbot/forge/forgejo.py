"""Forgejo's and Gitea's API: a commit's combined status, in pages; pull requests and commits.

https://codeberg.org/api/swagger#/repository, there repoGetCombinedStatusByRef, repoGetPullRequest and
repoGetSingleCommit. It compares commits, too, but lists all that lie between, with all their files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    between = 0.0

    def api(self, host: str) -> str:
        return f"https://{host}/api/v1"

    def headers(self, token: str | None) -> Mapping[str, str]:
        return {"Accept": "application/json"} | ({"Authorization": f"token {token}"} if token else {})

    def checks(self, ask: Asking, path: tuple[str, ...], revision: str) -> tuple[Check, ...]:
        found: list[Check] = []
        for page in range(1, _PAGES + 1):
            answer = ask(f"{repository(path)}/commits/{revision}/status?limit=50&page={page}")
            some = _statuses(answer)
            found += some
            # It gives no `Link` here, `total_count` is that of this page, and its administrator limits pages.
            if not some or (answer.total is not None and len(found) >= answer.total):
                return tuple(found)
        raise NoResponse(f"there are more than {_PAGES} pages of checks", everywhere=False)

    def pull_request(self, ask: Asking, path: tuple[str, ...], number: int) -> PullRequestStatus:
        return standing(table(ask(f"{repository(path)}/pulls/{number}").document))

    def contains(self, ask: Asking, path: tuple[str, ...], ref: str, commit: str) -> None:
        del ask, path, ref, commit

    def commit(self, ask: Asking, path: tuple[str, ...], digits: str) -> str:
        without = "stat=false&verification=false&files=false"
        return commit_hash(table(ask(f"{repository(path)}/git/commits/{digits}?{without}").document), "sha")


_NOT_MERGED = {"open": RequestState.OPEN, "closed": RequestState.CLOSED}


def standing(request: Mapping[str, object]) -> PullRequestStatus:
    """What became of a pull request, as it is told itself."""
    if request.get("merged") is True:
        return merged(text(request, "merge_commit_sha"), text(request, "merged_at"))
    return not_merged(text(request, "state"), _NOT_MERGED)


def repository(path: tuple[str, ...]) -> str:
    owner, name = (quote(part, safe="") for part in path)
    return f"/repos/{owner}/{name}"


def listed(ask: Asking, path: str, what: str) -> Iterator[Mapping[str, object]]:
    """The entries of a list, page by page. `Link` would name the address that an administrator configured, which
    need not be that by which the API is asked."""
    count = 0
    for page in range(1, _PAGES + 1):
        answer = ask(f"{path}{'&' if '?' in path else '?'}limit=50&page={page}")
        some = tables(answer.document)
        yield from some
        count += len(some)
        # How many a page has at most is an administrator's choice.
        if not some or (answer.total is not None and count >= answer.total):
            return
    raise NoResponse(f"there are more than {_PAGES} pages of {what}", everywhere=False)


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
