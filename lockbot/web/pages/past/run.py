"""`/runs/ID`: one run whole, as `lockbot show` tells it. The document is that of its `--json`, and more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from lockbot.commands import history as past
from lockbot.errors import UsageError
from lockbot.history import texts
from lockbot.model import InputChange, Run
from lockbot.nix.forges import compare_link
from lockbot.report import events, grouping, terminal
from lockbot.report.document import Document, run_document
from lockbot.report.review import sentences
from lockbot.report.review.grouping import side_by_side
from lockbot.report.review.sentences import Entry
from lockbot.web.page import NotFound, Page, Query
from lockbot.web.pages.past.runs import seconds_between
from lockbot.web.view import View

LATEST = "latest"


def page(view: View, query: Query) -> Page:
    """`run` is an id, its beginning where that is the only one, or `latest`."""
    found = find_run(view, query["run"])
    stands = past.by_now(view.history, found)
    document = _document(found, stands, [texts.storable(name) for name in view.history.log_names(found.id)])
    return Page(f"Run {found.id}", "run.html", document | {"steps": steps_of(view, found).is_file()})


def steps_of(view: View, run: Run) -> Path:
    """The file of its events; there need not be one."""
    return view.app.state().logs / run.id / events.FILE


def find_run(view: View, name: str) -> Run:
    """Of this repository's flake. Raises NotFound."""
    try:
        found = view.history.latest(view.place.flake) if name == LATEST else view.history.get(name)
    except UsageError as error:
        raise NotFound(error.message, error.hint) from error
    if found is None:
        raise NotFound("no run is recorded yet", "`lockbot update` makes the first")
    if found.flake != texts.storable(view.place.flake):
        raise NotFound(f"run {found.id} is not of this repository", "several repositories are told below /r/NAME/")
    return found


def _document(run: Run, by_now: Mapping[str, str], logs: Sequence[str]) -> Document:
    whole = run_document(run)
    asked = cast(list[Document], whole["pull_requests"])
    changes = cast(list[Document], whole["changes"])
    hosts = cast(list[Document], whole["hosts"])
    links = {one.input: one.link for one in run.upstream}
    side = side_by_side(run.differences, run.hosts)
    return whole | {
        "headline": terminal.headline(run, by_now)[0],
        "took": seconds_between(run.started, run.finished),
        "changes": [
            told | _told(change, links.get(change.input))
            for told, change in zip(changes, run.changes, strict=True)
        ],
        "hosts": [
            told | {"installable": build.host.installable, "log": build.host.name in logs}
            for told, build in zip(hosts, run.hosts, strict=True)
        ],
        "pull_requests": [
            told | {"by_now": by_now.get(done.branch) if done.step.asks else None}
            for told, done in zip(asked, run.requests, strict=True)
        ],
        "failures": list(_failures(run)),
        "what_changes": _entries(sentences.what_changes(side, sized=True)),
        "when_you_switch": _entries(sentences.when_you_switch(side)),
        "warnings": _entries(sentences.warnings(side)),
        "logs": list(logs),
    }


def _told(change: InputChange, link: str | None) -> Document:
    """A change in words; `compare` is a page that shows what came between."""
    if link is None and change.old is not None and change.new is not None:
        link = compare_link(change.old, change.new)
    return {
        "move": grouping.move(change),
        "progress": list(grouping.progress(change)),
        "moved_source": grouping.moved_source(change),
        "compare": link,
    }


def _failures(run: Run) -> Iterator[Document]:
    """Each cause once, with all its hosts; new failures before old ones."""
    for status, builds in grouping.by_status(run.hosts).items():
        for cause in grouping.causes(builds):
            yield {
                "status": status,
                "hosts": [host.name for host in cause.hosts],
                "words": cause.words,
                "culprit": cause.culprit,
                "message": cause.message,
                "tail": list(cause.tail),
            }


def _entries(entries: Sequence[Entry]) -> list[Document]:
    return [{"label": one.label, "hosts": list(one.hosts), "items": list(one.items)} for one in entries]
