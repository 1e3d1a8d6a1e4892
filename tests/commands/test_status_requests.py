"""What `lockbot status` tells of inputs whose newest revision waits in a pull request."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lockbot.commands import healthcheck, status
from lockbot.history.input_states import StateWord
from lockbot.model import Move, PullRequest, PullRequestState
from tests.commands.test_status import (  # noqa: F401 -- fixtures
    DAY,
    HELD,
    NOW,
    ONE,
    THREE,
    TWO,
    World,
    _in_utc,
    lock,
    seen,
    world,
)
from tests.history.samples import PULL_REQUEST, run

ASKED = replace(PULL_REQUEST, opened=NOW, moves=(Move("a", ONE, TWO),), left_alone="", waits="", merged_as=None)


@pytest.fixture
def asked(world: World) -> World:  # noqa: F811 -- the fixture is imported
    """A night that found input a's newest revision good, and opened a pull request for it."""
    world.record(seen())
    with world.ledger() as ledger:
        ledger.record_tip("a", "github:o/a", TWO)
    request(world)
    return world


def request(world: World, **fields: Any) -> PullRequest:  # noqa: F811
    one = replace(ASKED, **fields)
    with world.app.history() as past:
        past.pull_requests(world.app.place().flake).save(one)
    return one


def test_an_input_is_in_a_pull_request(asked: World) -> None:
    row = asked.row()
    assert (row.word, row.reason) == (StateWord.REQUESTED, "")
    told = asked.told()
    assert "in pull request #5" in told
    assert "when it lands" in told
    assert "pull request #5: a → main; waits for people" in told
    assert "never attempted" in told, "input b is in none"
    found: Any = status.document(asked.look())
    assert [(one["number"], one["left_alone"]) for one in found["pull_requests"]] == [(5, None)]
    by_name = {one["input"]: one for one in found["inputs"]}
    assert (by_name["a"]["state"], by_name["a"]["pull_request"]) == ("requested", 5)
    assert by_name["b"]["pull_request"] is None
    json.dumps(found)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"waits": "the check ci has not passed"}, "→ main; the check ci has not passed"),
        ({"left_alone": "somebody pushed to it"}, "→ main; left alone: somebody pushed to it"),
        ({"number": None, "state": PullRequestState.PENDING}, "its branch is pushed: open a request for it"),
        ({"branch": "x\x1b[31m", "number": None}, "pull request x\\x1b[31m: a"),
    ],
)
def test_what_a_pull_request_waits_for(asked: World, fields: dict[str, Any], told: str) -> None:
    request(asked, **fields)
    assert told in asked.told()


def test_one_that_has_landed_is_told_no_more(asked: World) -> None:
    request(asked, state=PullRequestState.LANDED)
    asked.commit(lock(TWO))
    assert asked.row().word is StateWord.CURRENT
    assert "pull request" not in asked.told()


def test_what_keeps_an_input_is_told_before_a_pull_request_from_earlier(asked: World) -> None:
    with asked.ledger() as ledger:
        ledger.record_tip("a", "github:o/a", THREE)
    asked.record(HELD)
    assert asked.row().word is StateWord.HELD
    assert "pull request #5 asks for 2222222" in asked.told()
    asked.run("hold", "a", "--why", "so")
    assert asked.row().word is StateWord.HELD
    assert "pull request #5 asks for 2222222" in asked.told()


def test_the_newest_revision_was_closed_by_a_person(asked: World) -> None:
    request(asked, state=PullRequestState.CLOSED)
    assert asked.row().word is StateWord.CURRENT
    assert "pull request #5 with its newest revision was closed" in asked.told()
    found: Any = status.document(asked.look())
    assert found["inputs"][0]["closed_pull_request"] == 5
    with asked.ledger() as ledger:
        asked.now += DAY
        ledger.record_tip("a", "github:o/a", THREE)
    assert "was closed" not in asked.told(), "there is a newer one"


def test_one_that_nobody_takes_is_an_alarm_in_the_end(asked: World) -> None:
    """Nothing is broken, and the input grows old all the same."""
    stale = asked.app.settings.policy_rules().of("a").stale_after
    asked.record(seen())
    assert asked.look().alarms == ()
    days = int(stale / DAY.total_seconds()) + 1
    asked.now += days * DAY
    asked.record(seen())
    (alarm,) = asked.look().alarms
    assert alarm.startswith("a: in pull request #5 for ")
    assert alarm.endswith(": waits for people")
    request(asked, state=PullRequestState.LANDED)
    asked.commit(lock(TWO))
    assert asked.look().alarms == ()


def test_the_health_tells_how_many_are_open(asked: World) -> None:
    place = asked.app.place()
    with asked.app.history() as past:
        past.start(replace(run(1, place.identity, place.flake), started=NOW, finished=NOW))
    found = healthcheck.look(asked.app, healthcheck.Limits())
    assert (found.problems, "1 pull request open" in found.text) == ((), True)
