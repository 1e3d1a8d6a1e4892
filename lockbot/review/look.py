"""The hosts of a flake at one commit, evaluated and built: nothing that earlier runs remember is believed.

It must not know what anybody claimed of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lockbot.errors import CommandError, DeadlineExceeded, LockbotError, SurroundingsError
from lockbot.judge.baseline import only_evaluated, target
from lockbot.judge.verdict import Checkout, Limits
from lockbot.model import Failure, FailureKind, Host, HostEvaluated, HostEvaluating, Progress
from lockbot.nix import evaluate, failure
from lockbot.nix.build import Builder, Target
from lockbot.nix.command import Nix
from lockbot.nix.evaluate import Evaluation, Job
from lockbot.process import Deadline
from lockbot.review.claims import HostFound

_AT = "commit"


@dataclass(frozen=True)
class Looking:
    """Looks at what the checkout holds of one commit."""

    nix: Nix
    checkout: Checkout
    commit: str
    limits: Limits
    progress: Progress
    holds_own_name: bool = False
    """Each host may depend on what the commit is called, though no evaluation tells of it."""

    def list(self) -> tuple[tuple[Host, ...], Failure | None]:
        """The hosts that the flake has; where it can't say, none, and why."""
        deadline = Deadline(self.limits.evaluation.timeout, "asking the flake for its hosts")
        try:
            return evaluate.host_names(self.nix, self.checkout.at(self.commit), deadline), None
        except LockbotError as error:
            self.nix.cancel.check()  # the run's own deadline is not the flake's
            return (), self.completed(_why(error))

    def look(self, hosts: Sequence[Host], *, build: bool) -> tuple[HostFound, ...]:
        """Evaluate these, and build those that are not to be evaluated only."""
        with Builder(self.nix, self.limits.build, self.progress) as builder:
            found = self._evaluated(hosts, builder)
            wanted = {host for host, one in found.items() if build and one.drv and not only_evaluated(host)}
            for host in wanted:
                builder.want(target(found[host]), confirm=True)
            results = builder.results()
        return tuple(self._found(found[host], results, built=host in wanted) for host in hosts)

    def _evaluated(self, hosts: Sequence[Host], builder: Builder) -> dict[Host, Evaluation]:
        found: list[Evaluation] = []  # appended to by several threads, which a list allows

        def done(evaluation: Evaluation) -> None:
            self.progress(HostEvaluated(evaluation.job.host.name, _AT))
            found.append(evaluation)

        evaluate.evaluate(
            self.nix,
            [Job(host, self.checkout.at(self.commit), _AT) for host in hosts],
            self.limits.evaluation,
            on_start=lambda job: self.progress(HostEvaluating(job.host.name, job.at)),
            on_done=done,
            progress=self.progress,
            explain=lambda drv: builder.why(Target.of(self.nix, drv)),
        )
        return {evaluation.job.host: evaluation for evaluation in found}

    def _found(self, one: Evaluation, results: Mapping[str, Failure | None], *, built: bool) -> HostFound:
        why = one.failure or (results[one.drv] if built else None)
        why = self.completed(why) if why is not None else None
        built = built and why is None
        names_commit = one.names_commit or self.holds_own_name
        return HostFound(one.job.host.name, one.drv or None, why, built=built, names_commit=names_commit)

    def completed(self, why: Failure) -> Failure:
        """A failure is not the flake's own where the work tree is not what the user's is."""
        asked = why.kind.own and why.kind is not FailureKind.GONE
        lacks = self.checkout.incomplete() if asked else None
        if lacks is None:
            return why
        return replace(why, kind=FailureKind.INCOMPLETE, message=f"{lacks.why}: {why.message}")


def _why(error: LockbotError) -> Failure:
    if isinstance(error, DeadlineExceeded):
        return Failure(FailureKind.TIMEOUT, error.message)
    if isinstance(error, CommandError):
        return Failure(failure.classify(error.output), error.message)
    kind = FailureKind.NETWORK if isinstance(error, SurroundingsError) else FailureKind.UNKNOWN
    return Failure(kind, error.message)
