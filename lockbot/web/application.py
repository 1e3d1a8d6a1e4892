"""From a request to its answer: which repository, which page, in which form; and what is said where there is none.

Knows routes and HTTP, and not what pages tell. Pages wait for SQLite and git, so each repository has a few threads
of its own: one that hangs holds up itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lockbot.errors import LockbotError
from lockbot.report.document import Document, dump
from lockbot.web import addresses, answers, rendering, routes
from lockbot.web.addresses import Address, BadAddress
from lockbot.web.answers import Answer
from lockbot.web.page import BadQuery, Content, NotFound, Page
from lockbot.web.sites import Site, Sites
from lockbot.web.view import Frame

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

THREADS = 4
"""So many pages of one repository are made at the same time; the others wait."""
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Application:
    """An ASGI application that answers GET and HEAD."""

    sites: Sites
    log: FilteringBoundLogger
    limiters: dict[str, CapacityLimiter] = field(default_factory=dict)
    """By the repository's label."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Headers(scope=scope)
        try:
            response = await self._response(scope, asked)
        except Exception:  # the program's boundary: a bug costs one page
            self.log.exception("a page failed", path=scope["path"][:200])
            response = answers.response(answers.text(500, "a bug in lockbot; its log says more"), asked)
        await response(scope, receive, send)

    async def _response(self, scope: Scope, asked: Headers) -> Response:
        try:
            address = addresses.read(scope["raw_path"], scope["query_string"], self.sites.root)
        except BadAddress as error:
            as_json = scope["raw_path"].endswith(b".json")
            return answers.response(_refusal(error.status, error, self.sites.frame, as_json=as_json), asked)
        if (static := _static(address)) is not None:
            return answers.response(static, asked)
        site = self.sites.only or self.sites.below(address.parts)
        if site is not None:
            address = address if self.sites.only else address.below(2)
            return await self._in_thread(site, lambda: answers.response(_of(site, address), asked))
        return answers.response(await self._overview(address), asked)

    async def _overview(self, address: Address) -> Answer:
        """What is about all repositories."""
        if address.parts in routes.OVERVIEW_CONTENTS:
            content, row = routes.OVERVIEW_CONTENTS[address.parts]
            return _as_it_is(content(await self._rows(row)))
        if address.page == ():
            rows = await self._rows(routes.OVERVIEW_ROW)
            return _shown(routes.OVERVIEW(rows), self.sites.frame, "/", as_json=address.is_json)
        return _refusal(404, _nothing(), self.sites.frame, as_json=address.is_json)

    async def _rows(self, row: Callable[[Site], Document]) -> list[Document]:
        return await asyncio.gather(*(self._in_thread(site, _bound(row, site)) for site in self.sites.each))

    async def _in_thread(self, site: Site, make: Callable[[], _Result]) -> _Result:
        limiter = self.limiters.setdefault(site.label, CapacityLimiter(THREADS))
        return await to_thread.run_sync(make, limiter=limiter)


def _bound(row: Callable[[Site], Document], site: Site) -> Callable[[], Document]:
    return lambda: row(site)


def _nothing() -> LockbotError:
    return NotFound("there is no such page")


# -- one repository's


def _of(site: Site, address: Address) -> Answer:
    try:
        return _made(site, address)
    except NotFound as error:
        return _refusal(404, error, site.frame, as_json=address.is_json)
    except BadQuery as error:
        return _refusal(400, error, site.frame, as_json=address.is_json)
    except LockbotError as error:
        return _refusal(503, error, site.frame, as_json=address.is_json)


def _made(site: Site, address: Address) -> Answer:
    if (content := addresses.match(routes.CONTENTS, address.parts)) is not None:
        route, make, names = content
        try:
            with site.view() as view:
                return _as_it_is(make(view, {**address.query, **names}))
        except LockbotError as error:
            if route not in routes.UNSEEN:
                raise
            return _as_it_is(routes.UNSEEN[route](error))
    if (found := addresses.match(routes.PAGES, address.page)) is None:
        raise _nothing()
    route, show, names = found
    with site.view() as view:
        page = show(view, {**address.query, **names})
        return _shown(page, view.frame, route, as_json=address.is_json)


# -- forms


def _shown(page: Page, frame: Frame, route: str, *, as_json: bool, status: int = 200) -> Answer:
    more = {"Refresh": str(page.refresh)} if page.refresh is not None else {}
    if as_json:
        return Answer(answers.JSON, dump(page.document).encode() + b"\n", status, more=more)
    return Answer(answers.HTML, rendering.render(page, frame, route).encode(), status, more=more)


def _as_it_is(content: Content) -> Answer:
    more = {"Cross-Origin-Resource-Policy": "cross-origin"} if content.is_for_others else {}
    return Answer(content.media, content.body, content.status, more=more)


def _refusal(status: int, error: LockbotError | BadAddress, frame: Frame, *, as_json: bool) -> Answer:
    """In the pages' own look: what is wrong, and what to do about it."""
    hint = error.hint if isinstance(error, LockbotError) else ""
    title = _TITLES.get(status, "This can't be asked")
    document: Document = {"status": status, "title": title, "error": error.message, "hint": hint or None}
    return _shown(Page(title, "refusal.html", document), frame, "/-", as_json=as_json, status=status)


_TITLES = {404: "There is no such page", 503: "This can't be looked at"}


def _static(address: Address) -> Answer | None:
    match address.parts:
        case ("style.css",):
            current = address.query.get("v") == rendering.style_version()
            cache = answers.FOR_EVER if current else "no-cache"
            return Answer("text/css; charset=utf-8", rendering.style(), cache=cache)
        case ("icon.svg",):
            return Answer("image/svg+xml", rendering.icon(), cache="public, max-age=86400")
        case _:
            return None
