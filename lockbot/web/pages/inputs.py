"""How every input stands, how old what is locked of it is, and how far that is behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import cast

from lockbot.commands import status as standing_of
from lockbot.commands.pull_requests.telling import request_document
from lockbot.commands.status import Row, Status
from lockbot.nix.flakeref import FlakeRef, FlakeRefError
from lockbot.nix.forges import commit_link, range_link
from lockbot.report.document import Document
from lockbot.report.words import DAY, iso_seconds
from lockbot.web.page import Page, Query
from lockbot.web.pages import standing
from lockbot.web.view import View


def page(view: View, query: Query) -> Page:  # noqa: ARG001 -- a page's shape
    status = standing.look(view)
    document: Document = {
        "alarms": list(status.alarms),
        "notes": list(status.notes),
        "inputs": rows(status, view.now),
    }
    return Page("Inputs", "inputs.html", document)


def rows(status: Status, now: datetime) -> list[Document]:
    """As `lockbot status --json` has them, with how old each is, where to read what it lacks, and the pull request
    that would move it."""
    told = cast(list[Document], standing_of.document(replace(status, now=now))["inputs"])
    return [
        {**one, **_age(row, now), **_links(row), **_request(row)}
        for one, row in zip(told, status.rows, strict=True)
    ]


def _age(row: Row, now: datetime) -> Document:
    modified = row.locked.last_modified if row.locked is not None else None
    seconds = now.timestamp() - modified if modified is not None and iso_seconds(modified) else None
    return {
        "locked_at": iso_seconds(modified),
        "age_days": round(max(seconds, 0) / DAY, 2) if seconds is not None else None,
        "behind_seconds": row.behind,
    }


def _request(row: Row) -> Document:
    return {"request": request_document(row.request) if row.request is not None else None}


def _links(row: Row) -> Document:
    """Pages of the forge: of the commit that is locked, and of what came since."""
    locked, newest = row.locked, row.newest
    try:
        ref = FlakeRef.read(locked.url) if locked is not None else None
    except FlakeRefError:
        ref = None
    old = locked.rev if locked is not None else None
    if ref is None or old is None:
        return {"link": None, "compare": None}
    new = newest.revision if newest is not None and newest.revision != old else None
    return {"link": commit_link(ref, old), "compare": range_link(ref, old, new) if new is not None else None}
