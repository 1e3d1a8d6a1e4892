"""Whatever answers in a forge's place: no answer is one, or what it says is of the kinds that lockbot knows."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import strategies as st

from lockbot.forge.clients import FORGES
from lockbot.forge.http import Client
from lockbot.forge.place import Kind
from lockbot.forge.pull_requests import push_options
from lockbot.forge.pull_requests.forges import REQUESTS_AT
from lockbot.forge.pull_requests.interface import People, RepositorySeen, RequestForge, RequestSeen, Wording
from lockbot.forge.responses import Check, NoResponse, RequestState
from lockbot.forge.upstream import sum_up
from lockbot.git import failure
from lockbot.model import PullRequest
from lockbot.policy.upstream_checks import Standing
from lockbot.process import Finished
from lockbot.pull_requests import branches
from lockbot.pull_requests.settings import Way
from tests.hostile.answering import TOKEN, Answering, answering, response
from tests.hostile.properties import holds
from tests.hostile.samples import CONTROL, TEXT, json_of, words_of

WORDS = [
    *words_of("forge/*.py", "forge/pull_requests/*.py"),
    "data",
    "node",
    "nodes",
    "number",
    "iid",
    "owner",
    "repo",
]
DOCUMENTS = json_of(WORDS) | st.lists(
    st.dictionaries(st.sampled_from(WORDS), json_of(WORDS), max_size=12), max_size=3
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                *(
                    "Link",
                    "Retry-After",
                    "X-RateLimit-Remaining",
                    "X-RateLimit-Reset",
                    "X-Total-Count",
                    "Location",
                ),
                *("X-OAuth-Scopes", "X-Accepted-GitHub-Permissions", "Content-Encoding", "Transfer-Encoding"),
            )
        ),
        st.sampled_from(
            ["0", "-1", "9" * 30, "gzip", "chunked", '<>; rel="next"', "<http://[>; rel=next", "http://[", "/x"]
        )
        | st.sampled_from(
            ["Sat, 99 Nov 9999 99:99:99 +9999", "Sun, 22 Nov 2026 12:00:00 GMT", "identity", "1e5", "٣"]
        )
        | st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=30),
    ),
    max_size=3,
)
STATUSES = st.sampled_from(
    [200, 200, 200, 200, 201, 204, 301, 307, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503, 999]
)
ANSWERS = st.builds(response, DOCUMENTS, st.just(200)) | st.builds(
    response, DOCUMENTS | st.binary(), STATUSES, HEADERS
)
OK = b"HTTP/1.1 200 OK\r\n"
RAW = st.binary(max_size=200) | st.sampled_from(
    (
        *(b"SSH-2.0-x\r\n", b"HTTP/9.9 abc\r\n\r\n", b"\r\n" * 500, b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
        *(OK + b"\r\n", OK + b"X: y\r\n" * 500 + b"\r\n", OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n"),
        *(OK + b"Content-Length: -5\r\n\r\n{}", OK + b"Content-Length: 9999\r\n\r\n{}"),
        *(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n"),
    )
)
MANY = st.lists(ANSWERS | RAW, min_size=1, max_size=4)
REV = "1" * 40
PATH = ("owner", "repo")
SEEN = RequestSeen(
    5, "https://h/owner/repo/pull/5", RequestState.OPEN, "b", "main", REV, Wording("t", "b"), "me", None, "id"
)
SAYS = Wording("A title", "A body")

ASKED: dict[str, Callable[[Kind, Client], object]] = {
    "checks": lambda kind, api: sum_up(FORGES[kind].checks(api, PATH, REV), None),
    "pull request": lambda kind, api: FORGES[kind].pull_request(api, PATH, 5),
    "contains": lambda kind, api: FORGES[kind].contains(api, PATH, "main", REV),
    "commit": lambda kind, api: FORGES[kind].commit(api, PATH, "1111111"),
}
REQUESTED: dict[str, Callable[[RequestForge, Client], object]] = {
    "repository": lambda forge, api: forge.repository(api, PATH),
    "rights": lambda forge, api: forge.rights(api, PATH, RepositorySeen(PATH, True)),
    "find": lambda forge, api: forge.find(api, PATH, "b"),
    "look": lambda forge, api: forge.look(api, PATH, 5),
    "open": lambda forge, api: forge.open(api, PATH, "b", "main", SAYS),
    "change": lambda forge, api: forge.change(api, PATH, SEEN, SAYS),
    "close": lambda forge, api: forge.close(api, PATH, 5),
    "file": lambda forge, api: forge.file(api, PATH, 5, People(("a",), ("b",), ("c",))),
    "comment": lambda forge, api: forge.comment(api, PATH, 5, "hello", None),
    "edit": lambda forge, api: forge.comment(api, PATH, 5, "hello", "7"),
    "find comment": lambda forge, api: forge.find_comment(api, PATH, SEEN, "mark"),
    "checks": lambda forge, api: forge.checks(api, PATH, "main", REV),
    "merge": lambda forge, api: forge.merge_when_passed(api, PATH, SEEN, REV),
    "landed": lambda forge, api: forge.landed(api, PATH, SEEN, REV),
}


@contextmanager
def reached() -> Iterator[tuple[Answering, Client]]:
    """Loopback is asked directly, whatever this machine's user has configured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "*")
        with answering() as made:
            yield made


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for one in dataclasses.fields(value):
            yield from texts(getattr(value, one.name))
    elif isinstance(value, tuple | list):
        for one in value:
            yield from texts(one)


def tried(room: tuple[Answering, Client], answers: list[bytes], ask: Callable[[Client], object]) -> None:
    server, client = room
    server.answers = list(answers)
    try:
        found = ask(client)
    except NoResponse as error:
        assert TOKEN not in error.message
        assert CONTROL.search(error.message) is None, "it is shown"
        return
    for text in texts(found):
        text.encode()


@holds(
    "forges' answers", st.tuples(st.sampled_from(list(Kind)), st.sampled_from(sorted(ASKED)), MANY), reached, 120
)
def test_any_answer_about_an_upstream(
    room: tuple[Answering, Client], example: tuple[Kind, str, list[bytes]]
) -> None:
    kind, what, answers = example
    tried(room, answers, lambda api: ASKED[what](kind, api))


@holds(
    "forges' answers",
    st.tuples(st.sampled_from(list(Kind)), st.sampled_from(sorted(REQUESTED)), MANY),
    reached,
    160,
)
def test_any_answer_about_a_request(
    room: tuple[Answering, Client], example: tuple[Kind, str, list[bytes]]
) -> None:
    kind, what, answers = example
    tried(room, answers, lambda api: REQUESTED[what](REQUESTS_AT[kind], api))


@holds("forges' answers", json_of(WORDS))
def test_checks_of_any_names_sum_up_to_a_line(_: None, names: Any) -> None:
    for standing in Standing:
        for told in (json.dumps(names), str(names)):
            found = sum_up((Check(told, standing, told, told), Check(told, standing, told)), None)
            assert CONTROL.search(found.detail) is None and len(found.detail) < 250
            assert found.link is None or CONTROL.search(found.link) is None


PUSHED = st.lists(
    st.sampled_from(["remote: ", "remote:", "", "To ", " "]).flatmap(
        lambda start: (
            TEXT
            | st.sampled_from(
                ["https://h/owner/repo/pull/7", "http://h/owner/repo/-/merge_requests/new?x=[", "//["]
            )
        ).map(lambda text: f"{start}{text}")
    ),
    max_size=6,
).map("\n".join)


@holds("what a push is told", PUSHED)
def test_what_a_push_is_told_names_a_page_of_that_repository_or_none(_: None, text: str) -> None:
    number, page = push_options.said(text, "h", PATH)
    assert page is None or page.lower().startswith(("https://h/owner/repo/", "http://h/owner/repo/"))
    assert number is None or page is not None
    explained = failure.explain_remote(Finished(("git", "push"), 1, text, text, 0.0), "the remote")
    assert "\n" not in explained.message


def test_half_a_character_is_none() -> None:
    """A forge cuts a title within an emoji's escapes: it can be stored and printed all the same."""
    with reached() as room:
        server, client = room
        server.answers = [response(b'{"sha": "x", "title": "\\ud83d", "a": [{"\\udc00": "\\ud83d\\ude00"}]}')]
        assert client("/x").document == {"sha": "x", "title": "?", "a": [{"?": "😀"}]}


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"9" * 100_000, b'{"a":' * 100_000, b"\xff\xfe{\0}\0", b"", b"NaN,"]
)
def test_an_answer_without_end_is_none(body: bytes) -> None:
    with reached() as room:
        server, client = room
        server.answers = [response(body)]
        with pytest.raises(NoResponse, match="something that is no JSON"):
            client("/x")


def test_an_answer_that_is_too_large_is_not_read() -> None:
    with reached() as room:
        server, client = room
        server.answers = [response(b"[" + b" " * 2_000_000 + b"]")]
        with pytest.raises(NoResponse, match="answers more than 1048576 bytes"):
            client("/x")


@pytest.mark.parametrize("named", ["9" * 5000, "٣", "-1", "", "0"])
def test_a_request_of_no_such_number_is_none(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can write to a remote has references there of any name."""
    found = {f"refs/pull/{named}/head": REV, "refs/pull/7/head": REV}
    monkeypatch.setattr(branches, "heads", lambda *_: found)
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    request = PullRequest("1", "/flake", "main", "", "lockbot/update", "run", REV, REV, now, now)
    there = cast(branches.Branches, SimpleNamespace(way=Way.AGIT, clone=None, remote=None))
    assert branches.Branches.number(there, request) == 7
