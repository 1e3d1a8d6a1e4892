"""Judging a candidate: is each host good, bad or unjudged with it, and what was it without?

A host is evaluated at the candidate's commit and, where its derivation there is not remembered, at the base's.
Equal derivations are not built. Where one is not good, the base is looked at now, too: what was found in another
run, or under other settings, is no evidence. What the two answers mean is the gate's to say (`judge.gate`). It
must not know how a candidate came to be, nor what is done with the verdict.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lockbot.judge.baseline import HostsWithoutUpdate, host_build, is_collected, judgement, only_evaluated, target
from lockbot.judge.evaluations import BASE, CANDIDATE, Evaluations
from lockbot.judge.gate import must_be_good
from lockbot.judge.verdict import (
    NOT_THERE,
    UNLISTED,
    Baseline,
    Checkout,
    Judged,
    Known,
    Limits,
    Listing,
    Listings,
    MayBuild,
)
from lockbot.model import (
    Answer,
    Candidate,
    Failure,
    FailureKind,
    Gate,
    Host,
    HostBuild,
    HostDecided,
    HostEvaluated,
    HostStatus,
    Judgement,
    Progress,
    Verdict,
)
from lockbot.nix.build import Builder, Target
from lockbot.nix.command import Nix
from lockbot.nix.evaluate import Evaluation, Job
from lockbot.nix.evaluate.files_read import FilesRead


@dataclass(frozen=True)
class Judge:
    """Judges candidates by what the checkout holds, within limits. With a gate for which hosts must be good
    whatever they were before, what is unchanged is built, too."""

    nix: Nix
    checkout: Checkout
    limits: Limits
    progress: Progress
    gate: Gate = Gate.NO_REGRESSION
    files: FilesRead = field(default_factory=FilesRead)
    """What its evaluations have read."""

    def judge(
        self,
        candidate: Candidate,
        hosts: Sequence[Host],
        *,
        known: Known | None = None,
        listings: Listings = UNLISTED,
        carried: Iterable[HostBuild] = (),
        may_build: MayBuild | None = None,
    ) -> Judged:
        """Evaluate and build every host at the candidate.

        `carried` is what was found out already at a commit that differs from this one in its message alone, of
        hosts whose derivation does not depend on the commit's name: it holds for this one. With `may_build`,
        nothing that changed is built before every host was evaluated; raises what it does.
        """
        known = known or Known()
        skip = {item.host: item for item in carried}
        with Builder(
            self.nix, self.limits.build, self.progress, known.failed_in_other_runs, seen=known.failed_in_this_run
        ) as builder:
            evaluations = Evaluations(
                self.nix, self.checkout, self.limits, self.progress, candidate, builder, self.files
            )
            base = HostsWithoutUpdate(evaluations, listings.before, known.base)
            session = _BuildSession(self, evaluations, base, known, listings.now, may_build)
            session.evaluate([host for host in hosts if host not in skip])
            session.build()
            session.settle()
            builds = tuple(skip.get(host) or session.decided[host] for host in hosts)
            learnt = base.learnt(session.here, builder.results(seen=True))
            return Judged(Verdict(candidate, builds), learnt, _remembered(builds), builder.flaky)


@dataclass
class _BuildSession:
    """One candidate's hosts, from the first evaluation to what is decided of the last."""

    judge: Judge
    evaluations: Evaluations
    base: HostsWithoutUpdate
    known: Known
    listing: Listing
    may_build: MayBuild | None
    here: dict[Host, Evaluation] = field(default_factory=dict)
    """Evaluations at the candidate."""
    decided: dict[Host, HostBuild] = field(default_factory=dict)
    waiting: list[Target] = field(default_factory=list)
    """What is to be built once it may be."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def builder(self) -> Builder:
        return self.evaluations.builder

    # -- evaluating, with building close behind -----------------------------------------------------------

    def evaluate(self, hosts: Sequence[Host]) -> None:
        jobs: list[Job] = []
        for host in hosts:
            job = self.evaluations.job(host, CANDIDATE)
            if self.listing.lacks(host):
                self.here[host] = Evaluation(job, failure=Failure(FailureKind.GONE, _GONE.format(host.name)))
            elif self.listing.unjudged is not None:
                self.here[host] = Evaluation(job, failure=self.listing.unjudged)
            else:
                jobs.append(job)
            if self.base.is_open(host):
                jobs.append(self.evaluations.job(host, BASE))
        for host in [host for host in hosts if host in self.here and not self.base.is_open(host)]:
            self._first_look(host)
        self.evaluations.run(jobs, self._evaluated)

    def _evaluated(self, evaluation: Evaluation) -> None:
        host = evaluation.job.host
        self.judge.progress(HostEvaluated(host.name, evaluation.job.at))
        new = evaluation.job.at == CANDIDATE
        with self.lock:
            (self.here if new else self.base.evaluated)[host] = evaluation
            ready = host in self.here and not self.base.is_open(host)
            if new and not ready and evaluation.failure is None and self._is_built(host):
                # It may be the same without the update: whoever finds that out comes after us.
                self.builder.try_meanwhile(target(evaluation))
        if ready:
            self._first_look(host)

    def _is_built(self, host: Host) -> bool:
        """Whether it is to be built as soon as it is evaluated, if it is not the same without the update."""
        return not only_evaluated(host) and self.may_build is None

    def _first_look(self, host: Host) -> None:
        """What evaluation alone can tell; the rest is asked of the builder."""
        evaluation = self.here[host]
        if evaluation.failure is not None:
            self.base.want(host)
        elif evaluation.drv == self.base.drv(host):
            if must_be_good(self.judge.gate) and not only_evaluated(host):
                self.builder.want(target(evaluation), confirm=True)
            else:
                self.builder.give_up(evaluation.drv)
                self._decide(host, HostStatus.UNCHANGED)
        elif self._is_built(host):
            self.builder.want(target(evaluation))
        elif not only_evaluated(host):
            with self.lock:
                self.waiting.append(target(evaluation))

    def build(self) -> None:
        """Build what waited for a word on all of it."""
        if self.may_build is not None and self.waiting:
            self.may_build([one.drv for one in self.waiting])
        for one in self.waiting:
            self.builder.want(one)

    def _decide(
        self,
        host: Host,
        status: HostStatus,
        failure: Failure | None = None,
        now: Judgement | None = None,
        before: Judgement | None = None,
    ) -> None:
        made = replace(host_build(self.here[host], status, failure), here=now, base=before)
        if made.out is None and made.drv is not None:
            made = replace(made, out=self.builder.output(made.drv))
        with self.lock:
            self.decided[host] = made
        self.judge.progress(HostDecided(made))

    # -- after evaluation: what was built, and what the base says ------------------------------------------

    def settle(self) -> None:
        self._again_where_collected()
        results = self.builder.results()
        open_ = [host for host in self.here if host not in self.decided]
        failures = {host: self._failure(host, results) for host in open_}
        self.base.ask([host for host, failure in failures.items() if failure is not None])
        self._again_where_disproved(failures)
        results = self.builder.results()
        there = self.base.outputs_there(self.here)
        for host in failures:
            failure = self._failure(host, results)
            if failure is not None and failure.kind is FailureKind.GONE and self.base.lacks(host):
                nothing = Judgement(Answer.UNJUDGED, NOT_THERE, evaluated=False)
                self._decide(host, HostStatus.UNCHANGED, now=nothing)
                continue
            before, why = self.base.found(host, results, there)
            level = before is None or before.evaluated == (self.here[host].failure is None)
            if failure is not None and (why is None or level):
                failure = self.base.completed(failure, why)
            now = judgement(host, failure, evaluated=self.here[host].failure is None)
            self._decide(host, self._status(host, now, before), failure, now, before)
        self._fill_in_unchanged(self.builder.results(seen=True), there)

    def _failure(self, host: Host, results: Mapping[str, Failure | None]) -> Failure | None:
        """Why it is not good with the candidate."""
        evaluation = self.here[host]
        if evaluation.failure is not None or only_evaluated(host):
            return evaluation.failure or (_UNBUILDABLE if host.unbuildable else None)
        return results[evaluation.drv]

    def _again_where_collected(self) -> None:
        """A garbage collection took a derivation between evaluation and build: make it anew, once."""
        results = self.builder.results()
        gone = [host for host, evaluation in self.here.items() if is_collected(results.get(evaluation.drv))]

        def wanted(evaluation: Evaluation) -> None:
            with self.lock:
                self.here[evaluation.job.host] = evaluation
            if evaluation.failure is None:
                self.builder.want(target(evaluation), again=True)

        self.evaluations.run([self.evaluations.job(host, CANDIDATE) for host in gone], wanted)

    def _again_where_disproved(self, failures: Mapping[Host, Failure | None]) -> None:
        """What failed by memory alone is tried after all, where building the base has made what was to fail."""
        known = [
            host
            for host, failure in failures.items()
            if failure is not None
            and failure.culprit in self.known.failed_in_other_runs
            and self.here[host].failure is None
        ]
        if known:
            self.builder.results()  # the base is built first
        for host in known:
            self.builder.want(target(self.here[host]), again=True)

    def _status(self, host: Host, now: Judgement, before: Judgement | None) -> HostStatus:
        match now.answer:
            case Answer.GOOD if self.here[host].drv == self.base.drv(host):
                return HostStatus.UNCHANGED
            case Answer.GOOD:
                return HostStatus.EVALUATED if host.evaluate_only else HostStatus.BUILT
            case Answer.BAD:
                broken = before is not None and before.answer is Answer.BAD
                return HostStatus.BROKEN_BEFORE if broken else HostStatus.FAILED
            case Answer.UNJUDGED:
                platform = now.evidence == FailureKind.PLATFORM and now.evaluated
                never = platform and (before is None or before.answer is Answer.UNJUDGED)
                return HostStatus.NOT_BUILDABLE_HERE if never else HostStatus.UNJUDGED

    def _fill_in_unchanged(self, results: Mapping[str, Failure | None], there: frozenset[str]) -> None:
        """What is the same before and now is what the base is: nothing was built, so that may be little."""
        for host, made in self.decided.items():
            if made.here is None:
                same, _ = self.base.found(host, results, there)
                here = same or Judgement(Answer.UNJUDGED, NOT_THERE, evaluated=False)
                self.decided[host] = replace(made, here=here, base=same)


_GONE = "the flake has no host {!r} any more"
_UNBUILDABLE = Failure(FailureKind.PLATFORM, "nothing here can build it ([hosts] unbuildable)")


def _remembered(builds: Sequence[HostBuild]) -> Baseline:
    """What the candidate's verdict says about it as the base of a later run."""
    as_base = {
        HostStatus.BROKEN_BEFORE: HostStatus.FAILED,
        HostStatus.UNCHANGED: HostStatus.EVALUATED,
    }
    return {
        made.host.attribute: replace(made, status=as_base.get(made.status, made.status), base=None)
        for made in builds
    }
