"""Past runs, as `history` and `show` list them. Light: it must not import Nix or the update."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime

from lockbot import files
from lockbot.app import App
from lockbot.commands.pull_requests import telling
from lockbot.errors import LockbotError, UsageError
from lockbot.history.store import History
from lockbot.history.summaries.runs import RunSummary
from lockbot.model import Run
from lockbot.report import events, words
from lockbot.report.document import Document
from lockbot.report.escape import plain
from lockbot.report.events import Record
from lockbot.report.styled_lines import Line, line
from lockbot.report.table import table

_POLL = 0.3
"""Seconds between two looks at a log that grows."""


def history(runs: Sequence[RunSummary], now: datetime, width: int | None) -> tuple[Line, ...]:
    if not runs:
        return (line("no run is recorded yet"),)
    return table(["run", "when", "outcome", "what"], [_run_cells(run, now) for run in runs], width=width)


def _run_cells(run: RunSummary, now: datetime) -> list[str]:
    outcome = str(run.outcome) if run.outcome is not None else "unfinished"
    told = [
        words.count(run.changes, "input") if run.changes else "",
        words.count(run.hosts, "host") if run.hosts else "",
        f"{run.failed} failed" if run.failed else "",
        f"{run.held} held" if run.held else "",
        f"in {', '.join(plain(one, 60) for one in run.requests)}" if run.requests and not run.commit else "",
        f"→ {run.commit[:10]}" if run.commit else "",
        f"parked on {run.parked}" if run.parked else "",
        "dry run" if run.dry_run else "",
        (run.error or "").splitlines()[0] if run.error else "",
    ]
    return [run.id, words.ago(run.started, now), outcome, ", ".join(part for part in told if part)]


def history_document(runs: Sequence[RunSummary]) -> Document:
    return {"runs": [_run_document(run) for run in runs]}


def _run_document(run: RunSummary) -> Document:
    told = {"flake": run.flake or None, "pull_requests": list(run.requests)}
    times = {"started": run.started.isoformat(), "finished": run.finished.isoformat() if run.finished else None}
    return (
        {"run": run.id}
        | {name: value for name, value in asdict(run).items() if name not in ("id", "requests")}
        | told
        | times
    )


@contextmanager
def opened(app: App, name: str) -> Iterator[tuple[History, Run]]:
    """A run by its id, its beginning, or `latest`, and the history. Raises LockbotError when there is none."""
    place = app.place() if name == "latest" else None
    with app.history(place) as past:
        run = past.get(name) if place is None else past.latest(place.flake)
        if run is None:
            raise LockbotError("no run of this flake is recorded yet", "`lockbot update` makes the first")
        yield past, run


def by_now(past: History, run: Run) -> dict[str, str]:
    """Branch → how its pull request stands by now."""
    return telling.by_now(run, past.pull_requests(run.flake).all()) if run.requests else {}


def log(past: History, run: Run, host: str) -> str:
    text = past.read_log(run.id, host)
    if text is None:
        names = ", ".join(past.log_names(run.id)) or "none: only what fails has one"
        raise UsageError(f"run {run.id} keeps no log of '{host}'", f"it has logs of: {names}")
    return text


def records(run: Run, app: App, *, follow: bool) -> Iterator[Record]:
    """What happened in a run; with `follow` as it happens, to its end. Raises UsageError: nothing is kept."""
    path = app.state().logs / run.id / events.FILE
    try:
        files.check_file(path)
        file = path.open(encoding="ascii", errors="replace")
    except OSError:
        raise UsageError(f"run {run.id} keeps no log of its steps") from None
    with file:
        started: Record | None = None
        partial = ""
        while True:
            alive = started is None or events.is_alive(started)
            while text := file.readline():
                partial += text
                if not partial.endswith("\n"):
                    break  # it is being written
                found, partial = events.decode(partial), ""
                if found is not None:
                    started = found if found["event"] == events.STARTED else started
                    yield found
                    follow = follow and found["event"] != events.ENDED
            if not follow or not alive:  # it was dead before all of it was read
                return
            app.cancel.sleep(_POLL)
