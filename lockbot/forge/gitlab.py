"""GitLab's API: the last pipeline of a commit, which is what its pages show. External statuses are part of it.

https://docs.gitlab.com/api/commits/#get-a-commit
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from lockbot.forge.responses import Asking, Check, table, text
from lockbot.policy.upstream_checks import Standing

_ENDED = {"success": Standing.GREEN, "failed": Standing.RED, "canceled": Standing.RED, "canceling": Standing.RED}


class GitLab:
    def api(self, host: str) -> str:
        return f"https://{host}/api/v4"

    def headers(self, token: str | None) -> Mapping[str, str]:
        return {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def checks(self, ask: Asking, path: tuple[str, ...], revision: str) -> tuple[Check, ...]:
        project = quote("/".join(path), safe="")
        commit = table(ask(f"/projects/{project}/repository/commits/{revision}?stats=false").document)
        pipeline = commit.get("last_pipeline")
        if pipeline is None:
            return ()
        pipeline = table(pipeline)
        status = text(pipeline, "status")
        if status == "skipped":  # as a whole, by `[skip ci]`: nothing was looked at
            return ()
        name = f"pipeline {pipeline.get('id')}"
        return (Check(name, _ENDED.get(status, Standing.PENDING), status, text(pipeline, "web_url") or None),)
