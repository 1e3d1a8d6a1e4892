"""A condition is told when it begins and when it ends: whatever follows whatever, its notices alternate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from lockbot.history.notices.values import Decision, Known, Looked, key
from lockbot.model import Condition, Notice, NoticeKind
from lockbot.notify.changes import Target, compare, decide
from tests.history.samples import NOON

NAMES = ("host web", "host db", "input a", "runs")
KINDS = (NoticeKind.BROKE, NoticeKind.HELD, NoticeKind.FAILED)
State = Mapping[tuple[NoticeKind, str], bool | None]
STATES = st.lists(
    st.dictionaries(st.tuples(st.sampled_from(KINDS), st.sampled_from(NAMES)), st.sampled_from([True, None]))
)


def condition(kind: NoticeKind, subject: str) -> Condition:
    return Condition(kind, subject, f"{kind} {subject}")


def ending(state: State, told: Condition) -> str | None:
    return None if key(told) in state else "over"


def kept(decided: Decision) -> Known:
    """As the history gives it back."""
    return Known({key(one): one for one in decided.conditions}, decided.looked, frozenset(decided.targets))


def told_over(states: list[State]) -> list[list[Notice]]:
    """What each state (True: stands; None: not known; not in it: over) leads to."""
    known, said = Known(targets=frozenset({"one"}), looked=Looked(NOON, NOON)), []
    for number, state in enumerate(states):
        now = NOON + timedelta(hours=number)
        standing = [condition(*name) for name, stands in state.items() if stands]
        found = compare(known, standing, partial(ending, state), now)
        said.append(list(found.news))
        known = kept(decide(known, found, (), [Target("one", "")], Looked(NOON, now), lambda: "id", {}))
    return said


@settings(max_examples=40)
@given(STATES)
def test_notices_alternate_for_each_condition(states: list[State]) -> None:
    said: dict[tuple[NoticeKind, str], list[NoticeKind]] = {}
    for notices in told_over(states):
        for one in notices:
            title = one.title if one.over is None else one.body.split(": ", 1)[1]
            kind = one.over or one.kind
            said.setdefault((kind, title.removeprefix(f"{kind} ")), []).append(one.kind)
    for (kind, _), kinds in said.items():
        assert kinds == [kind, NoticeKind.RECOVERED] * (len(kinds) // 2) + [kind] * (len(kinds) % 2)


@settings(max_examples=40)
@given(STATES)
def test_what_is_told_is_what_stands(states: list[State]) -> None:
    """Nothing is lost: with a last state that is known, what was told as begun and not as over is what stands."""
    whole = [*states, {name: stands for name, stands in (states[-1] if states else {}).items() if stands}]
    open_: set[str] = set()
    for notices in told_over(whole):
        for one in notices:
            if one.over is None:
                open_.add(one.title)
            else:
                open_.remove(one.body.split(": ", 1)[1])
    assert open_ == {condition(*name).title for name in whole[-1]}


def test_since_when_stays_and_texts_follow() -> None:
    first = compare(Known(), [condition(NoticeKind.BROKE, "host web")], lambda _: "over", NOON)
    known = Known({key(one): one for one in first.stands})
    again = replace(condition(NoticeKind.BROKE, "host web"), title="another word")
    found = compare(known, [again], lambda _: "over", NOON + timedelta(days=1))
    assert found.news == ()
    assert [(one.since, one.title) for one in found.stands] == [(NOON, "another word")]


def test_names_that_are_stored_otherwise_are_the_same() -> None:
    """A byte that is no UTF-8, something that looks like a secret: else they were told anew with each look."""
    strange = Condition(NoticeKind.BROKE, "host \udcff https://u:hunter2@h/", "x\udcff", hosts=("\udcff",))
    first = compare(Known(), [strange], lambda _: "over", NOON)
    known = Known({key(one): one for one in first.stands})
    assert compare(known, [strange], lambda _: "over", NOON).news == ()
    assert "hunter2" not in repr(first.stands)
