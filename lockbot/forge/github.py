"""GitHub's API: check runs (Actions and other apps) and commit statuses (older services), each in pages; pull
requests, commits, and which contains which.

https://docs.github.com/en/rest, there checks/runs, commits/statuses, pulls/pulls and commits/commits
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
    pages,
    table,
    tables,
    text,
    unexpected,
)
from lockbot.policy.upstream_checks import Standing

_GREEN = frozenset({"success", "neutral", "skipped"})
_STATUSES = {"success": Standing.GREEN, "pending": Standing.PENDING}


class GitHub:
    between = 1.0  # docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api

    def api(self, host: str) -> str:
        return "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"

    def headers(self, token: str | None) -> Mapping[str, str]:
        version = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        return version | ({"Authorization": f"Bearer {token}"} if token else {})

    def checks(self, ask: Asking, path: tuple[str, ...], revision: str) -> tuple[Check, ...]:
        commit = f"{repository_at(path)}/commits/{revision}"
        runs = [
            _run(run)
            for answer in pages(ask, f"{commit}/check-runs?per_page=100")
            for run in tables(table(answer.document).get("check_runs"))
        ]
        # One red check is enough to know. The combined state says `pending` of a commit without any status.
        if any(run.standing is Standing.RED for run in runs):
            return tuple(runs)
        statuses = [
            _status(status)
            for answer in pages(ask, f"{commit}/status?per_page=100")
            for status in tables(table(answer.document).get("statuses"))
        ]
        return (*runs, *statuses)

    def pull_request(self, ask: Asking, path: tuple[str, ...], number: int) -> PullRequestStatus:
        found = table(ask(f"{repository_at(path)}/pulls/{number}").document)
        if found.get("merged") is True:
            # Of one that is open, `merge_commit_sha` is a trial.
            return merged(text(found, "merge_commit_sha"), text(found, "merged_at"))
        return not_merged(text(found, "state"), NOT_MERGED)

    def contains(self, ask: Asking, path: tuple[str, ...], ref: str, commit: str) -> bool:
        # Files that differ are on the first page only, and may be thousands.
        compared = f"{repository_at(path)}/compare/{quote(ref, safe='')}...{commit}?per_page=1&page=2"
        status = text(table(ask(compared).document), "status")
        if status not in _CONTAINED:
            raise unexpected()
        return _CONTAINED[status]

    def commit(self, ask: Asking, path: tuple[str, ...], digits: str) -> str:
        return commit_hash(table(ask(f"{repository_at(path)}/commits/{digits}?per_page=1&page=2").document), "sha")


NOT_MERGED = {"open": RequestState.OPEN, "closed": RequestState.CLOSED}
"""A pull request's `state`, of one that is not merged."""
_CONTAINED = {"behind": True, "identical": True, "ahead": False, "diverged": False}
"""How a commit stands to a branch."""


def repository_at(path: tuple[str, ...]) -> str:
    """What follows the API's address for a repository."""
    owner, name = (quote(part, safe="") for part in path)
    return f"/repos/{owner}/{name}"


def _run(run: Mapping[str, object]) -> Check:
    name, status, conclusion = text(run, "name"), text(run, "status"), text(run, "conclusion")
    link = text(run, "html_url") or text(run, "details_url") or None
    if status != "completed":
        return Check(name, Standing.PENDING, status, link)
    return Check(name, Standing.GREEN if conclusion in _GREEN else Standing.RED, conclusion, link)


def _status(status: Mapping[str, object]) -> Check:
    state = text(status, "state")
    return Check(
        text(status, "context"), _STATUSES.get(state, Standing.RED), state, text(status, "target_url") or None
    )
