"""`/packages`: when a package changed, on which hosts, from what to what, and what moved then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lockbot.history.summaries.hosts import host_names
from lockbot.history.summaries.packages import Change, Found, Search, newest_changes, search
from lockbot.report.document import Document
from lockbot.report.words import iso_time
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


def found_document(one: Found, names: Mapping[str, str]) -> Document:
    """`names`: attribute → what the host is called."""
    return {"name": one.name, "changes": [_change(change, names) for change in one.changes], "older": one.older}


def _change(one: Change, names: Mapping[str, str]) -> Document:
    return {
        "run": one.run,
        "started": iso_time(one.started),
        "outcome": one.outcome,
        "commit": one.commit,
        "hosts": [{"name": names.get(host, host), "installable": host} for host in one.hosts],
        "change": one.change,
        "old": list(one.old),
        "new": list(one.new),
        "inputs": [{"input": moved.input, "old": moved.old, "new": moved.new} for moved in one.inputs],
    }
