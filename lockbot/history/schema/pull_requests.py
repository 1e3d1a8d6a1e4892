"""Pull requests that ask to take what was judged. Knows SQL's data definition only."""

from __future__ import annotations

# One row for each that there ever was (`model.PullRequest`). `moves`, `hosts` and `news` are JSON: `[input, old,
# new]` each, host to status, `[moment, text]` each. `text_written` and `comment_written` are digests of what the
# forge has.
# `told_requests`: what people were told last of one (a NoticeKind), or would have been.
# `runs.requests`: what a run has done about them, a JSON array.
STEP: tuple[str, ...] = (
    """
    CREATE TABLE pull_requests (
        id TEXT NOT NULL PRIMARY KEY,
        flake TEXT NOT NULL,
        base TEXT NOT NULL,
        inputs TEXT NOT NULL,
        branch TEXT NOT NULL,
        run TEXT NOT NULL,
        revision TEXT NOT NULL,
        parent TEXT NOT NULL,
        opened TEXT NOT NULL,
        changed TEXT NOT NULL,
        state TEXT NOT NULL,
        pushed TEXT,
        number INTEGER,
        url TEXT,
        moves TEXT NOT NULL,
        hosts TEXT NOT NULL,
        title TEXT NOT NULL,
        body TEXT NOT NULL,
        draft INTEGER NOT NULL,
        text_written TEXT NOT NULL,
        news TEXT NOT NULL,
        comment TEXT,
        comment_written TEXT NOT NULL,
        filed INTEGER NOT NULL,
        left_alone TEXT NOT NULL,
        waits TEXT NOT NULL,
        merged_as TEXT,
        tidied INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX pull_requests_by_flake ON pull_requests (flake, base, opened)",
    "ALTER TABLE runs ADD COLUMN requests TEXT",
    """
    CREATE TABLE told_requests (
        id TEXT NOT NULL PRIMARY KEY,
        flake TEXT NOT NULL,
        kind TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)
