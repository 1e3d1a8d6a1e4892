"""A clock that is wrong, that is put right in the midst of a run, or that changes between summer and winter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.faults.ground import Ground
from tests.faults.kinds import Case, Kind
from tests.faults.shim import Shim, no_compiler
from tests.nixes import Nix
from tests.update.world import finish

_DAY = 86400
_BERLIN = ZoneInfo("Europe/Berlin")
_WRONG = {
    "a day ahead": _DAY,
    "a day behind": -_DAY,
    "ten years ahead": 3652 * _DAY,
    "ten years behind": -3652 * _DAY,
}
_CHANGES = {
    "summer begins": datetime(2026, 3, 29, 1, 59, 59, tzinfo=_BERLIN),
    "winter begins": datetime(2026, 10, 25, 2, 59, 59, tzinfo=_BERLIN),
}
_PLACES = (
    *_WRONG,
    *(f"{words} from the midst of a run on" for words in _WRONG),
    *(f"{words} during a run" for words in _CHANGES),
)


@contextmanager
def clocked(nix: Nix, directory: Path) -> Iterator[Ground]:
    ground = Ground.create(nix, directory, breaks=False)
    ground.shim = Shim(ground.world)
    try:
        yield ground
    finally:
        ground.shim.close()


def _clock(ground: Ground, case: Case) -> None:
    assert ground.shim is not None
    words, world = case.label.split(" from ")[0].split(" during ")[0], ground.world
    ground.moves()
    variables = {}
    if words in _CHANGES:
        variables = {"TZ": "Europe/Berlin"}
        ground.shim.ahead(int(_CHANGES[words].timestamp() - time.time()))
    elif words == case.label:
        ground.shim.ahead(_WRONG[words])
    process = world.start(cwd=world.directory, **variables)
    if " from the midst " in case.label:
        time.sleep(0.5)
        ground.shim.ahead(_WRONG[words])
    result = finish(process)
    ground.met(result)
    assert (result.code, result.document["outcome"]) == (0, "published"), (result.document, result.stderr)
    assert world.locked() == ground.newest
    ground.shim.ahead(0)
    if "a day" not in case.label:
        world.forgotten |= {*world.published()}  # the record of a run that is so old by its date is let go
    ground.moves()
    ground.lands()
    assert world.update().document["outcome"] == "unchanged"


KINDS = (
    Kind("clock", "a clock that is wrong, or jumps; summer and winter time", "it lands under the wrong clock, too",
         clocked, lambda _: _PLACES, _clock, unless=no_compiler),
)  # fmt: skip
