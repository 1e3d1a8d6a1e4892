"""One input: how it stands, and its timeline: when it moved, and what held it in between."""

from __future__ import annotations

import sqlite3

from lockbot.commands.status import Row
from lockbot.history.summaries.moves import MOST, Hold, Move, holds, moves
from lockbot.history.texts import storable
from lockbot.model import Locked
from lockbot.nix.forges import compare_link
from lockbot.report.document import Document, change_documents
from lockbot.report.words import iso_time
from lockbot.web.page import NotFound, Page, Query
from lockbot.web.pages import inputs, standing
from lockbot.web.view import View


def page(view: View, query: Query) -> Page:
    status = standing.look(view)
    name = query["name"]
    found = [pair for pair in zip(status.rows, inputs.rows(status, view.now), strict=True) if _is(pair[0], name)]
    moved, held = view.history.ask(lambda connection: _past(connection, storable(view.place.flake), name))
    if not (found or moved or held):
        raise NotFound(f"there is no input {name}", "the page of all inputs lists those that can move")
    row, told = found[0] if found else (None, None)
    document: Document = {
        "input": name,
        "standing": told,
        "source": _source(row.locked if row is not None else None),
        "alarms": [one for one in status.alarms if row is not None and one.startswith(f"{row.input}: ")],
        "timeline": _timeline(moved, held),
        "most": MOST,
    }
    return Page(f"Input {name}", "input.html", document)


def _is(row: Row, name: str) -> bool:
    return storable(row.input) == name


def _past(connection: sqlite3.Connection, flake: str, name: str) -> tuple[tuple[Move, ...], tuple[Hold, ...]]:
    moved = moves(connection, flake, name)
    return moved, holds(connection, flake, name, moved)


def _source(locked: Locked | None) -> Document | None:
    if locked is None:
        return None
    return {"original": locked.original, "url": locked.url, "type": locked.type, "ref": locked.ref}


def _timeline(moved: tuple[Move, ...], held: tuple[Hold, ...]) -> list[Document]:
    """The newest first; what held it stands where it ended."""
    every = [(one.when, _move(one)) for one in moved] + [(one.last, _hold(one)) for one in held]
    return [told for _, told in sorted(every, key=lambda pair: pair[0], reverse=True)]


def _move(move: Move) -> Document:
    old, new = move.change.old, move.change.new
    compare = compare_link(old, new) if old is not None and new is not None else None
    told = change_documents([move.change])[0]
    when = iso_time(move.when)
    return {"what": "moved", "when": when, "run": move.run, "commit": move.commit, "compare": compare, **told}


def _hold(hold: Hold) -> Document:
    return {
        "what": "held",
        "when": iso_time(hold.last),
        "since": iso_time(hold.first),
        "runs": hold.runs,
        "run": hold.run,
        "reason": hold.reason,
        "detail": hold.detail or None,
    }
