"""`/healthz`: one word for a monitor, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from lockbot.errors import LockbotError
from lockbot.report.document import Document, dump
from lockbot.report.escape import plain
from lockbot.web.answers import JSON, TEXT
from lockbot.web.page import Content, Query
from lockbot.web.pages import standing
from lockbot.web.sites import Site
from lockbot.web.view import View


def text(view: View, query: Query) -> Content:  # noqa: ARG001 -- a page's shape
    return _as_text([_document(view)])


def document(view: View, query: Query) -> Content:  # noqa: ARG001 -- a page's shape
    found = _document(view)
    return Content(JSON, _json(found), _status([found]))


def _document(view: View) -> Document:
    found = standing.health(view)
    return {"ok": not found.problems, "problems": list(found.problems), "text": found.text or None}


def unseen_text(error: LockbotError) -> Content:
    """Where the repository can't be looked at: that is what is wrong."""
    return _as_text([_unseen(error)])


def unseen_document(error: LockbotError) -> Content:
    found = _unseen(error)
    return Content(JSON, _json(found), _status([found]))


def _unseen(error: LockbotError) -> Document:
    return {"ok": False, "problems": [error.message], "text": None}


# -- all repositories


def row(site: Site) -> Document:
    """What can't be looked at is a problem of that one."""
    try:
        with site.view() as view:
            found = _document(view)
    except LockbotError as error:
        found = _unseen(error)
    return {"repository": site.label, **found}


def texts(rows: Sequence[Document]) -> Content:
    return _as_text(rows)


def documents(rows: Sequence[Document]) -> Content:
    status = _status(rows)
    return Content(JSON, _json({"ok": status == 200, "repositories": list(rows)}), status)


def _as_text(rows: Sequence[Document]) -> Content:
    lines = []
    for one in rows:
        name = f"{plain(str(one['repository']))}: " if "repository" in one else ""
        problems = one["problems"]
        told = "; ".join(" ".join(map(plain, problem.split())) for problem in problems)  # type: ignore[attr-defined]
        lines.append(f"{name}{'PROBLEM: ' + told if problems else 'ok'}\n")
    return Content(TEXT, "".join(lines).encode(), _status(rows))


def _json(document: Document) -> bytes:
    return dump(document).encode() + b"\n"


def _status(rows: Sequence[Document]) -> int:
    return 200 if all(one["ok"] for one in rows) else 503
