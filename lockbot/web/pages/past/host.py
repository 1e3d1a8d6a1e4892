"""`/hosts/ATTRIBUTE`: one host over time."""

from __future__ import annotations

from lockbot.errors import UsageError
from lockbot.history.summaries.hosts import HostAt, build_of_host, find_host, page_of_host
from lockbot.history.texts import storable
from lockbot.model import Host, HostBuild
from lockbot.report.document import Document
from lockbot.web.page import BadQuery, NotFound, Page, Query
from lockbot.web.pages.past.hosts import changes, run_document, sizes, standing
from lockbot.web.view import View

PAGE, POINTS = 50, 150


def page(view: View, query: Query) -> Page:
    """`attribute` as one writes it, or the host's name; `before` is a run's id."""
    found = find(view, query["attribute"])
    flake, before = view.place.flake, query.get("before") or None
    try:
        shown = view.history.ask(lambda connection: page_of_host(connection, flake, found, PAGE, before))
        newest = shown if before is None else view.history.ask(lambda c: page_of_host(c, flake, found, 1))
    except UsageError as error:
        raise BadQuery(error.message, error.hint) from error
    run = newest.runs[0].run
    build = view.history.ask(lambda connection: build_of_host(connection, found, run.id))
    assert build is not None, "a page of its runs has this one"
    document = {
        **standing(build),
        "run": run_document(run),
        "failure_detail": _failure(view, run.id, build),
        **sizes(changes(view, build, POINTS)),
        "runs": [_at(one) for one in shown.runs],
        "before": before,
        "older": shown.older,
    }
    return Page(found.name, "host.html", document)


def find(view: View, name: str) -> Host:
    """Raises NotFound."""
    host = view.history.ask(lambda connection: find_host(connection, view.place.flake, name))
    if host is None:
        raise NotFound(f"no run has judged a host {name!r}", "its attribute, or its name where no other has it")
    return host


def _failure(view: View, run: str, build: HostBuild) -> Document | None:
    """Of the newest run; `log`: whether the run keeps one."""
    if build.failure is None:
        return None
    return {
        "message": build.failure.message,
        "tail": list(build.failure.tail),
        "log": build.host.name in map(storable, view.history.log_names(run)),
    }


def _at(one: HostAt) -> Document:
    return {
        **run_document(one.run),
        "status": one.status,
        "drv": one.drv,
        "out": one.out,
        "changed": one.changed,
        "packages": one.packages,
    }
