"""Some of what `make faults` injects: a few of each kind, always the same; LOCKBOT_TEST_EVERYTHING=1 has more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import nixes
from tests.faults.kinds import Kind
from tests.faults.table import KINDS
from tests.sampling import EVERYTHING

_WRITES = (
    "sqlite COMMIT", " worktree add ", " fetch ", " commit-tree ", " update-ref ", " push ",
    " lockbot-fast-forward ", "nix flake update ", "nix-store --realise ",
)  # fmt: skip
"""What is on the disk is the same before a step that writes as after the one that wrote before it."""
_SOME = {"step": 3, "damage": 2}
"""Of the others one."""
_LIKE_ANOTHER = {"kill-group", "step-local", "full"}
"""Kinds that differ from another in one thing: beside these only where everything is tried."""
_MORE = 10


def _taken(kind: Kind, places: Sequence[str]) -> list[int]:
    """Which places (from 1). Of steps, those that write, and that come late: before, there is little to lose."""
    number = _SOME.get(kind.name, 1) * (_MORE if EVERYTHING else 1)
    if not kind.name.startswith("step"):
        return kind.chosen(places, number)
    writes = [at for at, label in enumerate(places, 1) if any(word in label for word in _WRITES)]
    late = writes[len(writes) // 3 :]
    return [late[at - 1] for at in kind.chosen([places[at - 1] for at in late], number)]


_INJECTED = [kind for kind in KINDS if EVERYTHING or kind.name not in _LIKE_ANOTHER]


@pytest.mark.parametrize("kind", _INJECTED, ids=[kind.name for kind in _INJECTED])
def test_what_goes_wrong_is_survived(kind: Kind, tmp_path: Path) -> None:
    if why := kind.unless():
        pytest.skip(f"NOT TESTED: {kind.title}: {why}")
    nix = nixes.prepare(nixes.discover()[-1], tmp_path / "nix")
    (tmp_path / "world").mkdir()
    with kind.ground(nix, tmp_path / "world") as ground:
        places = kind.places(ground)
        for place in _taken(kind, places):
            try:
                kind.inject(ground, kind.case(place, places[place - 1]))
            except AssertionError as error:
                raise AssertionError(f"{kind.name}/{place}: {places[place - 1]}") from error
