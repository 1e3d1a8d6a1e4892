"""What is wrong with the committed flake.lock, or soon will be."""

from __future__ import annotations

from dataclasses import replace

from lockbot.commands.committed import branch_tip
from lockbot.commands.review import lint
from lockbot.model import Event, Note
from lockbot.report.document import Document
from lockbot.web.page import Page, Query
from lockbot.web.view import View

SECONDS_OF_TIP = 5.0
SECONDS = 600.0
"""For so long a commit's findings are remembered: Nix may be asked for them; little else changes them."""


def page(view: View, query: Query) -> Page:  # noqa: ARG001 -- a page's shape
    tip = view.remembered.get("tip", SECONDS_OF_TIP, lambda: branch_tip(view.app, view.place)[1])
    document = view.remembered.get(("lint", tip), SECONDS, lambda: _found(view))
    return Page("Lint", "lint.html", document)


def _found(view: View) -> Document:
    notes: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    report = lint.lint(replace(view.app, progress=note), online=False)
    return {"where": report.where, "sound": report.is_sound, **lint.document(report), "notes": notes}
