"""`/runs/ID/logs/HOST`, the log that is kept of a host, and `/runs/ID/log`, what happened step by step."""

from __future__ import annotations

from lockbot import files
from lockbot.history.logs import shorten
from lockbot.history.texts import storable
from lockbot.report import events
from lockbot.report.document import Document
from lockbot.report.events import Record
from lockbot.web.logs import ansi
from lockbot.web.page import NotFound, Page, Query
from lockbot.web.pages.past.run import find_run, steps_of
from lockbot.web.view import View

MOST_BYTES = 2 * 2**20
"""Of a log: what is longer loses its middle."""
MOST_STEP_BYTES = 512 * 1024
"""Of a run's steps, from the beginning and from the end."""


def log(view: View, query: Query) -> Page:
    """`run` as for a run's page; `host` is the host's name."""
    run, host = find_run(view, query["run"]), query["host"]
    names = {storable(name): name for name in view.history.log_names(run.id)}
    text = view.history.read_log(run.id, names.get(host, host))
    if text is None:
        told = ", ".join([*names][:20]) or "none: only what fails has one"
        raise NotFound(f"run {run.id} keeps no log of {host!r}", f"it has logs of: {told}")
    document = {"run": run.id, "host": host, **log_document(text)}
    return Page(f"Log of {host}", "log.html", document)


def log_document(text: str) -> Document:
    """`lines` are plain; `styles`: in which of them, from where to where, the style sheet's classes. `left_out`:
    so many lines behind the first so many, where there are more than a page can show."""
    lines, left_out = _bounded(shorten(text, MOST_BYTES).decode().removesuffix("\n").split("\n"))
    styled = list(ansi.styled_lines(lines))
    styles = [[number, *style] for number, line in enumerate(styled) for style in line.styles]
    return {"lines": [line.text for line in styled], "styles": styles, "left_out": left_out}


def _bounded(lines: list[str]) -> tuple[list[str], Document | None]:
    half, more = ansi.MOST_LINES // 2, len(lines) - ansi.MOST_LINES
    return (lines, None) if more <= 0 else (lines[:half] + lines[-half:], {"behind": half, "lines": more})


def steps(view: View, query: Query) -> Page:
    """What `lockbot logs` prints; of a long run its beginning and its end."""
    run = find_run(view, query["run"])
    try:
        head, tail, left_out = files.read_ends(steps_of(view, run), MOST_STEP_BYTES)
    except OSError:
        hint = "a run that began with this lockbot has one, as long as it is kept"
        raise NotFound(f"run {run.id} keeps no log of its steps", hint) from None
    first, last = (_records(head), _records(tail)) if left_out else (_records(head + tail), [])
    told = [{"level": str(one["level"]), "text": events.told(one)} for one in (*first, *last)]
    gap = {"behind": len(first), "bytes": left_out} if left_out else None
    return Page(f"Steps of run {run.id}", "steps.html", {"run": run.id, "steps": told, "left_out": gap})


def _records(data: bytes) -> list[Record]:
    """What can be read of it: where it was cut there is half a line."""
    lines = data.decode("ascii", "replace").split("\n")
    return [found for line in lines if (found := events.decode(line)) is not None]
