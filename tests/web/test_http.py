"""Every address × every way to ask for it, over a real socket; and requests that are none."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import signal
import socket
from dataclasses import replace

import pytest

from lockbot.web import routes
from lockbot.web.addresses import LONGEST, MOST_PARAMETERS
from tests.web.world import Served, World, served

VALUES = {"{name}": "one", "{attribute}": "one", "{host}": "one"}


def filled(pattern: str, world: World) -> str:
    """An address of the table for something that there is."""
    latest = {"{run}": world.run_ids()[0]}
    for part, value in {**VALUES, **latest}.items():
        pattern = pattern.replace(part, value)
    assert "{" not in pattern, "say what stands in place of these braces"
    return pattern


def addresses(world: World) -> list[str]:
    return [filled(pattern, world) for pattern in (*routes.PAGES, *routes.CONTENTS, "/style.css", "/icon.svg")]


def documents(world: World) -> list[str]:
    return [f"{filled(pattern, world)}.json" for pattern in routes.PAGES]


def test_every_address_is_answered_the_same_in_each_way(world: World, service: Served) -> None:
    for path in (*addresses(world), *documents(world)):
        plain = service.ask(path)
        assert plain.status == 200, (path, plain.text)
        assert plain.headers["content-length"] == str(len(plain.body)), path
        head = service.ask(path, "HEAD")
        for _ in range(3):
            if head.headers["content-length"] != plain.headers["content-length"]:
                # What is at work now is told in seconds: one may have got another digit in between.
                plain, head = service.ask(path), service.ask(path, "HEAD")
        assert (head.status, head.body) == (plain.status, b""), path
        for name in ("content-type", "content-length", "content-security-policy", "cache-control"):
            assert head.headers[name] == plain.headers[name], (path, name)


@pytest.fixture(scope="module")
def still(world: World) -> str:
    """A page that does not change within a minute."""
    return f"/inputs/{world.names[1]}.json"


def test_what_a_browser_has_is_not_sent_again(service: Served, still: str) -> None:
    for path in (still, "/lint", "/feed.atom", "/style.css"):
        tag = service.ask(path).headers["etag"]
        for given, method in itertools.product((tag, tag.removeprefix("W/"), f'"x", {tag}', "*"), ("GET", "HEAD")):
            again = service.ask(path, method, If_None_Match=given)
            assert (again.status, again.body) == (304, b""), (path, given)
            assert again.headers["etag"] == tag
            assert "content-security-policy" in again.headers
        for given in ('"x"', "W/", f"{tag[:-2]}", '"' * 5000):
            assert service.ask(path, If_None_Match=given).status == 200, given


def test_it_is_packed_for_who_can_unpack_it(service: Served, still: str) -> None:
    plain = service.ask(still)
    assert "content-encoding" not in plain.headers
    for taken in ("gzip", "br, gzip;q=0.5", "*", "GZIP"):
        packed = service.ask(still, Accept_Encoding=taken)
        assert packed.headers["content-encoding"] == "gzip", taken
        assert gzip.decompress(packed.body) == plain.body
        assert packed.headers["etag"] == plain.headers["etag"]
        assert packed.headers["vary"] == "Accept-Encoding"
    for refused in ("", "br", "gzip;q=0", "gzip;q=0.000, *;q=0", "*;q=0", "gzip;q=x"):
        assert "content-encoding" not in service.ask(still, Accept_Encoding=refused).headers, refused


METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "X")


def test_other_methods_are_refused_everywhere(world: World, service: Served) -> None:
    for path, method in zip((*addresses(world), "/nothing"), itertools.cycle(METHODS)):
        answer = service.ask(path, method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD"), (path, method)
    for method in METHODS:
        assert service.ask("/", method, Content_Length="10").status == 405, method


HOSTS = {
    **dict.fromkeys(("localhost", "LOCALHOST", "localhost.", "localhost:1", "127.0.0.1:65535", "[::1]:80"), 200),
    **dict.fromkeys(("example.org", "localhost.example.org", "127.0.0.2", "[::2]", "a" * 250, "xn--a:80"), 421),
    **dict.fromkeys(
        ("", "a b", "localhost:x", "localhost/", "user@localhost", "<script>", "[::1", "a" * 300), 400
    ),
}


@pytest.mark.parametrize("host", HOSTS, ids=repr)
def test_only_known_hosts_are_answered(service: Served, host: str) -> None:
    for path in ("/", "/nothing.json", "/style.css"):
        answer = service.ask(path, Host=host)
        assert answer.status in {HOSTS[host], 404} - ({404} if path != "/nothing.json" else set()), path
        if HOSTS[host] != 200:
            assert answer.status == HOSTS[host]
            assert len(answer.body) < 200, "nothing of the pages"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
@pytest.mark.parametrize("listen", [":0", "0.0.0.0:0"])
def test_the_address_by_which_it_is_reached_is_known(world: World, listen: str) -> None:
    with served(world.config, environ=world.environ, listen=listen) as made:
        other = replace(made, address=("127.0.0.2", int(made.address[1])))
        assert other.ask("/badge.svg", Host="127.0.0.2:8465").status == 200
        assert other.ask("/badge.svg", Host="127.0.0.3").status == 421


def test_a_proxy_is_not_believed(service: Served) -> None:
    answer = service.ask(
        "/",
        Host="example.org",
        X_Forwarded_Host="localhost",
        X_Forwarded_For="127.0.0.1",
        Forwarded="host=localhost",
    )
    assert answer.status == 421
    told = service.ask("/", X_Forwarded_Host="evil.example", X_Forwarded_Prefix="/evil", X_Forwarded_Proto="evil")
    assert told.status == 200
    assert "evil" not in told.text


def test_every_answer_says_what_a_browser_must_not_do(world: World, service: Served) -> None:
    answers = [service.ask(path) for path in (*addresses(world), *documents(world), "/nothing", "/%zz")]
    answers += [service.ask("/", "POST"), service.ask("/", Host="x")]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'")
        assert "script" not in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
        if answer.headers["content-type"].startswith("text/html"):
            assert not re.search(r"<script|<style|\sstyle=|\son\w+=|<iframe|<img|<object", answer.text)


NOTHING = ("/nothing", "/r/x", "/inputs/none", "/hosts/none/feed.atom", "/badge", "/inputs//one",
           "//", "/inputs/..", "/%2e%2e/etc/passwd", "/inputs/%2E", "/templates/base.html", "/style.css/x",
           "/inputs/%00", "/inputs/one%00", "/hosts/%00/feed.atom")  # fmt: skip
BAD = {
    "/%": 400,
    "/%zz": 400,
    "/%ff": 400,
    "/inputs/%ed%a0%80": 400,
    "/inputs/%c0%af": 400,
    "/?refresh=%ff": 400,
    "/?refresh=%00": 400,
    "/?refresh=1": 400,
    "/?refresh=3601": 400,
    "/?refresh=-5": 400,
    "/?refresh=٣": 400,
    "/?refresh=1e3": 400,
    "/?" + "&".join(f"a{number}=1" for number in range(MOST_PARAMETERS + 1)): 400,
    "/" + "x" * (LONGEST + 1): 414,
    "/inputs?q=" + "x" * (LONGEST + 1): 414,
    "http://evil.example/": 400,
    "*": 400,
    "/a b": 400,
    "/\x1b[31m": 400,
}


def test_what_is_not_there_is_told_in_the_form_that_was_asked_for(service: Served) -> None:
    for path in NOTHING:
        page = service.ask(path)
        assert (page.status, page.headers["content-type"]) == (404, "text/html; charset=utf-8"), path
        assert '<nav aria-label="Pages">' in page.text
        assert "Traceback" not in page.text
        if not path.endswith((".json", "/")):
            document = service.ask(f"{path}.json")
            assert document.status == 404, path
            assert document.json["status"] == 404
            assert document.json["error"]


def test_no_address_is_worse_than_refused(service: Served) -> None:
    for path, status in BAD.items():
        answer = service.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert answer.status == status, path[:80]
        assert b"Traceback" not in answer.body


RAW = {
    "nothing": b"\r\n\r\n",
    "noise": bytes(range(256)),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no host, 1.0": b"GET / HTTP/1.0\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "two hosts, 1.0": b"GET / HTTP/1.0\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "another protocol": b"GET / SPDY/1.1\r\nHost: localhost\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
    "a broken line": b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
    "a large head": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "many lines": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200_000 + b"\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "a length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
    "a bad chunk": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "connect": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "options": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("what", RAW)
def test_what_is_no_request_is_refused_and_the_next_is_served(service: Served, what: str) -> None:
    answer = service.raw(RAW[what])
    assert answer.status == 0 or 400 <= answer.status < 500, answer
    assert service.ask("/style.css", "HEAD").status == 200


def test_an_upgrade_is_not_made(service: Served) -> None:
    for upgrade in ("websocket", "h2c"):
        answer = service.ask("/style.css", Upgrade=upgrade, Connection="Upgrade", Sec_WebSocket_Key="x")
        assert answer.status == 200


def test_requests_may_follow_one_another_on_one_connection(service: Served) -> None:
    with service.connect() as link:
        link.sendall(b"GET /icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        link.sendall(b"GET /icon.svg HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        said = b"".join(iter(lambda: link.recv(65536), b""))
    assert said.count(b"HTTP/1.1 200 OK") == 4


# -- the process


def patient(seconds: float, connections: int = 128) -> list[str]:
    """The same service with less patience."""
    lines = (
        "from lockbot.web import server",
        f"server.SPEAKING = server.LISTENING = {seconds}",
        f"server.MOST_CONNECTIONS = {connections}",
        "from lockbot.cli import main",
        "main()",
    )
    return ["-c", "\n".join(lines)]


def test_who_says_nothing_is_not_waited_for(world: World) -> None:
    with (
        served(world.config, environ=world.environ, start=patient(0.4)) as service,
        service.connect() as silent,
        service.connect() as slow,
        service.connect() as body,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        body.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx")
        for link in (silent, slow, body):
            ended(link)


def test_who_takes_nothing_is_not_waited_for(world: World) -> None:
    many = b"GET /style.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3000  # more than any buffer takes
    with (
        served(world.config, environ=world.environ, start=patient(0.4, connections=3)) as service,
        service.connect() as one,
        service.connect() as two,
    ):
        for link in (one, two):
            link.sendall(many)
        while service.ask("/style.css").status != 200:  # no place is free before they are sent away
            pass


def ended(link: socket.socket) -> None:
    """The other side closes; how much it has said is not of interest."""
    try:
        while link.recv(65536):
            pass
    except ConnectionResetError:
        pass


def test_more_clients_than_it_takes_are_told_so_and_the_next_is_served(world: World) -> None:
    with served(world.config, environ=world.environ, start=patient(0.4, connections=5)) as service:
        idle = [service.connect() for _ in range(6)]
        assert service.ask("/style.css").status == 503
        for link in idle:
            ended(link)
            link.close()
        while service.ask("/style.css").status == 503:
            pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_to_though_somebody_is_still_connected(world: World, number: signal.Signals) -> None:
    with served(world.config, environ=world.environ) as service, service.connect() as link:
        link.sendall(b"GET / HTTP/1.1\r\n")
        service.process.send_signal(number)
        assert service.process.wait(30) == 0


def test_json_pages_hold_what_the_pages_show(world: World, service: Served) -> None:
    for path in documents(world):
        answer = service.ask(path)
        assert answer.headers["content-type"] == "application/json"
        assert isinstance(json.loads(answer.body), dict)
        answer.body.decode("ascii")
