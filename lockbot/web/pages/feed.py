"""Atom feeds (RFC 4287): what became of the runs, of the whole flake or as far as one host is concerned.

Ids stay the same whatever the address is that the feed is read from. Links are paths: which name this service has
to the outside only the reader knows.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from xml.etree import ElementTree

from lockbot.history.summaries.feed import Told, told_of_host, told_runs
from lockbot.history.texts import storable
from lockbot.model import Host, Outcome
from lockbot.report import words
from lockbot.report.escape import block, name, plain
from lockbot.web.page import Content, NotFound, Query
from lockbot.web.view import View

MEDIA = "application/atom+xml; charset=utf-8"
ATOM = "http://www.w3.org/2005/Atom"
_LOOKED_BACK = 20
"""A host that none of so many runs has judged has no feed."""
_NEVER = "1970-01-01T00:00:00Z"
_LONGEST = 300


def whole(view: View, query: Query) -> Content:  # noqa: ARG001 -- a page's shape
    flake = storable(view.place.flake)
    runs = view.history.ask(lambda connection: told_runs(connection, flake))
    return _feed(view, _titled(view, "lockbot"), "", ("feed.atom",), runs)


def of_host(view: View, query: Query) -> Content:
    host = _host(view, query["attribute"])
    flake = storable(view.place.flake)
    runs = view.history.ask(lambda connection: told_of_host(connection, flake, host))
    own = ("hosts", query["attribute"], "feed.atom")
    return _feed(view, _titled(view, f"lockbot: {name(host.name)}"), host.installable, own, runs)


def _titled(view: View, text: str) -> str:
    return f"{text} ({view.label})" if view.label else text


def _host(view: View, wanted: str) -> Host:
    """By its attribute, as one writes it, or its name."""
    known = view.history.hosts_judged(view.place.flake, "", _LOOKED_BACK)
    by_attribute = [host for host in known if storable(host.installable) == wanted]
    found = by_attribute or sorted(host for host in known if storable(host.name) == wanted)
    if not found:
        raise NotFound(f"there is no host {wanted}", "the page of all hosts lists them")
    return found[0]


# -- Atom


def _feed(view: View, title: str, about: str, own: Sequence[str], runs: Sequence[Told]) -> Content:
    feed = ElementTree.Element("feed", {"xmlns": ATOM, "xml:lang": "en"})
    _add(feed, "title", title)
    _add(feed, "id", _id(view, about))
    _add(feed, "updated", max((_updated(run) for run in runs), default=_NEVER))
    _add(_add(feed, "author"), "name", "lockbot")
    _link(feed, "self", view.link(*own), "application/atom+xml")
    _link(feed, "alternate", view.link(*own[:-1]), "text/html")
    for run in runs:
        _entry(_add(feed, "entry"), view, about, run)
    return Content(MEDIA, ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True))


def _entry(entry: ElementTree.Element, view: View, about: str, run: Told) -> None:
    _add(entry, "title", _title(run))
    _add(entry, "id", _id(view, f"{about}#{run.id}"))
    _add(entry, "updated", _updated(run))
    _add(entry, "published", _iso(run.started))
    _link(entry, "alternate", view.link("runs", run.id), "text/html")
    _add(entry, "category").set("term", run.outcome)
    _add(entry, "content", "\n".join(_lines(run))).set("type", "text")


def _add(parent: ElementTree.Element, tag: str, text: str | None = None) -> ElementTree.Element:
    """`block` leaves no character that XML does not have."""
    found = ElementTree.SubElement(parent, tag)
    found.text = block(text) if text is not None else None
    return found


def _link(parent: ElementTree.Element, rel: str, href: str, media: str) -> None:
    ElementTree.SubElement(parent, "link", {"rel": rel, "href": plain(href), "type": media})


def _id(view: View, about: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"lockbot:{storable(view.place.flake)}#{about}").urn


def _updated(run: Told) -> str:
    return _iso(run.finished or run.started)


def _iso(moment: datetime) -> str:
    return words.iso_time(moment) or _NEVER


# -- words


def _title(run: Told) -> str:
    """`published: nixpkgs 33ddeb9 → 44f0c1a and 2 more inputs`."""
    if run.status is not None and run.outcome not in (
        Outcome.PUBLISHED,
        Outcome.PARTLY_PUBLISHED,
        Outcome.REQUESTED,
    ):
        return f"{words.status(run.status)} ({run.outcome})"
    told = _first_change(run) if run.outcome is not Outcome.FAILED else plain(run.error or "", _LONGEST)
    return f"{run.outcome}: {told}" if told else str(run.outcome)


def _first_change(run: Told) -> str:
    if not run.changes:
        return ""
    old, new = words.step(run.changes[0].old, run.changes[0].new)
    more = run.counts[0] - 1
    rest = f" and {words.count(more, 'more input')}" if more else ""
    return f"{name(run.changes[0].input)} {plain(old)} → {plain(new)}{rest}"


def _lines(run: Told) -> Iterator[str]:
    for change in run.changes:
        old, new = words.step(change.old, change.new)
        yield f"{name(change.input)}: {plain(old)} → {plain(new)}"
    if run.counts[0] > len(run.changes):
        yield f"and {words.count(run.counts[0] - len(run.changes), 'more input')}"
    if run.broken:
        yield f"broken: {words.listed([*map(name, run.broken)])}"
    if run.held:
        yield f"held: {words.listed([*map(name, run.held)])}"
    if run.error:
        yield block(run.error[:_LONGEST])
