"""What of a bad commit makes the command fail: its lock or its other files; which input; which upstream commit.

Tried on the files of the commit's parent, with more and more of the lock moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lockbot.errors import LockbotError, SurroundingsError
from lockbot.model import CulpritCommit, InputChange
from lockbot.policy.upstream_log import InputRevisions, commit_link
from lockbot.report import words
from lockbot.report.escape import name as shown
from lockbot.review.bisect.moved_inputs import MovedInputs
from lockbot.review.bisect.result import BadCommit, BadInput, Bisected, Blame, Source
from lockbot.review.bisect.stage import Stage
from lockbot.review.bisect.trials import Trials
from lockbot.search.first_bad import Question, Span, find_first_bad, smallest_bad
from lockbot.search.interface import State


@dataclass(frozen=True)
class BadLock:
    """`inputs`: what can be moved by itself of what the commit moves."""

    trials: Trials
    revisions: InputRevisions
    bad: BadCommit
    inputs: Mapping[str, InputChange]
    moved: MovedInputs
    _sources: dict[frozenset[tuple[str, str]], Source | None] = field(default_factory=dict)

    def explain(self, found: Bisected, lock: bytes) -> Bisected:
        """`found` with all that can be told. `lock`: the commit's own."""
        everything = {name: _tip(change) for name, change in self.inputs.items()}
        if self.bad.changes_more and (blame := self._weigh(lock, everything)) is not Blame.LOCK:
            return replace(found, blame=blame)
        found = replace(found, blame=Blame.LOCK)
        if not everything:
            return replace(found, reason="no input moves by it, its lock differs in another way")
        stage = Stage("the input", self.trials)
        if self._state(stage, everything, 1) is not State.BAD:
            return replace(found, reason="which input it is can't be told: moved anew, they don't make it fail")
        return self._with_upstream(self._with_input(found, stage))

    def _weigh(self, lock: bytes, everything: Mapping[str, str]) -> Blame:
        """The commit changes other files, too: is its lock bad without them?"""
        stage = Stage("the lock or the other files", self.trials)
        source = self.moved.with_lock(lock, everything)
        stage.look([source])
        match stage.ask(source, [self.bad.commit], 1):
            case State.BAD:
                return Blame.LOCK
            case State.GOOD:
                return Blame.FILES
            case _:
                return Blame.UNKNOWN

    def _with_input(self, found: Bisected, stage: Stage) -> Bisected:
        def ask(some: frozenset[str], left: int) -> State:
            return self._state(stage, {name: _tip(self.inputs[name]) for name in some}, left)

        culprits = smallest_bad(list(self.inputs), ask)
        first, *others = (self.inputs[name] for name in culprits.parts)
        return replace(found, input=BadInput(first, tuple(others), culprits.exact))

    def _state(self, stage: Stage, selection: Mapping[str, str], left: int) -> State:
        source = self._source(selection)
        if source is None:
            return State.UNKNOWN
        stage.look([source])
        return stage.ask(source, sorted(selection), left)

    # -- upstream ----------------------------------------------------------------------------------------------

    def _with_upstream(self, found: Bisected) -> Bisected:
        if found.input is None or found.input.together_with:
            return found
        change = found.input.change
        assert change.old is not None and change.new is not None, "it can be moved"
        between = self.revisions.between(change.input, change.old, change.new.revision)
        if len(between.revisions) == 1 and not between.complete:
            why = f"what lies between the two revisions of {shown(change.input)} is not known"
            return replace(found, reason=why)
        line = (change.old.revision, *between.revisions)
        span = self._halved(change.input, line)
        return replace(found, upstream=self._culprit(change, line, span, complete=between.complete))

    def _halved(self, name: str, line: Sequence[str]) -> Span:
        """`line`: the revisions of the input, the first one good."""
        stage = Stage(f"the commit of {name}", self.trials)

        def source(index: int) -> Source | None:
            return self._source({name: line[index]} if index else {})

        def look(indexes: Sequence[int]) -> dict[int, str]:
            there = {index: one for index in indexes if (one := source(index)) is not None}
            drvs = stage.look(list(there.values()))
            return {index: drvs[one] for index, one in there.items() if one in drvs}

        def ask(question: Question) -> State:
            among = [words.short(one) for one in line[question.low + 1 : question.high + 1]]
            asked = source(question.index)
            assert asked is not None, "it was looked at"
            return stage.ask(asked, among, question.left)

        return find_first_bad(len(line) - 1, ask, look)

    def _culprit(self, change: InputChange, line: Sequence[str], span: Span, *, complete: bool) -> CulpritCommit:
        assert change.new is not None
        revision = line[span.high]
        said = self.revisions.log.describe(change.new, revision)
        return CulpritCommit(
            revision,
            said.subject if said else "",
            said.author if said else "",
            said.authored if said else None,
            commit_link(change.new, revision),
            (self.trials.host.name,),
            line[span.low],
            exact=span.exact and complete,
        )

    # -- locks -------------------------------------------------------------------------------------------------

    def _source(self, selection: Mapping[str, str]) -> Source | None:
        """The parent with these inputs moved; None where they can't be locked, which counts as tried."""
        key = frozenset(selection.items())
        if key not in self._sources:
            self._sources[key] = self._made(selection)
        return self._sources[key]

    def _made(self, selection: Mapping[str, str]) -> Source | None:
        try:
            return self.moved.at(selection)
        except LockbotError as error:
            self.trials.building.nix.cancel.check()  # that the run is over is no input's affair
            if isinstance(error, SurroundingsError):
                raise
            self.trials.skip(Source(self.bad.parent, "", selection), error.message)
            return None


def _tip(change: InputChange) -> str:
    assert change.new is not None, "it can be moved"
    return change.new.revision
