"""Realising derivations while others are still being evaluated.

One realising process at a time, fed with everything wanted meanwhile: two that want the same derivation would
wait for each other's locks. What passes by itself is waited for, what failed once is tried once more, and no
trouble raises: it is a failure of the derivations that it kept from being built. It must not know hosts or inputs,
nor (see blame) why a derivation failed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from lockbot.errors import Cancelled, CommandError
from lockbot.model import Failure, FailureKind, Progress, Retrying
from lockbot.nix import blame
from lockbot.nix.build.queue import Attempt, BuildQueue
from lockbot.nix.build.target import Target
from lockbot.nix.command import Nix
from lockbot.process import CancelToken

_NOT_TOLD = frozenset({FailureKind.COLLECTED, FailureKind.DEPENDENCY})
"""Failures that tell nothing of a derivation that would be the same a moment later."""
_CONFIRMED = frozenset({FailureKind.BUILD, FailureKind.HASH_MISMATCH})
"""The failures that a second try of the same derivation confirms, or shows to be flaky."""


@dataclass(frozen=True)
class Limits:
    """Seconds per derivation; `options` are further settings for Nix (max-jobs, cores …)."""

    timeout: int
    silence: int
    options: Mapping[str, str] = field(default_factory=dict)
    retries: int = 3
    delay: float = 5.0
    second_chance: bool = False
    """Build a derivation that failed once more before it counts as broken: one that then works is flaky."""


class Builder:
    """Builds what is wanted, from the first wish on; `results` waits for all of it.

    A context manager: leaving it early (an error, a signal) ends the realising process.
    """

    def __init__(
        self,
        nix: Nix,
        limits: Limits,
        progress: Progress,
        broken: Mapping[str, Failure] | None = None,
        *,
        seen: MutableMapping[str, Failure] | None = None,
    ) -> None:
        """`broken`: derivations that failed in another run. What needs one of them is not built, and fails as it
        did; where one is built all the same and fails, no second try is needed.

        `seen` is added to: what this run has seen of derivations that failed for good, or could not be judged
        however often they were tried. The builders of one run share it: each is looked at once and for all.
        """
        self._cancel = CancelToken(parent=nix.cancel)
        self._nix = nix.with_cancel(self._cancel)
        self._limits = limits
        self._progress = progress
        self._changed = threading.Condition()
        self._broken = dict(broken or {})
        self._seen = seen if seen is not None else {}
        self._confirm: set[str] = set()
        self._outputs: dict[str, str] = {}
        self._flaky: set[str] = set()
        self._queue = BuildQueue()
        self._results: dict[str, Failure | None] = {}
        self._remembered: set[str] = set()
        """Of these, another run's memory alone says that they fail."""
        self._closed = False
        self._busy = False
        self._over = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="builder", daemon=True)

    def __enter__(self) -> Builder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            if error is not None:
                self._queue.clear()
                self._cancel.cancel(f"{type(error).__name__} elsewhere")
            self._changed.notify_all()
        self._thread.join()

    def want(self, target: Target, *, again: bool = False, confirm: bool = False) -> None:
        """Build this, soon. Wanting it twice builds it once, unless it is wanted `again`.

        `confirm`: that it is known to fail is no answer; it must be seen to, now.
        """
        with self._changed:
            if confirm:
                self._confirm.add(target.drv)
            if again or (confirm and target.drv in self._remembered):
                self._results.pop(target.drv, None)
                self._remembered.discard(target.drv)
            if target.drv not in self._results:
                self._queue.want(target, anew=confirm)
                self._changed.notify_all()

    def try_meanwhile(self, target: Target) -> None:
        """Begin with this when there is nothing else to do: it may turn out not to be needed (`give_up`)."""
        with self._changed:
            if target.drv not in self._results:
                self._queue.try_meanwhile(target)
                self._changed.notify_all()

    def give_up(self, drv: str) -> None:
        """What was to be tried meanwhile is not needed: where it was begun, that ends, unless it is wanted."""
        with self._changed:
            self._queue.give_up(drv)

    def results(self, *, seen: bool = False) -> dict[str, Failure | None]:
        """By derivation: None when its output is there, else why it is not. Waits; may be asked again later.

        `seen`: without what is known to fail from another run alone.

        Raises Cancelled or DeadlineExceeded, and SurroundingsError where the store itself stays away; then
        nothing is known of the rest.
        """
        with self._changed:
            while self._error is None and (self._queue or self._busy):
                self._changed.wait()
            if self._error is not None:
                raise self._error
            unseen = self._remembered if seen else ()
            return {drv: failure for drv, failure in self._results.items() if drv not in unseen}

    def why(self, target: Target) -> Failure | None:
        """Why this one can't be built, as seen now; None when it is there. Waits for it alone; raises as `results`
        does."""
        self.want(target, confirm=True)
        with self._changed:
            while self._error is None and target.drv not in self._results and not self._over:
                self._changed.wait()
            if self._error is not None:
                raise self._error
            return self._results.get(
                target.drv, Failure(FailureKind.UNKNOWN, "the run ended before it was built", target.drv)
            )

    def output(self, drv: str) -> str | None:
        """The output of a target that is there; what was not known before it was built, too."""
        with self._changed:
            return self._outputs.get(drv)

    @property
    def flaky(self) -> frozenset[str]:
        """The derivations that failed and then were built, unchanged."""
        with self._changed:
            return frozenset(self._flaky)

    def _work(self) -> None:
        try:
            while (targets := self._take()) is not None:
                attempt = self._queue.attempt
                results = self._build(targets) if attempt is None else self._built_meanwhile(attempt)
                with self._changed:
                    self._queue.done()
                    self._results.update(results)
                    self._remembered &= self._results.keys()
                    self._busy = False
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 -- handed to the waiting thread, which raises it
            with self._changed:
                self._error = error
                self._busy = False
                self._changed.notify_all()

    def _take(self) -> list[Target] | None:
        with self._changed:
            while not self._queue:
                if self._closed:
                    self._over = True
                    self._changed.notify_all()
                    return None
                self._changed.wait()
            self._busy = True
            return self._queue.take(self._cancel)

    def _built_meanwhile(self, attempt: Attempt) -> dict[str, Failure | None]:
        """Its result; none where it was given up."""
        usual = self._nix
        self._nix = usual.with_cancel(attempt.cancel)
        try:
            results = self._build([attempt.target])
            return {} if attempt.given_up else results
        except Cancelled:
            self._cancel.check()
            return {}
        finally:
            self._nix = usual

    # -- one batch ----------------------------------------------------------------------------------------

    def _build(self, targets: Sequence[Target]) -> dict[str, Failure | None]:
        results: dict[str, Failure | None] = {}
        left = self._without_hopeless(self._without_valid(targets, results), results)
        tried_now = {target.drv for target in left}
        tries = 0
        tried: set[str] = set()
        while left:
            before = len(left)
            problems: dict[str, Failure] = {}
            for group in _by_system(left):
                watched = self._realise(group)
                still = self._without_valid(group, results)
                problems |= blame.explain(self._nix, [target.drv for target in still], watched)
            again = self._second_chances(problems, tried)
            retry = {
                drv: problem
                for drv, problem in problems.items()
                if _worth_retrying(problem, tries) and not self._waited_for(problem)
            }
            results |= {drv: problem for drv, problem in problems.items() if drv not in retry | again}
            left = [target for target in left if target.drv not in results]
            if retry:
                if tries >= self._limits.retries:
                    results |= retry  # waited for in vain
                    left = [target for target in left if target.drv not in results]
                    continue
                self._wait(next(iter(retry.values())), tries)
                tries += 1
            elif len(left) == before and not again:  # nobody knows why: alone, each gets its own text
                results |= {target.drv: self._alone(target) for target in left}
                left = []
        self._note_flaky(results, tried)
        found = {drv: problem for drv, problem in results.items() if problem is not None and drv in tried_now}
        lasting = {drv: problem for drv, problem in found.items() if problem.kind not in _NOT_TOLD}
        self._seen.update({problem.culprit or drv: problem for drv, problem in lasting.items()})
        return results

    def _second_chances(self, problems: Mapping[str, Failure], tried: set[str]) -> dict[str, Failure]:
        """Those whose culprit failed for the first time, and is worth another look; it is in `tried` then."""
        if not self._limits.second_chance:
            return {}
        again = {
            drv: problem
            for drv, problem in problems.items()
            if self._unconfirmed(problem) and problem.culprit not in tried
        }
        for culprit in sorted({problem.culprit or "" for problem in again.values()}):
            self._progress(
                Retrying(f"building {culprit}", "it failed once; a build that fails twice is broken", 0)
            )
            tried.add(culprit)
        return again

    def _unconfirmed(self, problem: Failure) -> bool:
        """Whether a second try would tell more: not of what failed in another run, too."""
        culprit = problem.culprit
        return problem.kind in _CONFIRMED and culprit is not None and culprit not in self._broken

    def _note_flaky(self, results: Mapping[str, Failure | None], tried: set[str]) -> None:
        """What got a second chance and is no culprit now was built after all."""
        guilty = {failure.culprit for failure in results.values() if failure is not None}
        with self._changed:
            self._flaky |= tried - guilty

    def _without_hopeless(self, targets: Sequence[Target], results: dict[str, Failure | None]) -> list[Target]:
        """Note which would have to build what is known to fail, or was waited for in vain; returns the others."""
        left = []
        for target in targets:
            hopeless = {**({} if target.drv in self._confirm else self._broken), **self._seen}
            if not hopeless:
                left.append(target)
                continue
            problem = hopeless.get(target.drv) or blame.known_to_fail(hopeless, self._missing(target.drv))
            if problem is not None:
                results[target.drv] = problem
                if target.drv not in self._seen and problem.culprit not in self._seen:
                    self._remembered.add(target.drv)
            else:
                left.append(target)
        return left

    def _missing(self, drv: str) -> frozenset[str]:
        """What would have to be built for this; nothing is known of that where no substituter answers."""
        try:
            return self._nix.missing(drv)
        except CommandError:
            self._nix.cancel.check()
            return frozenset()

    def _without_valid(self, targets: Sequence[Target], results: dict[str, Failure | None]) -> list[Target]:
        """Note which are there now; returns the others."""
        outs = [target.out for target in targets if target.out]
        invalid = self._nix.invalid(outs) if outs else frozenset()
        there = {target.drv: self._there(target, invalid) for target in targets}
        with self._changed:
            self._outputs |= {drv: out for drv, out in there.items() if out is not None}
        results |= {drv: None for drv, out in there.items() if out is not None}
        return [target for target in targets if there[target.drv] is None]

    def _there(self, target: Target, invalid: frozenset[str]) -> str | None:
        """The target's output, where the store has it."""
        if target.out:
            return target.out if target.out not in invalid else None
        return self._nix.present(target.realise)

    def _realise(self, targets: Sequence[Target]) -> blame.Watched:
        watched = blame.Watched(self._progress)
        try:
            finished = self._nix.realise(
                [target.realise for target in targets],
                timeout=self._limits.timeout,
                silence=self._limits.silence,
                options=self._limits.options,
                on_stderr=watched.line,
            )
        finally:
            watched.end()
        watched.code = finished.code
        return watched

    def _wait(self, problem: Failure, tries: int) -> None:
        delay = self._limits.delay * 2**tries
        self._progress(Retrying("building", problem.message, delay))
        self._nix.cancel.sleep(delay)

    def _waited_for(self, problem: Failure) -> bool:
        """The same trouble, met by another derivation."""
        spent = {(known.kind, known.message) for known in self._seen.values()}
        return (problem.kind, problem.message) in spent

    def _alone(self, target: Target, *, again: bool = True) -> Failure | None:
        watched = self._realise([target])
        if not self._without_valid([target], {}):
            return None
        problem = blame.explain(self._nix, [target.drv], watched).get(target.drv)
        problem = problem or blame.unexplained(self._nix, target.drv, watched)
        if again and self._limits.second_chance and self._unconfirmed(problem):
            return self._alone(target, again=False)
        return problem


def _worth_retrying(problem: Failure, tries: int) -> bool:
    """A killed builder (out of memory, say) gets one more chance; a crash of its own comes back."""
    passing = problem.kind.surroundings and problem.kind is not FailureKind.AUTH
    return passing or (problem.kind is FailureKind.KILLED and tries == 0)


def _by_system(targets: Sequence[Target]) -> list[list[Target]]:
    """One system at a time: before 2.34, one that can't be built here aborts all the others."""
    groups: dict[str, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.system, []).append(target)
    return list(groups.values())
