"""The steps that were released as one program's first six versions: runs, the ledger, flakes, reviews.

None of them is ever edited. Knows SQL's data definition only.
"""

from __future__ import annotations

# Times are UTC in ISO 8601, so that text order is time order; `attribute` and `tail` are JSON arrays of strings;
# `published` is the model's Run.commit (COMMIT is a word of SQL).
FIRST = (
    """
    CREATE TABLE runs (
        id TEXT NOT NULL PRIMARY KEY,
        repository TEXT NOT NULL,
        started TEXT NOT NULL,
        finished TEXT,
        outcome TEXT,
        branch TEXT NOT NULL,
        base TEXT,
        candidate TEXT,
        published TEXT,
        parked TEXT,
        pushed INTEGER NOT NULL,
        dry_run INTEGER NOT NULL,
        error TEXT,
        hint TEXT,
        phase TEXT,
        publishing TEXT
    ) STRICT
    """,
    "CREATE INDEX runs_by_repository ON runs (repository, started, id)",
    "CREATE INDEX runs_by_start ON runs (started, id)",
    "CREATE INDEX runs_unfinished ON runs (repository, started) WHERE outcome IS NULL",
    """
    CREATE TABLE changes (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        input TEXT NOT NULL,
        kind TEXT NOT NULL,
        old_type TEXT, old_url TEXT, old_original TEXT, old_rev TEXT, old_ref TEXT,
        old_nar_hash TEXT, old_last_modified INTEGER,
        new_type TEXT, new_url TEXT, new_original TEXT, new_rev TEXT, new_ref TEXT,
        new_nar_hash TEXT, new_last_modified INTEGER,
        old_follows TEXT,
        new_follows TEXT,
        commits INTEGER,
        PRIMARY KEY (run, position)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE failures (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        message TEXT NOT NULL,
        culprit TEXT,
        tail TEXT NOT NULL,
        log TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE hosts (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        attribute TEXT NOT NULL,
        kind TEXT NOT NULL,
        evaluate_only INTEGER NOT NULL,
        status TEXT NOT NULL,
        drv TEXT,
        out TEXT,
        system TEXT,
        failure INTEGER REFERENCES failures (id),
        PRIMARY KEY (run, position)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX hosts_by_failure ON hosts (failure)",
    """
    CREATE TABLE held (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        input TEXT NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        revision TEXT,
        PRIMARY KEY (run, position)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE notes (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (run, position)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE phases (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        phase TEXT NOT NULL,
        seconds REAL NOT NULL,
        PRIMARY KEY (run, position)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE baselines (
        repository TEXT NOT NULL,
        revision TEXT NOT NULL,
        attribute TEXT NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        evaluate_only INTEGER NOT NULL,
        status TEXT NOT NULL,
        drv TEXT,
        out TEXT,
        system TEXT,
        failure INTEGER REFERENCES failures (id),
        recorded TEXT NOT NULL,
        PRIMARY KEY (repository, revision, attribute)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX baselines_by_failure ON baselines (failure)",
    """
    CREATE TRIGGER hosts_take_their_failure AFTER DELETE ON hosts WHEN OLD.failure IS NOT NULL
    BEGIN DELETE FROM failures WHERE id = OLD.failure; END
    """,
    """
    CREATE TRIGGER baselines_take_their_failure AFTER DELETE ON baselines WHEN OLD.failure IS NOT NULL
    BEGIN DELETE FROM failures WHERE id = OLD.failure; END
    """,
)

# The ledger. `bad_hosts` is a JSON array of strings. Derivations are the same in every repository; `failure` NULL:
# it was built.
LEDGER = (
    """
    CREATE TABLE tips (
        repository TEXT NOT NULL,
        input TEXT NOT NULL,
        source TEXT NOT NULL,
        revision TEXT NOT NULL,
        first_seen TEXT NOT NULL,
        last_seen TEXT NOT NULL,
        committed INTEGER,
        PRIMARY KEY (repository, input, source, revision)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE holds (
        repository TEXT NOT NULL,
        input TEXT NOT NULL,
        why TEXT NOT NULL,
        since TEXT NOT NULL,
        until TEXT,
        at_revision TEXT,
        PRIMARY KEY (repository, input)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE accepted (
        repository TEXT NOT NULL,
        input TEXT NOT NULL,
        since TEXT NOT NULL,
        locked TEXT,
        revision TEXT,
        PRIMARY KEY (repository, input)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE inputs (
        repository TEXT NOT NULL,
        input TEXT NOT NULL,
        noticed TEXT NOT NULL,
        state TEXT NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        since TEXT,
        stuck_since TEXT,
        cache_since TEXT,
        last_attempt TEXT,
        last_success TEXT,
        unreachable_since TEXT,
        last_good TEXT,
        next_try TEXT,
        locked TEXT,
        bad_revision TEXT,
        bad_subject TEXT,
        bad_author TEXT,
        bad_date INTEGER,
        bad_link TEXT,
        bad_hosts TEXT,
        bad_after TEXT,
        bad_exact INTEGER,
        PRIMARY KEY (repository, input)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE derivations (
        drv TEXT NOT NULL PRIMARY KEY,
        recorded TEXT NOT NULL,
        flaky INTEGER NOT NULL,
        culprit TEXT,
        failure INTEGER REFERENCES failures (id)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX derivations_by_culprit ON derivations (culprit) WHERE culprit IS NOT NULL",
    "CREATE INDEX derivations_by_failure ON derivations (failure) WHERE failure IS NOT NULL",
    "CREATE INDEX derivations_by_age ON derivations (recorded)",
    """
    CREATE TRIGGER derivations_take_their_failure AFTER DELETE ON derivations WHEN OLD.failure IS NOT NULL
    BEGIN DELETE FROM failures WHERE id = OLD.failure; END
    """,
)

# From here on what is remembered belongs to a flake (`app.Place.flake`), not to a repository. What an older
# lockbot kept of a repository can't be told apart by flake: it moves to tables of its own, from which every flake
# of it takes it over when it comes (`history.adopt`); its runs have `flake` NULL until then. How hosts and
# derivations fared was kept without a word for what decided it (`context`): it is found out anew. `held.culprit`
# is JSON.
FLAKES = (
    "ALTER TABLE runs ADD COLUMN flake TEXT",
    "DROP INDEX runs_by_repository",
    "CREATE INDEX runs_by_flake ON runs (flake, started, id)",
    "CREATE INDEX runs_of_no_flake ON runs (repository, branch) WHERE flake IS NULL",
    "ALTER TABLE hosts ADD COLUMN answer TEXT",
    "ALTER TABLE hosts ADD COLUMN evidence TEXT",
    "ALTER TABLE hosts ADD COLUMN evaluated INTEGER",
    "ALTER TABLE hosts ADD COLUMN base_answer TEXT",
    "ALTER TABLE hosts ADD COLUMN base_evidence TEXT",
    "ALTER TABLE hosts ADD COLUMN base_evaluated INTEGER",
    "ALTER TABLE held ADD COLUMN culprit TEXT",
    "DELETE FROM baselines",
    "DROP TABLE baselines",
    """
    CREATE TABLE baselines (
        flake TEXT NOT NULL,
        context TEXT NOT NULL,
        revision TEXT NOT NULL,
        attribute TEXT NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        evaluate_only INTEGER NOT NULL,
        status TEXT NOT NULL,
        drv TEXT,
        out TEXT,
        system TEXT,
        failure INTEGER REFERENCES failures (id),
        answer TEXT,
        evidence TEXT,
        evaluated INTEGER,
        recorded TEXT NOT NULL,
        PRIMARY KEY (flake, context, revision, attribute)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX baselines_by_failure ON baselines (failure)",
    """
    CREATE TRIGGER baselines_take_their_failure AFTER DELETE ON baselines WHEN OLD.failure IS NOT NULL
    BEGIN DELETE FROM failures WHERE id = OLD.failure; END
    """,
    "DELETE FROM derivations",
    "DROP TABLE derivations",
    """
    CREATE TABLE derivations (
        flake TEXT NOT NULL,
        context TEXT NOT NULL,
        drv TEXT NOT NULL,
        recorded TEXT NOT NULL,
        flaky INTEGER NOT NULL,
        culprit TEXT,
        failure INTEGER REFERENCES failures (id),
        PRIMARY KEY (flake, context, drv)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX derivations_by_culprit ON derivations (flake, context, culprit) WHERE culprit IS NOT NULL",
    "CREATE INDEX derivations_by_failure ON derivations (failure) WHERE failure IS NOT NULL",
    "CREATE INDEX derivations_that_fail ON derivations (flake, context, recorded) WHERE failure IS NOT NULL",
    "CREATE INDEX derivations_by_age ON derivations (recorded)",
    """
    CREATE TRIGGER derivations_take_their_failure AFTER DELETE ON derivations WHEN OLD.failure IS NOT NULL
    BEGIN DELETE FROM failures WHERE id = OLD.failure; END
    """,
    *(f"ALTER TABLE {name} RENAME TO {name}_of_repositories" for name in ("tips", "holds", "accepted", "inputs")),
    *(statement.replace("repository", "flake") for statement in LEDGER[:4]),
    "CREATE TABLE adopted (flake TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID",
)

# What an older lockbot kept as it came is kept without secrets from here on; what is looked up by a text that
# held one is found by the text without it (`texts.storable`, `texts.origin`).
_PROSE = {
    "runs": ("repository", "flake", "error", "hint"),
    "changes": ("input", "old_url", "old_original", "new_url", "new_original"),
    "hosts": ("name", "attribute"),
    "failures": ("message", "culprit", "tail", "log"),
    "held": ("input", "detail", "culprit"),
    "notes": ("text",),
    **dict.fromkeys(("holds", "holds_of_repositories"), ("input", "why")),
    **dict.fromkeys(("inputs", "inputs_of_repositories"), ("input", "detail")),
}
REDACTED = (
    *(
        f"UPDATE OR IGNORE {table} SET {', '.join(f'{name} = redacted({name})' for name in names)}"  # noqa: S608 -- our own names
        f" WHERE {' OR '.join(f'{name} <> redacted({name})' for name in names)}"
        for table, names in _PROSE.items()
    ),
    *(
        statement.format(tips=tips, owner=owner)
        for tips, owner in (("tips", "flake"), ("tips_of_repositories", "repository"))
        for statement in (
            """
            INSERT INTO {tips} ({owner}, input, source, revision, first_seen, last_seen, committed)
            SELECT {owner}, redacted(input), origin(source), revision,
                min(first_seen), max(last_seen), max(committed)
            FROM {tips} WHERE source <> origin(source) OR input <> redacted(input)
            GROUP BY 1, 2, 3, 4
            ON CONFLICT DO UPDATE SET
                first_seen = min(first_seen, excluded.first_seen),
                last_seen = max(last_seen, excluded.last_seen),
                committed = coalesce(committed, excluded.committed)
            """,
            "DELETE FROM {tips} WHERE source <> origin(source) OR input <> redacted(input)",
        )
    ),
)

# `told` is JSON, compressed by zlib (`history.reviews`); `warnings` a JSON array of strings, NULL: not known.
REVIEWS = (
    """
    CREATE TABLE reviews (
        run TEXT NOT NULL PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
        told BLOB NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "ALTER TABLE hosts ADD COLUMN warnings TEXT",
    "ALTER TABLE baselines ADD COLUMN warnings TEXT",
)

# Up to which commit of a flake's branch somebody has looked (`lockbot review --seen`), and when that was said.
SEEN = (
    """
    CREATE TABLE seen (
        flake TEXT NOT NULL PRIMARY KEY,
        revision TEXT NOT NULL,
        moment TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

STEPS: tuple[tuple[str, ...], ...] = (FIRST, LEDGER, FLAKES, REDACTED, REVIEWS, SEEN)
