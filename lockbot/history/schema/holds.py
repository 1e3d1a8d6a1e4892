"""Holds that end by themselves. Knows SQL's data definition only."""

from __future__ import annotations

# `ends` is JSON: what has to come true; `asked` when that was last asked, `answer` what was heard, for people,
# `answered` when there was an answer last, `looked_at` the input's revision that it is about. The same for those
# of older lockbots, which are taken over whole.
STEP: tuple[str, ...] = tuple(
    f"ALTER TABLE {table} ADD COLUMN {column} TEXT"
    for table in ("holds", "holds_of_repositories")
    for column in ("ends", "asked", "answer", "answered", "looked_at")
)
