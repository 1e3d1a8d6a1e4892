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


class NotFound(LockbotError):
    """There is no such run, input or host; the message says so to whoever asked."""


Query = Mapping[str, str]
PageFunction = Callable[[View, Query], Page]
"""Raises NotFound, and LockbotError for what can't be looked at."""
