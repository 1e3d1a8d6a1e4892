"""What the listing commands ask for: the flake's inputs and hosts, and past runs. Writes nothing of the user's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from lockbot.app import App, Place
from lockbot.commands.update import fingerprint, host_patterns
from lockbot.errors import UsageError
from lockbot.git.clone import Clone
from lockbot.git.command import Git, user_environment
from lockbot.git.inputs.upstream import Tip, ask_tips
from lockbot.git.source import LocalSource, Source
from lockbot.git.sync import Base, sync
from lockbot.git.worktree import Worktree, worktree
from lockbot.judge.hosts import select
from lockbot.model import Host, HostBuild, HostKind, HostStatus, Locked
from lockbot.nix import evaluate
from lockbot.nix.flakeref import local_flake
from lockbot.nix.lockfile import EMPTY, LOCK_NAME, LockFile
from lockbot.policy.origin import origin_of
from lockbot.process import Deadline
from lockbot.report import words
from lockbot.report.document import Document
from lockbot.report.lines import Line, line
from lockbot.report.table import table
from lockbot.state import RunLock


@dataclass(frozen=True)
class InputRow:
    """One input path. `tip` is what upstream says, where it was asked."""

    input: str
    locked: Locked | None
    follows: str | None
    updatable: bool
    why_not: str | None
    tip: Tip | None = None


@dataclass(frozen=True)
class HostRow:
    """One host of the flake; `judged` False: the configuration leaves it out."""

    host: Host
    judged: bool
    last: HostBuild | None


# -- inputs -----------------------------------------------------------------------------------------------------


def inputs(app: App, *, ask: bool) -> tuple[InputRow, ...]:
    """Every input path in the lock of the branch, root inputs first; `ask`: with what upstream has."""
    place = app.place()
    with _clone_of(app, place) as (clone, base):
        path = str(Path(app.flake_dir(place)) / LOCK_NAME)
        content = clone.read_file(base.commit, path)
    lock = LockFile.parse(content.decode(errors="replace"), path) if content is not None else EMPTY
    rows = tuple(_input_row(lock, path) for path in lock.paths())
    if not ask:
        return rows
    origins = {
        row.input: origin_of(row.locked.original) for row in rows if row.updatable and row.locked is not None
    }
    deadline = Deadline(app.settings.run.fetch_timeout, "asking upstream")
    git = Git(place.directory, user_environment(app.access(place)), app.cancel, app.settings.run.fetch_timeout)
    tips = ask_tips(git, {name: one for name, one in origins.items() if one}, deadline)
    tips |= {name: _NO_GIT for name, one in origins.items() if one is None}
    return tuple(replace(row, tip=tips.get(row.input)) for row in rows)


_NO_GIT = Tip(None, problem="only git repositories can be asked without downloading")


def _input_row(lock: LockFile, path: str) -> InputRow:
    root = lock.root_inputs.get(path)
    return InputRow(
        input=path,
        locked=lock.locked(path),
        follows=lock.follows(path),
        updatable=root is not None and root.updatable,
        why_not=root.why_not if root is not None else None,
    )


def inputs_table(rows: Sequence[InputRow], now: datetime, width: int | None, *, asked: bool) -> tuple[Line, ...]:
    if not rows:
        return (line("flake.lock has no inputs; the next update locks what flake.nix asks for"),)
    header = ["input", "revision", "age", *(["upstream"] if asked else []), "from"]
    return table(header, [_input_cells(row, now, asked=asked) for row in rows], width=width)


def _input_cells(row: InputRow, now: datetime, *, asked: bool) -> list[str]:
    if row.follows is not None:
        return [row.input, "", "", *([""] if asked else []), f"follows {row.follows}"]
    locked = row.locked
    modified = locked.last_modified if locked is not None else None
    return [
        row.input,
        words.short(locked.revision) if locked is not None else "",
        words.age(now.timestamp() - modified) if modified is not None else "",
        *([_upstream(row)] if asked else []),
        locked.original if locked is not None else "",
    ]


def _upstream(row: InputRow) -> str:
    if row.tip is None:
        return "" if row.why_not is None else f"not asked: {row.why_not}"
    if row.tip.problem is not None:
        return f"not reached: {row.tip.problem}"
    current = row.locked is not None and row.tip.revision == row.locked.rev
    return "current" if current else f"moved to {words.short(row.tip.revision)}"


def inputs_document(rows: Sequence[InputRow]) -> Document:
    return {"inputs": [_input_document(row) for row in rows]}


def _input_document(row: InputRow) -> Document:
    locked, tip = row.locked, row.tip
    return {
        "input": row.input,
        "revision": locked.revision or None if locked is not None else None,
        "last_modified": locked.last_modified if locked is not None else None,
        "type": locked.type if locked is not None else None,
        "url": locked.url if locked is not None else None,
        "original": locked.original if locked is not None else None,
        "follows": row.follows,
        "updatable": row.updatable,
        "why_not": row.why_not,
        "upstream": None if tip is None else {"revision": tip.revision, "problem": tip.problem},
        "outdated": tip.revision != locked.rev if tip is not None and tip.revision and locked else None,
    }


# -- hosts ------------------------------------------------------------------------------------------------------


def hosts(app: App) -> tuple[HostRow, ...]:
    """Every host of the flake at the branch's tip, with what is remembered of it there."""
    place = app.place()
    nix = app.nix(place)
    with _clone_of(app, place) as (clone, base), worktree(clone, base.commit, _quiet(place.source)) as tree:
        flake = _flake(tree, base, app.flake_dir(place))
        found = evaluate.host_names(
            nix, flake, Deadline(app.settings.eval.timeout, "asking the flake for its hosts")
        )
    try:
        chosen = {host.name: host for host in select(found, host_patterns(app.settings))}
    except UsageError:
        chosen = {}
    with app.history(place) as past:
        baseline = past.baseline(place.flake, fingerprint(app.settings, nix), base.commit)
    known = {build.host.attribute: build for build in baseline.values()}
    every = {host.name: host for host in found} | chosen
    return tuple(HostRow(host, name in chosen, known.get(host.attribute)) for name, host in every.items())


def hosts_table(rows: Sequence[HostRow], width: int | None) -> tuple[Line, ...]:
    if not rows:
        return (line(f"the flake has no {HostKind.named('or')}"),)
    cells = [[row.host.name, str(row.host.kind), _treatment(row), _last(row.last)] for row in rows]
    return table(["host", "kind", "lockbot", "at this commit"], cells, width=width)


def _treatment(row: HostRow) -> str:
    if not row.judged:
        return "leaves it out"
    return "evaluates it" if row.host.evaluate_only else "builds it"


def _last(build: HostBuild | None) -> str:
    if build is None:
        return "not known yet"
    if build.failure is not None:
        return f"broken: {words.failure(build.failure.kind)}"
    return "evaluated" if build.status is HostStatus.EVALUATED else words.status(build.status)


def hosts_document(rows: Sequence[HostRow]) -> Document:
    return {
        "hosts": [
            {
                "name": row.host.name,
                "kind": row.host.kind,
                "attribute": list(row.host.attribute),
                "judged": row.judged,
                "evaluate_only": row.host.evaluate_only,
                "status": row.last.status if row.last is not None else None,
                "failure": row.last.failure.kind
                if row.last is not None and row.last.failure is not None
                else None,
            }
            for row in rows
        ]
    }


@contextmanager
def _clone_of(app: App, place: Place) -> Iterator[tuple[Clone, Base]]:
    """lockbot's clone with the branch as it is now; no remote of a local repository is asked."""
    with RunLock(
        place.directory / "lock", "listing", app.clock, cancel=app.cancel, wait=True, progress=app.progress
    ):
        clone = app.clone(place)
        yield clone, sync(clone, _quiet(place.source))


def _quiet(source: Source) -> Source:
    return replace(source, remote="", push=False) if isinstance(source, LocalSource) else source


def _flake(tree: Worktree, base: Base, directory: str) -> str:
    return local_flake(tree.path, base.commit, directory, submodules=tree.submodules)
