"""What hosts are without the update: the other half of judging a candidate.

As much is found out as is asked. A derivation may be remembered of the very commit; whether it builds is seen in
this run, or it is not known. It must not know what that says of the update.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lockbot.judge.evaluations import BASE, Evaluations
from lockbot.judge.verdict import BUILT, EVALUATED, NOT_BUILT, PRESENT, Baseline, Listing
from lockbot.model import Answer, Failure, FailureKind, Host, HostBuild, HostStatus, Judgement
from lockbot.nix.build import Builder, Target
from lockbot.nix.evaluate import Evaluation

Results = Mapping[str, Failure | None]
"""By derivation: why it could not be built, None when it was."""


@dataclass
class HostsWithoutUpdate:
    """The base's hosts. `listing` is the flake's own list of them, `known` what was found out before."""

    evaluations: Evaluations
    listing: Listing
    known: Baseline
    evaluated: dict[Host, Evaluation] = field(default_factory=dict)
    """What was evaluated at the base while this candidate is judged."""

    @property
    def builder(self) -> Builder:
        return self.evaluations.builder

    def is_open(self, host: Host) -> bool:
        """Whether the host's derivation must still be found out."""
        return not (
            host in self.evaluated
            or host.attribute in self.known
            or self.listing.lacks(host)
            or self.listing.unjudged is not None
        )

    def lacks(self, host: Host) -> bool:
        """Whether it is known not to be there: by the flake's list, or by its own evaluation."""
        evaluation = self.evaluated.get(host)
        if evaluation is not None and evaluation.failure is not None:
            return evaluation.failure.kind is FailureKind.GONE
        return self.listing.lacks(host)

    def drv(self, host: Host) -> str | None:
        evaluation = self.evaluated.get(host)
        if evaluation is not None:
            return evaluation.drv or None
        known = self.known.get(host.attribute)
        return known.drv if known is not None else None

    # -- seeing to it that a host builds --------------------------------------------------------------------

    def want(self, host: Host, *, again: bool = False) -> None:
        """Have it built, where that is not known from this run and there is something to build."""
        target = self._target(host)
        if target is not None and not self._is_settled(host):
            self.builder.want(target, again=again, confirm=True)

    def ask(self, hosts: Sequence[Host]) -> None:
        """Find out whether these are good, unless this run knows already."""
        asked = [host for host in hosts if not self._is_settled(host)]
        self._evaluate([host for host in asked if host not in self.evaluated and self._target(host) is None])
        for host in asked:
            self.want(host)
        results = self.builder.results()
        # What is remembered of it, a derivation, may have been collected since.
        gone = [host for host in asked if is_collected(results.get(self.drv(host) or ""))]
        self._evaluate(gone)
        for host in gone:
            self.want(host, again=True)

    def _evaluate(self, hosts: Sequence[Host]) -> None:
        self.evaluated |= self.evaluations.of(hosts, BASE)

    def _target(self, host: Host) -> Target | None:
        """What to build to see whether it works: as evaluated now, or as remembered of this very commit."""
        if only_evaluated(host):
            return None
        evaluation = self.evaluated.get(host)
        if evaluation is not None:
            return target(evaluation) if evaluation.failure is None else None
        known = self.known.get(host.attribute)
        if known is None or known.drv is None or not known.out:
            return None
        return Target(known.drv, known.out, known.drv, known.system or "")

    def _is_settled(self, host: Host) -> bool:
        """Is there nothing to find out about it any more, or nothing to be found out?"""
        if self.lacks(host) or self.listing.unjudged is not None:
            return True
        known = self.known.get(host.attribute)
        return host not in self.evaluated and known is not None and _settled(known, host)

    # -- what is known ----------------------------------------------------------------------------------------

    def found(
        self, host: Host, results: Results, there: frozenset[str] = frozenset()
    ) -> tuple[Judgement | None, Failure | None]:
        """What the host is, and why it is not good; None: it is not there. `there`: see `outputs_there`."""
        if self.lacks(host):
            return None, None
        if self.listing.unjudged is not None:
            return Judgement(Answer.UNJUDGED, self.listing.unjudged.kind, evaluated=False), None
        evaluation = self.evaluated.get(host)
        if evaluation is not None and evaluation.failure is not None:
            failure = self._complete(evaluation.failure)
            if failure.kind is FailureKind.LOCK_FILE:  # it lacks what flake.nix asks for: no host can be asked
                return Judgement(Answer.UNJUDGED, failure.kind, evaluated=False), failure
            return judgement(host, failure, evaluated=False), failure
        known = self.known.get(host.attribute)
        if evaluation is None and known is not None and _settled(known, host):
            return known.here, known.failure
        drv = self.drv(host)
        if drv is not None and drv in results and not only_evaluated(host):
            why = results[drv]
            why = self._complete(why) if why is not None else None
            return judgement(host, why), why
        out = evaluation.out if evaluation is not None else known.out if known is not None else None
        return _looked_up(out, host, there), None

    def outputs_there(self, hosts: Iterable[Host]) -> frozenset[str]:
        """Which of these hosts' outputs the store has: of those that nobody asked to build."""
        known = [self.known[host.attribute].out for host in hosts if host.attribute in self.known]
        outs = sorted({out for out in (*known, *(one.out for one in self.evaluated.values())) if out})
        return frozenset(outs) - self.evaluations.nix.invalid(outs) if outs else frozenset()

    def learnt(self, hosts: Iterable[Host], results: Results) -> Baseline:
        """What was found out about them here: to be remembered."""
        learnt: dict[tuple[str, ...], HostBuild] = {}
        for host in hosts:
            evaluation, made = self.evaluated.get(host), self.known.get(host.attribute)
            if evaluation is not None:
                made = host_build(evaluation, HostStatus.EVALUATED, None)
            if made is None or self.lacks(host):
                continue
            if (evaluation is not None and evaluation.failure is not None) or made.drv in results:
                here, failure = self.found(host, results)
                status = _AS_BASE[here.answer] if here is not None else made.status
                learnt[host.attribute] = replace(made, status=status, failure=failure, here=here)
            elif evaluation is not None:
                seen = _UNBUILDABLE if host.unbuildable else Judgement(Answer.GOOD, EVALUATED)
                learnt[host.attribute] = replace(made, here=seen)
        return learnt

    def completed(self, failure: Failure, before: Failure | None) -> Failure:
        """The same of a failure with the candidate: where the base fails so, too; and where what is lacking is
        read for the first time, by its name or by a parser that can't make sense of it."""
        if before is not None:
            return self._complete(failure) if before.kind is FailureKind.INCOMPLETE else failure
        lacks = self.evaluations.checkout.incomplete() if failure.kind is FailureKind.EVALUATION else None
        said = failure.log or failure.message
        if lacks is not None and (_GARBLED.search(failure.message) or any(path in said for path in lacks.paths)):
            return self._complete(failure)
        return failure

    def _complete(self, failure: Failure) -> Failure:
        """A failure is not the flake's own where the work tree is not what the user's is."""
        lacks = (
            self.evaluations.checkout.incomplete()
            if failure.kind.own and failure.kind is not FailureKind.GONE
            else None
        )
        if lacks is None:
            return failure
        return replace(failure, kind=FailureKind.INCOMPLETE, message=f"{lacks.why}: {failure.message}")


_UNBUILDABLE = Judgement(Answer.UNJUDGED, FailureKind.PLATFORM)
_AS_BASE = {
    Answer.GOOD: HostStatus.BUILT,
    Answer.BAD: HostStatus.FAILED,
    Answer.UNJUDGED: HostStatus.UNJUDGED,
}


_GARBLED = re.compile(r"\[json\.exception|while parsing TOML|syntax error|cannot be represented as a Nix string")


def only_evaluated(host: Host) -> bool:
    return host.evaluate_only or host.unbuildable


def judgement(host: Host, failure: Failure | None, *, evaluated: bool = True) -> Judgement:
    """Of a host that was asked about, and why it is not good."""
    if failure is not None:
        return Judgement(failure.answer, failure.kind, evaluated)
    return Judgement(Answer.GOOD, EVALUATED if host.evaluate_only else BUILT)


def is_collected(failure: Failure | None) -> bool:
    return failure is not None and failure.kind is FailureKind.COLLECTED


def target(evaluation: Evaluation) -> Target:
    return Target(evaluation.drv, evaluation.out, evaluation.target, evaluation.system)


def host_build(evaluation: Evaluation, status: HostStatus, failure: Failure | None) -> HostBuild:
    return HostBuild(
        evaluation.job.host,
        status,
        evaluation.drv or None,
        evaluation.out or None,
        evaluation.system or None,
        failure,
        names_commit=evaluation.names_commit,
        warnings=evaluation.warnings if evaluation.failure is None else None,
    )


def _settled(base: HostBuild, host: Host) -> bool:
    """Whether this run has found out all that is asked about a host's base: for most, that it builds."""
    if base.here is None:
        return False
    return base.here.answer is not Answer.GOOD or base.here.evidence != EVALUATED or only_evaluated(host)


def _looked_up(out: str | None, host: Host, there: frozenset[str]) -> Judgement:
    """Of one that was not asked to build: its output is there, or was never built here."""
    if host.unbuildable:
        return _UNBUILDABLE
    if host.evaluate_only:
        return Judgement(Answer.GOOD, EVALUATED)
    return Judgement(Answer.GOOD, PRESENT) if out in there else Judgement(Answer.UNJUDGED, NOT_BUILT)
