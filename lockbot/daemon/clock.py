"""Whether the clock goes as time does."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime


class ClockWatch:
    """Tells by how much the clock was set, or a machine slept, between two looks."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._offset = self._ahead()

    def moved(self) -> float:
        """Seconds since the last look."""
        before, self._offset = self._offset, self._ahead()
        return self._offset - before

    def _ahead(self) -> float:
        """Stays the same as long as the clock goes as time does."""
        return self._clock().timestamp() - time.clock_gettime(time.CLOCK_MONOTONIC)
