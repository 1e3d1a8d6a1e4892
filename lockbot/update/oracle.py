"""What the search asks, answered by real candidates: the `Oracle` of `search.interface`, within a budget.

Each question becomes a lock, a commit and a judgement of the hosts asked about. It must not know how the search
goes on from a response, nor what is published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from lockbot.errors import LockbotError, SurroundingsError
from lockbot.judge import gate as gates
from lockbot.judge.verdict import EVALUATED, Judged, TooCostly
from lockbot.judge.verdict_cache import VerdictCache
from lockbot.lock.propose import Lock
from lockbot.lock.selected import SelectedLocks
from lockbot.model import Answer, Gate, Host, HostBuild, HostStatus
from lockbot.process import Deadline
from lockbot.report import words
from lockbot.search.interface import BudgetSpent, FrozenSelection, Response, RevisionRange, Selection
from lockbot.update.candidate_commit import CandidateBuilder
from lockbot.update.permission import Permission

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Budget:
    """How many candidates a run may judge, and for how long it may look, once everything was judged together."""

    probes: int
    deadline: Deadline


class CandidateOracle:
    """Responses for one base. The whole fleet's verdicts are kept: the best of them is published."""

    def __init__(
        self,
        builder: CandidateBuilder,
        permission: Permission,
        *,
        gate: Gate,
        budget: Budget,
        cache: VerdictCache,
    ) -> None:
        self._builder = builder
        self._permission = permission
        self._gate = gate
        self._budget = budget
        self._cache = cache
        self._begun = False
        """Whether everything was asked about together: what no search can do without is known."""
        self._wholes: dict[FrozenSelection, Judged] = {}
        self._seen: dict[tuple[FrozenSelection, Host], HostBuild] = {}
        self._by_commit: dict[tuple[FrozenSelection, str], frozenset[str] | None] = {}
        self.unjudged: dict[str, str] = {}
        """Host → why it could not be judged, for people, where it was looked at last."""
        self.repairable: frozenset[str] = frozenset()
        """Hosts that are broken at the base and that some of the update would repair: it must not be wasted."""
        self.asked = 0
        self.trouble: str | None = None
        """Why the search had to end early, where that was the surroundings' doing."""

    def probe(self, selection: Selection, hosts: frozenset[str] | None) -> Response:
        if hosts is not None:
            return self._ask(selection, self._named(hosts))
        if not self._permission.may_try(selection):
            return Response(unknown=frozenset(host.name for host in self._builder.hosts))
        known = self.whole(selection)
        if known is not None:
            return self._response(selection, known.verdict.builds)
        lock = self._guarded(lambda: self._permission.lock_at(selection))
        earlier = self._cache.find(lock.content, self._builder.hosts) if lock and self._builder.hosts else None
        if earlier is not None and earlier.red and self._begun and self._worked_before(earlier.red):
            return earlier
        judged = self._judged(selection, None, lock)
        if not self._begun:
            self._budget.deadline.restart()  # what every run must judge is no part of the search
            self._begun = True
        if lock is None or judged is None:
            return Response(unknown=frozenset(host.name for host in self._builder.hosts))
        self._wholes[frozenset(selection.items())] = judged
        response = self._learn(lock, selection, judged)
        # Where to look first is taken from the first time: the questions are the same then, and known.
        return replace(response, suspects={**response.suspects, **(earlier.suspects if earlier else {})})

    def evaluate(self, selection: Selection, hosts: frozenset[str]) -> Response:
        return self._ask(selection, [replace(host, evaluate_only=True) for host in self._named(hosts)])

    def revisions(self, input: str) -> RevisionRange:
        return self._permission.revisions(input)

    def whole(self, selection: Selection) -> Judged | None:
        """The whole fleet's verdict at this selection, if it was asked for."""
        return self._wholes.get(frozenset(selection.items()))

    @property
    def last_whole(self) -> Judged | None:
        """The first whole verdict: of everything together."""
        return next(iter(self._wholes.values()), None)

    def looked_at(
        self, selection: Selection, hosts: Sequence[str], *, evaluate_only: bool
    ) -> dict[str, HostBuild]:
        """These hosts with this selection, as they really are now; those missing where no such lock can be had.

        What is only evaluated is not counted: it costs little, and decides what may be published.
        """
        wanted = [replace(host, evaluate_only=evaluate_only or host.evaluate_only) for host in self._named(hosts)]
        key = frozenset(selection.items())
        missing = [host for host in wanted if (key, host) not in self._seen]
        if missing and selection and self._permission.may_try(selection):
            if not evaluate_only:
                self._spend()
            lock = self._guarded(lambda: self._permission.lock_at(selection))
            judged = self._built(selection, missing, lock) if lock is not None else None
            self._see(selection, judged.verdict.builds if judged is not None else ())
        return {host.name: self._seen[key, host] for host in wanted if (key, host) in self._seen}

    def derivation_at_base(self, host: str) -> str | None:
        return self._builder.derivation_at_base(host)

    def by_commit(self, selection: Selection, host: str) -> frozenset[str] | None:
        """The names of the derivations that a host needs and that differ at another commit with the very same
        inputs: there flake.lock has an empty line more, so that the flake's own source is another, too. None: that
        can't be told."""
        key = frozenset(selection.items()), host
        if key not in self._by_commit:
            self._by_commit[key] = self._compared(selection, host)
        return self._by_commit[key]

    def _compared(self, selection: Selection, host: str) -> frozenset[str] | None:
        known = self.looked_at(selection, [host], evaluate_only=False).get(host)
        lock = self._guarded(lambda: self._permission.lock_at(selection))
        if lock is None or known is None or known.drv is None:
            return None
        same = replace(lock, content=lock.content + b"\n")
        asked = [replace(one, evaluate_only=True) for one in self._named([host])]
        judged = self._guarded(lambda: self._builder.judge_some(same, asked))
        drv = judged.verdict.builds[0].drv if judged is not None else None
        if drv is None:
            return None
        return frozenset() if drv == known.drv else self.differing(known.drv, drv)

    def differing(self, one: str, other: str) -> frozenset[str] | None:
        """The names of the derivations that only one of two derivations needs; None: the store can't tell."""
        return self._guarded(lambda: self._builder.differing(one, other))

    def suspects(self, build: HostBuild, selection: Selection) -> tuple[str, ...]:
        """The inputs that a failure names, most likely first."""
        return _suspects(build, selection, self._permission.locks)

    def _see(self, selection: Selection, builds: Sequence[HostBuild]) -> None:
        for build in builds:
            self._seen[frozenset(selection.items()), build.host] = build

    def _worked_before(self, hosts: Iterable[str]) -> bool:
        """Whether these hosts were found good at the base in this very run: else nobody may be blamed yet."""
        return all(self._builder.worked_before(host) for host in hosts)

    def _ask(self, selection: Selection, hosts: Sequence[Host]) -> Response:
        if not self._permission.may_try(selection):
            return Response(unknown=frozenset(host.name for host in hosts))
        lock = self._guarded(lambda: self._permission.lock_at(selection))
        earlier = self._cache.find(lock.content, hosts) if lock is not None else None
        if earlier is not None and self._worked_before(earlier.red):
            return earlier
        judged = self._judged(selection, hosts, lock)
        if lock is None or judged is None:
            return Response(unknown=frozenset(host.name for host in hosts))
        return self._learn(lock, selection, judged)

    def _judged(self, selection: Selection, hosts: Sequence[Host] | None, lock: Lock | None) -> Judged | None:
        """What costs: only this is counted."""
        self._spend()
        return self._built(selection, hosts, lock) if lock is not None else None

    def _built(self, selection: Selection, hosts: Sequence[Host] | None, lock: Lock) -> Judged | None:
        """These hosts (None: the whole fleet) with this selection. None: they can't be judged; or policy does not
        let so much be compiled for them, which is stepped over, too, before any of it is built."""
        may_build = self._permission.costs.may_build(selection)
        try:
            if hosts is None:
                return self._guarded(lambda: self._builder.judge(lock, may_build=may_build))
            return self._guarded(lambda: self._builder.judge_some(lock, hosts, may_build=may_build))
        except TooCostly as error:
            names = self._builder.hosts if hosts is None else hosts
            self.unjudged |= dict.fromkeys((host.name for host in names), error.message)
            return None

    def _learn(self, lock: Lock, selection: Selection, judged: Judged) -> Response:
        builds = judged.verdict.builds
        self._see(selection, builds)
        response = self._response(selection, builds)
        # What says nothing depends on the base, which may be another in the next run; unless it is good itself.
        telling = (gates.Vote.FOR, gates.Vote.BLAMES)
        certain = [build.host for build in builds if _was_built(build) or gates.of(build, self._gate) in telling]
        self._cache.learn(lock.content, certain, response)
        return response

    def _spend(self) -> None:
        """The first question is what every run asks: it is never too much."""
        self._builder.cancel.check()
        if self.asked and (self.asked >= self._budget.probes or self._budget.deadline.left <= 0):
            raise BudgetSpent
        self.asked += 1

    def _guarded(self, act: Callable[[], _Result]) -> _Result | None:
        """None: this candidate can't be judged (a revision that is gone). Where the network went away in the
        middle of a search, what was found before stands."""
        try:
            return act()
        except TooCostly:
            raise
        except SurroundingsError as error:
            if not self._begun:
                raise
            self._builder.cancel.check()
            self.trouble = error.message
            raise BudgetSpent from error
        except LockbotError:
            self._builder.cancel.check()
            if not self._begun:
                raise
            return None

    def _named(self, hosts: Iterable[str]) -> list[Host]:
        known = {host.name: host for host in self._builder.hosts}
        return [known[name] for name in sorted(hosts)]

    def _response(self, selection: Selection, builds: Sequence[HostBuild]) -> Response:
        votes = {build.host.name: gates.of(build, self._gate) for build in builds}
        red = {
            build.host.name: build
            for build in builds
            if votes[build.host.name] is gates.Vote.BLAMES or self._wastes_a_repair(build)
        }
        unknown = {name for name, vote in votes.items() if vote is gates.Vote.BLOCKS} - red.keys()
        self.unjudged |= {build.host.name: why_unjudged(build) for build in builds if build.host.name in unknown}
        return Response(
            red=frozenset(red),
            unknown=frozenset(unknown),
            at_evaluation=frozenset(name for name, build in red.items() if build.drv is None),
            suspects={name: _suspects(build, selection, self._permission.locks) for name, build in red.items()},
        )

    def _wastes_a_repair(self, build: HostBuild) -> bool:
        if build.host.name not in self.repairable or build.status is HostStatus.UNCHANGED:
            return False
        return build.here is not None and build.here.answer is Answer.BAD


def _was_built(build: HostBuild) -> bool:
    return build.here is not None and build.here.answer is Answer.GOOD and build.here.evidence != EVALUATED


def why_unjudged(build: HostBuild) -> str:
    """`timed out`; `build failed, and without the update it could not be judged either (timeout)`."""
    kind = words.failure(build.failure.kind) if build.failure is not None else "nothing is known"
    if build.failure is not None and build.here is not None and build.here.answer is Answer.UNJUDGED:
        return words.failed(build.failure)
    if build.here is not None and build.here.answer is Answer.BAD and build.base is not None:
        if build.base.answer is Answer.UNJUDGED:
            return f"{kind}, and without the update it could not be judged either ({build.base.evidence})"
        return f"{kind}, as without the update"
    return kind


def _suspects(build: HostBuild, selection: Selection, locks: SelectedLocks) -> tuple[str, ...]:
    """The inputs that an error names: by the store path of their source, by revision, or by name."""
    if build.failure is None:
        return ()
    text = "\n".join([build.failure.message, build.failure.culprit or "", build.failure.log])
    found: Mapping[str, int] = {
        name: text.find(sign)
        for name, revision in selection.items()
        for sign in (locks.source(name, revision), revision, f"/{name}/", f"{name}-", name)
        if sign and sign in text
    }
    return tuple(sorted(found, key=lambda name: found[name]))
