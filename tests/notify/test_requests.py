"""What is told of pull requests: once when one is opened and once when it lands, whoever lands it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lockbot.history.input_states import StateWord
from lockbot.model import Outcome, PullRequestState, Run
from tests.commands.test_status import DAY, seen
from tests.history.samples import PULL_REQUEST
from tests.notify.world import BREAKS, CURRENT, Told, good

NOWHERE = "json://127.0.0.1:1/x"
OPENED = "requested: Pull request #5 asks to take a and b"


@pytest.fixture(autouse=True)
def _somebody(told: Told) -> None:
    told.target(NOWHERE, more='events = ["published", "requested"]')
    told.record(good("web"), inputs=[CURRENT])
    assert told.news() == []
    told.world.now += DAY


def asking(told: Told) -> Run:
    return told.record(good("web"), outcome=Outcome.REQUESTED, inputs=[CURRENT])


def landed(told: Told, run: Run) -> None:
    """As a later process records it."""
    with told.app.history() as past:
        past.save(replace(run, outcome=Outcome.PUBLISHED, commit=PULL_REQUEST.commit, pushed=True))


def test_one_that_is_opened_is_told_once_however_often_it_is_updated(told: Told) -> None:
    told.request(run=asking(told).id)
    assert told.news() == [OPENED]
    for night in ("c" * 40, "d" * 40):
        told.world.now += DAY
        told.request(run=asking(told).id, commit=night)
        assert told.news() == []


def test_a_landing_that_a_later_process_records_is_told_once(told: Told) -> None:
    run = asking(told)
    told.request(run=run.id)
    assert told.news() == [OPENED]
    told.world.now += timedelta(hours=1)
    told.record(good("web"), inputs=[CURRENT])  # a run that has nothing to do with it
    assert told.news() == []
    landed(told, run)
    told.request(run=run.id, state=PullRequestState.LANDED)
    (one,) = told.look().news
    assert (one.kind, one.run) == ("published", run.id)
    assert one.title == "Pull request #5 has landed: main is at ccccccc"
    assert "a 1111111 → 2222222" in one.body
    assert "https://git.example.org/o/r/pulls/5" in one.body
    told.world.now += DAY
    told.record(good("web"), inputs=[CURRENT])
    assert told.news() == []


def test_what_lands_at_once_is_told_once_and_not_as_opened(told: Told) -> None:
    run = told.record(good("web"), outcome=None)
    told.request(run=run.id)
    assert told.news() == [], "the run is at work: it may land in a moment"
    landed(told, run)
    told.request(run=run.id, state=PullRequestState.LANDED)
    assert told.news() == ["published: Pull request #5 has landed: main is at ccccccc"]
    assert told.news() == []


def test_one_that_was_merged_as_another_commit(told: Told) -> None:
    told.request(run=asking(told).id)
    told.look()
    told.request(run="long ago", state=PullRequestState.MERGED, tidied=True)
    (one,) = told.look().news
    assert one.title == "Pull request #5 was merged to main, as another commit than the one that was judged"


@pytest.mark.parametrize("state", [PullRequestState.CLOSED, PullRequestState.OVERTAKEN, PullRequestState.EMPTY])
def test_what_is_closed_is_not_told(told: Told, state: PullRequestState) -> None:
    told.request(run=asking(told).id)
    told.look()
    told.request(state=state)
    assert told.news() == []
    told.request(id="another", number=6, run="long ago")
    assert told.news() == ["requested: Pull request #6 asks to take a and b"]


def test_a_branch_that_somebody_has_to_open_a_request_for(told: Told) -> None:
    told.request(run="long ago", state=PullRequestState.PENDING, number=None, pushed=None)
    assert told.news() == [], "nothing of it has reached the forge"
    told.request(run="long ago", state=PullRequestState.PENDING, number=None)
    assert told.news() == [
        "requested: The branch lockbot/update-main=a is pushed: open a pull request for a and b"
    ]


def test_whoever_begins_to_listen_is_told_of_none_from_before(told: Told) -> None:
    """As with runs: else a new telephone would ring for each of last year's."""
    told.request(run="long ago")
    told.look()
    told.target(NOWHERE, "other", 'events = ["requested"]')
    assert told.news() == []


def test_who_did_not_ask_for_it_is_not_told(told: Told) -> None:
    told.tables.clear()
    told.target(NOWHERE)
    told.request(run=asking(told).id)
    assert [letter for letter in told.look().letters if letter.notice.kind == "requested"] == []


def test_an_input_that_a_pull_request_has_is_no_longer_held_back(told: Told) -> None:
    """It has not moved yet: nobody is told that it has."""
    told.record(good("web"), inputs=[BREAKS])
    told.look()
    told.world.now += DAY
    told.request(run=told.record(good("web"), outcome=Outcome.REQUESTED, inputs=[seen(StateWord.CURRENT)]).id)
    recovered = [one for one in told.look().news if one.kind == "recovered"]
    assert [one.title for one in recovered] == ["a can move again: pull request #5 asks to take it"]
