"""What was told to people, and what waits to be. Knows SQL's data definition only."""

from __future__ import annotations

# `conditions` is what stood when somebody last looked; what is told is the difference to how things stand now.
# `looked`: since when somebody looks (`first`), when that was last (`moment`), and the newest run that had ended
# then (NULL: there was none), so that what was published before is not told again.
# `told_targets`: who was told of what stands. One who is not in it is told of all that stands.
# `outbox`: one message to one target. `inputs` and `hosts` are JSON arrays; `due` is when it is tried next,
# `tried` when it was first; `state` is waiting, sending (it is on its way), sent, unknown (who sent it was killed
# when it had gone out) or given-up.
STEP: tuple[str, ...] = (
    """
    CREATE TABLE conditions (
        flake TEXT NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        since TEXT NOT NULL,
        title TEXT NOT NULL,
        body TEXT NOT NULL,
        inputs TEXT NOT NULL,
        hosts TEXT NOT NULL,
        run TEXT,
        PRIMARY KEY (flake, kind, subject)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE looked (
        flake TEXT NOT NULL PRIMARY KEY,
        first TEXT NOT NULL,
        moment TEXT NOT NULL,
        started TEXT,
        run TEXT
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE told_targets (
        flake TEXT NOT NULL,
        target TEXT NOT NULL,
        PRIMARY KEY (flake, target)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE outbox (
        id TEXT NOT NULL PRIMARY KEY,
        flake TEXT NOT NULL,
        target TEXT NOT NULL,
        kind TEXT NOT NULL,
        title TEXT NOT NULL,
        body TEXT NOT NULL,
        inputs TEXT NOT NULL,
        hosts TEXT NOT NULL,
        run TEXT,
        created TEXT NOT NULL,
        due TEXT NOT NULL,
        tried TEXT,
        attempts INTEGER NOT NULL,
        state TEXT NOT NULL,
        error TEXT,
        ended TEXT
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX outbox_by_flake ON outbox (flake, state, due)",
)
