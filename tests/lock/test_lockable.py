"""The newest revision that can be locked, against every answer there may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockbot.lock.lockable import TRIES, Lockable, newest_lockable
from lockbot.search.interface import RevisionRange


def find(answers: list[Lockable]) -> tuple[str | None, list[str], str | None, bool]:
    """What is found among revisions r0 … of which the tip can't be locked: it, what was asked, the culprit."""
    asked: list[str] = []

    def attempt(revision: str) -> Lockable:
        asked.append(revision)
        return answers[int(revision[1:])]

    revisions = tuple(f"r{number}" for number in range(len(answers) + 1))
    found, culprit = newest_lockable("b", revisions[-1], RevisionRange(revisions, complete=True), attempt)
    return found, asked, culprit.first_bad if culprit else None, bool(culprit and culprit.exact)


@given(st.integers(0, 200), st.integers(0, 200))
def test_where_it_broke_once_that_is_found(good: int, bad: int) -> None:
    found, asked, culprit, exact = find([Lockable.YES] * good + [Lockable.NO] * bad)
    assert found == (f"r{good - 1}" if good else None)
    assert (culprit, exact) == (f"r{good}", True)
    assert len(asked) == len(set(asked)) <= TRIES


@given(st.lists(st.sampled_from(Lockable), max_size=60))
def test_whatever_the_answers_what_is_taken_can_be_locked(answers: list[Lockable]) -> None:
    found, asked, _, _ = find(answers)
    assert len(asked) <= TRIES
    assert found is None or answers[int(found[1:])] is Lockable.YES
    assert found is None or found in asked


@pytest.mark.parametrize("answer", [Lockable.UNKNOWN, Lockable.NO])
def test_none_can_be(answer: Lockable) -> None:
    found, _, _, exact = find([answer] * 5)
    assert (found, exact) == (None, answer is Lockable.NO)


def test_where_no_history_is_known_nobody_is_to_blame() -> None:
    assert newest_lockable("b", "tip", RevisionRange(), lambda _: Lockable.YES) == (None, None)
