"""Responses: what stands in every one, and how a browser is spared what it has. Knows HTTP, and no page."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.responses import Response

HEADERS: Mapping[str, str] = {
    # No script at all, nothing from elsewhere, and no style but the one sheet; nobody frames it.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
HTML, JSON, TEXT = "text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8"
FOR_EVER = "public, max-age=31536000, immutable"
_WORTH_PACKING = 1000
"""Bytes below which gzip makes nothing smaller that is worth the time."""
_LEVEL = 5


@dataclass(frozen=True)
class Answer:
    """`cache`: how long a browser may show it unasked; by default it asks each time whether it is still so."""

    media: str
    body: bytes
    status: int = 200
    cache: str = "no-cache"
    more: Mapping[str, str] = field(default_factory=dict)


def text(status: int, message: str, **more: str) -> Answer:
    """One sentence, where no page can be shown. `more`: headers, with `_` for `-`."""
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    return Answer(TEXT, f"{message}\n".encode(errors="backslashreplace"), status, "no-store", headers)


def response(answer: Answer, asked: Headers) -> Response:
    """As the request can take it: packed, or nothing at all where the browser has it already.

    uvicorn leaves out the body where HEAD was asked, and nothing else.
    """
    headers = {**HEADERS, "Cache-Control": answer.cache, "Vary": "Accept-Encoding", **answer.more}
    if answer.status == 200:
        # Weak: the same whether it is packed or not.
        headers["ETag"] = f'W/"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
        if _has(asked.getlist("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
    body = answer.body
    if len(body) >= _WORTH_PACKING and _takes_gzip(asked.getlist("accept-encoding")):
        body = gzip.compress(body, _LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, answer.status, {**headers, "Content-Type": answer.media})


_TAG = re.compile(r'(?:W/)?("[^"]{0,200}")')


def _has(given: list[str], tag: str) -> bool:
    """If-None-Match, compared as RFC 9110 has it: a weak tag is its strong one."""
    every = ",".join(given)
    return every.strip() == "*" or tag.removeprefix("W/") in _TAG.findall(every)


def _takes_gzip(given: list[str]) -> bool:
    found: dict[str, float] = {}
    for one in ",".join(given).split(",")[:20]:
        coding, _, parameter = one.partition(";")
        found[coding.strip().lower()] = _weight(parameter)
    return found.get("gzip", found.get("*", 0.0)) > 0


def _weight(parameter: str) -> float:
    match = re.fullmatch(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", parameter)
    return float(match[1]) if match else float(not parameter.strip())
