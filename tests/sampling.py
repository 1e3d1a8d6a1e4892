"""How much of a long table one run of the tests walks through.

A table of circumstances × places × versions of Nix grows faster than what it shows. Each run takes the part below,
always the same; LOCKBOT_TEST_EVERYTHING=1 takes all.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import pytest

from tests import nixes

EVERYTHING = bool(os.environ.get("LOCKBOT_TEST_EVERYTHING"))
_INSTALLED = nixes.discover()
_Value = TypeVar("_Value")


def some(values: Iterable[_Value], of: int, turn: int = 0) -> list[_Value]:
    """One in `of`, from the one at `turn` on: several tests of one table take turns."""
    return list(values) if EVERYTHING else list(values)[turn % of :: of]


def nix_by_turns(
    names: str | tuple[str, ...], cases: Mapping[str, object], *, fixture: str = "nix"
) -> pytest.MarkDecorator:
    """Like `pytest.mark.parametrize` with `cases` by id, each with one Nix; a tuple of names takes tuples."""
    several = (names,) if isinstance(names, str) else names
    params = []
    for number, (name, case) in enumerate(cases.items()):
        values = (case,) if isinstance(names, str) else case
        assert isinstance(values, tuple)
        for nix in _INSTALLED if EVERYTHING else [_INSTALLED[-1 - number % len(_INSTALLED)]]:
            params.append(pytest.param(nix, *values, id="-".join(filter(None, [name, str(nix)]))))
    return pytest.mark.parametrize((fixture, *several), params, indirect=[fixture])


WHOLE_UPDATES = ("commands", "end_to_end", "judge", "lock", "pull_requests", "report", "update")
"""Folders whose tests are whole updates, and take most of the time: each test is run with one Nix, and with one
forge, another from test to test. What is different from one version to the next is shown in tests/nix, with each;
what differs between forges, in tests/forge."""
TABLES = ("end_to_end", "git", "history", "lock", "pull_requests", "update")
"""Folders where of a table of more than FEW cases half are run: of a column's value that is in several, one."""
FEW = 3


def left_out(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """What this run does without, of the tests that were collected."""
    if EVERYTHING:
        return []
    turns = _all_but_one(items)
    return turns + _half_of_tables([item for item in items if item not in set(turns)])


def _all_but_one(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Of those that are there once for each Nix, or each forge."""
    same: dict[str, list[pytest.Item]] = {}
    sizes: dict[str, int] = {}
    for item in items:
        params = _params(item)
        turning = {name for name in params if name in _NIX or str(params[name]) in _FORGES}
        if item.path.parent.name in WHOLE_UPDATES and turning:
            rest = [params[name] for name in sorted(params) if name not in turning]
            key = f"{_test(item)} {rest}"
            same.setdefault(key, []).append(item)
            sizes[key] = math.prod(len(_INSTALLED) if name in _NIX else len(_FORGES) for name in turning)
    several = [found for key, found in same.items() if len(found) == sizes[key] > 1]
    kept = {id(found[number % len(found)]) for number, found in enumerate(several)}
    return [one for found in several for one in found if id(one) not in kept]


def _half_of_tables(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    tables: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.path.parent.name in TABLES and _params(item):
            tables.setdefault(_test(item), []).append(item)
    long = [found for found in tables.values() if len(found) > FEW]
    return [one for number, found in enumerate(long) for one in _half(found, number % 2)]


def _half(found: Sequence[pytest.Item], turn: int) -> list[pytest.Item]:
    """About half of a table; of a column's value that is in several cases, one is always in the other half."""
    taken = [one for at, one in enumerate(found) if at.bit_count() % 2 == turn]
    several = {value for value, times in Counter(v for one in found for v in _values(one)).items() if times > 1}
    missing = several - {value for one in found if one not in taken for value in _values(one)}
    for one in list(taken):
        if new := missing & _values(one):
            missing -= new
            taken.remove(one)
    return taken


def _values(item: pytest.Item) -> set[tuple[str, int]]:
    """Each column, and which of its values an item has."""
    called = getattr(item, "callspec", None)
    return set(called.indices.items()) if called is not None else set()


def _test(item: pytest.Item) -> str:
    return f"{item.path}::{getattr(item, 'originalname', '')}"


def _params(item: pytest.Item) -> Mapping[str, object]:
    called = getattr(item, "callspec", None)
    return called.params if called is not None else {}


_NIX = {"nix", "fresh_nix"}
_FORGES = ("forgejo", "github", "gitlab")
UNREVIEWED = {} if EVERYTHING else {"LOCKBOT_REVIEW__DIFFERENCES": "false", "LOCKBOT_REVIEW__UPSTREAM": "false"}
"""Settings of lockbot's for tests in which nobody reviews what an update means: a tenth of what it costs."""
