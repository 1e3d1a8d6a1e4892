"""When a package changed, on which hosts, from what to what: searched by name. Knows SQL.

Nothing here takes longer the more there is: as many names and changes are looked at as are said below, the newest.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from lockbot.history import codec, damage, texts
from lockbot.history.summaries.timeline import MOST_INPUTS, marks
from lockbot.model import Outcome, PackageMark

NAMES = 100_000
"""So many names are searched through."""
CANDIDATES = 40
"""So many of those found are asked for changes, until MATCHES have some."""
MATCHES = 15
CHANGES = 1000
"""So many changes of a package are looked at for one page."""
FEW = 4
"""So many changes are told of a package that has not this very name, of the newest _AROUND."""
DIFFERENCES = 50_000
"""So many differences of a host are looked at."""
_AROUND = 40
RUNS = 100
"""So many runs are looked at for what changed last."""


@dataclass(frozen=True)
class Search:
    """`text`: a package's name, or part of one. `host`: an attribute as one writes it; None: any.

    `everything`: also what was not published. `before`: where the page of a package goes on (`Found.older`).
    """

    text: str
    host: str | None = None
    everything: bool = False
    before: int | None = None
    limit: int = 50

    @property
    def start(self) -> int:
        return 2**62 if self.before is None else self.before


@dataclass(frozen=True)
class Moved:
    """An input that the run moved, by its revisions."""

    input: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Change:
    """A package on some hosts (their attributes, as one writes them), in one run. `commit`: what it published."""

    run: str
    started: datetime
    outcome: Outcome | None
    commit: str | None
    hosts: tuple[str, ...]
    change: PackageMark
    old: tuple[str, ...]
    new: tuple[str, ...]
    inputs: tuple[Moved, ...] = ()


@dataclass(frozen=True)
class Found:
    """A package and its changes, the newest first. `older`: before which the next page begins; None: no more."""

    name: str
    changes: tuple[Change, ...]
    older: int | None = None


@damage.reading("changes of packages")
def search(connection: sqlite3.Connection, flake: str, wanted: Search) -> tuple[Found, ...]:
    """The package of this very name, then those that begin with the text, then those that have it in them.

    The first is told by the page, the others with their newest changes.
    """
    found: list[Found] = []
    there = _differences_of(connection, wanted.host)
    for identity, name in _names(connection, wanted.text):
        exact = name == texts.storable(wanted.text)
        if wanted.before is None or exact:
            limit, most = (wanted.limit, CHANGES) if exact else (FEW, _AROUND)
            rows = connection.execute(_CHANGES, (identity, wanted.start, most))
            shown, older = _fitting(rows, lambda row: _fits(row, flake, wanted, there), limit, most)
            if shown:
                found.append(Found(name, tuple(_change(connection, row) for row in shown), older))
        if len(found) == MATCHES:
            break
    return _with_inputs(connection, found)


def _names(connection: sqlite3.Connection, text: str) -> list[tuple[int, str]]:
    """By how well they fit; letters of ASCII are the same in both cases."""
    text = texts.storable(text)
    rows = connection.execute(_NAMES, {"text": text, "most": NAMES, "limit": CANDIDATES}).fetchall()
    return [(row["id"], damage.text(row["name"])) for row in rows]


_NAMES = """
    SELECT id, name FROM (
        SELECT id, name FROM packages WHERE name = :text
        UNION
        SELECT * FROM (SELECT id, name FROM packages ORDER BY id DESC LIMIT :most)
        WHERE instr(lower(name), lower(:text))
    )
    ORDER BY name <> :text, instr(lower(name), lower(:text)) > 1, length(name), name LIMIT :limit
"""


_CHANGES = """
    SELECT difference, change, old, new, also, run, flake, started, outcome, published
    FROM (
        SELECT * FROM package_changes WHERE package = ? AND difference < ? ORDER BY difference DESC LIMIT ?
    ) AS newest
    CROSS JOIN differences ON differences.id = newest.difference CROSS JOIN runs ON runs.id = differences.run
    ORDER BY difference DESC
"""


def _differences(row: sqlite3.Row) -> list[int]:
    return [row["difference"], *json.loads(row["also"])]


def _differences_of(connection: sqlite3.Connection, host: str | None) -> frozenset[int] | None:
    """Those of a host, the newest; None: any host's will do."""
    if host is None:
        return None
    query = "SELECT difference FROM difference_hosts WHERE host = ? ORDER BY difference DESC LIMIT ?"
    return frozenset(row["difference"] for row in connection.execute(query, (texts.storable(host), DIFFERENCES)))


def _fits(row: sqlite3.Row, flake: str, wanted: Search, there: frozenset[int] | None) -> bool:
    return (
        row["flake"] == texts.storable(flake)
        and (wanted.everything or row["published"] is not None)
        and (there is None or not there.isdisjoint(_differences(row)))
    )


def _fitting(
    rows: Iterable[sqlite3.Row], fits: Callable[[sqlite3.Row], bool], limit: int, most: int
) -> tuple[list[sqlite3.Row], int | None]:
    """The first that fit, and the difference behind which the next page begins; `most`: so many rows there are at
    most, though the package may have more."""
    shown: list[sqlite3.Row] = []
    number = 0
    for row in rows:
        number += 1
        if fits(row):
            if len(shown) == limit:
                return shown, shown[-1]["difference"]
            shown.append(row)
    return shown, row["difference"] if number == most else None


def _change(connection: sqlite3.Connection, row: sqlite3.Row) -> Change:
    differences = _differences(row)
    query = f"SELECT DISTINCT host FROM difference_hosts WHERE difference IN ({marks(differences)}) ORDER BY host"  # noqa: S608 -- values are bound
    return Change(
        run=row["run"],
        started=damage.moment(row["started"]),
        outcome=None if row["outcome"] is None else codec.word(Outcome, row["outcome"]),
        commit=row["published"],
        hosts=tuple(host["host"] for host in connection.execute(query, differences)),
        change=codec.word(PackageMark, row["change"]),
        old=tuple(json.loads(row["old"])),
        new=tuple(json.loads(row["new"])),
    )


# -- with no name


@damage.reading("changes of packages")
def newest_changes(connection: sqlite3.Connection, flake: str, wanted: Search) -> tuple[Found, ...]:
    """So many packages that the newest runs have changed, each with its last change; whatever its name."""
    found: dict[str, Found] = {}
    there = _differences_of(connection, wanted.host)
    values = {"flake": texts.storable(flake), "host": texts.optional(wanted.host), "everything": wanted.everything}
    for run in connection.execute(_NEWEST, {**values, "most": RUNS}):
        for row in connection.execute(_PACKAGES, (run["id"], CHANGES)):
            if len(found) < wanted.limit and _fits(row, flake, wanted, there):
                found.setdefault(row["name"], Found(row["name"], (_change(connection, row),)))
        if len(found) >= wanted.limit:
            break
    return _with_inputs(connection, list(found.values()))


_NEWEST = """
    SELECT id FROM (SELECT * FROM runs WHERE flake = :flake ORDER BY started DESC, id DESC LIMIT :most) AS newest
    WHERE (:everything OR published IS NOT NULL) AND EXISTS (
        SELECT 1 FROM differences WHERE run = newest.id AND packages > 0 AND (:host IS NULL OR EXISTS (
            SELECT 1 FROM difference_hosts WHERE host = :host AND difference = differences.id
        ))
    )
"""
_PACKAGES = """
    SELECT name, difference, change, old, new, also, run, flake, started, outcome, published
    FROM (
        SELECT package_changes.*, run, flake, started, outcome, published
        FROM runs CROSS JOIN differences ON differences.run = runs.id
            CROSS JOIN package_changes ON package_changes.difference = differences.id
        WHERE runs.id = ? LIMIT ?
    ) AS some CROSS JOIN packages ON packages.id = some.package
    ORDER BY name, difference
"""


def _with_inputs(connection: sqlite3.Connection, found: Sequence[Found]) -> tuple[Found, ...]:
    """Each change with the inputs that its run moved, the first of them."""
    runs = sorted({change.run for one in found for change in one.changes})
    if not runs:
        return ()
    moved: dict[str, list[Moved]] = {run: [] for run in runs}
    for row in connection.execute(_INPUTS.format(marks(runs)), (*runs, MOST_INPUTS)):
        moved[row["run"]].append(Moved(row["input"], row["old"], row["new"]))
    return tuple(
        replace(one, changes=tuple(replace(change, inputs=tuple(moved[change.run])) for change in one.changes))
        for one in found
    )


_INPUTS = """
    SELECT run, input, coalesce(old_rev, old_nar_hash) AS old, coalesce(new_rev, new_nar_hash) AS new
    FROM changes WHERE run IN ({}) AND position < ? ORDER BY run, position
"""
