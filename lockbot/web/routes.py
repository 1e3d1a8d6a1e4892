"""Which address shows what: one table for all pages."""

from __future__ import annotations

from collections.abc import Mapping

from lockbot.web.page import PageFunction

PAGES: Mapping[str, PageFunction] = {}
"""Address → page, below a repository's own; `.json` behind it is the page's document.

A part in braces is any text, and the page finds it in its query under that name (`{run}`), whatever stands behind
the `?`. The first part is the section of the site that the page is in.
"""
