"""Pings, as a dead man's switch hears them: on loopback, with every way in which one may not be heard."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from lockbot.errors import BusyError, UsageError
from lockbot.model import Outcome
from lockbot.notify.http import Patience, Sending, send
from lockbot.notify.kinds import PingStyle
from lockbot.notify.ping_requests import PingRequest, Signal, Target, Told, request
from lockbot.notify.pings import LONGEST_TEXT, RunPings, signal_of
from lockbot.process import CancelToken
from lockbot.report.escape import plain
from tests.notify.switch import (  # noqa: F401 -- fixtures
    CHECK,
    PUSH_TOKEN,
    Asked,
    Healthchecks,
    Reply,
    Switch,
    UptimeKuma,
    elsewhere,
    switch,
)
from tests.report.examples import HOSTILE, MORNING

RID = "0c5f1fd9-6d0c-5b7c-9a5b-9d1d3f9f6c55"
SHORT = Patience(timeout=5, pauses=(0.001, 0.002), whole=5)
"""Long enough for a server on loopback, whatever else this machine does."""


def once(url: str, patience: Patience = SHORT) -> str | None:
    return send(PingRequest(url, b"text"), patience, lambda _: False)


# -- what is asked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "path"),
    {
        "": f"/{CHECK}",
        "/ping": f"/ping/{CHECK}",
        "/deep/ping": f"/deep/ping/{CHECK}/",
    }.items(),
)
@pytest.mark.parametrize("query", ["", "?", "?create=1", "?create=1&rid=old&x=%41&y#part"])
def test_a_check_hears_how_a_run_went(switch: Switch, prefix: str, path: str, query: str) -> None:  # noqa: F811
    check = switch.answer = Healthchecks(prefix, only_post=True)
    target = Target(switch.url + path + query)
    told = Told("line", b"the text", 3.5, RID)
    for signal, state in {Signal.START: "new", Signal.SUCCESS: "up", Signal.FAILURE: "down"}.items():
        wanted = request(target, signal, told)
        assert wanted is not None
        assert send(wanted, SHORT, lambda _: False) is None
        assert check.state == state
        assert check.running == ({RID} if signal is Signal.START else set())
        assert check.bodies[-1] == b"the text"
        asked = switch.asked[-1]
        assert (asked.method, asked.value("rid")) == ("POST", RID)
        if "create" in query:
            assert asked.value("create") == "1"
        if "x=" in query:
            assert (asked.value("x"), asked.value("y")) == ("A", None if "y" not in asked.query else "")


def test_a_check_by_its_slug(switch: Switch) -> None:  # noqa: F811
    check = switch.answer = Healthchecks()
    wanted = request(Target(f"{switch.url}/{check.key}/lockbot?create=1"), Signal.FAILURE)
    assert wanted is not None
    assert send(wanted, SHORT, lambda _: False) is None
    assert (check.state, switch.paths) == ("down", [f"/{check.key}/lockbot/fail"])


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("query", ["", "?status=up&msg=OK&ping=", "?status=down&status=up&keep=me&MSG=x"])
def test_a_push_monitor_hears_how_a_run_went(switch: Switch, version: int, query: str) -> None:  # noqa: F811
    kuma = switch.answer = UptimeKuma(version)
    target = Target(f"{switch.url}/kuma/api/push/{PUSH_TOKEN}{query}", PingStyle.UPTIME_KUMA)
    assert request(target, Signal.START, Told(rid=RID)) is None, "it has no such signal"
    line = "Rejected: 1 host & more? 100 % #1 ünï"
    for signal, seconds in ((Signal.SUCCESS, 3.25), (Signal.FAILURE, 86_401.0), (Signal.FAILURE, None)):
        wanted = request(target, signal, Told(line, b"", seconds, RID))
        assert wanted is not None
        assert send(wanted, SHORT, lambda _: False) is None
    assert kuma.beats == [("up", line, "3250"), ("down", line, ""), ("down", line, "")]
    if "keep" in query:
        assert switch.asked[-1].value("keep") == "me"


def test_no_value_shows_the_address() -> None:
    target = Target(f"https://user:{PUSH_TOKEN}@hc.example/{CHECK}", PingStyle.HEALTHCHECKS)
    wanted = request(target, Signal.FAILURE, Told("line", b"text"))
    for value in (target, wanted, RunPings(target)):
        assert CHECK not in repr(value) and PUSH_TOKEN not in repr(value)
    assert target.host == "hc.example"


# -- what may come back ------------------------------------------------------------------------------------------


def fixed(*replies: Reply) -> Callable[[Asked], Reply]:
    """These, one after the other; the last one from then on."""
    left = list(replies)
    return lambda _: left.pop(0) if left[1:] else left[0]


TAKEN = {
    "a 200": (Reply(), 1),
    "a 201": (Reply(201, b"Created"), 1),
    "another service's own words": (Reply(202, b"Got it, thanks!"), 1),
    "JSON that is none": (Reply(200, b"{"), 1),
    "JSON of something else": (Reply(200, b'["ok"]'), 1),
    "nothing": (Reply(204, b""), 1),
    "an answer of no end": (Reply(200, b"x" * 2_000_000), 1),
}
REFUSED = {
    "an unknown check": (Reply(200, b"OK (not found)"), 1, "knows no such check"),
    "a check asked too often": (Reply(200, b"OK (rate limited)"), 3, "was asked too often"),
    "an unknown monitor, says a 200": (Reply(200, b'{"ok":false,"msg":"no"}'), 1, "says that it was not taken"),
    "a 400": (Reply(400, b"invalid url format"), 1, "a wrong one (400): see whether the address is whole"),
    "a 401": (Reply(401), 1, "wants a user name and a password (401)"),
    "a 403": (Reply(403), 1, "refuses it (403)"),
    "a 404": (Reply(404), 1, "knows no such check (404)"),
    "a 405": (Reply(405), 1, "is `ping.style` right?"),
    "a 409": (Reply(409, b"ambiguous slug"), 1, "more than one check of that name (409)"),
    "a 418": (Reply(418), 1, "answers 418"),
    "a 304": (Reply(304, b""), 1, "answers 304"),
    "a 429": (Reply(429), 3, "was asked too often (429)"),
    "a 429 for long": (Reply(429, headers={"Retry-After": "3600"}), 1, "was asked too often (429)"),
    "a 429 with a date": (Reply(429, headers={"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT"}), 3, "(429)"),
    "a 429 with nonsense": (Reply(429, headers={"Retry-After": "1" * 400}), 1, "(429)"),
    "a 500": (Reply(500), 3, "is in trouble itself (500)"),
    "a 503": (Reply(503), 3, "is in trouble itself (503)"),
    "a connection that is closed": (Reply(close=True), 3, "can't be reached"),
    "a redirect to nowhere": (Reply(302), 1, "redirects to another host, which is not followed"),
    "a redirect to no address": (Reply(302, headers={"Location": "http://[x"}), 1, "something that is no address"),
    "a redirect to a file": (Reply(302, headers={"Location": "file:///etc/passwd"}), 1, "to another host"),
    "a redirect in a circle": (Reply(302, headers={"Location": "again"}), 4, "redirects again and again"),
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_counts_as_taken(switch: Switch, case: str) -> None:  # noqa: F811
    reply, tries = TAKEN[case]
    switch.answer = fixed(reply)
    assert once(f"{switch.url}/{CHECK}") is None
    assert len(switch.asked) == tries


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_is_told_and_tried_again_where_that_may_help(switch: Switch, case: str) -> None:  # noqa: F811
    reply, tries, words = REFUSED[case]
    switch.answer = fixed(reply)
    problem = once(f"{switch.url}/{CHECK}?token={PUSH_TOKEN}")
    assert problem is not None
    assert problem.startswith("127.0.0.1 ") and words in problem
    assert len(switch.asked) == tries
    assert problem.endswith(f"({tries} tries)") == (tries == 3)
    assert CHECK not in problem and PUSH_TOKEN not in problem


@pytest.mark.parametrize("kind", ["nobody", "no name", "garbage", "headers of no end", "no TLS", "no certificate"])
def test_a_server_that_is_none(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    url, words = f"http://127.0.0.1:1/{CHECK}", "can't be reached: Connection refused"
    with Switch() as server:
        match kind:
            case "no name":
                url, words = f"http://no-such-host.invalid/{CHECK}", "can't be reached: "
            case "garbage":
                server.answer = lambda _: Reply(200, headers={"X": "y\r\nContent-Length: z\r\n\r\n"})
                url, words = f"{server.url}/{CHECK}", ""
            case "headers of no end":
                server.answer = lambda _: Reply(200, headers={f"X-{number}": "x" * 1000 for number in range(200)})
                url, words = f"{server.url}/{CHECK}", "no valid request, or no valid answer"
            case "no TLS":
                url, words = f"https://127.0.0.1:{server.port}/{CHECK}", "does not speak TLS as it should"
            case "no certificate":
                with_certificate(server, tmp_path)
                url = f"https://127.0.0.1:{server.port}/{CHECK}"
                words = "has no certificate that can be trusted: "
        problem = once(url)
    if kind == "garbage":  # of which the client makes something
        assert problem is None or CHECK not in problem
    else:
        assert problem is not None and words in problem and CHECK not in problem


def with_certificate(server: Switch, directory: Path) -> Path:
    """Speak TLS, by a certificate that nobody has signed; its file."""
    if shutil.which("openssl") is None:
        pytest.skip("NOT TESTED with a certificate: there is no openssl to make one")
    make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "certificate.pem")]
    subprocess.run(["openssl", *make.split(), *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return directory / "certificate.pem"


def test_a_certificate_that_this_machine_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a CA of one's own is made known: to the system, by OpenSSL's variable."""
    monkeypatch.setenv("NO_PROXY", "*")
    with Switch() as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(with_certificate(server, tmp_path)))
        assert once(f"https://127.0.0.1:{server.port}/{CHECK}") is None
        assert server.paths == [f"/{CHECK}"]


def test_a_redirect_is_followed_on_the_same_host_alone(switch: Switch, elsewhere: Switch) -> None:  # noqa: F811
    switch.answer = fixed(Reply(308, headers={"Location": "/moved"}), Reply())
    assert once(f"{switch.url}/{CHECK}") is None
    assert [(one.path, one.method, one.body) for one in switch.asked] == [
        (f"/{CHECK}", "POST", b"text"),
        ("/moved", "POST", b"text"),
    ]
    switch.answer = fixed(Reply(302, headers={"Location": f"{elsewhere.url}/x"}))
    assert "another host" in (once(f"{switch.url}/{CHECK}") or "")
    assert elsewhere.asked == []


def test_who_may_ping_is_told_to_that_host_alone(
    switch: Switch,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name and password of the address; not those of ~/.netrc, which are another program's."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login netrc password netrc")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    switch.answer = fixed(Reply(302, headers={"Location": "/moved"}), Reply())
    assert once(f"http://me:s%26cret@127.0.0.1:{switch.port}/{CHECK}") is None
    assert [one.headers["authorization"] for one in switch.asked] == ["Basic bWU6cyZjcmV0"] * 2
    assert all(one.headers["host"] == f"127.0.0.1:{switch.port}" for one in switch.asked)
    assert once(f"{switch.url}/{CHECK}") is None
    assert "authorization" not in switch.asked[-1].headers


def test_the_environments_proxy_holds(switch: Switch, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", switch.url)
    switch.answer = fixed(Reply())
    assert once(f"http://hc.example/{CHECK}") is None
    assert switch.asked[0].headers["host"] == "hc.example"


# -- bounds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [Reply(hang=True), Reply(drip=True)], ids=["silent", "a byte now and then"])
def test_a_ping_that_hangs_is_left_behind(switch: Switch, cancel: CancelToken, reply: Reply) -> None:  # noqa: F811
    switch.answer = fixed(reply)
    wanted = PingRequest(f"{switch.url}/{CHECK}", b"")
    problem = Sending(wanted, Patience(timeout=0.1, pauses=(0.001,), whole=0.4)).wait(cancel)
    assert problem is not None and problem.startswith("127.0.0.1 does not answer")


def test_a_ping_is_not_waited_for_when_lockbot_is_told_to_stop(switch: Switch, cancel: CancelToken) -> None:  # noqa: F811
    switch.answer = fixed(Reply(hang=True))
    sending = Sending(PingRequest(f"{switch.url}/{CHECK}", b""), Patience())
    cancel.cancel("SIGTERM")
    assert sending.wait(cancel) == "127.0.0.1: not waited for any longer (SIGTERM)"


def test_an_end_is_heard_after_the_start_or_the_start_is_not_heard(switch: Switch, cancel: CancelToken) -> None:  # noqa: F811
    """Else the switch would wait for the end of a run that is over."""
    check = Healthchecks()
    troubled = [True]
    switch.answer = lambda asked: Reply(503) if asked.path.endswith("/start") and troubled else check(asked)
    pings = RunPings(Target(f"{switch.url}/{CHECK}"), Patience(timeout=20, pauses=(3600.0,), whole=7200))
    pings.start(MORNING)
    while not switch.asked:
        time.sleep(0.001)
    troubled.clear()
    pings.end(MORNING)
    (problem,) = pings.problems(cancel)
    assert problem == "a ping did not arrive: 127.0.0.1 is in trouble itself (503)", "it is not tried again"
    assert (check.state, check.running) == ("up", set())
    assert [path.rpartition("/")[2] for path in switch.paths] == ["start", CHECK]


def test_a_run_is_delayed_by_nothing(cancel: CancelToken) -> None:
    """Nobody accepts the connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        pings = RunPings(Target(f"http://127.0.0.1:{silent.getsockname()[1]}/{CHECK}"), Patience(20, (), 60))
        pings.start(MORNING)
        pings.end(MORNING)
        cancel.cancel("SIGTERM")
        assert len(pings.problems(cancel)) == 1, "both in the same words"


# -- what is told ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [*Outcome, None])
def test_what_each_outcome_is_to_the_switch(switch: Switch, cancel: CancelToken, outcome: Outcome | None) -> None:  # noqa: F811
    check = switch.answer = Healthchecks()
    pings = RunPings(Target(f"{switch.url}/{CHECK}"))
    pings.start(MORNING)
    pings.end(replace(MORNING, outcome=outcome, error="why"))
    assert pings.problems(cancel) == ()
    state = {Signal.SUCCESS: "up", Signal.FAILURE: "down", None: "new"}[signal_of(outcome)]
    assert check.state == state
    assert len(check.running) == (state == "new"), "what was stopped is left to the switch's own patience"
    assert len({one.value("rid") for one in switch.asked}) == 1
    assert UUID(switch.asked[0].value("rid")).version == 5


def test_every_outcome_with_exit_code_0_is_a_success_and_no_other_but_a_rejected_one() -> None:
    good = {outcome for outcome in Outcome if signal_of(outcome) is Signal.SUCCESS}
    assert good == {outcome for outcome in Outcome if outcome.exit_code == 0} | {Outcome.REJECTED}


def test_another_run_has_another_id(switch: Switch, cancel: CancelToken) -> None:  # noqa: F811
    pings = RunPings(Target(f"{switch.url}/{CHECK}"))
    for name in ("a", "b"):
        pings.start(replace(MORNING, id=name))
    assert pings.problems(cancel) == ()
    assert len({one.value("rid") for one in switch.asked}) == 2


@pytest.mark.parametrize("hostile", HOSTILE)
def test_the_story_is_short_and_harmless(switch: Switch, cancel: CancelToken, hostile: str) -> None:  # noqa: F811
    check = switch.answer = Healthchecks()
    error = f"{hostile}\nhttps://user:hunter2@host/\n" + f"{'ü' * 60}\n" * 100 + "the last line"
    run = replace(MORNING, outcome=Outcome.FAILED, error=error)
    pings = RunPings(Target(f"{switch.url}/{CHECK}"))
    pings.end(run)
    assert pings.problems(cancel) == ()
    body = check.bodies[-1]
    assert len(body) <= LONGEST_TEXT
    text = body.decode()
    assert text.startswith("Failed: ") and "left out" in text
    assert text.splitlines()[-1] and all(line == plain(line) for line in text.splitlines())
    assert "hunter2" not in text


def test_the_message_of_a_push_monitor_is_one_line(switch: Switch, cancel: CancelToken) -> None:  # noqa: F811
    kuma = switch.answer = UptimeKuma()
    pings = RunPings(Target(f"{switch.url}/api/push/{PUSH_TOKEN}", PingStyle.UPTIME_KUMA))
    started = MORNING.started
    for error in HOSTILE:
        pings.end(replace(MORNING, outcome=Outcome.FAILED, error=error, finished=started + timedelta(minutes=1)))
    assert pings.problems(cancel) == ()
    assert len(kuma.beats) == len(HOSTILE)
    for status, message, ping in kuma.beats:
        assert (status, ping) == ("down", "60000")
        assert message.startswith("Failed: ") and message == plain(message) and len(message) <= 200


def test_a_run_that_could_not_begin(switch: Switch, cancel: CancelToken) -> None:  # noqa: F811
    check = switch.answer = Healthchecks()
    pings = RunPings(Target(f"{switch.url}/{CHECK}"))
    pings.refuse(UsageError("there is no flake.nix", "commit it"))
    assert pings.problems(cancel) == ()
    assert (check.state, check.bodies) == ("down", [b"Not run: there is no flake.nix\ncommit it\n"])


def test_nobody_is_told_where_there_is_no_switch(cancel: CancelToken) -> None:
    pings = RunPings(None)
    pings.start(MORNING)
    pings.end(MORNING)
    pings.refuse(BusyError("busy"))
    assert pings.problems(cancel) == ()
