"""What will most likely be found out about hosts, for the commit's message, written before they are judged.

A wrong prediction costs an evaluation of the hosts that changed, and nothing else: what is published tells the
truth. It must not know how messages are put right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lockbot.history.store import History
from lockbot.judge.verdict import Baseline
from lockbot.model import Host, HostBuild, HostStatus, InputChange

_RUNS = 20
"""How far back is looked for a run that moved the same inputs."""


def predict(
    hosts: Sequence[Host], changes: Sequence[InputChange], known: Baseline, history: History, flake: str
) -> list[HostBuild]:
    """Each host builds, but for those that were broken before, and those that such a change left alone before."""
    untouched = _untouched({change.input for change in changes}, history, flake)
    return [_predicted(host, known, untouched) for host in hosts]


def _untouched(moved: set[str], history: History, flake: str) -> set[str]:
    """The hosts that stayed the same when these inputs moved, or more than these."""
    found: set[str] = set()
    for summary in history.runs(flake, limit=_RUNS):
        if summary.commit is None:
            continue
        run = history.get(summary.id)
        if moved <= {change.input for change in run.changes}:
            found |= {build.host.name for build in run.hosts if build.status is HostStatus.UNCHANGED}
    return found


def _predicted(host: Host, known: Baseline, untouched: set[str]) -> HostBuild:
    before = known.get(host.attribute)
    if before is not None and before.failure is not None:
        return replace(before, host=host, status=HostStatus.BROKEN_BEFORE)
    if host.name in untouched:
        return HostBuild(host, HostStatus.UNCHANGED)
    if before is not None and before.status is HostStatus.NOT_BUILDABLE_HERE:
        return replace(before, host=host)
    return HostBuild(host, HostStatus.EVALUATED if host.evaluate_only else HostStatus.BUILT)
