"""What goes wrong between here and a forge: no run crashes, none is held up for long, no token leaks."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from lockbot.errors import Cancelled
from lockbot.forge.http import Patience
from lockbot.forge.place import Account
from lockbot.forge.upstream import UpstreamChecks
from lockbot.policy.upstream_checks import Checks, Standing
from lockbot.process import CancelToken
from tests.forge.server import Asked, GitHub, Reply, Server, run
from tests.forge.test_upstream import GITHUB, NOW, OTHER, QUICK, REV, TOKEN

Ask = Callable[..., UpstreamChecks]


@pytest.fixture
def asking(server: Server, cancel: CancelToken) -> Ask:
    def make(token: str | None = TOKEN, patience: Patience = QUICK, url: str = "") -> UpstreamChecks:
        accounts = {"github.com": Account(url=url or server.url, token=token)}
        return UpstreamChecks(accounts, cancel, lambda: NOW, patience)

    return make


def unknown(ask: UpstreamChecks) -> Checks:
    found = ask(GITHUB, REV)
    assert found.standing is Standing.UNKNOWN
    assert TOKEN not in repr(found)
    return found


def in_turn(*replies: Reply | Callable[[Asked], Reply]) -> Callable[[Asked], Reply]:
    """Each once, the last for ever."""
    left = list(replies)

    def answer(asked: Asked) -> Reply:
        reply = left.pop(0) if len(left) > 1 else left[0]
        return reply(asked) if callable(reply) else reply

    return answer


def test_an_error_that_passes_is_tried_again(server: Server, asking: Ask) -> None:
    fine = GitHub(server.url, {REV: [run("a", "success")]})
    server.answer = in_turn(Reply(b"oops", 500), fine)
    assert asking()(GITHUB, REV).standing is Standing.GREEN
    assert len(server.asked) == 3


def test_an_error_that_stays(server: Server, asking: Ask) -> None:
    server.answer = in_turn(Reply(b"oops", 502))
    ask = asking()
    assert unknown(ask).detail == f"{server.host} answers 502"
    assert len(server.asked) == QUICK.tries
    assert ask(GITHUB, OTHER).standing is Standing.UNKNOWN
    assert len(server.asked) == QUICK.tries, "the host is left alone for the rest of the run"


@pytest.mark.parametrize(
    "reply",
    [Reply(hang=60), Reply(b" " * 600 + b"{}", drip=0.05), Reply(b"x", headers={"X-Long": "x" * 70_000}, hang=60)],
    ids=["silent", "drips", "long"],
)
def test_a_host_that_hangs(server: Server, asking: Ask, reply: Reply) -> None:
    server.answer = in_turn(reply)
    before = time.monotonic()
    assert unknown(asking(patience=Patience(timeout=0.4))).detail == f"{server.host} does not answer"
    assert time.monotonic() - before < 20


def test_ctrl_c_does_not_wait_for_a_host_that_hangs(server: Server, asking: Ask, cancel: CancelToken) -> None:
    server.answer = in_turn(Reply(hang=60))
    timer = Timer(0.3, cancel.cancel, ["SIGINT"])
    timer.start()
    before = time.monotonic()
    with pytest.raises(Cancelled):
        asking(patience=Patience(timeout=60))(GITHUB, REV)
    assert time.monotonic() - before < 20
    timer.join()


def test_nobody_listens(asking: Ask) -> None:
    with Server() as gone:
        url = gone.url
    assert unknown(asking(url=url)).detail.endswith("can't be reached")


DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"<html>", "no JSON"),
        (b"", "no JSON"),
        (b"\xff\xfe{", "no JSON"),
        (DEEP, "no JSON"),
        (b"9" * 10_000, "no JSON"),
        ([], "otherwise than its API is documented"),
        ({"check_runs": {"a": 1}}, "otherwise than its API is documented"),
        ({"check_runs": [1]}, "otherwise than its API is documented"),
        ({"check_runs": [{"name": 1, "status": []}]}, "otherwise than its API is documented"),
    ],
)
def test_answers_that_make_no_sense(server: Server, asking: Ask, body: Any, detail: str) -> None:
    server.answer = in_turn(Reply(body))
    assert detail in unknown(asking()).detail


def test_an_answer_without_end_is_cut_off(server: Server, asking: Ask) -> None:
    server.answer = in_turn(Reply(b'{"check_runs": [' + b" " * 300_000))
    assert "more than 100000 bytes" in unknown(asking(patience=Patience(size=100_000))).detail


def test_a_packed_answer_is_not_unpacked(server: Server, asking: Ask) -> None:
    server.answer = in_turn(Reply(gzip.compress(b" " * 10_000_000), headers={"Content-Encoding": "gzip"}))
    assert "packs its answers" in unknown(asking()).detail
    assert server.asked[0].headers["accept-encoding"] == "identity"


def test_pages_without_end(server: Server, asking: Ask) -> None:
    again = {"Link": f'<{server.url}/again>; rel="next"'}
    server.answer = in_turn(Reply({"check_runs": []}, headers=again))
    assert "more than 20 pages" in unknown(asking()).detail
    assert len(server.asked) == 20


# -- the token


def test_a_redirect_to_another_host_gets_no_token(server: Server, other: Server, asking: Ask) -> None:
    server.answer = in_turn(Reply(status=302, headers={"Location": f"{other.url}/steal"}))
    assert "another host" in unknown(asking()).detail
    assert len(server.asked) == 1 and TOKEN in server.asked[0].headers["authorization"]
    assert other.asked == []


def test_a_next_page_on_another_host_gets_no_token(server: Server, other: Server, asking: Ask) -> None:
    link = {"Link": f'<{other.url}/steal>; rel="next"'}
    server.answer = in_turn(Reply({"check_runs": []}, headers=link))
    assert "another host" in unknown(asking()).detail
    assert other.asked == []


@pytest.mark.parametrize("location", ["//[", "", "http://[::1", "file:///etc/passwd", "https:///x"])
def test_a_redirect_to_nowhere(server: Server, asking: Ask, location: str) -> None:
    server.answer = in_turn(Reply(status=302, headers={"Location": location}))
    unknown(asking())


def test_a_renamed_repository_is_followed_on_its_own_host(server: Server, asking: Ask) -> None:
    """As GitHub does, with 301 and a number."""
    fine = GitHub(server.url, {REV: [run("a", "success")]})

    def answer(asked: Asked) -> Reply:
        if asked.path.startswith("/repos/"):
            return Reply(
                status=301, headers={"Location": asked.path.replace("/repos/owner/repo", "/repositories/1")}
            )
        return fine(Asked(asked.path.replace("/repositories/1", "/repos/owner/repo"), asked.query, asked.headers))

    server.answer = answer
    assert asking()(GITHUB, REV).standing is Standing.GREEN
    assert all(asked.headers["authorization"] == f"Bearer {TOKEN}" for asked in server.asked)


def test_redirects_without_end(server: Server, asking: Ask) -> None:
    server.answer = in_turn(Reply(status=302, headers={"Location": "/again"}))
    assert "again and again" in unknown(asking()).detail
    assert len(server.asked) == 4


def test_netrc_is_not_read(server: Server, asking: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password of-netrc\n")
    monkeypatch.setenv("NETRC", str(netrc))
    asking()(GITHUB, REV)
    asking(token=None)(GITHUB, REV)
    first, second = server.asked
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert "authorization" not in second.headers


def test_a_token_that_no_header_can_hold(server: Server, asking: Ask) -> None:
    found = asking(token="t\u0151ken\r\nX-Evil: 1")(GITHUB, REV)  # noqa: S106 -- no secret
    assert found.standing is Standing.UNKNOWN
    assert "Evil" not in found.detail
    assert server.asked == []


# -- refusals


def in_seconds(seconds: float) -> str:
    """A time to come, as `X-RateLimit-Reset` has it."""
    return str(int((NOW + timedelta(seconds=seconds)).timestamp()))


@pytest.mark.parametrize(
    ("status", "headers", "after"),
    [
        (429, {"Retry-After": "120"}, 120),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in_seconds(900)}, 900),
        (403, {"Retry-After": "60"}, 60),
        (429, {"RateLimit-Remaining": "0", "RateLimit-Reset": in_seconds(300)}, 300),
        (429, {}, 60),
        (429, {"Retry-After": "99999999999"}, 86400),
        (429, {"Retry-After": "nonsense"}, 60),
        (429, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 0),
        (429, {"X-RateLimit-Reset": "9" * 15}, 60),
    ],
)
def test_a_limit_of_requests(
    server: Server, asking: Ask, status: int, headers: dict[str, str], after: float
) -> None:
    server.answer = in_turn(Reply({"message": "API rate limit exceeded"}, status, headers))
    ask = asking()
    found = unknown(ask)
    assert "its limit of requests" in found.detail
    assert found.until == NOW + timedelta(seconds=after)
    assert ask(GITHUB, OTHER) == found
    assert len(server.asked) == 1, "it is not asked again in this run"


@pytest.mark.parametrize(
    ("status", "token", "detail"),
    [
        (401, TOKEN, "does not accept the token"),
        (401, None, "wants a token"),
        (403, TOKEN, "does not let this token read that"),
        (403, None, "wants a token"),
        (404, TOKEN, "no such repository or commit for this token"),
        (404, None, "no such repository or commit without a token"),
        (422, None, "no such repository or commit"),
        (418, None, "answers 418"),
    ],
)
def test_refusals(server: Server, asking: Ask, status: int, token: str | None, detail: str) -> None:
    server.answer = in_turn(Reply({"message": "no"}, status, {"X-RateLimit-Remaining": "59"}))
    found = unknown(asking(token=token))
    assert detail in found.detail
    assert found.until is None
