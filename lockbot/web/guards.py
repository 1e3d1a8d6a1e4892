"""What is refused before anybody looks at what is asked: other methods, and hosts that are not ours.

A page in the browser of somebody who can reach this service must not be able to read it under a name of its own
(DNS rebinding): so it answers to names that it knows. Nothing that X-Forwarded-… says of anybody is trusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from lockbot.web import answers
from lockbot.web.answers import Answer

METHODS = ("GET", "HEAD")
OURS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::[0-9]{1,5})?")


@dataclass(frozen=True)
class Guard:
    """An ASGI application around another. `hosts`: the names that it answers to, in lower case, without ports."""

    app: ASGIApp
    hosts: frozenset[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await answers.response(refusal, Headers(scope=scope))(scope, receive, send)

    def _refusal(self, scope: Scope) -> Answer | None:
        # Who sends a body, or means another host, is not listened to any further.
        if scope["method"] not in METHODS:
            return answers.text(
                405, "only GET and HEAD are answered", Allow=", ".join(METHODS), Connection="close"
            )
        given = Headers(scope=scope).getlist("host")
        match = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if match is None:
            return answers.text(400, "there must be one Host header, with one host", Connection="close")
        if match[1].lower().rstrip(".") not in self.hosts | _reached(scope):
            why = "this host is not known here: where it is a name of this service, add it to web.hosts"
            return answers.text(421, why, Connection="close")
        return None


def _reached(scope: Scope) -> frozenset[str]:
    """The address by which the connection came in: nobody can give it to another host."""
    address, port = scope.get("server") or ("", None)
    if port is None or not address:
        return frozenset()
    address = address.removeprefix(_MAPPED)
    return frozenset({f"[{address}]" if ":" in address else address})


_MAPPED = "::ffff:"
"""In front of an IPv4 address where one socket takes both kinds: browsers know it without."""
