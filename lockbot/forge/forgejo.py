"""Forgejo's and Gitea's API: a commit's combined status, in pages.

https://codeberg.org/api/swagger#/repository/repoGetCombinedStatusByRef
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from lockbot.forge.responses import ApiResponse, Asking, Check, NoResponse, table, tables, text
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
        owner, name = (quote(part, safe="") for part in path)
        found: list[Check] = []
        for page in range(1, _PAGES + 1):
            answer = ask(f"/repos/{owner}/{name}/commits/{revision}/status?limit=50&page={page}")
            some = _statuses(answer)
            found += some
            # It gives no `Link` here, `total_count` is that of this page, and its administrator limits pages.
            if not some or (answer.total is not None and len(found) >= answer.total):
                return tuple(found)
        raise NoResponse(f"there are more than {_PAGES} pages of checks", everywhere=False)


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
