"""Whether this machine's kernel can confine programs: where it can't, what is about that is skipped, and told."""

from __future__ import annotations

import pytest

from lockbot.process import landlock

needs_landlock = pytest.mark.skipif(
    landlock.unavailable() is not None, reason=f"NOT TESTED: confinement ({landlock.unavailable()})"
)
