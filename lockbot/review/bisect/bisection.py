"""From commits of the flake to the first with which the command fails; from that on to an input and upstream.

Goes on from what was found for sure, and says why where it can't. It must not know how a host is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from lockbot.errors import LockbotError
from lockbot.git.clone import Clone
from lockbot.git.commits.described import describe
from lockbot.model import Locked
from lockbot.nix.lockfile import LockFile, LockFileError, diff
from lockbot.policy.upstream_log import InputRevisions
from lockbot.report import words
from lockbot.review.bisect.bad_lock import BadLock
from lockbot.review.bisect.moved_inputs import MovedInputs, movable
from lockbot.review.bisect.result import BadCommit, Bisected, Blame, Result, Source
from lockbot.review.bisect.stage import Stage
from lockbot.review.bisect.trials import Trials
from lockbot.search.first_bad import Question, Span, find_first_bad
from lockbot.search.interface import State

AT_ONCE = 32
"""So many commits are evaluated side by side, to run the command on none that changes nothing for the host."""


class OpenMoved(Protocol):
    """A work tree of a commit with the lock `base`, to move inputs in it, up to `tips`, which are in `lock`."""

    def __call__(
        self, commit: str, base: bytes, tips: dict[str, Locked], lock: LockFile
    ) -> AbstractContextManager[MovedInputs]: ...


@dataclass(frozen=True)
class Bisection:
    """`lock_name`: the path of flake.lock, from the repository's top."""

    clone: Clone
    lock_name: str
    revisions: InputRevisions
    open_moved: OpenMoved
    trials: Trials

    def run(self, commits: Sequence[str]) -> Bisected:
        """`commits`: each a parent of the next; the first should be good and the last bad.

        Raises LockbotError where that can't be told.
        """
        found = self._first_bad(commits)
        if found.first_bad is not None and not found.among:
            found = self._explained(found, found.first_bad)
        return replace(found, tried=tuple(self.trials.tried.values()))

    def _first_bad(self, commits: Sequence[str]) -> Bisected:
        nothing = Bisected(self.trials.host.name, self.trials.command.argv)
        ends = Source.of(commits[0]), Source.of(commits[-1])
        Stage("", self.trials).look(ends)
        if self._end(ends[0], "good") is Result.BAD:
            return replace(nothing, reason=f"it fails at {words.short(commits[0])} already")
        if self._end(ends[1], "bad") is Result.GOOD:
            return replace(nothing, reason=f"it does not fail at {words.short(commits[-1])}")
        span = self._halved(commits)
        bad = self._described(commits[span.high])
        if span.exact:
            return replace(nothing, first_bad=bad)
        among = tuple(commits[index] for index in span.among)
        return replace(nothing, first_bad=bad, among=among, reason="of the others nothing can be told")

    def _end(self, source: Source, should_be: str) -> Result:
        """What it is at one end. Raises LockbotError where that can't be told."""
        trial = self.trials.ask(source)
        if trial.result is Result.SKIPPED:
            raise LockbotError(
                f"{words.short(source.commit)} can't be told to be {should_be}: {trial.why}",
                f"name another commit that is {should_be}, and at which {self.trials.host.name} can be built",
            )
        return trial.result

    def _halved(self, commits: Sequence[str]) -> Span:
        stage = Stage("the commit", self.trials)
        sources = [Source.of(commit) for commit in commits]

        def look(indexes: Sequence[int]) -> dict[int, str]:
            drvs = stage.look([sources[index] for index in indexes])
            return {index: drvs[sources[index]] for index in indexes if sources[index] in drvs}

        def ask(question: Question) -> State:
            among = [words.short(commit) for commit in commits[question.low + 1 : question.high + 1]]
            return stage.ask(sources[question.index], among, question.left)

        return find_first_bad(len(commits) - 1, ask, look, at_once=AT_ONCE)

    def _described(self, commit: str) -> BadCommit:
        said, date = describe(self.clone, commit), self.clone.commit_date(commit)
        return BadCommit(
            commit,
            said.parents[0],
            said.subject,
            int(date.timestamp()),
            changes_more=any(name != self.lock_name for name in said.files),
        )

    def _explained(self, found: Bisected, bad: BadCommit) -> Bisected:
        """Whether it is the lock or the rest; of the lock, which input; of that, which upstream commit."""
        base, lock = (self.clone.read_file(commit, self.lock_name) for commit in (bad.parent, bad.commit))
        if base is None or lock is None:
            return replace(found, blame=Blame.FILES)
        try:
            there = _parsed(lock)
            inputs = movable(diff(_parsed(base), there))
        except LockFileError as error:
            return replace(found, blame=Blame.UNKNOWN, reason=error.message)
        tips = {name: change.new for name, change in inputs.items() if change.new is not None}
        with self.open_moved(bad.parent, base, tips, there) as moved:
            blamed = BadLock(self.trials, self.revisions, bad, inputs, moved)
            return blamed.explain(found, lock)


def _parsed(content: bytes) -> LockFile:
    return LockFile.parse(content.decode(errors="replace"))
