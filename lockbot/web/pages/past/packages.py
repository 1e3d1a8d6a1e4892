"""`/packages`: when a package changed, on which hosts, from what to what, and what moved then."""

from __future__ import annotations

from dataclasses import replace

from lockbot.commands.review.packages import found_document
from lockbot.history.summaries.hosts import host_names
from lockbot.history.summaries.packages import Search, newest_changes, search
from lockbot.report.document import Document
from lockbot.web.page import BadQuery, Page, Query
from lockbot.web.pages.past.host import find
from lockbot.web.view import View

PAGE, NEWEST = 50, 40
_LARGEST = 2**62


def page(view: View, query: Query) -> Page:
    """`q` is a name or part of one, `host` a host's attribute or name; `all` tells what was not published, too;
    `before` goes on behind a page."""
    text, everything = query.get("q", "").strip(), query.get("all", "") not in ("", "0")
    host = find(view, query["host"]) if query.get("host") else None
    wanted = Search(
        text, host.installable if host is not None else None, everything, _before(query.get("before", "")), PAGE
    )
    newest = replace(wanted, limit=NEWEST)
    flake = view.place.flake
    found = view.history.ask(
        lambda connection: search(connection, flake, wanted) if text else newest_changes(connection, flake, newest)
    )
    names = view.history.ask(lambda connection: host_names(connection, flake))
    if host is not None:
        names.setdefault(host.installable, host.name)
    document: Document = {
        "q": text,
        "host": wanted.host,
        "all": everything,
        "before": wanted.before,
        "hosts": [
            {"name": name, "installable": attribute}
            for attribute, name in sorted(names.items(), key=lambda one: one[::-1])
        ],
        "packages": [found_document(one, names) for one in found],
    }
    return Page(f"{text}: when it changed" if text else "Packages", "packages.html", document)


def _before(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise BadQuery(f"no page begins before {text[:40]!r}", "begin with the newest changes, without `before`")
    return int(text)
