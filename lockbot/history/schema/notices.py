"""What was told to people, and what waits to be. Knows SQL's data definition only."""

from __future__ import annotations

# `conditions` is what stood when somebody last looked; what is told is the difference to how things stand now.
# `looked`: up to which run that was (NULL: there was none), so that what was published before is not told.
# `outbox`: one message to one target. `inputs` and `hosts` are JSON arrays; `state` is waiting, sending (who sends
# it is about to let the last of it go, or has), sent, unknown (killed while sending) or given-up.
STEP: tuple[str, ...] = (
    """
    CREATE TABLE conditions (
        flake TEXT NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        since TEXT NOT NULL,
        title TEXT NOT NULL,
        inputs TEXT NOT NULL,
        hosts TEXT NOT NULL,
        PRIMARY KEY (flake, kind, subject)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE looked (
        flake TEXT NOT NULL PRIMARY KEY,
        moment TEXT NOT NULL,
        started TEXT,
        run TEXT
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
        attempts INTEGER NOT NULL,
        state TEXT NOT NULL,
        error TEXT,
        ended TEXT
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX outbox_due ON outbox (flake, state, due)",
    "CREATE INDEX outbox_by_age ON outbox (created)",
)
