"""Each service as its documentation says, and each kind of bad answer: what arrives, what is tried again, why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.slack import NotifySlack

from lockbot.model import NoticeKind, Outcome
from lockbot.notify import delivery, sending
from tests.commands.test_status import HELD
from tests.notify.server import Reply, Server
from tests.notify.world import BREAKS, CURRENT, Told, broken, good

SERVICES = {
    "ntfy": "ntfy://{http}/topic-s3cret",
    "gotify": "gotify://{http}/s3cret-key",
    "webhook": "json://{http}/hook-s3cret",
    "matrix": "matrix://user:s3cret@{http}/#room",
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "mattermost": "mmost://{http}/3ccdd113474722377935511fc85d3dd4",
    "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "mail": "mailto://{mail}?from=a@example.org&to=b@example.org&mode=insecure",
}


@pytest.fixture
def urls(server: Server, mail: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Two have their addresses built in, which are somebody else's."""
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://{server.host}/services")
    monkeypatch.setattr(NotifyDiscord, "notify_url", f"http://{server.host}/api/webhooks")
    return {name: url.format(http=server.host, mail=mail.host) for name, url in SERVICES.items()}


def test_each_kind_of_notification_reaches_each_service(
    told: Told, urls: dict[str, str], server: Server, mail: Server
) -> None:
    for name, url in urls.items():
        told.target(url, name, f"events = {[str(kind) for kind in NoticeKind]}")
    told.record(good("web"), inputs=[CURRENT])
    assert told.notify().results == ()
    kinds: list[str] = []
    steps: list[Callable[[], object]] = [
        lambda: told.record(broken("web"), inputs=[BREAKS]),
        lambda: told.record(good("web"), outcome=Outcome.PUBLISHED, commit="c" * 40, inputs=[HELD]),
        lambda: told.record(outcome=Outcome.FAILED, error="no network"),
        lambda: told.request(),
    ]
    for step in steps:
        step()
        sent = told.notify()
        assert [result.error for result in sent.results] == [""] * len(sent.results) and sent.results
        kinds += [one.kind for one in sent.news]
        told.world.now += timedelta(days=20)
    sent = told.notify()
    kinds += [one.kind for one in sent.news]
    assert set(kinds) == set(NoticeKind)
    arrived = [*server.arrived, *mail.arrived]
    titles = {one.title for one in sent.results}
    services = {"slack": 2} | dict.fromkeys(("ntfy", "gotify", "webhook", "matrix", "discord", "mail"), 1)
    for name, many in services.items():
        of = [one.text for one in arrived if one.service == name]
        for title in ("web builds again", "Failed: no network", "kept back for", "Published ccccccc", *titles):
            assert sum(title in text for text in of) >= many, (name, title)
    assert set(told.states()) == {"sent"}


BAD = {
    "an error": (Reply(500), "it answered 500 (Internal Server Error)"),
    "no right": (Reply(401), "it answered 401 (Unauthorized)"),
    "too often": (Reply(429, headers={"Retry-After": "9999"}), "it answered 429 (Too Many Requests)"),
    "moved": (Reply(302, headers={"Location": "/elsewhere"}), "it answered 302 (Found)"),
    "moved for good": (Reply(308, headers={"Location": "/elsewhere"}), "it answered 308 (Permanent Redirect)"),
    "garbage": (Reply(raw=b"\0\xff no HTTP\r\n\r\n"), "it ended the connection without an answer"),
    "nothing": (Reply(raw=b""), "it ended the connection without an answer"),
    "endless": (Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 10**6), "has no end"),
    "slow": (Reply(hang=30), "it does not answer in time"),
    "byte by byte": (Reply(drip=0.25), "it does not answer in time"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_answer_is_tried_again(
    told: Told, server: Server, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply, why = BAD[kind]
    if reply.hang or reply.drip:  # else a busy machine would be taken for a slow server
        monkeypatch.setattr(sending, "ANSWERING", 0.3)
        monkeypatch.setattr(delivery, "LONGEST", 1.0)
    told.target(f"json://{server.host}/hook-s3cret")
    told.record(broken("web"))
    server.answer = lambda: reply
    (result,) = told.notify().results
    assert why in result.error
    assert told.states() == ["waiting"]
    assert told.status()["error"] == result.error
    assert "s3cret" not in str(told.run("status").stdout + told.run("status", "--json").stdout)
    asked = len(server.requests)
    assert told.notify().results == (), "not before its pause is over"
    told.world.now += timedelta(minutes=1)
    monkeypatch.undo()
    server.answer = lambda: None
    assert [one.error for one in told.notify().results] == [""]
    assert len(server.requests) == asked + 1 and len({path for _, path, _, _ in server.requests}) == 1
    assert told.status()["error"] is None


def test_a_mail_server_that_says_no(told: Told, mail: Server) -> None:
    told.target(f"mailto://{mail.host}?from=a@example.org&to=b@example.org&mode=insecure")
    told.record(broken("web"))
    mail.answer = lambda: Reply()
    (result,) = told.notify().results
    assert result.error == "it answered 550"


def test_after_a_day_it_is_given_up(told: Told, server: Server) -> None:
    told.target(f"json://{server.host}/hook")
    told.record(broken("web"))
    server.answer = lambda: Reply(503)
    for hours in (0, 2, 2, 2, 17):
        told.world.now += timedelta(hours=hours)
        told.notify()
        assert told.states() == ["waiting"]
    told.world.now += timedelta(hours=1)
    told.notify()
    assert told.states() == ["given-up"]
    found = told.status()
    assert (found["given_up"], found["waiting"]) == (1, 0)
    assert "1 message was given up after a day of trying" in told.run("status").stdout
    told.world.now += timedelta(days=1)
    told.record(good("web"))
    server.answer = lambda: None
    assert [one.error for one in told.notify().results] == [""]
    assert told.status()["given_up"] == 0, "something got through since"


def test_a_machine_that_slept_for_days_has_not_tried_for_days(told: Told) -> None:
    """Nor has one whose clock was wrong when it tried first."""
    told.target("json://127.0.0.1:1/x")
    told.record(broken("web"))
    told.notify()
    told.world.now += timedelta(days=3)
    assert [bool(one.error) for one in told.notify().results] == [True]
    assert told.states() == ["waiting"]


def test_pauses_grow(told: Told) -> None:
    told.target("json://127.0.0.1:1/x")
    told.record(broken("web"))
    told.look()
    app, waits = told.app, []
    place = app.place()
    with app.history(place) as past:
        outbox = past.notices(place.flake)
        while letters := outbox.waiting():
            begun = told.world.now
            outbox.fail(letters, "it answered 503")
            waits += [(one.due - begun).total_seconds() / 60 for one in outbox.waiting()]
            told.world.now = outbox.next_try() or begun
    assert waits[:7] == [1, 2, 5, 15, 30, 60, 60] and set(waits[7:]) == {60}
    assert 23 * 60 < sum(waits) <= 25 * 60
    assert told.states() == ["given-up"]


def test_a_clock_that_is_set_back(told: Told, server: Server) -> None:
    told.target(f"json://{server.host}/hook")
    told.record(broken("web"))
    server.answer = lambda: Reply(503)
    told.notify()
    told.world.now -= timedelta(days=400)
    server.answer = lambda: None
    assert [one.error for one in told.notify().results] == [""]
    assert len(server.arrived) == 1


def test_one_slow_target_delays_no_other_and_its_messages_stay_in_order(
    told: Told, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "LONGEST", 1.0)
    with Server() as slow:
        told.target(f"json://{server.host}/hook", "quick")
        told.target(f"json://{slow.host}/hook", "slow")
        slow.answer = lambda: Reply(503, hang=60)
        told.record(broken("web"))
        sent = told.notify()
        assert sent.unfinished, "it is not waited for"
        assert {one.target: bool(one.error) for one in sent.results} == {"quick": False, "slow": True}
        told.world.now += timedelta(seconds=1)
        told.record(good("web"))
        monkeypatch.setattr(delivery, "LONGEST", 20.0)
        slow.answer = lambda: None
        told.notify()
        assert ["web does not build" in one.text for one in server.arrived] == [True, True]
        taken = [text.split("\n")[1] for text in slow.texts]
        assert taken == ["web does not build, with or without an update", "web builds again"]


def test_a_digest_is_one_message(told: Told, server: Server) -> None:
    told.more = '[schedule]\ntime_zone = "UTC"'
    told.target(f"json://{server.host}/hook", more='digest = "0 8 * * *"')
    for hosts in ((broken("web"),), (broken("web"), broken("db")), (good("web"), good("db"))):
        told.record(*hosts)
        assert told.notify().results == ()
    told.world.now += timedelta(days=1)
    (result,) = told.notify().results
    assert (result.letters, result.error) == (3, "")
    (one,) = server.texts
    assert all(word in one for word in ("web does not build", "db does not build", "db builds again, and 1 more"))
    assert set(told.states()) == {"sent"}


def test_what_was_collected_is_sent_sooner_where_the_digest_comes_sooner(told: Told, server: Server) -> None:
    told.more = '[schedule]\ntime_zone = "UTC"'
    told.target(f"json://{server.host}/hook", more='digest = "0 8 1 1 *"')
    told.record(broken("web"))
    assert told.notify().results == ()
    (daily,) = told.tables = [told.tables[0].replace("0 8 1 1 *", "0 8 * * *")]
    told.write()
    assert told.notify().results == ()
    assert str(told.status()["next_try"]).startswith("2026-11-23T08:00:00")
    told.tables = [daily.replace('digest = "0 8 * * *"', "")]
    told.write()
    assert [one.error for one in told.notify().results] == [""]


def test_a_test_message(told: Told, server: Server) -> None:
    told.target(f"json://{server.host}/hook-s3cret", "works")
    told.target("json://127.0.0.1:1/hook-s3cret", "fails")
    told.target("nonsense-s3cret", "mistyped")
    done = told.run("notify", "--test")
    assert done.return_value == 1 and "s3cret" not in done.stdout + done.stderr
    assert "works: sent" in done.stdout and "fails: not sent, it refuses connections" in done.stdout
    assert "mistyped: not sent, its URL is not understood" in done.stdout
    assert told.run("notify", "--test", "works").return_value == 0
    assert len(server.arrived) == 2 and not told.states()
    done = told.run("notify", "--test", "nobody")
    assert "there is no [[notify]] with the name 'nobody'" in str(done.exception)


def test_check_says_whether_urls_are_understood(told: Told, server: Server) -> None:
    told.target(f"json://{server.host}/s3cret", "works")
    told.target("nonsense-s3cret", "mistyped")
    told.target(f"ntfy://{server.host}/s3cret1/s3cret2", "two")
    said = told.run("check").stdout
    assert "s3cret" not in said and server.requests == []
    assert "notify works: JSON" in said
    assert "warning notify mistyped: its URL is not understood" in said
    assert "warning notify two: ntfy, to 2 recipients in one URL" in said


def test_nobody_is_told(told: Told) -> None:
    told.write()
    assert "there is no [[notify]] in the configuration" in told.run("notify").stdout
