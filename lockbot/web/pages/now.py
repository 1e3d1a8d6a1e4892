"""The first page: what runs, what comes next, and what somebody has to look at."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

from lockbot.commands import status as standing_of
from lockbot.history.summaries.live import Unended, unended
from lockbot.history.summaries.runs import RunSummary
from lockbot.history.texts import storable
from lockbot.report import events
from lockbot.report.document import Document
from lockbot.report.words import iso_time
from lockbot.web.live import Followed, Live
from lockbot.web.page import BadQuery, Page, Query
from lockbot.web.pages import standing
from lockbot.web.view import View

REFRESH = (2, 3600)
_USUAL_REFRESH = 10


def page(view: View, query: Query) -> Page:
    refresh = _refresh(query)
    status = standing.look(view)
    told = standing_of.document(replace(status, now=view.now))
    words = Counter(str(row.word) for row in status.rows)
    document: Document = {
        "alarms": told["alarms"],
        "notes": told["notes"],
        "paused": told["paused"],
        "daemon": told["daemon"],
        "runs": live(view),
        "last": last(view),
        "pull_requests": told["pull_requests"],
        "inputs": {"total": len(status.rows), "states": dict(sorted(words.items()))},
        "refresh": refresh,
        "usual_refresh": _USUAL_REFRESH,
    }
    return Page("Now", "now.html", document, refresh)


def _refresh(query: Query) -> int | None:
    given = query.get("refresh")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 6 and REFRESH[0] <= int(given) <= REFRESH[1]):
        raise BadQuery(f"refresh is a number of seconds, from {REFRESH[0]} to {REFRESH[1]}")
    return int(given)


# -- what runs


def live(view: View) -> list[Document]:
    """The runs of this flake that are at work."""
    flake = storable(view.place.flake)
    found = view.history.ask(lambda connection: unended(connection, flake))
    followed = view.remembered.get("followed", float("inf"), Followed)
    logs = view.app.state().logs
    told = [(run, followed.look(logs / run.id / events.FILE)) for run in found]
    return [_run(view, run, one) for run, one in told if one is not None and one.is_alive]


def _run(view: View, run: Unended, found: Live) -> Document:
    known = sorted(host.name for host in view.history.hosts_judged(view.place.flake, run.id, 1))
    waiting = [name for name in known if name not in found.hosts] if found.hosts or found.expected else []
    end = run.started + timedelta(seconds=view.app.settings.run.deadline)
    return {
        "run": run.id,
        "started": iso_time(run.started),
        "deadline": iso_time(end),
        "deadline_seconds": max((end - view.now).total_seconds(), 0),
        "phase": found.phase or run.phase,
        "phase_since": _moment(found.phase_since),
        "last_event": _moment(found.last),
        "expected_hosts": found.expected,
        "hosts": [
            *({**host, "since": _moment(host["since"])} for host in found.hosts.values()),
            *({"host": name, "state": "waiting", "since": None, "at": None} for name in waiting),
        ],
        "building": [{**one, "since": _moment(one["since"])} for one in found.building.values()],
        "looking": found.looking,
        "notes": list(found.notes),
        "command_said": list(found.said),
    }


def _moment(text: object) -> str | None:
    """A time of a record, if it is one."""
    try:
        found = datetime.fromisoformat(str(text))
        return iso_time(found) if found.tzinfo is not None else None
    except (ValueError, OverflowError):  # the latter: in UTC it is outside the calendar
        return None


# -- what was


def last(view: View) -> Document | None:
    """The newest run that has ended."""
    found = next((run for run in view.history.runs(view.place.flake, 5) if run.outcome is not None), None)
    return None if found is None else run_row(found)


def run_row(run: RunSummary) -> Document:
    return {
        "run": run.id,
        "outcome": run.outcome,
        "started": iso_time(run.started),
        "finished": iso_time(run.finished),
        "commit": run.commit,
        "changes": run.changes,
        "hosts": run.hosts,
        "failed": run.failed,
        "held": run.held,
        "dry_run": run.dry_run,
        "error": run.error,
    }
