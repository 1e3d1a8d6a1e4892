"""What is told of how things stand: once when it begins, once when it is over; and who hears it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lockbot.commands.notify import child, facts, look_after
from lockbot.history.input_states import UserHold
from lockbot.model import KILLED, HostBuild, HostStatus, Outcome
from lockbot.state import RunLock
from tests.commands.test_status import DAY, HELD, TWO, lock
from tests.notify.world import BAD, BREAKS, BROKEN, CURRENT, Told, broken, good, held, unjudged

NOWHERE = "json://127.0.0.1:1/x"


@pytest.fixture(autouse=True)
def _somebody(told: Told) -> None:
    told.target(NOWHERE)
    told.record(good("web"), inputs=[CURRENT])
    assert told.news() == []


def test_a_host_that_breaks_and_is_mended(told: Told) -> None:
    told.record(broken("web"), good("db"))
    assert told.news() == ["broke: web does not build, with or without an update"]
    assert told.news() == []
    told.world.now += DAY
    told.record(broken("web"))
    assert told.news() == []
    told.world.now += DAY
    told.record(good("web"))
    found = told.look()
    assert [(one.kind, one.title) for one in found.news] == [("recovered", "web builds again")]
    assert found.news[0].body == "It was so for 2 days: web does not build, with or without an update"
    assert told.news() == []


def test_unknown_is_not_recovered(told: Told) -> None:
    told.record(broken("web"), broken("db"))
    told.look()
    for hosts, outcome in (
        ((unjudged("web"), unjudged("db")), Outcome.UNJUDGED),
        ((), Outcome.UNCHANGED),
        ((good("web"),), Outcome.FAILED),
        ((good("web"),), Outcome.INTERRUPTED),
    ):
        told.world.now += timedelta(hours=1)
        told.record(*hosts, outcome=outcome)
        assert [one for one in told.news() if "web" in one or "db" in one] == [], outcome
    told.world.now += timedelta(hours=1)
    told.record(good("web"))
    assert sorted(one for one in told.news() if "Runs" not in one) == [
        "recovered: db is no longer one of the hosts",
        "recovered: web builds again",
    ]


def test_an_input_that_breaks_hosts_tells_for_them(told: Told) -> None:
    failed = [breaking(one) for one in (good("web"), good("db"))]
    told.record(*failed, outcome=Outcome.REJECTED, held=(held(),), inputs=[BREAKS])
    (letter,) = told.look().letters
    assert letter.notice.title == "a is held back: its update breaks web and db"
    for what in ("1111111", "3333333", "drop the old name", "Eve", "https://x/commit/3"):
        assert what in letter.notice.body
    assert told.news() == []
    told.world.now += DAY
    told.world.commit(lock(TWO))
    told.record(good("web"), outcome=Outcome.PUBLISHED, commit="c" * 40, inputs=[replace(CURRENT, locked=TWO)])
    assert [one for one in told.news() if one.startswith("recovered")] == [
        "recovered: a moves again, to 2222222 (2026-11-12)"
    ]


def test_a_hold_of_the_users_or_a_wait_is_no_end(told: Told) -> None:
    told.record(good("web"), inputs=[BREAKS])
    assert len(told.news()) == 1
    with told.world.ledger() as ledger:
        ledger.hold(UserHold("a", "mine", told.world.now))
    assert told.news() == []


def test_a_host_that_only_an_update_breaks_without_one_to_blame(told: Told) -> None:
    told.record(breaking(good("web")), outcome=Outcome.REJECTED)
    assert told.news() == ["broke: web no longer builds with the update"]


def test_runs_that_fail(told: Told) -> None:
    told.record(outcome=Outcome.FAILED, error="no input could be fetched: the network\nmore", hint="look")
    found = told.look()
    assert found.news[0].title == "Failed: no input could be fetched: the network"
    assert found.news[0].body == "more\nlook"
    told.world.now += DAY
    told.record(outcome=Outcome.STALE)
    assert told.news() == [], "it is the same still"
    told.record(outcome=Outcome.INTERRUPTED)
    assert told.news() == []
    told.world.now += DAY
    told.record()
    assert told.news() == ["recovered: Runs get to their end again: the last one is unchanged"]


def test_one_that_was_interrupted_is_not_told(told: Told) -> None:
    told.record(outcome=Outcome.INTERRUPTED, error="stopped: SIGTERM")
    assert told.news() == []


def test_held_and_silent_for_too_long(told: Told) -> None:
    told.record(inputs=[HELD])
    told.world.now += 20 * DAY
    assert [one.split(":")[0] for one in told.news()] == ["silent-too-long", "held-too-long"]
    told.record(inputs=[HELD])
    assert told.news() == ["recovered: a can be asked again"]
    with told.world.ledger() as ledger:
        ledger.hold(UserHold("a", "mine", told.world.now))
    assert told.news() == ["recovered: a is held by you now"]


def test_a_hold_of_the_users_is_no_answer_from_upstream(told: Told) -> None:
    told.record(inputs=[HELD])
    told.world.now += 20 * DAY
    assert len(told.news()) == 2
    with told.world.ledger() as ledger:
        ledger.hold(UserHold("a", "mine", told.world.now))
    assert told.news() == ["recovered: a is held by you now"] * 2


def test_what_is_no_longer_known_of_an_input_is_no_end(told: Told) -> None:
    """As where the history was damaged, and what was told is all that is left."""
    told.record(inputs=[HELD])
    told.world.now += 20 * DAY
    assert len(told.news()) == 2
    with closing(sqlite3.connect(told.history)) as raw, raw:
        raw.execute("DELETE FROM inputs")
    assert told.news() == []
    told.record(inputs=[CURRENT])
    assert [one.split(":")[0] for one in told.news()] == ["recovered"] * 2


def test_a_host_that_is_judged_again_or_is_no_more(told: Told) -> None:
    for _ in range(3):
        told.world.now += DAY
        told.record(unjudged("web"), unjudged("db"), outcome=Outcome.UNJUDGED)
    assert sum(one.startswith("silent-too-long") for one in told.news()) == 2
    told.record(good("web"))
    assert sorted(one for one in told.news() if "Runs" not in one) == [
        "recovered: db is no longer one of the hosts",
        "recovered: web can be judged again",
    ]


def test_no_run_by_the_schedule(told: Told) -> None:
    told.more = '[schedule]\nwhen = "0 4 * * *"\ntime_zone = "UTC"'
    told.write()
    told.world.now += DAY
    assert told.news() == []
    told.world.now += 2 * DAY
    assert told.news() == ["silent-too-long: No run has begun for 3 days"]
    told.record()
    assert told.news() == ["recovered: Runs take place again"]


def test_a_run_that_hangs(told: Told) -> None:
    told.record(outcome=None)
    assert told.news() == []
    told.world.now += 3 * DAY
    assert "has not ended: it hangs, or was killed" in told.news()[0]


def test_runs_that_are_killed_one_after_the_other(told: Told) -> None:
    """One may be a machine that was restarted. Each is found out by the next."""
    lock = told.app.place().directory / "lock"
    told.record(outcome=None)
    assert told.news() == []
    told.world.now += timedelta(hours=1)
    told.close("interrupted", KILLED)
    told.record(outcome=None)
    with RunLock(lock, "r", lambda: told.world.now, cancel=told.world.cancel):
        assert told.news() == [], "the second is at work"
    assert told.news() == ["failed: Runs are killed before they can end: has the machine too little memory?"]
    told.world.now += timedelta(hours=1)
    told.close("interrupted", KILLED)
    told.record(outcome=None)
    with RunLock(lock, "r", lambda: told.world.now, cancel=told.world.cancel):
        assert told.news() == []
    told.close("unchanged", None)
    assert told.news() == ["recovered: Runs get to their end again: the last one is unchanged"]
    for _ in range(2):
        told.world.now += timedelta(hours=1)
        told.record(outcome=Outcome.INTERRUPTED, error="stopped: SIGINT")
    assert told.news() == []


def test_a_run_of_a_wrong_clock_hides_none_that_follow(told: Told) -> None:
    told.world.now += DAY
    told.record(good("web"))
    told.look()
    told.world.now -= DAY - timedelta(hours=1)
    told.record(broken("web"))
    assert told.news() == ["broke: web does not build, with or without an update"]
    told.world.now += timedelta(hours=1)
    told.record(outcome=Outcome.FAILED, error="x")
    assert told.news() == ["failed: Failed: x"]


def test_an_update_that_lands_where_somebody_wants_it(told: Told) -> None:
    told.target(NOWHERE, "team", 'events = ["published"]')
    told.look()
    told.world.now += timedelta(hours=1)
    told.record(good("web"), outcome=Outcome.PUBLISHED, commit="c" * 40)
    found = told.look()
    assert [(letter.target, letter.notice.title) for letter in found.letters] == [
        ("team", "Published ccccccc to the branch.")
    ]
    assert told.look().letters == ()


def test_an_update_that_lands_while_somebody_looks_is_told_once(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    told.tables.clear()
    told.target(NOWHERE, "team", 'events = ["published"]')
    told.look()
    told.world.now += timedelta(hours=1)
    gather = facts.gather

    def land(*arguments: Any) -> Any:
        found = gather(*arguments)
        told.record(good("web"), outcome=Outcome.PUBLISHED, commit="c" * 40)
        return found

    monkeypatch.setattr(facts, "gather", land)
    letters = list(told.look().letters)
    monkeypatch.undo()
    letters += [*told.look().letters, *told.look().letters]
    assert [letter.notice.title for letter in letters] == ["Published ccccccc to the branch."]


def test_the_first_look_tells_what_stands_and_nothing_of_before(told: Told) -> None:
    told.record(broken("web"), outcome=Outcome.PARTLY_PUBLISHED, commit="c" * 40)
    told.look()
    told.target(NOWHERE, "new", 'events = ["broke", "recovered", "published"]')
    found = told.look()
    assert [(letter.target, letter.notice.title) for letter in found.letters] == [
        ("new", "web does not build, with or without an update")
    ]
    assert told.look().letters == ()


def test_a_target_that_is_gone_leaves_nothing(told: Told) -> None:
    told.record(broken("web"))
    told.look()
    assert told.states() == ["waiting"]
    told.tables.clear()
    told.target(NOWHERE, "another")
    told.look()
    assert told.states() == ["waiting"], "the other's"
    assert [letter.target for letter in told.look().letters] == []


@pytest.mark.parametrize(
    ("wanted", "letters"),
    {
        'events = ["broke"]': 1,
        'events = ["recovered"]': 0,
        'events = ["failed", "recovered"]': 0,
        'hosts = ["w*"]': 1,
        'hosts = ["db"]': 0,
        'inputs = ["nixpkgs"]': 1,
    }.items(),
)
def test_who_wants_what(told: Told, wanted: str, letters: int) -> None:
    told.tables.clear()
    told.target(NOWHERE, "one", wanted)
    told.look()
    told.record(broken("web"))
    assert len(told.look().letters) == letters
    told.record(good("web"))
    assert len(told.look().letters) == (1 if letters and "broke" not in wanted else 0)


def test_many_hosts_are_one_message(told: Told) -> None:
    told.record(*(broken(f"host{number}") for number in range(30)))
    found = told.look()
    assert len(found.news) == 30
    (letter,) = found.letters
    assert letter.notice.title == "host0 does not build, with or without an update, and 29 more"
    assert len(letter.notice.hosts) == 30


def test_a_digest_waits_for_its_time(told: Told) -> None:
    told.more = '[schedule]\ntime_zone = "UTC"'
    told.tables.clear()
    told.target(NOWHERE, "mail", 'digest = "0 8 * * *"')
    told.look()
    told.record(broken("web"))
    (letter,) = told.look().letters
    assert letter.due.isoformat() == "2026-11-23T08:00:00+00:00"


def test_a_run_looks_and_trouble_there_is_a_note(told: Told) -> None:
    """The run itself stays what it was."""
    one = told.record(broken("web"))
    assert look_after(told.app, one).notes == ()
    assert told.states() == ["waiting"]
    told.history.unlink()
    told.history.mkdir()
    assert "nobody was told of this run" in look_after(told.app, one).notes[0]


@pytest.mark.parametrize("broken_by", ["<<<<<<< garbage", None])
def test_a_lock_that_can_not_be_read_hides_no_failure(told: Told, broken_by: str | None) -> None:
    """And what is not known of inputs meanwhile is left as it was told."""
    told.record(inputs=[BREAKS])
    told.world.now += 20 * DAY
    assert len(told.news()) == 3
    told.world.git("tag", "before")
    if broken_by is not None:
        told.world.commit(broken_by)
    else:
        told.world.git("update-ref", "-d", "HEAD")
    told.record(outcome=Outcome.FAILED, error="flake.lock: no JSON")
    assert told.news() == ["failed: Failed: flake.lock: no JSON"]
    assert told.news() == []
    told.world.git("update-ref", "HEAD", "before")
    told.record()
    assert told.news() == ["recovered: Runs get to their end again: the last one is unchanged"]


def test_an_alarm_runs_its_hooks_once_when_something_begins(told: Told) -> None:
    """Also where nobody else is told; what is over, and what is only news, is no alarm."""
    place = told.directory
    told.tables = [
        f'[[hook]]\nevent = "alarm"\ncommand = ["/bin/sh", "-c", "{command}"]'
        for command in (f"cat >> {place}/alarms", "exit 3")
    ]
    told.write()
    told.record(broken("web"), outcome=Outcome.PUBLISHED, commit="c" * 40)
    sent = told.notify()
    assert sent.configured and [one.kind for one in sent.news] == ["broke", "published"]
    assert sent.notes == ("the hook /bin/sh (alarm) ended with code 3",)
    assert told.notify().notes == ()
    told.record(good("web"))
    assert [one.kind for one in told.notify().news] == ["recovered"]
    alarm = json.loads((place / "alarms").read_text())  # one, or it would be no JSON
    assert alarm["event"] == "alarm"
    assert [(one["kind"], one["hosts"]) for one in alarm["notices"]] == [("broke", ["web"])]


def test_a_url_that_only_the_service_has(told: Told) -> None:
    """Whoever else looks writes the message down, and leaves it to the service."""
    told.tables = ['[[notify]]\nname = "phone"\nurl = { credential = "ntfy" }']
    told.write()
    told.record(broken("web"))
    sent = told.notify()
    assert [one.kind for one in sent.news] == ["broke"] and sent.results == ()
    assert told.states() == ["waiting"]
    done = told.run("notify", "--test")
    assert "phone: not sent, its URL is a credential, which only systemd gives" in done.stdout
    assert "its URL is a credential" in told.run("check").stdout


def breaking(build: HostBuild) -> HostBuild:
    return replace(build, status=HostStatus.FAILED, here=BAD, failure=BROKEN)


def test_what_was_on_its_way_when_lockbot_was_killed_is_due(told: Told) -> None:
    """To a run by hand, after which nobody else may look for long."""
    told.record(broken("web"))
    app = told.app
    place = app.place()
    (letter,) = told.look().letters
    assert child.is_due(app)
    with app.history(place) as past:
        past.notices(place.flake).mark_sending([letter.id])
    assert told.states() == ["sending"] and child.is_due(app)
    with app.history(place) as past:
        past.notices(place.flake).mark_sent([letter.id])
    assert not child.is_due(app)
