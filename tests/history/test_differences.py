"""What is taken out of reviews: the same for a run that is written and for all that an older lockbot wrote."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockbot.history import schema
from lockbot.history.schema import differences
from lockbot.history.store import History
from lockbot.model import ClosureSize, Difference, Event, Note, PackageChange, PackageMark, SwitchEffects
from tests.history.samples import DIFFERENCE, NOON, clock, full_run, run

BEFORE = schema.MIGRATIONS.index(differences.STEP)
"""The version that knew reviews, and nothing of what was taken out of them."""
TABLES = {
    "differences": "SELECT run, position, size_before, size_after, paths_before, paths_after, packages, reboot",
    "difference_hosts": "SELECT host, difference",
    "packages": "SELECT name",
    "package_changes": "SELECT name, difference, change, old, new, also",
}


def rows(raw: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """All that was taken out; ids of differences as they are, those of packages as their names."""
    joined = {"package_changes": "package_changes JOIN packages ON packages.id = package"}
    return {
        table: sorted(map(tuple, raw.execute(f"{query} FROM {joined.get(table, table)}")), key=repr)
        for table, query in TABLES.items()
    }


def package(name: str, old: str = "1", new: str = "2", change: PackageMark = PackageMark.UP) -> PackageChange:
    return PackageChange(name, change, (old,), (new,))


SHARED = (package("openssl"), package("curl", "8.1", "8.2"))
REVIEWED = {
    "as in the samples": full_run().differences,
    "nothing known": (Difference(("a",), unknown="only evaluated"),),
    "the same on hosts that differ otherwise": (
        Difference(("a", "b"), (*SHARED, package("only-ab"))),
        Difference(("c",), SHARED),
        Difference(("d",), (package("openssl", "1", "3"),)),
    ),
    "only rebuilt": (Difference(("a",), (package("glibc", "2", "2", PackageMark.REBUILT),)),),
    "sizes and a reboot": (
        Difference(("a",), closure=ClosureSize((1, 2**62), (3, 4)), switch=SwitchEffects(reboot=("kernel", "é"))),
        Difference(("b",), switch=SwitchEffects()),
    ),
    "nobody": (Difference((), SHARED),),
    "no versions": (Difference(("a",), (PackageChange("x", PackageMark.ADDED),)),),
    "what no database holds": (Difference(("h\udcff", "'; --"), (package("\ud800", "\0", "%"),)),),
    "the same twice": (Difference(("a", "a"), (package("x"), package("x", "1", "3"))),),
}


def reviewed(path: Path) -> None:
    with History.open(path, clock) as history:
        for number, told in enumerate(REVIEWED.values()):
            history.save(run(number, differences=told))


def older(path: Path, at: Path, *changes: str) -> sqlite3.Connection:
    """A database of the version before, with the same runs and reviews; then `changes`."""
    raw = sqlite3.connect(at, isolation_level=None)
    schema.migrate(raw, schema.MIGRATIONS[:BEFORE])
    raw.execute("ATTACH ? AS new", (str(path),))
    for table in ("runs", "reviews"):
        columns = ", ".join(row[1] for row in raw.execute(f"PRAGMA main.table_info({table})"))
        raw.execute(
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM new.{table} ORDER BY random()"  # noqa: S608 -- our own names
        )
    raw.execute("DETACH new")
    for change in changes:
        raw.execute(change)
    return raw


def test_a_migrated_database_equals_one_written_anew(tmp_path: Path) -> None:
    """Also where its runs lie in another order."""
    reviewed(tmp_path / "new")
    with closing(older(tmp_path / "new", tmp_path / "old")) as raw:
        schema.migrate(raw)
        with closing(sqlite3.connect(tmp_path / "new")) as new:
            expected = rows(new)
            assert rows(raw) == expected
    assert len(expected["package_changes"]) == 10
    (shared,) = [one for one in expected["package_changes"] if one[0] == "curl" and one[5] != "[]"]
    assert json.loads(shared[5]) == [shared[1] + 1], "one row for what two differences share"


def test_who_waits_for_a_migration_is_told(tmp_path: Path) -> None:
    """Of ten thousand runs it takes half a minute; once it is done, nobody waits."""
    reviewed(tmp_path / "new")
    older(tmp_path / "new", tmp_path / "old").close()
    told: list[Event] = []
    for _ in range(2):
        History.open(tmp_path / "old", clock, told.append).close()
    assert told == [Note(f"an older lockbot's history is brought up to date, once: {len(REVIEWED)} run(s)")]


def packed(text: str) -> bytes:
    return zlib.compress(text.encode())


DAMAGED = {
    "empty": b"",
    "no zlib": b"what is this",
    "cut": packed(json.dumps([[], []]))[:5],
    "no JSON": packed("[[{"),
    "no UTF-8": zlib.compress(b'[["\xff"], []]'),
    "deep": packed("[" * 100_000),
    "other JSON": packed("{}"),
    "numbers": packed("[[1, 2], []]"),
    "half a character": packed('[[{"hosts": ["\\ud800"], "packages": [], "closure": null, "switch": null}], []]'),
    "a size that no integer holds": packed(
        '[[{"hosts": [], "packages": [], "closure": {"size": [1, 9223372036854775808], "paths": [1, 2]},'
        ' "switch": null}], []]'
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_review_does_not_stop_a_migration(tmp_path: Path, kind: str) -> None:
    """Nothing is taken out of it; of the others all is."""
    reviewed(tmp_path / "new")
    with closing(older(tmp_path / "new", tmp_path / "old")) as raw:
        raw.execute("UPDATE reviews SET told = ? WHERE run = 'r00000'", (DAMAGED[kind],))
        schema.migrate(raw)
        found = rows(raw)
        with closing(sqlite3.connect(tmp_path / "new")) as new:
            expected = rows(new)
    assert [one[0] for one in found["differences"]] == [
        one[0] for one in expected["differences"] if one[0] != "r00000"
    ]
    assert len(found["package_changes"]) == len(expected["package_changes"]) - 1


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(tmp_path / "history", clock) as opened:
        yield opened


WHOLE = json.loads(
    json.dumps(
        [
            {
                "hosts": ["a"],
                "packages": [{"name": "x", "change": "up", "old": ["1"], "new": ["2"]}],
                "closure": {"size": [1, 2], "paths": [3, 4]},
                "switch": {"reboot": ["kernel"]},
            }
        ]
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """What lockbot writes, with something else somewhere in it."""
    told = json.loads(json.dumps(WHOLE))
    at: Any = told
    while True:
        key = draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or not at[key] or draw(st.booleans()):
            at[key] = draw(JSON)
            return told
        at = at[key]


@settings(max_examples=150, deadline=None)
@given(told=mutated() | JSON)
def test_whatever_stands_in_a_review_is_taken_out_or_left(told: Any) -> None:
    """As it is, or nothing of it: no error, and no row that could not be read."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        schema.migrate(raw)
        raw.execute(
            "INSERT INTO runs (id, repository, started, branch, pushed, dry_run) VALUES ('r', '', '', '', 0, 0)"
        )
        differences.index(raw, "r", WHOLE)
        assert [len(found) for found in rows(raw).values()] == [1, 1, 1, 1]
        differences.index(raw, "r", told)
        found = rows(raw)
        for one in found["package_changes"]:
            assert all(isinstance(json.loads(versions), list) for versions in one[3:])
        assert len(found["differences"]) == (len(told) if found["differences"] else 0)


def test_saving_again_leaves_nothing_behind(history: History) -> None:
    """Neither rows of what it was, nor packages that nothing speaks of any more."""
    history.save(run(1, differences=REVIEWED["the same on hosts that differ otherwise"]))
    history.save(run(2, differences=(Difference(("a",), SHARED[:1]),)))
    for _ in range(2):
        history.save(run(1, differences=(DIFFERENCE,)))
    found = history.ask(rows)
    assert found["packages"] == [("openssl",)]
    assert [one[0] for one in found["difference_hosts"]] == ["a", *DIFFERENCE.hosts]
    history.save(run(1))
    history.save(replace(run(2), differences=()))
    assert not any(history.ask(rows).values())


def test_what_was_taken_out_goes_with_its_run(history: History) -> None:
    for number in range(25):
        history.save(run(number, differences=(Difference(("a",), (package(f"p{number}"), package("all"))),)))
    assert history.prune(1, NOON + timedelta(days=9)) == 5
    found = history.ask(rows)
    assert len(found["differences"]) == len(found["difference_hosts"]) == 20
    assert sorted(found["packages"]) == sorted([("all",), *((f"p{number}",) for number in range(5, 25))])
