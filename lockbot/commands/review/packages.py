"""`lockbot history --package`: when a package changed, on which hosts, from what to what. Runs no Nix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lockbot.app import App
from lockbot.errors import UsageError
from lockbot.history.summaries import hosts
from lockbot.history.summaries.packages import Change, Found, Search, search
from lockbot.model import PackageChange
from lockbot.report import words
from lockbot.report.document import Document
from lockbot.report.review.sentences import package
from lockbot.report.styled_lines import Line, Style, line


@dataclass(frozen=True)
class Changes:
    """What was found; `names`: attribute → what the host is called."""

    wanted: Search
    found: tuple[Found, ...]
    names: Mapping[str, str] = field(default_factory=dict)


def look(app: App, name: str, host: str | None, limit: int) -> Changes:
    """Of this flake, what was published. Raises UsageError: no such host was ever judged."""
    place = app.place()
    with app.history(place) as past:
        names = past.ask(lambda connection: hosts.host_names(connection, place.flake))
        wanted = Search(name, limit=limit)
        if host is not None:
            found = past.ask(lambda connection: hosts.find_host(connection, place.flake, host))
            if found is None:
                raise UsageError(f"no run has judged a host {host!r}", "`lockbot hosts` lists them")
            wanted = Search(name, found.installable, limit=limit)
            names.setdefault(found.installable, found.name)
        return Changes(wanted, past.ask(lambda connection: search(connection, place.flake, wanted)), names)


def lines(changes: Changes, now: datetime) -> tuple[Line, ...]:
    """Of each package its changes, the newest first."""
    if not changes.found:
        return (line("no package on record has that in its name, in what was published"),)
    return tuple(_lines(changes, now))


def _lines(changes: Changes, now: datetime) -> Iterator[Line]:
    for number, found in enumerate(changes.found):
        if number:
            yield line()
        yield line((found.name, Style.TITLE))
        for change in found.changes:
            yield line(f"  {_told(found.name, change, changes.names)}, {words.ago(change.started, now)}")
            yield line((f"      {_from(change)}", Style.QUIET))
        if found.older is not None:
            yield line(("  and older ones: raise --limit", Style.QUIET))


def _told(name: str, change: Change, names: Mapping[str, str]) -> str:
    """`openssl 3.0.1 → 3.0.2 on web and db`."""
    told = package(PackageChange(name, change.change, change.old, change.new))
    return f"{told} on {words.listed(named(change.hosts, names))}"


def _from(change: Change) -> str:
    commit = f"commit {words.short(change.commit)}, " if change.commit else ""
    moved = [f"{one.input} {words.short(one.old)} → {words.short(one.new)}" for one in change.inputs]
    return f"{commit}run {change.run}" + (f": {', '.join(moved)}" if moved else "")


def named(attributes: Sequence[str], names: Mapping[str, str]) -> list[str]:
    return [names.get(host, host) for host in attributes]


def document(changes: Changes) -> Document:
    """The object of `lockbot history --package --json`. Names and meanings here only ever grow."""
    return {
        "package": changes.wanted.text,
        "host": changes.wanted.host,
        "packages": [found_document(one, changes.names) for one in changes.found],
    }


def found_document(one: Found, names: Mapping[str, str]) -> Document:
    """`names`: attribute → what the host is called."""
    return {"name": one.name, "changes": [_change(change, names) for change in one.changes], "older": one.older}


def _change(one: Change, names: Mapping[str, str]) -> Document:
    return {
        "run": one.run,
        "started": words.iso_time(one.started),
        "outcome": one.outcome,
        "commit": one.commit,
        "hosts": [{"name": names.get(host, host), "installable": host} for host in one.hosts],
        "change": one.change,
        "old": list(one.old),
        "new": list(one.new),
        "inputs": [{"input": moved.input, "old": moved.old, "new": moved.new} for moved in one.inputs],
    }
