"""`/hosts`: how each host stands, and what it is on the branch."""

from __future__ import annotations

from collections.abc import Sequence

from lockbot.history.summaries.hosts import Changed, HostNow, Landed, RunOfHosts, changes_of_host, hosts_now
from lockbot.model import HostBuild
from lockbot.report import words
from lockbot.report.document import Document
from lockbot.web.page import Page, Query
from lockbot.web.view import View

POINTS = 60
"""So many of a host's sizes are told."""


def page(view: View, query: Query) -> Page:  # noqa: ARG001 -- a page's shape
    flake = view.place.flake
    found = view.history.ask(lambda connection: hosts_now(connection, flake))
    told = [_host(one, changes(view, one.build, POINTS)) for one in found]
    return Page("Hosts", "hosts.html", {"run": run_document(found[0].run) if found else None, "hosts": told})


def changes(view: View, build: HostBuild, most: int) -> tuple[Changed, ...]:
    """What was published of a host, the newest first."""
    return view.history.ask(lambda connection: changes_of_host(connection, view.place.flake, build.host, most))


def _host(one: HostNow, changed: Sequence[Changed]) -> Document:
    return {
        **standing(one.build),
        "since": run_document(one.since) | {"exact": one.exact},
        "landed": _landed(one.landed),
        **sizes(changed),
    }


def standing(build: HostBuild) -> Document:
    """A host as a run left it. `installable` is its attribute as one writes it."""
    failure = build.failure
    return {
        "name": build.host.name,
        "installable": build.host.installable,
        "kind": build.host.kind,
        "status": build.status,
        "answer": build.here.answer if build.here is not None else None,
        "evidence": build.here.evidence if build.here is not None else None,
        "system": build.system,
        "failure": words.failure(failure.kind) if failure is not None else None,
        "culprit": failure.culprit if failure is not None else None,
    }


def sizes(changed: Sequence[Changed]) -> Document:
    """What was published: `sizes`, those of the closure by time, and `last_change`."""
    return {
        "sizes": [
            {"run": one.run.id, "moment": words.iso_time(one.run.started), "size": one.size[1]}
            for one in reversed(changed)
        ],
        "last_change": _change(changed[0]) if changed else None,
    }


def _change(one: Changed) -> Document:
    """`reboot`: why the switch to it needs one; None: that is not known."""
    reboot = list(one.reboot) if one.reboot is not None else None
    return {**run_document(one.run), "size": list(one.size), "packages": one.packages, "reboot": reboot}


def _landed(one: Landed | None) -> Document | None:
    """`exact` False: it is that since this run at least."""
    return (
        {**run_document(one.run), "drv": one.drv, "out": one.out, "exact": one.exact} if one is not None else None
    )


def run_document(run: RunOfHosts) -> Document:
    return {"run": run.id, "started": words.iso_time(run.started), "outcome": run.outcome, "commit": run.commit}
