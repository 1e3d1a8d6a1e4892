"""All kinds of faults, in the order in which the table has them."""

from __future__ import annotations

from tests.faults.injections import (
    clocks,
    damage,
    filesystems,
    kills,
    people,
    power,
    remotes,
    starts,
    stores,
    writes,
)
from tests.faults.kinds import Kind

KINDS: tuple[Kind, ...] = (
    *kills.KINDS,
    *power.KINDS,
    *writes.KINDS,
    *filesystems.KINDS,
    *damage.KINDS,
    *remotes.KINDS,
    *stores.KINDS,
    *clocks.KINDS,
    *starts.KINDS,
    *people.KINDS,
)
