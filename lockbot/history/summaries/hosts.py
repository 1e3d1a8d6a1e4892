"""How each host stands, and what runs made of it. Knows SQL.

Hosts are those of the newest run that judged any. Looked at are the newest runs that fit into LOOKED_AT rows: of
one host thousands of runs, of fifty some hundreds.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from lockbot.history import codec, damage, texts
from lockbot.history.summaries.timeline import LOOKED_THROUGH, Filter, RunPage, page_of_runs, stored
from lockbot.model import Answer, Host, HostBuild, HostStatus, Outcome

LOOKED_AT = 3000


@dataclass(frozen=True)
class RunOfHosts:
    """What is told of a run in which a host was judged. `commit`: what it published; None: nothing."""

    id: str
    started: datetime
    outcome: Outcome | None
    commit: str | None


@dataclass(frozen=True)
class Landed:
    """What a host is on the branch, since the run that made it that; `exact` False: since then at least."""

    run: RunOfHosts
    drv: str | None
    out: str | None
    exact: bool


@dataclass(frozen=True)
class HostNow:
    """A host as the newest run left it: `build`, with that answer since `since`. `exact` as above."""

    build: HostBuild
    run: RunOfHosts
    since: RunOfHosts
    exact: bool
    landed: Landed | None
    """None: no run that was looked at has published it."""


@dataclass(frozen=True)
class HostAt:
    """A host in one run. `changed`: whether it was to become another than on the branch; `packages`: how many of
    them changed. None: not known."""

    run: RunOfHosts
    status: HostStatus
    drv: str | None
    out: str | None
    changed: bool | None
    packages: int | None


@dataclass(frozen=True)
class HostPage:
    """`older`: the id of the run before which the next page begins; None: there is none."""

    runs: tuple[HostAt, ...]
    older: str | None


@dataclass(frozen=True)
class Changed:
    """What a run changed on a host. Sizes are bytes of its closure, before and after; None: not known.

    `reboot`: why a switch needs one; None: not known. `packages`: how many change.
    """

    run: RunOfHosts
    size: tuple[int | None, int | None]
    packages: int
    reboot: tuple[str, ...] | None


# -- all hosts


@damage.reading("the hosts")
def hosts_now(connection: sqlite3.Connection, flake: str) -> tuple[HostNow, ...]:
    """In the order of the newest run that judged any."""
    told: dict[str, list[_Row]] = {}
    left = LOOKED_AT
    for run in _runs(connection, flake):
        rows = connection.execute(_HOSTS, (run.id, left)).fetchall()
        if not told:
            told = {row["attribute"]: [] for row in rows}
            newest = run
        for row in rows:
            if row["attribute"] in told:
                told[row["attribute"]].append((run, row))
        left -= len(rows)
        if left <= 0:
            break
    if not told:
        return ()
    query = "SELECT * FROM hosts WHERE run = ? ORDER BY position LIMIT ?"
    builds = {
        row["attribute"]: codec.read_build(connection, row)
        for row in connection.execute(query, (newest.id, LOOKED_AT)).fetchall()
    }
    return tuple(_now(builds[attribute], rows) for attribute, rows in told.items())


_Row = tuple[RunOfHosts, sqlite3.Row]
_HOSTS = "SELECT attribute, status, answer, drv, out FROM hosts WHERE run = ? ORDER BY position LIMIT ?"


def _now(build: HostBuild, rows: Sequence[_Row]) -> HostNow:
    since, exact = _while(rows, _answer)
    return HostNow(build, rows[0][0], since, exact, _landed([one for one in rows if one[0].commit is not None]))


def _landed(published: Sequence[_Row]) -> Landed | None:
    if not published:
        return None
    since, exact = _while(published, lambda row: row["drv"])
    row = published[0][1]
    return Landed(since, row["drv"], row["out"], exact)


def _while(rows: Sequence[_Row], what: Callable[[sqlite3.Row], object]) -> tuple[RunOfHosts, bool]:
    """The oldest run since which it is what it is in the first row; whether an older one says otherwise."""
    now = what(rows[0][1])
    same = [run for run, _ in itertools.takewhile(lambda one: what(one[1]) == now, rows)]
    return same[-1], len(same) < len(rows)


def _answer(row: sqlite3.Row) -> Answer:
    """An older lockbot did not say; then it is what the status comes to."""
    if row["answer"] is not None:
        return codec.word(Answer, row["answer"])
    match codec.word(HostStatus, row["status"]):
        case HostStatus.BUILT | HostStatus.UNCHANGED | HostStatus.EVALUATED:
            return Answer.GOOD
        case HostStatus.FAILED | HostStatus.BROKEN_BEFORE | HostStatus.NEW_AND_BROKEN:
            return Answer.BAD
        case HostStatus.UNJUDGED | HostStatus.NOT_BUILDABLE_HERE:
            return Answer.UNJUDGED


def _runs(connection: sqlite3.Connection, flake: str) -> Iterator[RunOfHosts]:
    """Those that judged hosts, the newest first."""
    return map(_run, connection.execute(_RUNS, (texts.storable(flake), LOOKED_THROUGH)))


_RUNS = """
    SELECT id AS run, started, outcome, published
    FROM (SELECT * FROM runs WHERE flake = ? ORDER BY started DESC, id DESC LIMIT ?) AS recent
    WHERE EXISTS (SELECT 1 FROM hosts WHERE run = recent.id)
"""


@damage.reading("a run")
def _run(row: sqlite3.Row) -> RunOfHosts:
    outcome = None if row["outcome"] is None else codec.word(Outcome, row["outcome"])
    return RunOfHosts(row["run"], damage.moment(row["started"]), outcome, row["published"])


# -- one host


def host_names(connection: sqlite3.Connection, flake: str) -> dict[str, str]:
    """Attribute, as one writes it → name, of the hosts of the newest run that judged any."""
    newest = next(_runs(connection, flake), None)
    query = "SELECT name, attribute, kind, evaluate_only FROM hosts WHERE run = ? LIMIT ?"
    rows = connection.execute(query, (newest.id, LOOKED_AT)) if newest is not None else []
    return {host.installable: host.name for host in map(codec.read_host, rows)}


def find_host(connection: sqlite3.Connection, flake: str, name: str) -> Host | None:
    """The host of this attribute, as one writes it, or of this name; of those that are gone the newest."""
    name = texts.storable(name)
    named: Host | None = None
    for host in _known_hosts(connection, flake):
        if host.installable == name:
            return host
        if host.name == name and named is None:
            named = host
    return named


def _known_hosts(connection: sqlite3.Connection, flake: str) -> Iterator[Host]:
    """Also gone ones, the newest first."""
    seen: set[tuple[str, str]] = set()
    left = LOOKED_AT
    query = "SELECT name, attribute, kind, evaluate_only FROM hosts WHERE run = ? ORDER BY position LIMIT ?"
    for run in _runs(connection, flake):
        rows = connection.execute(query, (run.id, left)).fetchall()
        new = [row for row in rows if (row["name"], row["attribute"]) not in seen]
        yield from map(codec.read_host, new)
        seen |= {(row["name"], row["attribute"]) for row in new}
        left -= len(rows)
        if left <= 0:
            break


@damage.reading("a host's runs")
def page_of_host(
    connection: sqlite3.Connection, flake: str, host: Host, limit: int, before: str | None = None
) -> HostPage:
    """The runs that judged it, the newest first; with `before` (a run's id) those older than that one."""
    wanted = Filter(host=host.attribute)
    page = page_of_runs(connection, flake, wanted, limit, before)
    if not page.runs:
        return HostPage((), page.older)
    behind = page_of_runs(connection, flake, wanted, _LOOKED_BACK, page.older) if page.older else RunPage((), None)
    rows = _rows_of(connection, host, [one.run.id for one in (*page.runs, *behind.runs)])
    return HostPage(tuple(_with_changes(rows))[: len(page.runs)], page.older)


_LOOKED_BACK = 20
"""So many older runs are looked at for what a host was before."""
_AT = """
    SELECT hosts.run, started, outcome, published, status, drv, out, (
        SELECT packages FROM differences CROSS JOIN difference_hosts ON difference = differences.id
        WHERE differences.run = hosts.run AND host = :written
    ) AS packages
    FROM hosts JOIN runs ON runs.id = hosts.run
    WHERE hosts.run IN ({}) AND attribute = :attribute ORDER BY started DESC, hosts.run DESC
"""


def _rows_of(connection: sqlite3.Connection, host: Host, runs: Sequence[str]) -> list[sqlite3.Row]:
    names = {f"run{number}": run for number, run in enumerate(runs)}
    values = {"written": texts.attribute_path(host.attribute), "attribute": stored(host.attribute), **names}
    return connection.execute(_AT.format(", ".join(f":{name}" for name in names)), values).fetchall()


def _with_changes(rows: Sequence[sqlite3.Row]) -> list[HostAt]:
    """Each beside what the newest run before it has published."""
    found: list[HostAt] = []
    landed: str | None = None
    for row in reversed(rows):
        run, drv = _run(row), row["drv"]
        changed = drv != landed if landed is not None and drv is not None else None
        found.append(HostAt(run, codec.word(HostStatus, row["status"]), drv, row["out"], changed, row["packages"]))
        landed = drv if run.commit is not None else landed
    return found[::-1]


def build_of_host(connection: sqlite3.Connection, host: Host, run: str) -> HostBuild | None:
    """What a run found out about it; None: it did not judge it."""
    query = "SELECT * FROM hosts WHERE run = ? AND attribute = ? ORDER BY position LIMIT 1"
    row = connection.execute(query, (texts.storable(run), stored(host.attribute))).fetchone()
    return None if row is None else codec.read_build(connection, row)


@damage.reading("a host's differences")
def changes_of_host(connection: sqlite3.Connection, flake: str, host: Host, limit: int) -> tuple[Changed, ...]:
    """What was published of it, as far as that is known; the newest first. `limit`: so many are told.

    The same attribute may be another flake's, too, as a branch's is, and much may have come to nothing.
    """
    wanted = texts.storable(flake)
    rows = connection.execute(_CHANGES, (texts.attribute_path(host.attribute), LOOKED_AT))
    told = (row for row in rows if row["flake"] == wanted and row["published"] is not None)
    return tuple(map(_changed, islice(told, limit)))


# Row by row, as they lie in the index: who has enough of them stops.
_CHANGES = """
    SELECT run, flake, started, outcome, published, size_before, size_after, packages, reboot
    FROM difference_hosts CROSS JOIN differences ON differences.id = difference_hosts.difference
    CROSS JOIN runs ON runs.id = differences.run
    WHERE host = ? ORDER BY difference_hosts.difference DESC LIMIT ?
"""


def _changed(row: sqlite3.Row) -> Changed:
    reboot = None if row["reboot"] is None else tuple(json.loads(row["reboot"]))
    return Changed(_run(row), (row["size_before"], row["size_after"]), row["packages"], reboot)
