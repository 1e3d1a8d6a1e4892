"""That something is over, in words; or that nobody can tell, so that it stands as it was told. Pure."""

from __future__ import annotations

from lockbot.history.input_states import StateWord
from lockbot.history.texts import storable
from lockbot.model import Answer, Condition, NoticeKind, Outcome
from lockbot.notify.conditions import HOLD_OF, JUDGING, RUNS, Facts, InputFact, host_answer, of_host
from lockbot.report import words
from lockbot.report.escape import name as shown
from lockbot.report.escape import plain


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
        case _, subject if subject.startswith(JUDGING):
            return _judging(facts, told)
        case _:
            return _looked_after(facts, told)


def _host(facts: Facts, name: str) -> str | None:
    run = facts.judged
    if run is None:
        return None
    for build in run.hosts:
        if storable(build.host.name) == name:
            return f"{shown(name)} builds again" if host_answer(run, build) is Answer.GOOD else None
    return f"{shown(name)} is no longer one of the hosts"


def _input(facts: Facts, told: Condition) -> str | None:
    fact = _fact(facts, told)
    if fact is None:
        return f"{_about(told)} is no longer an input"
    if fact.request:
        return f"{shown(fact.name)} can move again: pull request {plain(fact.request, 120)} asks to take it"
    moved = fact.state is not None and fact.state.state in (StateWord.CURRENT, StateWord.MOVED)
    return f"{shown(fact.name)} moves again, to {words.state(fact.locked)}" if moved else None


def _judging(facts: Facts, told: Condition) -> str | None:
    if facts.judged is None:
        return None
    hosts = {storable(build.host.name) for build in facts.judged.hosts}
    if told.hosts and not hosts.intersection(told.hosts):
        return f"{_about(told)} is no longer one of the hosts"
    return f"{_about(told)} can be judged again"


def _looked_after(facts: Facts, told: Condition) -> str | None:
    """Of an input that was not asked or moved for too long: by itself, by the user's hold, or with what was known
    of it, which is no end."""
    fact, about = _fact(facts, told), _about(told)
    if fact is None:
        return f"{about} is no longer an input"
    if told.subject.startswith(HOLD_OF):
        return (
            f"whether the hold of {about} has ended can be asked again" if fact.held else f"{about} is free again"
        )
    if fact.held:
        return f"{about} is held by you now"
    if fact.state is None:
        return None
    if told.kind is NoticeKind.SILENT:
        return f"{about} can be asked again"
    return f"{about} is no longer kept back for too long"


def _fact(facts: Facts, told: Condition) -> InputFact | None:
    return next((fact for fact in facts.inputs if storable(fact.name) in told.inputs), None)


def _run(facts: Facts) -> str | None:
    """A run that was interrupted found nothing out."""
    run = facts.ended
    if run is None or run.outcome in (None, Outcome.INTERRUPTED):
        return None
    return f"Runs get to their end again: the last one is {run.outcome}"


def _about(told: Condition) -> str:
    return words.listed([shown(name) for name in (*told.inputs, *told.hosts)])
