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
_SOME = {
    "kill": 1, "kill-group": 1, "step": 3, "step-local": 1, "step-bare": 1, "power": 1, "full": 1, "broken": 1,
    "filesystem": 2, "damage": 2, "remote": 2, "store": 1, "clock": 1, "starts": 1, "people": 1,
}  # fmt: skip
_MORE = 10


def _taken(kind: Kind, places: Sequence[str]) -> list[int]:
    """Which places (from 1). Of steps, those that write, and that come late: before, there is little to lose."""
    number = _SOME[kind.name] * (_MORE if EVERYTHING else 1)
    if not kind.name.startswith("step"):
        return kind.chosen(places, number)
    writes = [at for at, label in enumerate(places, 1) if any(word in label for word in _WRITES)]
    late = writes[len(writes) // 3 :]
    return [late[at - 1] for at in kind.chosen([places[at - 1] for at in late], number)]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
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
