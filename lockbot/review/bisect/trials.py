"""One host at any commit: evaluated, built, and the command run on it. Nothing is done twice.

What can't be evaluated or built says nothing, and is skipped; trouble of this machine's ends the bisection, for
everything would be skipped then. It must not know what is searched for, nor why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lockbot import files
from lockbot.errors import SurroundingsError
from lockbot.judge.baseline import target
from lockbot.judge.verdict import Checkout, Limits
from lockbot.model import (
    CommandSaid,
    Failure,
    FailureKind,
    Host,
    HostEvaluated,
    HostEvaluating,
    Note,
    Progress,
)
from lockbot.nix import evaluate
from lockbot.nix.build import Builder, Target
from lockbot.nix.command import Nix
from lockbot.nix.evaluate import Evaluation, Job
from lockbot.report import words
from lockbot.review.bisect.command import Command
from lockbot.review.bisect.known_results import KnownResults
from lockbot.review.bisect.result import Result, Source, Trial

GOES_ON = "when that is mended, the same command line goes on from here"
_LONGEST = 300
_STOPS = frozenset({FailureKind.DISK_FULL, FailureKind.DAEMON, FailureKind.BUILDER_HOST, FailureKind.NETWORK})
"""Failures that any other commit would meet as well."""


@dataclass(frozen=True)
class Building:
    """What evaluates and builds. `checkout`: a work tree of the clone that has every commit that is tried."""

    nix: Nix
    checkout: Checkout
    limits: Limits
    builder: Builder
    progress: Progress
    remember: Callable[[Mapping[str, Failure]], object]
    """Told which derivations failed by themselves: no other run needs to see it."""


@dataclass(frozen=True)
class Trials:
    """`roots`: a directory for what keeps the systems from garbage collection."""

    host: Host
    command: Command
    known: KnownResults
    building: Building
    roots: Path
    tried: MutableMapping[str, Trial] = field(default_factory=dict)
    """By the revision that was evaluated; what could not even be locked has none, and a name of its own."""
    _evaluated: dict[str, Evaluation] = field(default_factory=dict)
    _ran_on: set[str] = field(default_factory=set)

    def look(self, sources: Sequence[Source]) -> dict[Source, str]:
        """The derivation of each, side by side; what can't be evaluated is left out, and counts as tried."""
        wanted = {one.revision: one for one in sources if one.revision not in self._evaluated}
        jobs = {Job(self.host, self.building.checkout.at(revision)): revision for revision in wanted}
        found: list[Evaluation] = []  # appended to by several threads, which a list allows
        self._evaluate(list(jobs), found)
        for evaluation in found:
            revision = jobs[evaluation.job]
            self._evaluated[revision] = evaluation
            if evaluation.failure is not None:
                self._skip_failed(wanted[revision], evaluation.failure)
        return {one: drv for one in sources if (drv := self._evaluated[one.revision].drv)}

    def ask(self, source: Source) -> Trial:
        """Run the command on a host that was looked at, unless it is known what comes of that."""
        if source.revision not in self.tried:
            trial = self.tried[source.revision] = self._try(source, self._evaluated[source.revision])
            self._tell(trial)
        return self.tried[source.revision]

    def skip(self, source: Source, why: str) -> Trial:
        """It can't be tried."""
        name = source.revision or repr(sorted((source.lock or {}).items()))
        return self.tried.setdefault(name, Trial(source, None, Result.SKIPPED, why[:_LONGEST]))

    def _tell(self, trial: Trial) -> None:
        moved = [f"{name} at {words.short(at)}" for name, at in (trial.source.lock or {}).items()]
        where = words.short(trial.source.commit) + (f" with {words.listed(moved)}" if moved else "")
        known = ", as is known from before" if trial.known else ""
        self.building.progress(Note(f"{self.host.name} at {where} is {trial.result}{known}: {trial.why}"))

    def _evaluate(self, jobs: Sequence[Job], found: list[Evaluation]) -> None:
        nix, progress = self.building.nix, self.building.progress

        def done(evaluation: Evaluation) -> None:
            found.append(evaluation)
            progress(HostEvaluated(self.host.name))

        evaluate.evaluate(
            nix,
            jobs,
            self.building.limits.evaluation,
            on_start=lambda job: progress(HostEvaluating(job.host.name)),
            on_done=done,
            progress=progress,
            explain=lambda drv: self.building.builder.why(Target.of(nix, drv)),
        )

    def _try(self, source: Source, evaluation: Evaluation) -> Trial:
        if evaluation.out and (trial := self._known(source, evaluation.out)) is not None:
            return trial
        builder = self.building.builder
        builder.want(target(evaluation))
        if (failure := builder.results()[evaluation.drv]) is not None:
            if failure.culprit:
                self.building.remember({failure.culprit: failure})
            return self._skip_failed(source, failure)
        toplevel = builder.output(evaluation.drv) or evaluation.out
        return self._known(source, toplevel) or self._run(source, toplevel)

    def _known(self, source: Source, toplevel: str) -> Trial | None:
        ended = self.known.find(toplevel, self.command.limit)
        if ended is None:
            return None
        return Trial(source, toplevel, ended.result, ended.why, known=toplevel not in self._ran_on)

    def _run(self, source: Source, toplevel: str) -> Trial:
        place = self.roots / str(len(self._ran_on))
        files.directory(place)
        self.building.nix.root([toplevel], place / "result")
        self._ran_on.add(toplevel)
        told = {
            "LOCKBOT_TOPLEVEL": toplevel,
            "LOCKBOT_HOST": self.host.name,
            "LOCKBOT_COMMIT": source.commit,
        }
        ended = self.command.run(
            told, self.building.nix.cancel, lambda line: self.building.progress(CommandSaid(line))
        )
        self.known.learn(toplevel, ended)
        return Trial(source, toplevel, ended.result, ended.why)

    def _skip_failed(self, source: Source, failure: Failure) -> Trial:
        if failure.kind in _STOPS:
            raise SurroundingsError(
                f"{self.host.name} can't be had at {words.short(source.commit)}: {words.failed(failure)}", GOES_ON
            )
        return self.skip(source, words.failed(failure))
