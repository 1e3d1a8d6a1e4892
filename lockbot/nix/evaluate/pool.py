"""Many hosts' derivations, evaluated side by side.

Several evaluators run at a time, each over its share of the hosts in one process: what hosts have in common is
read once, and a host's values are garbage as soon as its derivation is printed (by `builtins.trace`, so that
building can start at the first line). A host that fails ends its process; what was printed stands, the error
is that host's, and the rest go on in another process. No trouble raises for all: it is the failure of the hosts
that it met. It must not know what a failure means for the update.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from lockbot import process
from lockbot.errors import DeadlineExceeded, LockbotError
from lockbot.model import Failure, FailureKind, Progress, Retrying
from lockbot.nix.command import Nix
from lockbot.nix.evaluate.evaluator import Evaluation, Job, Reader
from lockbot.nix.evaluate.files_read import FilesRead
from lockbot.nix.lines import shortened
from lockbot.process import Listener

LARGEST_SHARE = 100
"""Hosts in one process, at most: the expression is an argument, and those are limited to 128 KiB."""
REBUILDS = 2
"""How often a host is evaluated anew because what it wants to read from could be built after all."""
SAMPLE_SECONDS = 0.05
FULL = 0.9
"""The part of the memory budget that evaluators may fill: a look can come late, and the end takes its time."""
LEAST = 256 * 2**20
"""Bytes that an evaluator is expected to need, until it is seen to need more."""

_DURATION = re.compile(r"after \d+ ms")  # curl's: it differs from try to try


Explain = Callable[[str], Failure | None]
"""Why a derivation that an evaluation wanted to read from is not built; None: it is, now."""


@dataclass(frozen=True)
class Limits:
    """`memory` in bytes for all evaluators together, `timeout` in seconds for one host."""

    workers: int
    memory: int
    timeout: float
    import_from_derivation: bool = True
    building: Mapping[str, str] = field(default_factory=dict)
    """Settings for what an evaluation builds on its way: the same as for any other build."""
    retries: int = 3
    delay: float = 5.0

    @property
    def heap(self) -> dict[str, str]:
        """Nix's collector lets garbage grow to 384 MiB before it looks; a small budget has no room for that."""
        share = self.memory // (4 * self.workers)
        return {"GC_INITIAL_HEAP_SIZE": str(max(share, 2**24))} if share < 384 * 2**20 else {}

    @property
    def options(self) -> dict[str, str]:
        return {**self.building, "allow-import-from-derivation": str(self.import_from_derivation).lower()}


def evaluate(
    nix: Nix,
    jobs: Sequence[Job],
    limits: Limits,
    *,
    files: FilesRead | None = None,
    on_start: Callable[[Job], None],
    on_done: Callable[[Evaluation], None],
    progress: Progress,
    explain: Explain | None = None,
) -> None:
    """Evaluate everything; `on_done` is called once for each job, from several threads, as soon as it is known.

    `files` hears of every file that is read. `explain` is asked, from an evaluator's thread, of a derivation that
    failed to build within an evaluation; the host fails as that does. Raises Cancelled and DeadlineExceeded when
    the run is over, and what `explain` raises.
    """
    if not jobs:
        return
    pool = _Pool(nix, limits, on_start, on_done, progress, explain, files or FilesRead())
    for late in (False, True):
        pool.add([job for job in jobs if job.late is late])
    pool.run()


_ONCE_MORE = frozenset({FailureKind.KILLED, FailureKind.HASH_MISMATCH})
"""What is tried once more: a second download may be whole."""


@dataclass
class _Share:
    """The jobs that one process works through, and how often they have been tried."""

    jobs: list[Job]
    tries: int = 0


@dataclass
class _Trouble:
    """One passing trouble: how often it was waited for, and until when it is now (by the monotonic clock)."""

    waits: int = 0
    until: float = 0.0


@dataclass
class _Pool:
    nix: Nix
    limits: Limits
    on_start: Callable[[Job], None]
    on_done: Callable[[Evaluation], None]
    progress: Progress
    explain: Explain | None = None
    files: FilesRead = field(default_factory=FilesRead)
    queue: deque[_Share] = field(default_factory=deque)
    lock: threading.Condition = field(default_factory=threading.Condition)
    busy: int = 0
    allowed: int = 0
    error: LockbotError | None = None
    pids: dict[int, bool] = field(default_factory=dict)
    """Evaluators at work, oldest first; True once one was shed to keep within the memory budget."""
    troubles: dict[tuple[FailureKind, str], _Trouble] = field(default_factory=dict)
    """By kind and words: all hosts that meet the same one wait for it together."""
    built: dict[Job, int] = field(default_factory=dict)
    """How often a job was evaluated anew because what it wanted to read from could be built after all."""

    def add(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        shares = min(len(jobs), max(self.limits.workers, -(-len(jobs) // LARGEST_SHARE)))
        # Neighbours stay together: the candidate and the base of one host share what they read.
        size, extra = divmod(len(jobs), shares)
        start = 0
        for number in range(shares):
            end = start + size + (number < extra)
            self.queue.append(_Share(list(jobs[start:end])))
            start = end

    def run(self) -> None:
        self.allowed = self._affordable(LEAST)
        finished = threading.Event()
        monitor = threading.Thread(target=self._watch_memory, args=(finished,), daemon=True)
        monitor.start()
        try:
            with ThreadPoolExecutor(self.limits.workers) as executor:
                for future in [executor.submit(self._work) for _ in range(self.limits.workers)]:
                    future.result()
        finally:
            finished.set()
            monitor.join()
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        while (share := self._take()) is not None:
            try:
                rest = self._evaluate(share)
            except LockbotError as error:
                with self.lock:
                    self.error = self.error or error
                    self.busy -= 1
                    self.lock.notify_all()
                return
            except BaseException:
                with self.lock:
                    self.busy -= 1
                    self.queue.clear()
                    self.lock.notify_all()
                raise
            with self.lock:
                self.busy -= 1
                self.queue.extendleft(reversed(rest))
                self.lock.notify_all()

    def _take(self) -> _Share | None:
        """The next share; None when there is, and will be, nothing more to do."""
        with self.lock:
            while True:
                if self.error is not None or (not self.queue and not self.busy):
                    return None
                if self.queue and self.busy < self.allowed:
                    self.busy += 1
                    return self._halved(self.queue.popleft())
                self.lock.wait()

    def _halved(self, share: _Share) -> _Share:
        """Leave half of a share to an idle evaluator, where no other share waits for it."""
        if share.tries or self.queue or len(share.jobs) < 4 or self.busy >= self.allowed:
            return share
        middle = len(share.jobs) // 2
        self.queue.append(_Share(share.jobs[middle:]))
        self.lock.notify_all()
        return _Share(share.jobs[:middle])

    def _evaluate(self, share: _Share) -> list[_Share]:
        """Run one process over a share; returns what is still to do."""
        reader = Reader(self.nix, share.jobs, self.on_start, self.on_done, self.limits.timeout, self.files)
        pid = 0

        def started(number: int) -> None:
            nonlocal pid
            pid = number
            with self.lock:
                self.pids[number] = False

        code = -9
        late: DeadlineExceeded | None = None
        try:
            finished = self.nix.evaluate(
                reader.expression,
                deadlines=[reader.deadline],
                options=self.limits.options,
                extra=self.limits.heap,
                listener=Listener(on_start=started, on_stderr=reader.line),
            )
            code = finished.code
        except DeadlineExceeded as error:
            self.nix.cancel.check()  # the run's own deadline is not the host's
            late = error
        finally:
            with self.lock:
                shed = self.pids.pop(pid, False)
                alone = not self.pids
        rest = share.jobs[reader.done :]
        if code == 0 and not rest:
            return []
        if shed:
            return self._shed(rest, hopeless=alone and self.allowed == 1 and reader.done == 0)
        problem = reader.problem(code, late)
        if problem.culprit is not None and self.explain is not None:
            return self._explained(rest, problem.culprit, self.explain)
        if problem.kind.surroundings or problem.kind in _ONCE_MORE:
            tries = 0 if reader.done else share.tries
            return self._retry(rest, tries, problem)
        return self._failed(rest, problem)

    def _failed(self, rest: list[Job], problem: Failure) -> list[_Share]:
        self.on_done(Evaluation(rest[0], failure=problem))
        return [_Share(rest[1:])] if rest[1:] else []

    def _explained(self, rest: list[Job], drv: str, explain: Explain) -> list[_Share]:
        """It fails as what it wanted to read from does; where that can be built now, it is evaluated again."""
        found = explain(drv)
        if found is not None:
            words = shortened(f"wants to read what {drv} builds: {found.message}")
            return self._failed(rest, replace(found, message=words))
        times = self.built.get(rest[0], 0)
        if times >= REBUILDS:
            words = f"wants to read what {drv} builds: it fails to build during the evaluation, and not by itself"
            return self._failed(rest, Failure(FailureKind.UNKNOWN, words, culprit=drv))
        with self.lock:
            self.built[rest[0]] = times + 1
        return [_Share(rest, tries=1)]

    def _retry(self, rest: list[Job], tries: int, problem: Failure) -> list[_Share]:
        """Try a job again after a while, when its failure was the surroundings'."""
        if problem.kind in _ONCE_MORE:
            wait = self.limits.delay if tries < min(1, self.limits.retries) else None
        else:
            wait = self._wait(problem) if tries < self.limits.retries else None
        if wait is None:
            return self._failed(rest, problem)
        self.progress(Retrying(f"evaluating {rest[0].host.name}", problem.message, wait))
        self.nix.cancel.sleep(wait)
        return [_Share(rest, tries + 1)]

    def _wait(self, problem: Failure) -> float | None:
        """Seconds until this trouble is looked at again; None when it was waited for often enough, by any host."""
        key = (problem.kind, _DURATION.sub("", problem.message))
        now = time.monotonic()
        with self.lock:
            trouble = self.troubles.setdefault(key, _Trouble())
            if now >= trouble.until:
                if trouble.waits >= self.limits.retries:
                    return None
                trouble.until = now + self.limits.delay * 2**trouble.waits
                trouble.waits += 1
            return trouble.until - now

    def _shed(self, rest: list[Job], *, hopeless: bool) -> list[_Share]:
        """This process was ended to save memory: go on with fewer, or give up on a host too large by itself.

        One that had got somewhere was full of other hosts' garbage: a new one may have room.
        """
        if not hopeless:
            return [_Share(rest, tries=1)]
        budget = f"{self.limits.memory / 2**20:.0f} MiB"
        message = f"needs more memory to evaluate than the budget of {budget} ([eval] memory)"
        return self._failed(rest, Failure(FailureKind.MEMORY, message))

    def _affordable(self, each: int) -> int:
        return max(1, min(self.limits.workers, self.limits.memory // each))

    def _watch_memory(self, finished: threading.Event) -> None:
        """End the youngest evaluator when all together come near the budget, and go on with fewer.

        Until the next look, which can come late, they are taken to grow by twice as much as since the last one;
        but one alone is ended, and its host given up, only for what it holds.
        """
        last: dict[int, int] = {}
        while not finished.wait(SAMPLE_SECONDS):
            with self.lock:
                working = [pid for pid, shed in self.pids.items() if not shed]
                now = {pid: process.resident_bytes(pid) for pid in working}
                growth = sum(max(size - last.get(pid, 0), 0) for pid, size in now.items()) if len(now) > 1 else 0
                last = now
                if sum(now.values()) + 2 * growth <= FULL * self.limits.memory:
                    continue
                youngest = working[-1]
                self.pids[youngest] = True
                self.allowed = max(1, len(working) - 1)
                process.kill(youngest)
