"""`/runs`: what became of the runs, by day and one by one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from lockbot.errors import UsageError
from lockbot.history.summaries import timeline
from lockbot.history.summaries.timeline import DayCount, Filter, ListedRun
from lockbot.model import Outcome
from lockbot.report.document import Document
from lockbot.report.words import iso_time
from lockbot.web.page import BadQuery, Page, Query
from lockbot.web.pages.past.host import find
from lockbot.web.view import View

DAYS, PAGE = 60, 50
_LONGEST_ERROR = 300


def page(view: View, query: Query) -> Page:
    """`outcome`, `input` and `host` (a name or an attribute) choose; `before` is a run's id."""
    flake = view.place.flake
    chosen = {name: query.get(name) or None for name in ("outcome", "input", "host", "before")}
    first = (view.now - timedelta(days=DAYS - 1)).replace(hour=0, minute=0, second=0, microsecond=0)
    days = view.history.ask(lambda connection: timeline.runs_by_day(connection, flake, first))
    host = find(view, chosen["host"]) if chosen["host"] is not None else None
    try:
        wanted = Filter(chosen["outcome"], chosen["input"], host.attribute if host else None)
        found = view.history.ask(
            lambda connection: timeline.page_of_runs(connection, flake, wanted, PAGE, chosen["before"])
        )
    except UsageError as error:
        raise BadQuery(error.message, error.hint) from error
    return Page(
        "Runs",
        "runs.html",
        {
            "chosen": chosen,
            "outcomes": [*Outcome, timeline.UNFINISHED],
            "days": _days(days, first.date(), view.now.date()),
            "runs": [run_in_short(one) for one in found.runs],
            "older": found.older,
        },
    )


def _days(counts: Sequence[DayCount], first: date, last: date) -> list[Document]:
    """Each day, also those on which there was none."""
    found: dict[date, dict[str, int]] = {first + timedelta(days=n): {} for n in range((last - first).days + 1)}
    for one in counts:
        found.setdefault(one.day, {})[one.outcome or timeline.UNFINISHED] = one.runs
    return [{"day": f"{day}", "runs": runs} for day, runs in sorted(found.items())]


def run_in_short(one: ListedRun) -> Document:
    """`changes`, `hosts`, `failed` and `held` are counts; `inputs` names the first that moved."""
    run = one.run
    return {
        "run": run.id,
        "started": iso_time(run.started),
        "finished": iso_time(run.finished),
        "seconds": seconds_between(run.started, run.finished),
        "outcome": run.outcome,
        "commit": run.commit,
        "parked": run.parked,
        "pushed": run.pushed,
        "dry_run": run.dry_run,
        "changes": run.changes,
        "inputs": list(one.inputs),
        "hosts": run.hosts,
        "failed": run.failed,
        "held": run.held,
        "error": (run.error or "").strip().partition("\n")[0][:_LONGEST_ERROR] or None,
    }


def seconds_between(started: datetime, finished: datetime | None) -> float | None:
    return round(max((finished - started).total_seconds(), 0), 1) if finished is not None else None
