"""Holds that end by themselves. Knows SQL's data definition only."""

from __future__ import annotations

# `ends` is JSON: what has to come true; `asked` when that was last asked, `answer` what was heard, for people.
# The same for those of older lockbots, which are taken over whole.
STEP: tuple[str, ...] = tuple(
    f"ALTER TABLE {table} ADD COLUMN {column} TEXT"
    for table in ("holds", "holds_of_repositories")
    for column in ("ends", "asked", "answer")
)
