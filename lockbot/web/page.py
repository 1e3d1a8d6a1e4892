"""What a page is. Knows neither HTTP nor HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lockbot.errors import LockbotError
from lockbot.report.document import Document
from lockbot.web.view import View


@dataclass(frozen=True)
class Page:
    """`template` is a file of `templates/`, which shows `document`: the object that is the page's JSON, too."""

    title: str
    template: str
    document: Document
    refresh: int | None = None
    """Seconds after which the browser is to look anew, where it has asked for that."""


@dataclass(frozen=True)
class Content:
    """What is no page: a feed, a picture, a word for a monitor."""

    media: str
    body: bytes
    status: int = 200
    is_for_others: bool = False
    """Whether a page of somebody else's may show it."""


class NotFound(LockbotError):
    """There is no such run, input or host; the message says so to whoever asked."""


class BadQuery(LockbotError):
    """What stands behind the `?` can't be; the message says what may."""


Query = Mapping[str, str]
"""The parts of the address that are in braces in the table of routes, and what stands behind the `?`."""
PageFunction = Callable[[View, Query], Page]
"""Raises NotFound and BadQuery, and LockbotError for what can't be looked at."""
ContentFunction = Callable[[View, Query], Content]
"""Raises the same."""
