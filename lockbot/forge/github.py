"""GitHub's API: check runs (Actions and other apps) and commit statuses (older services), each in pages.

https://docs.github.com/en/rest/checks/runs and https://docs.github.com/en/rest/commits/statuses
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from lockbot.forge.responses import Asking, Check, pages, table, tables, text
from lockbot.policy.upstream_checks import Standing

_GREEN = frozenset({"success", "neutral", "skipped"})
_STATUSES = {"success": Standing.GREEN, "pending": Standing.PENDING}


class GitHub:
    def api(self, host: str) -> str:
        return "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"

    def headers(self, token: str | None) -> Mapping[str, str]:
        version = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        return version | ({"Authorization": f"Bearer {token}"} if token else {})

    def checks(self, ask: Asking, path: tuple[str, ...], revision: str) -> tuple[Check, ...]:
        owner, name = (quote(part, safe="") for part in path)
        commit = f"/repos/{owner}/{name}/commits/{revision}"
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
