"""How much of a long table one run of the tests walks through.

A table of circumstances × places × versions of Nix grows faster than what it shows. Each run takes the part below,
always the same; LOCKBOT_TEST_EVERYTHING=1 takes all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
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


BY_TURNS = ("end_to_end", "judge", "update")
"""Folders whose tests are whole updates, and take most of the time: each is run with one Nix, by turns. What is
different from one version to the next is shown in tests/nix, with each."""


def by_turns(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Of those of BY_TURNS that are there once for each Nix, all but one, another from test to test."""
    same: dict[str, list[pytest.Item]] = {}
    for item in items:
        called = getattr(item, "callspec", None)
        if item.path.parent.name in BY_TURNS and called is not None and _FIXTURES & called.params.keys():
            rest = [called.params[name] for name in sorted(called.params) if name not in _FIXTURES]
            same.setdefault(f"{item.path}::{getattr(item, 'originalname', '')} {rest}", []).append(item)
    several = [found for found in same.values() if len(found) == len(_INSTALLED) > 1]
    kept = {id(found[number % len(found)]) for number, found in enumerate(several)}
    return [] if EVERYTHING else [one for found in several for one in found if id(one) not in kept]


_FIXTURES = {"nix", "fresh_nix"}
UNREVIEWED = {} if EVERYTHING else {"LOCKBOT_REVIEW__DIFFERENCES": "false", "LOCKBOT_REVIEW__UPSTREAM": "false"}
"""Settings of lockbot's for tests in which nobody reviews what an update means: a tenth of what it costs."""
