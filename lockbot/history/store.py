"""What lockbot remembers between runs: each run, what each host was at a commit, and the logs.

Knows SQL queries; not how a cycle goes. One file for all flakes, meant to be read with `sqlite3`, too.

One `History` may be used from several threads: they take turns by a lock. Several processes may have it open: they
take turns by SQLite's. Each method is one transaction, so that a process killed at any instant leaves all or
nothing of it. Damage that shows while working is healed as at the opening: the file is moved aside, a new one
begun, the method repeated on it, and `notes` and the progress say so.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from lockbot.errors import LockbotError, UsageError
from lockbot.history import adopt, codec, damage, logs, rows, texts
from lockbot.history.connection import Opened, Remedy, is_damage, open_database, refusal
from lockbot.history.ledger import Ledger
from lockbot.history.notices.store import Notices
from lockbot.history.pruning import runs
from lockbot.history.pull_requests import PullRequests
from lockbot.history.read_only import open_read_only
from lockbot.history.rows import Seen
from lockbot.history.summaries.runs import RunSummary, summaries_query, summary
from lockbot.history.summaries.totals import Totals, read_totals
from lockbot.history.summaries.unjudged import Unjudged, read_unjudged
from lockbot.model import Host, HostBuild, HostStatus, Note, Phase, Progress, Run, silent

_FOREVER_DAYS = 100 * 365.0
"""Python's dates do not reach much further back."""

_Result = TypeVar("_Result")
_Action = Callable[[sqlite3.Connection], _Result]


@dataclass(frozen=True)
class Whereabouts:
    """How far a run had come: its last phase, and the commit that it was about to publish (or has published)."""

    phase: Phase | None = None
    publishing: str | None = None


class History:
    """The history in one database file, with the logs in `logs/` beside it. A context manager that closes it.

    `flake` is always a flake's key: the repository, the branch and the directory (`app.Place.flake`).
    """

    def __init__(self, path: Path, clock: Callable[[], datetime], opened: Opened, progress: Progress) -> None:
        self._path = path
        self._clock = clock
        self._progress = progress
        self._lock = threading.RLock()
        self._logs = path.parent / "logs"
        self.notes: tuple[str, ...] = ()
        """What the user must be told, loudly: a damaged history was replaced."""
        self._use(opened)

    @classmethod
    def open(cls, path: Path, clock: Callable[[], datetime], progress: Progress = silent) -> History:
        """Open or create it. Raises LockbotError: a newer lockbot's database, or a place that can't be written."""
        opened = open_database(path, clock(), tell=lambda text: progress(Note(text)))
        return cls(path, clock, opened, progress)

    @classmethod
    def read_only(cls, path: Path, clock: Callable[[], datetime]) -> History:
        """Only to look: nothing is made, migrated or healed. Raises LockbotError where it can't be read so."""
        return cls(path, clock, open_read_only(path), silent)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- runs

    def start(self, run: Run) -> None:
        """Record a run that begins; its id must be new."""

        def insert(connection: sqlite3.Connection) -> None:
            if connection.execute("SELECT 1 FROM runs WHERE id = ?", (texts.storable(run.id),)).fetchone():
                raise LockbotError(f"a run {run.id!r} is recorded already")
            codec.write_run(connection, run)

        self._write(insert)

    def save(self, run: Run) -> None:
        """Record the run as it is now, whole, in place of what was recorded of it."""
        self._write(lambda connection: codec.write_run(connection, run))

    def add_notes(self, run_id: str, notes: Sequence[str]) -> None:
        """Say more of a run that is over."""

        def insert(connection: sqlite3.Connection) -> None:
            codec.write_more_notes(connection, _find(connection, run_id)["id"], notes)

        self._write(insert)

    def mark_phase(self, run_id: str, phase: Phase) -> None:
        """Remember that the run has reached a phase, should it not live to tell."""
        self._mark(run_id, "UPDATE runs SET phase = ? WHERE id = ?", (phase,))

    def mark_publishing(self, run_id: str, commit: str) -> None:
        """Remember, before anything is moved, which commit is about to be published."""
        marks = (Phase.PUBLISH, texts.storable(commit))
        self._mark(run_id, "UPDATE runs SET phase = ?, publishing = ? WHERE id = ?", marks)

    def whereabouts(self, run_id: str) -> Whereabouts:
        """How far the run had come, by its marks."""
        return self._read(lambda connection: Whereabouts(*codec.read_marks(_find(connection, run_id))))

    def get(self, run_id_or_prefix: str) -> Run:
        """One run whole. Raises UsageError when no run, or more than one, begins like this."""
        return self._read(lambda connection: codec.read_run(connection, _find(connection, run_id_or_prefix)))

    def latest(self, flake: str) -> Run | None:
        """The run that was started last, whole; it may be running still."""
        query = "SELECT * FROM runs WHERE flake = ? ORDER BY started DESC, id DESC LIMIT 1"
        found = self._whole(query, (texts.storable(flake),))
        return found[0] if found else None

    def hosts_judged(self, flake: str, before: str, runs: int) -> frozenset[Host]:
        """The hosts of the newest runs (so many, of those that judged any), without the run `before` (its id)."""
        query = """
            SELECT DISTINCT name, attribute, kind, evaluate_only FROM hosts WHERE run IN (
                SELECT id FROM runs WHERE flake = ? AND id <> ?
                AND EXISTS (SELECT 1 FROM hosts WHERE hosts.run = runs.id)
                ORDER BY started DESC, id DESC LIMIT ?
            )
        """
        values = (texts.storable(flake), texts.storable(before), runs)
        return self._read(lambda connection: frozenset(map(codec.read_host, connection.execute(query, values))))

    def unfinished(self, repository: str) -> tuple[Run, ...]:
        """The runs without an outcome, oldest first: with the repository's lock held, those that were killed.

        Of all the repository's flakes, since its lock is theirs, too.
        """
        query = "SELECT * FROM runs WHERE repository = ? AND outcome IS NULL ORDER BY started"
        return self._whole(query, (texts.storable(repository),))

    def ask(self, query: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """One of the questions in `summaries/`."""
        return self._read(query)

    def runs(self, flake: str | None = None, limit: int = 50, before: str | None = None) -> tuple[RunSummary, ...]:
        """The newest runs, newest first; with `before` (a run's id or its prefix), those older than that one."""

        def select(connection: sqlite3.Connection) -> tuple[RunSummary, ...]:
            values: list[str | int] = [] if flake is None else [texts.storable(flake)]
            if before is not None:
                row = _find(connection, before)
                values += [row["started"], row["id"]]
            query = summaries_query(by_flake=flake is not None, paged=before is not None)
            return tuple(map(summary, connection.execute(query, (*values, limit))))

        return self._read(select)

    def totals(self, flake: str) -> Totals:
        """What monitors ask of the flake's runs."""
        return self._read(lambda connection: read_totals(connection, texts.storable(flake)))

    def adopt(self, flake: str, repository: str, branch: str | None) -> None:
        """Take over what an older lockbot kept of the whole repository; where nothing is left of it, only look."""
        key = (texts.storable(flake), texts.storable(repository), texts.optional(branch))
        if self._read(lambda connection: adopt.pending(connection, *key)):
            self._write(lambda connection: adopt.adopt(connection, *key))

    def unjudged(self, flake: str) -> tuple[Unjudged, ...]:
        """The hosts and inputs that the newest runs could not judge, and since when."""
        return self._read(lambda connection: read_unjudged(connection, texts.storable(flake)))

    def prune(self, keep_days: float, now: datetime) -> int:
        """Remove the runs that were started longer ago, and their logs. Returns how many went.

        The newest NEWEST_RUNS of each flake stay, however old: of a repository's NEWEST_FLAKES, and of those with
        holds.
        """
        oldest = now - timedelta(days=min(keep_days, _FOREVER_DAYS))

        def delete(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
            old = runs.prune(connection, texts.moment(oldest))
            return old, [damage.text(row["id"]) for row in connection.execute("SELECT id FROM runs")]

        gone, known = self._write(delete)
        logs.remove_logs(self._logs, gone)
        logs.remove_strays(self._logs, known, oldest.timestamp())
        return len(gone)

    # -- baselines

    def baseline(self, flake: str, context: str, commit: str) -> dict[str, HostBuild]:
        """What is remembered of the hosts at a commit, by `texts.attribute_path` of their attribute.

        `context` is a word for what else decides how they fare (`RunConfig.fingerprint`).
        """
        key = _key(flake, context, commit)

        def select(connection: sqlite3.Connection) -> dict[str, HostBuild]:
            query = "SELECT * FROM baselines WHERE flake = ? AND context = ? AND revision = ?"
            builds = [codec.read_build(connection, row) for row in connection.execute(query, key).fetchall()]
            return {texts.attribute_path(build.host.attribute): build for build in builds}

        return self._read(select)

    def remember(
        self, flake: str, context: str, commit: str, builds: Sequence[HostBuild]
    ) -> tuple[HostBuild, ...]:
        """Remember what these hosts are at a commit; other hosts' memories of it stay.

        Returns those that were refused: a failure that is not the host's own would be held against it later, and
        what this machine could not find out it may another day.
        """
        key = _key(flake, context, commit)
        refused = tuple(build for build in builds if not _rememberable(build))

        def insert(connection: sqlite3.Connection) -> None:
            for build in builds:
                if _rememberable(build):
                    codec.write_baseline(connection, key, build, self._clock())

        self._write(insert)
        return refused

    def forget_baselines(self, flake: str, keep: Collection[str]) -> None:
        """Forget what hosts were at any commit but these."""
        kept = set(map(texts.storable, keep))

        def delete(connection: sqlite3.Connection) -> None:
            key = texts.storable(flake)
            known = connection.execute("SELECT DISTINCT revision FROM baselines WHERE flake = ?", (key,))
            gone = [(key, row["revision"]) for row in known.fetchall() if row["revision"] not in kept]
            connection.executemany("DELETE FROM baselines WHERE flake = ? AND revision = ?", gone)

        self._write(delete)

    def forget_failed_baselines(self, flake: str) -> None:
        """Forget of which hosts it is known that they fail, at any commit and in every context."""
        statement = "DELETE FROM baselines WHERE flake = ? AND failure IS NOT NULL"
        self._write(lambda connection: connection.execute(statement, (texts.storable(flake),)))

    # -- what somebody has looked at

    def seen(self, flake: str) -> Seen | None:
        """Up to which commit of the flake's branch somebody has looked; None: nobody has said."""
        query, key = "SELECT * FROM seen WHERE flake = ?", (texts.storable(flake),)
        found = self._read(lambda connection: list(map(rows.seen, connection.execute(query, key).fetchall())))
        return found[0] if found else None

    def mark_seen(self, flake: str, commit: str) -> None:
        row = (texts.storable(flake), texts.storable(commit), texts.moment(self._clock()))
        self._write(lambda connection: connection.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", row))

    # -- the ledger

    def flakes_with_holds(self) -> tuple[str, ...]:
        """The keys of all flakes of which the user holds an input."""
        query = "SELECT DISTINCT flake FROM holds ORDER BY flake"
        return self._read(lambda connection: tuple(damage.text(row[0]) for row in connection.execute(query)))

    def ledger(self, flake: str) -> Ledger:
        """What is remembered of one flake's inputs and derivations."""
        return Ledger(texts.storable(flake), self._read, self._write, self._clock)

    def notices(self, flake: str) -> Notices:
        """What was told of one flake, and what waits to be sent."""
        return Notices(texts.storable(flake), self._read, self._write, self._clock)

    def pull_requests(self, flake: str) -> PullRequests:
        return PullRequests(texts.storable(flake), self._read, self._write, self._clock)

    # -- logs

    def write_log(self, run_id: str, host: str, text: str, limit: int) -> str | None:
        """Keep at most `limit` bytes of a host's log. Returns a sentence for the user where that failed."""
        return logs.write_log(self._logs, run_id, host, text, limit)

    def read_log(self, run_id: str, host: str) -> str | None:
        """A host's log; None when none is kept."""
        return logs.read_log(self._logs, run_id, host)

    def log_names(self, run_id: str) -> tuple[str, ...]:
        """The hosts whose logs are kept with a run."""
        return logs.log_names(self._logs, run_id)

    # -- transactions

    def _use(self, opened: Opened) -> None:
        self._connection, self._file = opened.connection, opened.file
        if opened.note is not None:
            self.notes += (opened.note,)
            self._progress(Note(opened.note))

    def _read(self, action: _Action[_Result]) -> _Result:
        return self._transact("BEGIN", action)

    def _write(self, action: _Action[_Result]) -> _Result:
        # IMMEDIATE: a transaction that begins by reading and is then overtaken by a writer can't be waited out.
        return self._transact("BEGIN IMMEDIATE", action)

    def _transact(self, begin: str, action: _Action[_Result]) -> _Result:
        with self._lock:
            for remedy in (*Remedy, None):
                try:
                    return _transaction(self._connection, begin, action)
                except (sqlite3.Error, damage.Damaged, UnicodeDecodeError) as error:
                    if remedy is None or self._file is None or not is_damage(error):
                        raise refusal(self._path, error) from error
                    self._connection.close()
                    self._use(open_database(self._path, self._clock(), remedy, why=str(error), file=self._file))
            raise AssertionError("the last way out is an error")

    def _whole(self, query: str, values: tuple[str, ...]) -> tuple[Run, ...]:
        def select(connection: sqlite3.Connection) -> tuple[Run, ...]:
            rows = connection.execute(query, values).fetchall()
            return tuple(codec.read_run(connection, row) for row in rows)

        return self._read(select)

    def _mark(self, run_id: str, statement: str, marks: tuple[str, ...]) -> None:
        def update(connection: sqlite3.Connection) -> None:
            if connection.execute(statement, (*marks, texts.storable(run_id))).rowcount == 0:
                raise LockbotError(f"no run {run_id!r} is recorded")

        self._write(update)


def _transaction(connection: sqlite3.Connection, begin: str, action: _Action[_Result]) -> _Result:
    connection.execute(begin)
    try:
        result = action(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has rolled back by itself when the disk is full
            connection.execute("ROLLBACK")
        raise
    return result


def _find(connection: sqlite3.Connection, prefix: str) -> sqlite3.Row:
    """The run of this id, else the only one that begins like this."""
    start = texts.storable(prefix)
    exact: sqlite3.Row | None = connection.execute("SELECT * FROM runs WHERE id = ?", (start,)).fetchone()
    if exact is not None:
        return exact
    query = "SELECT * FROM runs WHERE id >= ? AND id < ? ORDER BY id LIMIT 4"
    rows = connection.execute(query, (start, start + "\U0010ffff")).fetchall() if start else []
    match rows:
        case [row]:
            assert isinstance(row, sqlite3.Row)
            return row
        case []:
            raise UsageError(f"no run begins with {prefix!r}", "`lockbot history` lists the runs")
        case _:
            found = ", ".join(damage.text(row["id"]) for row in rows[:3]) + (", …" if len(rows) > 3 else "")
            raise UsageError(f"more than one run begins with {prefix!r}: {found}", "give more of the id")


def _rememberable(build: HostBuild) -> bool:
    """Whether it says something lasting about the host."""
    if build.failure is not None and not build.failure.kind.own:
        return False
    match build.status:
        case HostStatus.FAILED | HostStatus.BROKEN_BEFORE | HostStatus.NEW_AND_BROKEN:
            return build.failure is not None
        case HostStatus.UNJUDGED:
            return False
        case _:
            return True


def _key(flake: str, context: str, commit: str) -> tuple[str, str, str]:
    return texts.storable(flake), texts.storable(context), texts.storable(commit)
