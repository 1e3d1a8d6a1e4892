"""One write below the state directory, the user's repository or Nix's store fails; or that and all after it.

A write is any call that puts something there: a write itself, a file that is made, renamed, linked or cut, a
directory, an fsync. They are counted over all processes of a run: lockbot's own, git's, Nix's.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.ground import Ground
from tests.faults.kinds import Case, Kind
from tests.faults.shim import Shim, no_compiler
from tests.nixes import Nix


@contextmanager
def watched(nix: Nix, directory: Path) -> Iterator[Ground]:
    ground = Ground.create(nix, directory, breaks=False)
    places = [directory / "state", directory / "fleet", nix.store, Path(nix.environment["NIX_STATE_DIR"])]
    shim = Shim(ground.world, places)
    ground.shim = shim
    try:
        yield ground
    finally:
        shim.close()


def _places(ground: Ground) -> list[str]:
    assert ground.shim is not None
    ground.moves()
    ground.shim.count()
    ground.lands()
    return ground.shim.seen


def _fails(ground: Ground, case: Case, error: int) -> None:
    assert ground.shim is not None
    ground.moves()
    ground.shim.fail(case.place, error, lasting=case.place % 2 == 0)
    result = ground.world.update()
    seen = ground.shim.seen
    ground.shim.count()
    assert len(seen) >= case.place or result.code == 0, "it was not reached"
    ground.met(result)
    ground.lands()


KINDS = (
    Kind("full", "ENOSPC at a write, once or from then on", "no traceback", watched, _places,
         lambda ground, case: _fails(ground, case, errno.ENOSPC), most=40, unless=no_compiler),
    Kind("broken", "EIO at a write, once or from then on", "no traceback", watched, _places,
         lambda ground, case: _fails(ground, case, errno.EIO), most=30, unless=no_compiler),
)  # fmt: skip
