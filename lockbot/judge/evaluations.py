"""Evaluating hosts at one of two commits: the candidate, and its base."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lockbot.judge.verdict import Checkout, Limits
from lockbot.model import Candidate, Host, HostEvaluating, Progress
from lockbot.nix import evaluate
from lockbot.nix.build import Builder, Target
from lockbot.nix.command import Nix
from lockbot.nix.evaluate import Evaluation, Job
from lockbot.nix.evaluate.files_read import FilesRead

CANDIDATE, BASE = "candidate", "base"
"""At which commit: `Job.at`."""


@dataclass(frozen=True)
class Evaluations:
    """`builder` tells why what an evaluation has to build could not be built; `files` which files were read."""

    nix: Nix
    checkout: Checkout
    limits: Limits
    progress: Progress
    candidate: Candidate
    builder: Builder
    files: FilesRead

    def job(self, host: Host, at: str) -> Job:
        commit = self.candidate.commit if at == CANDIDATE else self.candidate.base
        # What hosts are without the update comes last: building is under way then.
        return Job(host, self.checkout.at(commit), at, late=at == BASE)

    def of(self, hosts: Iterable[Host], at: str) -> dict[Host, Evaluation]:
        """Evaluate hosts at one of the commits."""
        found: list[Evaluation] = []  # appended to by several threads, which a list allows
        self.run([self.job(host, at) for host in hosts], found.append)
        return {evaluation.job.host: evaluation for evaluation in found}

    def run(self, jobs: Sequence[Job], on_done: Callable[[Evaluation], None]) -> None:
        """Do all jobs; each is told of as soon as it is done, by several threads."""
        evaluate.evaluate(
            self.nix,
            jobs,
            self.limits.evaluation,
            files=self.files,
            on_start=lambda job: self.progress(HostEvaluating(job.host.name, job.at)),
            on_done=on_done,
            progress=self.progress,
            explain=lambda drv: self.builder.why(Target.of(self.nix, drv)),
        )
