"""What the search asks, answered by real candidates: a Trial of `asking`, within a budget.

Each question becomes a lock, a commit and a judgement of the hosts asked about. It must not know how the search
goes on from an answer, nor what is published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from lockbot.errors import LockbotError, SurroundingsError
from lockbot.model import FailureKind, Gate, Held, Host, HostBuild, HostStatus, InputChange
from lockbot.process import CancelToken, Deadline
from lockbot.update.answers import Answers
from lockbot.update.asking import Answer, BudgetSpent, Picks
from lockbot.update.judge import Judged
from lockbot.update.locks import Locks
from lockbot.update.propose import Lock
from lockbot.update.trial import Trial

_Result = TypeVar("_Result")
_UNKNOWN = frozenset({FailureKind.KILLED, FailureKind.MEMORY, FailureKind.COLLECTED, FailureKind.UNKNOWN})
"""Failures that say nothing about the change."""


@dataclass(frozen=True)
class Budget:
    """How many candidates a run may judge, and the moment when it must stop looking."""

    probes: int
    deadline: Deadline


class Probes:
    """Answers for one base. The whole fleet's verdicts are kept: the best of them is published."""

    def __init__(
        self,
        trial: Trial,
        locks: Locks,
        *,
        held: Sequence[Held],
        gate: Gate,
        budget: Budget,
        cancel: CancelToken,
        answers: Answers,
        revisions: Callable[[str], Sequence[str]],
        may_try: Callable[[str, str], bool],
        may_bring: Callable[[Sequence[InputChange]], bool],
    ) -> None:
        self._trial = trial
        self._locks = locks
        self._held = tuple(held)
        self._gate = gate
        self._budget = budget
        self._cancel = cancel
        self._answers = answers
        self._revisions = revisions
        self._may_try = may_try
        self._may_bring = may_bring
        self._wholes: dict[frozenset[tuple[str, str]], Judged] = {}
        self.asked = 0
        self.trouble: str | None = None
        """Why the search had to end early, where that was the surroundings' doing."""

    def probe(self, picks: Picks, hosts: frozenset[str] | None) -> Answer:
        if hosts is not None:
            return self._ask(picks, self._named(hosts))
        if not self._allowed(picks):
            return Answer(unknown=frozenset(host.name for host in self._trial.hosts))
        known = self.whole(picks)
        if known is not None:
            return self._answer(picks, known.verdict.builds)
        lock = self._guarded(lambda: self._lock(picks))
        earlier = self._answers.find(lock.content, self._trial.hosts) if lock and self._trial.hosts else None
        if earlier is not None and earlier.red and self._wholes:
            return earlier
        judged = self._judged(lock, lambda lock: self._trial.judge(lock, self._held))
        if lock is None or judged is None:
            return Answer(unknown=frozenset(host.name for host in self._trial.hosts))
        self._wholes[frozenset(picks.items())] = judged
        answer = self._learn(lock, picks, judged)
        # Where to look first is taken from the first time: the questions are the same then, and known.
        return replace(answer, suspects={**answer.suspects, **(earlier.suspects if earlier else {})})

    def evaluate(self, picks: Picks, hosts: frozenset[str]) -> Answer:
        return self._ask(picks, [replace(host, evaluate_only=True) for host in self._named(hosts)])

    def revisions(self, input: str) -> Sequence[str]:
        return self._revisions(input)

    def whole(self, picks: Picks) -> Judged | None:
        """The whole fleet's verdict at these picks, if it was asked for."""
        return self._wholes.get(frozenset(picks.items()))

    @property
    def last_whole(self) -> Judged | None:
        """The first whole verdict: of everything together."""
        return next(iter(self._wholes.values()), None)

    def _allowed(self, picks: Picks) -> bool:
        """A revision that policy would not let through is stepped over, as one that can't be judged."""
        return all(self._may_try(name, revision) for name, revision in picks.items())

    def _ask(self, picks: Picks, hosts: Sequence[Host]) -> Answer:
        if not self._allowed(picks):
            return Answer(unknown=frozenset(host.name for host in hosts))
        lock = self._guarded(lambda: self._lock(picks))
        earlier = self._answers.find(lock.content, hosts) if lock is not None else None
        if earlier is not None:
            return earlier
        judged = self._judged(lock, lambda lock: self._trial.judge_some(lock, hosts))
        if lock is None or judged is None:
            return Answer(unknown=frozenset(host.name for host in hosts))
        return self._learn(lock, picks, judged)

    def _judged(self, lock: Lock | None, judge: Callable[[Lock], Judged]) -> Judged | None:
        """What costs: only this is counted."""
        self._spend()
        return self._guarded(lambda: judge(lock)) if lock is not None else None

    def _learn(self, lock: Lock, picks: Picks, judged: Judged) -> Answer:
        answer = self._answer(picks, judged.verdict.builds)
        # How a host fares that was broken before depends on the base, which may be another in the next run.
        certain = [build.host for build in judged.verdict.builds if build.status is not HostStatus.BROKEN_BEFORE]
        self._answers.learn(lock.content, certain, answer)
        return answer

    def _lock(self, picks: Picks) -> Lock:
        """Raises LockbotError where an input brings along what the policy does not let through: known only from
        the lock, and so stepped over, too."""
        lock = self._locks.make(picks)
        if not self._may_bring(lock.changes):
            raise LockbotError("what an input brings along at this revision is not allowed")
        return lock

    def _spend(self) -> None:
        """The first question is what every run asks: it is never too much."""
        self._cancel.check()
        if self.asked and (self.asked >= self._budget.probes or self._budget.deadline.left <= 0):
            raise BudgetSpent
        self.asked += 1

    def _guarded(self, act: Callable[[], _Result]) -> _Result | None:
        """None: this candidate can't be judged (a revision that is gone). Where the network went away in the
        middle of a search, what was found before stands."""
        try:
            return act()
        except SurroundingsError as error:
            if not self._wholes:
                raise
            self._cancel.check()
            self.trouble = error.message
            raise BudgetSpent from error
        except LockbotError:
            self._cancel.check()
            if not self._wholes:
                raise
            return None

    def _named(self, hosts: Iterable[str]) -> list[Host]:
        known = {host.name: host for host in self._trial.hosts}
        return [known[name] for name in sorted(hosts)]

    def _answer(self, picks: Picks, builds: Sequence[HostBuild]) -> Answer:
        bad = {HostStatus.FAILED} | ({HostStatus.BROKEN_BEFORE} if self._gate is Gate.ALL_GREEN else set())
        failed = {build.host.name: build for build in builds if build.status in bad and build.failure is not None}
        unknown = {name for name, build in failed.items() if build.failure and build.failure.kind in _UNKNOWN}
        red = failed.keys() - unknown
        return Answer(
            red=frozenset(red),
            unknown=frozenset(unknown),
            at_evaluation=frozenset(name for name in red if failed[name].drv is None),
            suspects={name: _suspects(failed[name], picks, self._locks) for name in red},
        )


def _suspects(build: HostBuild, picks: Picks, locks: Locks) -> tuple[str, ...]:
    """The inputs that an error names: by the store path of their source, by revision, or by name."""
    assert build.failure is not None
    text = "\n".join([build.failure.message, build.failure.culprit or "", build.failure.log])
    found: Mapping[str, int] = {
        name: text.find(sign)
        for name, revision in picks.items()
        for sign in (locks.source(name, revision), revision, f"/{name}/", f"{name}-", name)
        if sign and sign in text
    }
    return tuple(sorted(found, key=lambda name: found[name]))
