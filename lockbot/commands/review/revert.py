"""`lockbot revert`: a judged commit that takes inputs back, and a hold, so that no run brings them again.

It is one run of the ordinary cycle, with the inputs pinned to where they were: what the user asks for by name, no
policy forbids, and hosts must be good with it. Only what was published is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from lockbot import state as places
from lockbot.app import App, Options, Reason
from lockbot.commands.after_run import NOBODY, Followers
from lockbot.commands.hold import held_line, moment
from lockbot.commands.review.taken_back import REVERTS, Finder, TakenBack
from lockbot.commands.update import update
from lockbot.git.sync import sync
from lockbot.history.input_states import UserHold
from lockbot.lock.request import UpdateRequest
from lockbot.lock.take_back import Standing, Step, subject_template
from lockbot.model import Outcome, Run
from lockbot.report import terminal, words
from lockbot.report.document import Document, run_document
from lockbot.report.escape import name as shown
from lockbot.report.escape import shortened
from lockbot.report.styled_lines import Line, Style, line

_SUBJECT = 200


@dataclass(frozen=True)
class Wish:
    """What to take back, and what to do then. `until` is a date, `why` None: because it was reverted."""

    what: str
    why: str | None = None
    until: str | None = None
    hold: bool = True
    force: bool = False


@dataclass(frozen=True)
class Reverted:
    """What came of it. `run` None: nothing had to move. `instead`: the user's holds that gave way."""

    taken: TakenBack
    run: Run | None
    held: tuple[UserHold, ...] = ()
    instead: tuple[UserHold, ...] = ()
    wanted: bool = True
    """Whether inputs were to be held."""

    @property
    def exit_code(self) -> int:
        if self.run is None:
            return 0
        return self.run.outcome.exit_code if self.run.outcome is not None else 3

    def is_back(self, step: Step) -> bool:
        """Whether the branch has the input where it was, or will have it: also an update that waits to be taken is
        built."""
        if step.standing is not Standing.MOVED or self.run is None:
            return step.standing is Standing.BACK and (self.run is None or is_taken(self.run))
        if is_there_already(self.run):
            return True
        there = {change.input: change.new.revision for change in self.run.changes if change.new is not None}
        return is_taken(self.run) and there.get(step.input) == step.to.revision


def revert(app: App, wish: Wish, options: Options, followers: Followers = NOBODY) -> Reverted:
    """Take back a run, a commit or an input's last move. `followers` hear of the run, as of any other.

    Raises BusyError, and UsageError where there is nothing of the name, or no way to take it back.
    """
    place, now = app.place(), app.clock()
    until = moment(wish.until, now) if wish.until is not None else None
    owner = "reverting"
    with places.RunLock(
        place.directory / places.LOCK,
        owner,
        app.clock,
        cancel=app.cancel,
        wait=options.wait,
        progress=app.progress,
    ):
        clone = app.clone(place)
        taken = Finder(app, place, clone, sync(clone, place.source)).find(wish.what, force=wish.force)
    run = _run(app, taken, wish, options, followers)
    done = Reverted(taken, run, wanted=wish.hold)
    return _held(app, done, wish, until) if wish.hold and not options.dry_run else done


def _run(app: App, taken: TakenBack, wish: Wish, options: Options, followers: Followers) -> Run | None:
    steps = taken.standing(Standing.MOVED)
    if not steps:
        return None
    told = f"{REVERTS} {taken.commit.id} ({shortened(taken.commit.subject, _SUBJECT)})."
    why = (f"Why: {wish.why}",) if wish.why else ()
    reason = Reason(subject_template(steps), (told, *why))
    pins = {step.input: step.reference for step in steps}
    return update(app, UpdateRequest(None, pins), replace(options, reason=reason), followers)


def _held(app: App, done: Reverted, wish: Wish, until: datetime | None) -> Reverted:
    place = app.place()
    why = wish.why or f"reverted: {shortened(done.taken.commit.subject, _SUBJECT)}"
    back = [step for step in done.taken.steps if done.is_back(step)]
    holds = tuple(UserHold(step.input, why, app.clock(), until, step.to.revision) for step in back)
    with app.history(place) as past:
        ledger = past.ledger(place.flake)
        before = ledger.holds()
        instead = tuple(before[one.input] for one in holds if one.input in before)
        for one in holds:
            ledger.hold(one)
    return replace(done, held=holds, instead=instead)


def is_taken(run: Run) -> bool:
    """Whether a run's commit is on the branch, or waits to be taken, on another or in a pull request: it was
    judged in any case."""
    return not run.dry_run and (run.commit is not None or run.parked is not None or run.asks)


def is_there_already(run: Run) -> bool:
    """Whether somebody else had moved the branch to the same meanwhile."""
    return run.outcome is Outcome.UNCHANGED and not run.held and not run.changes


# -- what is told ----------------------------------------------------------------------------------------------


def document(done: Reverted) -> Document:
    """The object of `lockbot revert --json`."""
    commit = done.taken.commit
    return {
        "commit": commit.id,
        "subject": commit.subject,
        "inputs": [
            {
                "input": step.input,
                "standing": step.standing,
                "from": step.now.revision or None,
                "to": step.to.revision or None,
                "back": done.is_back(step),
            }
            for step in done.taken.steps
        ],
        "run": run_document(done.run) if done.run is not None else None,
        "holds": [
            {
                "input": one.input,
                "at": one.at,
                "until": one.until.isoformat() if one.until is not None else None,
                "why": one.why,
            }
            for one in done.held
        ],
    }


def lines(done: Reverted, width: int | None = None) -> tuple[Line, ...]:
    told = terminal.summary(done.run, width) if done.run is not None else ()
    return (*told, *([line()] if told else []), *_result(done))


def _result(done: Reverted) -> Iterator[Line]:
    commit = words.short(done.taken.commit.id)
    for step in done.taken.steps:
        where = f"{shown(step.input)} is"
        if step.standing is Standing.MOVED_ON:
            yield line(
                f"{where} left at {words.state(step.now)}: it has moved on since {commit} "
                "(--force takes it back all the same)"
            )
        elif step.standing is Standing.BACK and step.now == step.to:
            yield line(f"{where} at {words.state(step.to)} already")
    for one in done.held:
        yield held_line(one)
    for one in done.instead:
        yield line(f"  in place of your hold: {one.why}")
    yield from _not_held(done)


def _not_held(done: Reverted) -> Iterator[Line]:
    back = [step for step in done.taken.steps if done.is_back(step)]
    if done.run is not None and not back:
        why = "this was a dry run" if done.run.dry_run else "nothing was taken back"
        yield line((f"nothing is held: {why}", Style.WARN))
    elif done.wanted and not done.held:
        yield line("nothing is held: this was a dry run")
    elif not done.wanted:
        names = words.listed([shown(step.input) for step in back])
        yield line((f"not held: the next run may move {names} again", Style.WARN))
