"""One of the questions of a bisection (which commit, which input, which upstream commit), told as it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lockbot.model import Looking, Phase, PhaseStarted
from lockbot.report import words
from lockbot.review.bisect.result import Result, Source
from lockbot.review.bisect.trials import Trials
from lockbot.search.interface import State

_STATES = {Result.GOOD: State.GOOD, Result.BAD: State.BAD, Result.SKIPPED: State.UNKNOWN}


@dataclass
class Stage:
    """`what` it looks for; how often was `asked`."""

    what: str
    trials: Trials
    asked: int = 0

    def look(self, sources: Sequence[Source]) -> dict[Source, str]:
        """As `Trials.look`."""
        host, number = self.trials.host.name, words.count(len(sources), "commit")
        self.trials.building.progress(PhaseStarted(Phase.JUDGE, f"{host} at {number}"))
        return self.trials.look(sources)

    def ask(self, source: Source, among: Sequence[str], left: int) -> State:
        """Is it good? It was looked at. `among`: what it may be; about so many questions are `left`, with this."""
        self.asked += 1
        what = f"{self.what} with which the command fails on {self.trials.host.name}"
        event = Looking(what, tuple(among), self.asked, self.asked + max(left, 1) - 1)
        self.trials.building.progress(event)
        return _STATES[self.trials.ask(source).result]
