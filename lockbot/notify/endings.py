"""That something is over, in words; or that nobody can tell, so that it stands as it was told. Pure."""

from __future__ import annotations

from lockbot.history.input_states import StateWord
from lockbot.history.texts import storable
from lockbot.model import Answer, Condition, NoticeKind, Outcome
from lockbot.notify.conditions import RUNS, Facts, host_answer, of_host
from lockbot.report import words
from lockbot.report.escape import name as shown


def ending(facts: Facts, told: Condition) -> str | None:
    """How something that stood before and does not stand now has ended, in a sentence; None: it is not known to.

    Names in what was told are as they are stored.
    """
    match told.kind, told.subject:
        case NoticeKind.BROKE, subject if subject.startswith(of_host("")):
            return _host(facts, subject.removeprefix(of_host("")))
        case NoticeKind.FAILED, _:
            return _run(facts)
        case NoticeKind.SILENT, subject if subject == RUNS:
            return "Runs take place again"
        case _ if facts.blind:
            return None
        case NoticeKind.BROKE, _:
            return _input(facts, told)
        case NoticeKind.SILENT, _:
            return f"{_about(told)} can be asked again"
        case _ if any(fact.held and storable(fact.name) in told.inputs for fact in facts.inputs):
            return f"{_about(told)} is held by you now"
        case _:
            return f"{_about(told)} is no longer kept back for too long"


def _host(facts: Facts, name: str) -> str | None:
    run = facts.judged
    if run is None:
        return None
    for build in run.hosts:
        if storable(build.host.name) == name:
            return f"{shown(name)} builds again" if host_answer(run, build) is Answer.GOOD else None
    return f"{shown(name)} is no longer one of the hosts"


def _input(facts: Facts, told: Condition) -> str | None:
    for fact in facts.inputs:
        if storable(fact.name) in told.inputs:
            moved = fact.state is not None and fact.state.state in (StateWord.CURRENT, StateWord.MOVED)
            return f"{shown(fact.name)} moves again, to {words.state(fact.locked)}" if moved else None
    return f"{_about(told)} is no longer an input"


def _run(facts: Facts) -> str | None:
    """A run that was interrupted found nothing out."""
    run = facts.ended
    if run is None or run.outcome in (None, Outcome.INTERRUPTED):
        return None
    return f"Runs get to their end again: the last one is {run.outcome}"


def _about(told: Condition) -> str:
    return words.listed([shown(name) for name in (*told.inputs, *told.hosts)])
