"""GitHub's GraphQL API, for what its REST API can't do with a pull request: drafts, and merging by itself.

https://docs.github.com/en/graphql/reference/mutations. Its answers are 200, and errors stand in them. It knows
nothing of what is changed, nor why.
"""

from __future__ import annotations

from collections.abc import Mapping

from lockbot.forge.pull_requests.interface import Api
from lockbot.forge.responses import NoResponse, NoRight, NotThere, Refused, table, tables, text, unexpected, words

_ENTERPRISE = "/api/v3"
_REFUSED = 422
"""The status with which its REST API says the same."""


def mutate(api: Api, mutation: str, values: Mapping[str, str]) -> None:
    """Do one thing to what has a `node_id`. Raises Refused, NoRight, NotThere, and what `api.send` does."""
    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    # Values go beside the query, never into it.
    query = f"mutation($input: {kind}!) {{ {mutation}(input: $input) {{ clientMutationId }} }}"
    answer = table(api.send("POST", _address(api.base), {"query": query, "variables": {"input": values}}).document)
    if errors := tables(answer.get("errors")):
        raise _error(api.host, errors)
    if table(answer.get("data")).get(mutation) is None:
        raise unexpected()


def _address(base: str) -> str:
    """GitHub Enterprise Server has it beside its REST API, on the same host."""
    return f"{base.removesuffix(_ENTERPRISE)}/api/graphql" if base.endswith(_ENTERPRISE) else f"{base}/graphql"


def _error(host: str, errors: list[Mapping[str, object]]) -> NoResponse:
    told, kinds = words([text(error, "message") for error in errors]), {text(error, "type") for error in errors}
    if kinds & {"FORBIDDEN", "INSUFFICIENT_SCOPES"}:
        what = f"{host} does not let this token do that: {told} (see [forge] in the configuration)"
        return NoRight(what, everywhere=False, lacks=told)
    if "RATE_LIMITED" in kinds:
        return NoResponse(f"{host} answers no more for now (its limit of requests)")
    if "NOT_FOUND" in kinds:
        return NotThere(f"{host} has no such pull request for this token: {told}", everywhere=False)
    return Refused(f"{host} refuses: {told}", _REFUSED, told)
