"""Which address shows what: one table for all pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from lockbot.errors import LockbotError
from lockbot.report.document import Document
from lockbot.web.page import Content, ContentFunction, Page, PageFunction
from lockbot.web.pages import badge, feed, health, input, inputs, lint, now, overview
from lockbot.web.pages.past import host, hosts, logs, packages, run, runs
from lockbot.web.sites import Site

PAGES: Mapping[str, PageFunction] = {
    "/": now.page,
    "/inputs": inputs.page,
    "/inputs/{name}": input.page,
    "/runs": runs.page,
    "/runs/{run}/log": logs.steps,
    "/runs/{run}/logs/{host}": logs.log,
    "/runs/{run}": run.page,
    "/hosts": hosts.page,
    "/hosts/{attribute}": host.page,
    "/packages": packages.page,
    "/lint": lint.page,
}
"""Address → page, below a repository's own; `.json` behind it is the page's document.

A part in braces is any text, and the page finds it in its query under that name (`{run}`), whatever stands behind
the `?`. The first part is the section of the site that the page is in.
"""

CONTENTS: Mapping[str, ContentFunction] = {
    "/feed.atom": feed.whole,
    "/hosts/{attribute}/feed.atom": feed.of_host,
    "/badge.svg": badge.picture,
    "/healthz": health.text,
    "/healthz.json": health.document,
}
"""What is no page, and comes before the pages; `.json` belongs to the address."""

UNSEEN: Mapping[str, Callable[[LockbotError], Content]] = {
    "/badge.svg": badge.unseen,
    "/healthz": health.unseen_text,
    "/healthz.json": health.unseen_document,
}
"""What machines ask for, where the repository can't be looked at: they understand no page that says so."""

_Row: TypeAlias = Callable[[Site], Document]

OVERVIEW: Callable[[Sequence[Document]], Page] = overview.page
OVERVIEW_ROW: _Row = overview.row
OVERVIEW_CONTENTS: Mapping[tuple[str, ...], tuple[Callable[[Sequence[Document]], Content], _Row]] = {
    ("healthz",): (health.texts, health.row),
    ("healthz.json",): (health.documents, health.row),
}
"""Where there are several repositories, what is about all of them: made of a row for each."""
