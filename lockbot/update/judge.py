"""Judging a candidate: what becomes of every host, and whose fault it is.

A host is evaluated at the candidate's commit and, where it is not remembered, at the base's. Equal derivations
are not built. One that fails is held against the base: only a host that builds without the change is the
change's fault. It must not know how a candidate came to be, nor what is done with the verdict.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import assert_never

from lockbot.model import (
    Candidate,
    Failure,
    FailureKind,
    Host,
    HostBuild,
    HostDecided,
    HostEvaluated,
    HostEvaluating,
    HostStatus,
    Progress,
    Verdict,
)
from lockbot.nix import build, evaluate
from lockbot.nix.build import Builder, Target
from lockbot.nix.command import Nix, local_flake
from lockbot.nix.evaluate import Evaluation, Job

Baseline = Mapping[tuple[str, ...], HostBuild]
"""What each host (by its attribute path) was found to be at one commit, as far as it is known."""


@dataclass(frozen=True)
class Limits:
    evaluation: evaluate.Limits
    build: build.Limits


@dataclass(frozen=True)
class Judged:
    """A verdict, and what was learnt of both commits, to be remembered."""

    verdict: Verdict
    base: Baseline
    candidate: Baseline
    flaky: frozenset[str] = frozenset()
    """Derivations that failed and then were built, unchanged."""


def judge(
    nix: Nix,
    candidate: Candidate,
    hosts: Sequence[Host],
    *,
    tree: Path,
    flake_dir: str,
    submodules: bool,
    known: Baseline,
    limits: Limits,
    progress: Progress,
    carried: Iterable[HostBuild] = (),
    broken: Mapping[str, Failure] | None = None,
) -> Judged:
    """Evaluate and build every host at the candidate.

    `known` is what is remembered of the base. `carried` are hosts already found unchanged at a commit that
    differs from this one in its message alone: their derivation names no commit, so they hold for this one.
    `broken` are derivations that are known to fail: what needs one is not built.
    """
    skip = {item.host: item for item in carried}
    with Builder(nix, limits.build, progress, broken) as builder:
        trial = _Trial(nix, candidate, tree, flake_dir, submodules, known, limits, progress, builder)
        trial.evaluate([host for host in hosts if host not in skip])
        trial.settle()
    builds = tuple(skip.get(host) or trial.decided[host] for host in hosts)
    return Judged(Verdict(candidate, builds), trial.learnt_of_base(), _remembered(builds, known), builder.flaky)


@dataclass
class _Trial:
    nix: Nix
    candidate: Candidate
    tree: Path
    flake_dir: str
    submodules: bool
    known: Baseline
    limits: Limits
    progress: Progress
    builder: Builder
    here: dict[Host, Evaluation] = field(default_factory=dict)
    """Evaluations at the candidate."""
    before: dict[Host, Evaluation] = field(default_factory=dict)
    """Evaluations at the base."""
    decided: dict[Host, HostBuild] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    # -- evaluating, with building close behind -----------------------------------------------------------

    def evaluate(self, hosts: Sequence[Host]) -> None:
        jobs = []
        for host in hosts:
            jobs.append(self._job(host, "candidate"))
            if host.attribute not in self.known:
                jobs.append(self._job(host, "base"))
        self._run(jobs, self._evaluated)

    def _job(self, host: Host, at: str) -> Job:
        commit = self.candidate.commit if at == "candidate" else self.candidate.base
        flake = local_flake(self.tree, commit, self.flake_dir, submodules=self.submodules)
        return Job(host, flake, at)

    def _run(self, jobs: Sequence[Job], on_done: Callable[[Evaluation], None]) -> None:
        evaluate.evaluate(
            self.nix,
            jobs,
            self.limits.evaluation,
            on_start=lambda job: self.progress(HostEvaluating(job.host.name, job.at)),
            on_done=on_done,
            progress=self.progress,
        )

    def _evaluated(self, evaluation: Evaluation) -> None:
        host = evaluation.job.host
        self.progress(HostEvaluated(host.name, evaluation.job.at))
        with self.lock:
            (self.here if evaluation.job.at == "candidate" else self.before)[host] = evaluation
            ready = host in self.here and (host in self.before or host.attribute in self.known)
        if ready:
            self._first_look(host)

    def _first_look(self, host: Host) -> None:
        """What evaluation alone can tell; the rest is asked of the builder."""
        evaluation = self.here[host]
        if evaluation.failure is not None:
            if self._base_drv(host) is None or host.evaluate_only:
                self._against_base(host, evaluation.failure)
            elif host.attribute not in self.known:
                self.builder.want(_target(self.before[host]))
            return
        if evaluation.drv == self._base_drv(host):
            known = self.known.get(host.attribute)
            broken = known.failure if known is not None else None
            self._decide(host, HostStatus.BROKEN_BEFORE if broken else HostStatus.UNCHANGED, broken)
        elif host.evaluate_only:
            self._decide(host, HostStatus.EVALUATED)
        else:
            self.builder.want(_target(evaluation))

    def _base_drv(self, host: Host) -> str | None:
        known = self.known.get(host.attribute)
        return known.drv if known is not None else (self.before[host].drv or None)

    def _decide(self, host: Host, status: HostStatus, failure: Failure | None = None) -> None:
        made = _host_build(self.here[host], status, failure)
        with self.lock:
            self.decided[host] = made
        self.progress(HostDecided(made))

    # -- after evaluation: what was built, and what the base says ------------------------------------------

    def settle(self) -> None:
        self._again_where_collected()
        results = self.builder.results()
        failed: list[Host] = []
        for host, evaluation in self.here.items():
            if host in self.decided:
                continue
            failure = evaluation.failure or results[evaluation.drv]
            if failure is None:
                self._decide(host, HostStatus.BUILT)
            elif failure.kind is FailureKind.PLATFORM:
                self._decide(host, HostStatus.NOT_BUILDABLE_HERE, failure)
            else:
                failed.append(host)
        self._ask_base(failed)

    def _again_where_collected(self) -> None:
        """A garbage collection took a derivation between evaluation and build: make it anew, once."""
        results = self.builder.results()
        gone = [
            host
            for host, evaluation in self.here.items()
            if (problem := results.get(evaluation.drv)) is not None and problem.kind is FailureKind.COLLECTED
        ]

        def wanted(evaluation: Evaluation) -> None:
            with self.lock:
                self.here[evaluation.job.host] = evaluation
            if evaluation.failure is None:
                self.builder.want(_target(evaluation), again=True)

        self._run([self._job(host, "candidate") for host in gone], wanted)

    def _ask_base(self, hosts: Sequence[Host]) -> None:
        """Build the base of every failed host, unless it is known how that went."""
        unknown = [host for host in hosts if not self._base_settled(host)]
        missing = [
            host for host in unknown if host not in self.before
        ]  # remembered, but its derivation may be gone

        def remember(evaluation: Evaluation) -> None:
            with self.lock:
                self.before[evaluation.job.host] = evaluation

        self._run([self._job(host, "base") for host in missing], remember)
        for host in unknown:
            if self.before[host].failure is None:
                self.builder.want(_target(self.before[host]))
        results = self.builder.results()
        for host in hosts:
            problem = self.here[host].failure or results[self.here[host].drv]
            assert problem is not None, "only failed hosts are asked about"
            self._against_base(host, problem)

    def _base_settled(self, host: Host) -> bool:
        """Is it known, without building, whether the base of this host works?"""
        known = self.known.get(host.attribute)
        if known is not None:
            return known.status in (HostStatus.BUILT, HostStatus.FAILED)
        return self.before[host].failure is not None

    def _against_base(self, host: Host, failure: Failure) -> None:
        """The host fails here; only where its base works is that the change's doing."""
        known, before = self.known.get(host.attribute), self.before.get(host)
        broken = known is not None and known.failure is not None
        if before is not None:
            at_base = before.failure or self.builder.known(before.drv)
            broken = broken or (at_base is not None and at_base.kind is not FailureKind.PLATFORM)
        self._decide(host, HostStatus.BROKEN_BEFORE if broken else HostStatus.FAILED, failure)

    def learnt_of_base(self) -> Baseline:
        """What this trial found out about the base: to be remembered."""
        results = self.builder.results()
        learnt: dict[tuple[str, ...], HostBuild] = {}
        for host, evaluation in self.before.items():
            failure = evaluation.failure or results.get(evaluation.drv)
            if failure is not None and failure.kind is FailureKind.PLATFORM:
                status, failure = HostStatus.NOT_BUILDABLE_HERE, None
            elif failure is not None:
                status = HostStatus.FAILED
            else:
                status = HostStatus.BUILT if evaluation.drv in results else HostStatus.EVALUATED
            learnt[host.attribute] = _host_build(evaluation, status, failure)
        return learnt


def _host_build(evaluation: Evaluation, status: HostStatus, failure: Failure | None) -> HostBuild:
    return HostBuild(
        evaluation.job.host,
        status,
        evaluation.drv or None,
        evaluation.out or None,
        evaluation.system or None,
        failure,
    )


def _target(evaluation: Evaluation) -> Target:
    return Target(evaluation.drv, evaluation.out, evaluation.target, evaluation.system)


def _remembered(builds: Sequence[HostBuild], base: Baseline) -> Baseline:
    """What the candidate's verdict says about it as the base of a later run."""
    return {made.host.attribute: replace(made, status=_as_base(made, base)) for made in builds}


def _as_base(made: HostBuild, base: Baseline) -> HostStatus:
    match made.status:
        case HostStatus.FAILED | HostStatus.BROKEN_BEFORE:
            return HostStatus.FAILED
        case HostStatus.UNCHANGED:
            known = base.get(made.host.attribute)
            return known.status if known is not None else HostStatus.EVALUATED
        case HostStatus.BUILT | HostStatus.EVALUATED | HostStatus.NOT_BUILDABLE_HERE | HostStatus.UNJUDGED:
            return made.status
        case _:
            assert_never(made.status)
