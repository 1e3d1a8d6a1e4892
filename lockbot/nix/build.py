"""Realising derivations while others are still being evaluated, and finding out why one was not built.

One realising process at a time, fed with everything wanted meanwhile: two that want the same derivation would
wait for each other's locks. Nix's own messages and the builders' logs arrive as separate events, so a log that
talks of a broken network is not taken for one. It must not know hosts or inputs.
"""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from lockbot.errors import LockbotError, SurroundingsError
from lockbot.model import DerivationStarted, DerivationStopped, Failure, FailureKind, Progress, Retrying
from lockbot.nix import failure
from lockbot.nix.command import Nix
from lockbot.process import CancelToken

TAIL_LINES = 20
LOG_BYTES = 16 * 1024 * 1024
"""How much of a build log is read at most, from its end."""

_BUILD, _LOG_LINE = 105, 101  # Nix's activity and result types
_TIMED_OUT, _HASH_MISMATCH = 1, 2  # bits of nix-store's exit code above 100

_NETWORK_IN_FETCHER = re.compile(
    r"[Cc]ould ?n[o']t resolve host|Temporary failure in name resolution|curl: \((5|6|7|28|35|52|56)\)"
    r"|Connection (refused|reset|timed out)|Network is unreachable|Could not connect to server"
)
_FIXED_OUTPUT = re.compile(r'Derive\(\[\("out","[^"]*","[^"]+",')


@dataclass(frozen=True)
class Target:
    """One derivation to have: `drv`, its output path, `realise` (`/…drv!out`) and the system it is for."""

    drv: str
    out: str
    realise: str
    system: str


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


@dataclass
class _Watched:
    """What one realising process said."""

    progress: Progress
    messages: list[str] = field(default_factory=list)
    started: dict[str, int] = field(default_factory=dict)
    """Derivation → activity, of every build that began."""
    logs: dict[int, deque[str]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=200)))
    running: dict[int, str] = field(default_factory=dict)
    code: int = 0

    def line(self, line: str) -> None:
        if not line.startswith("@nix "):
            self.messages.append(line)
            return
        try:
            event = json.loads(line[5:])
        except ValueError:  # cut by the limit on a line's length: only a log line can be that long
            return
        match event:
            case {"action": "msg", "level": int(level), "msg": str(text)} if level <= 1:
                self.messages.append(failure.strip_ansi(text))
            case {"action": "start", "type": 105, "id": int(number), "fields": [str(drv), *rest]}:
                self.started[drv] = number
                self.running[number] = drv
                self.progress(DerivationStarted(drv, str(rest[0]) if rest else ""))
            case {"action": "result", "type": 101, "id": int(number), "fields": [str(text), *_]}:
                self.logs[number].append(text)
            case {"action": "stop", "id": int(number)} if number in self.running:
                self.progress(DerivationStopped(self.running.pop(number)))

    @property
    def text(self) -> str:
        return "\n".join(self.messages)


class Builder:
    """Builds what is wanted, from the first wish on; `results` waits for all of it.

    A context manager: leaving it early (an error, a signal) ends the realising process.
    """

    def __init__(
        self, nix: Nix, limits: Limits, progress: Progress, broken: Mapping[str, Failure] | None = None
    ) -> None:
        """`broken`: derivations known to fail. What needs one of them is not built, and fails as it did."""
        self._cancel = CancelToken(parent=nix.cancel)
        self._nix = nix.with_cancel(self._cancel)
        self._limits = limits
        self._progress = progress
        self._changed = threading.Condition()
        self._broken = dict(broken or {})
        self._flaky: set[str] = set()
        self._wanted: dict[str, Target] = {}
        self._results: dict[str, Failure | None] = {}
        self._closed = False
        self._busy = False
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
                self._wanted.clear()
            self._changed.notify_all()
        self._thread.join()

    def want(self, target: Target, *, again: bool = False) -> None:
        """Build this, soon. Wanting it twice builds it once, unless it is wanted `again`."""
        with self._changed:
            if again:
                self._results.pop(target.drv, None)
            if target.drv not in self._results:
                self._wanted.setdefault(target.drv, target)
                self._changed.notify_all()

    def results(self) -> dict[str, Failure | None]:
        """By derivation: None when its output is there, else why it is not. Waits; may be asked again later.

        Raises SurroundingsError, Cancelled or DeadlineExceeded; then nothing is known of the rest.
        """
        with self._changed:
            while self._error is None and (self._wanted or self._busy):
                self._changed.wait()
            if self._error is not None:
                raise self._error
            return dict(self._results)

    def known(self, drv: str) -> Failure | None:
        """Why this one was not built, if it was wanted and was not."""
        with self._changed:
            return self._results.get(drv)

    @property
    def flaky(self) -> frozenset[str]:
        """The derivations that failed and then were built, unchanged."""
        with self._changed:
            return frozenset(self._flaky)

    def _work(self) -> None:
        try:
            while (targets := self._take()) is not None:
                results = self._build(targets)
                with self._changed:
                    self._results.update(results)
                    self._busy = False
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 -- handed to the waiting thread, which raises it
            with self._changed:
                self._error = error
                self._busy = False
                self._changed.notify_all()

    def _take(self) -> list[Target] | None:
        with self._changed:
            while not self._wanted:
                if self._closed:
                    return None
                self._changed.wait()
            targets = list(self._wanted.values())
            self._wanted.clear()
            self._busy = True
            return targets

    # -- one batch ----------------------------------------------------------------------------------------

    def _build(self, targets: Sequence[Target]) -> dict[str, Failure | None]:
        results: dict[str, Failure | None] = {}
        left = self._without_broken(self._without_valid(targets, results), results)
        tries = 0
        tried: set[str] = set()
        while left:
            before = len(left)
            problems: dict[str, Failure] = {}
            for group in _by_system(left):
                watched = self._realise(group)
                still = self._without_valid(group, results)
                problems |= self._explain(still, watched)
            again = self._second_chances(problems, tried)
            retry = {drv: problem for drv, problem in problems.items() if _worth_retrying(problem, tries)}
            results |= {drv: problem for drv, problem in problems.items() if drv not in retry | again}
            left = [target for target in left if target.drv not in results]
            if retry:
                if tries >= self._limits.retries:
                    self._give_up(retry, results)
                    left = [target for target in left if target.drv not in results]
                    continue
                self._wait(next(iter(retry.values())), tries)
                tries += 1
            elif len(left) == before and not again:  # nobody knows why: alone, each gets its own text
                results |= {target.drv: self._alone(target) for target in left}
                left = []
        self._note_flaky(results, tried)
        return results

    def _second_chances(self, problems: Mapping[str, Failure], tried: set[str]) -> dict[str, Failure]:
        """Those whose culprit failed for the first time, and is worth another look; it is in `tried` then."""
        if not self._limits.second_chance:
            return {}
        again = {
            drv: problem
            for drv, problem in problems.items()
            if problem.kind is FailureKind.BUILD and problem.culprit is not None and problem.culprit not in tried
        }
        for culprit in sorted({problem.culprit or "" for problem in again.values()}):
            self._progress(
                Retrying(f"building {culprit}", "it failed once; a build that fails twice is broken", 0)
            )
            tried.add(culprit)
        return again

    def _note_flaky(self, results: Mapping[str, Failure | None], tried: set[str]) -> None:
        """What got a second chance and is no culprit now was built after all."""
        guilty = {failure.culprit for failure in results.values() if failure is not None}
        with self._changed:
            self._flaky |= tried - guilty

    def _without_broken(self, targets: Sequence[Target], results: dict[str, Failure | None]) -> list[Target]:
        """Note which would have to build a derivation that is known to fail; returns the others."""
        if not self._broken:
            return list(targets)
        left = []
        for target in targets:
            culprits = sorted(self._broken.keys() & self._nix.missing(target.drv))
            if culprits:
                results[target.drv] = self._broken[culprits[0]]
            else:
                left.append(target)
        return left

    def _without_valid(self, targets: Sequence[Target], results: dict[str, Failure | None]) -> list[Target]:
        """Note which are there now; returns the others."""
        invalid = self._nix.invalid([target.out for target in targets]) if targets else frozenset()
        results |= {target.drv: None for target in targets if target.out not in invalid}
        return [target for target in targets if target.out in invalid]

    def _realise(self, targets: Sequence[Target]) -> _Watched:
        watched = _Watched(self._progress)
        try:
            finished = self._nix.realise(
                [target.realise for target in targets],
                timeout=self._limits.timeout,
                silence=self._limits.silence,
                options=self._limits.options,
                on_stderr=watched.line,
            )
        finally:
            for drv in watched.running.values():
                self._progress(DerivationStopped(drv))
        watched.code = finished.code
        return watched

    def _wait(self, problem: Failure, tries: int) -> None:
        delay = self._limits.delay * 2**tries
        self._progress(Retrying("building", problem.message, delay))
        self._nix.cancel.sleep(delay)

    def _give_up(self, problems: Mapping[str, Failure], results: dict[str, Failure | None]) -> None:
        for drv, problem in problems.items():
            if problem.kind.surroundings:
                raise SurroundingsError(
                    f"cannot build {drv}: {problem.message}",
                    "nothing was changed and no input is blamed; the next run tries again",
                )
            results[drv] = problem

    def _alone(self, target: Target) -> Failure | None:
        watched = self._realise([target])
        if not self._without_valid([target], {}):
            return None
        problem = self._explain([target], watched).get(target.drv)
        if problem is None:
            words = failure.explain(watched.text) or f"nix-store ended with code {watched.code}"
            problem = Failure(failure.classify(watched.text), words, culprit=target.drv, log=watched.text)
        if problem.kind.surroundings:
            self._give_up({target.drv: problem}, {})
        return problem

    # -- why ----------------------------------------------------------------------------------------------

    def _explain(self, targets: Sequence[Target], watched: _Watched) -> dict[str, Failure]:
        """For each target that is not there: the failure at its root, as far as this process told it."""
        if not targets:
            return {}
        named = failure.derivation_failures(watched.text)
        found: dict[str, Failure] = {}
        for target in targets:
            try:
                closure = self._nix.requisites(target.drv)
            except LockbotError as error:
                self._nix.cancel.check()
                found[target.drv] = Failure(FailureKind.COLLECTED, error.message, culprit=target.drv)
                continue
            roots = sorted(closure & named.keys(), key=lambda drv: (drv == target.drv, drv))
            problem = (
                replace(named[roots[0]], culprit=roots[0]) if roots else self._unnamed(target, closure, watched)
            )
            if problem is not None:
                found[target.drv] = self._with_log(problem, watched)
        if not found and (kind := failure.classify(watched.text)).surroundings:
            words = failure.explain(watched.text)
            return {target.drv: Failure(kind, words) for target in targets}
        return found

    def _unnamed(self, target: Target, closure: frozenset[str], watched: _Watched) -> Failure | None:
        """Nix named no derivation (2.34 does so at a timeout): the exit code, and what had begun, tell."""
        bits = watched.code - 100 if 100 < watched.code < 108 else 0
        began = closure & watched.started.keys()
        kind = (
            FailureKind.TIMEOUT
            if bits & _TIMED_OUT
            else FailureKind.HASH_MISMATCH
            if bits & _HASH_MISMATCH
            else None
        )
        if kind is None or not began:
            return None
        missing = self._nix.missing(target.drv)
        roots = sorted(drv for drv in began & missing if not (self._nix.references(drv) & missing - {drv}))
        if not roots:
            return None
        return Failure(kind, failure.said(watched.text, kind), culprit=roots[0])

    def _with_log(self, problem: Failure, watched: _Watched) -> Failure:
        """Add the culprit's log, and say network where a fetcher could not reach its source."""
        culprit = problem.culprit or ""
        log = self._nix.log(culprit)
        if log is None:
            log = "\n".join(watched.logs.get(watched.started.get(culprit, -1), ()))
        lines = failure.strip_ansi(log[-LOG_BYTES:]).rstrip().splitlines()
        problem = replace(problem, tail=tuple(lines[-TAIL_LINES:]), log="\n".join(lines))
        if problem.kind is FailureKind.BUILD and _NETWORK_IN_FETCHER.search(problem.log) and _is_fetcher(culprit):
            words = next(line for line in lines if _NETWORK_IN_FETCHER.search(line)).strip()
            return replace(problem, kind=FailureKind.NETWORK, message=words)
        return problem


def _worth_retrying(problem: Failure, tries: int) -> bool:
    """A killed builder (out of memory, say) gets one more chance; a crash of its own comes back."""
    return problem.kind.surroundings or (problem.kind is FailureKind.KILLED and tries == 0)


def _by_system(targets: Sequence[Target]) -> list[list[Target]]:
    """One system at a time: before 2.34, one that can't be built here aborts all the others."""
    groups: dict[str, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.system, []).append(target)
    return list(groups.values())


def _is_fetcher(drv: str) -> bool:
    """A fixed-output derivation is the only kind that may use the network."""
    try:
        with Path(drv).open(encoding="utf-8", errors="replace") as file:
            return _FIXED_OUTPUT.match(file.read(4096)) is not None
    except OSError:  # a store that is not mounted here: then it stays a failed build
        return False
