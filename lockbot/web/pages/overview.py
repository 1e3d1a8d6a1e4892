"""The first page where there are several repositories: how each stands."""

from __future__ import annotations

from collections.abc import Sequence

from lockbot.errors import LockbotError
from lockbot.history.input_states import StateWord
from lockbot.report.document import Document
from lockbot.web.page import Page
from lockbot.web.pages import now, standing
from lockbot.web.sites import Site


def row(site: Site) -> Document:
    """What can't be looked at says so, and costs no other repository anything."""
    told: Document = {"repository": site.label, "address": site.frame.link(), "error": None}
    try:
        with site.view() as view:
            status = standing.look(view)
            return told | {
                "runs": now.live(view),
                "last": now.last(view),
                "alarms": list(status.alarms),
                "inputs": len(status.rows),
                "held": sum(one.word is StateWord.HELD for one in status.rows),
                "pull_requests": len(status.requests),
                "paused": status.pause is not None,
            }
    except LockbotError as error:
        return told | {"error": error.message}


def page(rows: Sequence[Document]) -> Page:
    return Page("Repositories", "overview.html", {"repositories": list(rows)})
