"""`lockbot hosts`: what hosts the flake has, and what is remembered of them. Writes nothing of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lockbot.app import App
from lockbot.commands.committed import branch_now, unasked
from lockbot.commands.run_config import fingerprint, host_patterns
from lockbot.errors import UsageError
from lockbot.git.sync import Base
from lockbot.git.worktree import Worktree, worktree
from lockbot.judge.hosts import select
from lockbot.lock.local import named_files
from lockbot.model import Host, HostBuild, HostKind, HostStatus
from lockbot.nix import evaluate
from lockbot.nix.flakeref import local_flake
from lockbot.process import Deadline
from lockbot.report import words
from lockbot.report.document import Document
from lockbot.report.styled_lines import Line, line
from lockbot.report.table import table


@dataclass(frozen=True)
class HostRow:
    """One host of the flake; `judged` False: the configuration leaves it out."""

    host: Host
    judged: bool
    last: HostBuild | None


def hosts(app: App) -> tuple[HostRow, ...]:
    """Every host of the flake at the branch's tip, with what is remembered of it there."""
    place = app.place()
    nix = app.nix(place)
    with branch_now(app, place) as (clone, base), worktree(clone, base.commit, unasked(place.source)) as tree:
        flake = _flake(tree, base, app.flake_dir(place))
        nix.permit(named_files(clone, base.commit, app.flake_dir(place)))
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


def _flake(tree: Worktree, base: Base, directory: str) -> str:
    return local_flake(tree.path, base.commit, directory, submodules=tree.submodules)
