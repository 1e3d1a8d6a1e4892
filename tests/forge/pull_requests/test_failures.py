"""What goes wrong between here and a forge while a request is looked at or changed, whichever forge it is.

The kind of error says what happened, nothing is done twice, no token leaks.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from lockbot.forge.forgejo import Forgejo
from lockbot.forge.github import GitHub
from lockbot.forge.gitlab import GitLab
from lockbot.forge.http import Client, Patience
from lockbot.forge.pull_requests.forgejo import ForgejoRequests
from lockbot.forge.pull_requests.github import GitHubRequests
from lockbot.forge.pull_requests.gitlab import GitLabRequests
from lockbot.forge.pull_requests.interface import People, RequestForge, RequestSeen, Wording
from lockbot.forge.responses import Forge, NoResponse, NoRight, NotThere, Refused, Uncertain
from lockbot.process import CancelToken
from tests.forge.pull_requests import github
from tests.forge.pull_requests.forgejo import ForgejoStandIn
from tests.forge.pull_requests.githost import Call, GitHost
from tests.forge.pull_requests.gitlab import GitLabStandIn
from tests.forge.pull_requests.working_copy import WorkingCopy
from tests.forge.server import Reply
from tests.sampling import EVERYTHING

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOKEN = "canary-7d1f"  # noqa: S105 -- no secret: what must not turn up elsewhere
PATH = ("owner", "repo")
BRANCH, MARK = "lockbot/update", "<!-- lockbot -->"
COMMENT = f"Look. {MARK}"
SAYS = Wording("Update nixpkgs", f"It builds. {MARK}")
QUICK = Patience(timeout=2, delay=0.01, between=0)
HASTY = Patience(timeout=0.4, delay=0.01, between=0)


class StandIn(Protocol):
    """What each forge's stand-in can do, beside answering as the API does."""

    def __call__(self, call: Call) -> Reply: ...

    def pushed(self, repository: str) -> None: ...


@dataclass(frozen=True)
class Joined:
    """A forge that takes part. `prefix`: what its API's address has behind the host."""

    forge: Forge
    requests: RequestForge
    stand_in: Callable[[GitHost, str], StandIn]
    prefix: str


FORGES: Mapping[str, Joined] = {
    "github": Joined(GitHub(), GitHubRequests(), github.GitHubStandIn, github.PREFIX),
    "gitlab": Joined(GitLab(), GitLabRequests(), GitLabStandIn, "/api/v4"),
    "forgejo": Joined(Forgejo(), ForgejoRequests(), ForgejoStandIn, "/api/v1"),
}


@dataclass
class Asking:
    """A forge whose repository has one open request, and who asks it."""

    requests: RequestForge
    host: GitHost
    clone: WorkingCopy
    api: Client
    hasty: Client
    seen: RequestSeen
    comment: str

    def faulty(self, reply: Reply, method: str = "", *, times: int = 10**6) -> None:
        """From now on this is what is answered (to a method; else to all), so many times."""
        left = [reply] * min(times, 1000)
        self.host.faults[:] = [lambda call: left.pop() if left and method in ("", call.method) else None]

    def recover(self) -> None:
        """As it was at first, whatever a test did to it."""
        self.host.faults.clear()
        self.host.tokens[TOKEN] = "lockbot"
        if (more := self.requests.find(self.api, PATH, "lockbot/more")) is not None:
            self.requests.close(self.api, PATH, more.number)
        self.requests.comment(self.api, PATH, self.seen.number, COMMENT, self.comment)


@pytest.fixture(scope="module", params=FORGES)
def of_all_tests(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """One for each forge: to make it takes longer than most tests."""
    joined, directory, cancel = FORGES[request.param], tmp_path_factory.mktemp("forge"), CancelToken()
    with pytest.MonkeyPatch.context() as patch, GitHost(directory / "host", tokens={TOKEN: "lockbot"}) as host:
        patch.setenv("NO_PROXY", "*")
        host.create("owner/repo")
        host.api = stand_in = joined.stand_in(host, "owner/repo")
        host.pushed = stand_in.pushed
        clone = WorkingCopy(host, "owner/repo", directory / "clone", TOKEN)
        clone.push("main", "first")
        base, headers = f"{host.url}{joined.prefix}", joined.forge.headers(TOKEN)
        api, hasty = (
            Client(base, headers, cancel, lambda: NOW, patience, "request") for patience in (QUICK, HASTY)
        )
        clone.push(BRANCH, "update", on="main")
        seen = joined.requests.open(api, PATH, BRANCH, "main", SAYS)
        comment = joined.requests.comment(api, PATH, seen.number, COMMENT, None)
        yield Asking(joined.requests, host, clone, api, hasty, seen, comment)


@pytest.fixture
def asking(of_all_tests: Asking) -> Iterator[Asking]:
    yield of_all_tests
    of_all_tests.recover()


JUNK: Sequence[Any] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    "x\x00\ud800",
    "a" * 100_000,
    [],
    [[]],
    [None],
    {},
    {"a": {}},
)

Ask = Callable[[Asking, Client], object]
READ: Mapping[str, Ask] = {
    "repository": lambda it, api: it.requests.repository(api, PATH),
    "find": lambda it, api: it.requests.find(api, PATH, BRANCH),
    "look": lambda it, api: it.requests.look(api, PATH, it.seen.number),
    "find_comment": lambda it, api: it.requests.find_comment(api, PATH, it.seen, MARK),
    "checks": lambda it, api: it.requests.checks(api, PATH, "main", it.seen.head),
}
CHANGE: Mapping[str, Ask] = {
    "open": lambda it, api: it.requests.open(api, PATH, "lockbot/more", "main", SAYS),
    "change": lambda it, api: it.requests.change(api, PATH, it.seen, Wording("New", "Other")),
    "close": lambda it, api: it.requests.close(api, PATH, it.seen.number),
    "comment": lambda it, api: it.requests.comment(api, PATH, it.seen.number, "text", None),
    "edit": lambda it, api: it.requests.comment(api, PATH, it.seen.number, "text", it.comment),
}
every = pytest.mark.parametrize("ask", [*READ.values(), *CHANGE.values()], ids=[*READ, *CHANGE])
reading = pytest.mark.parametrize("ask", READ.values(), ids=READ)
SHAPED: Mapping[str, Ask] = {**READ, **{name: CHANGE[name] for name in ("open", "comment", "edit")}}
"""Of whose answer something is needed."""
shaped = pytest.mark.parametrize("ask", SHAPED.values(), ids=SHAPED)
changing = pytest.mark.parametrize("ask", CHANGE.values(), ids=CHANGE)


def raised(asking: Asking, ask: Ask, kind: type[NoResponse], api: Client | None = None) -> NoResponse:
    """Exactly this kind of error, which tells no token."""
    with pytest.raises(NoResponse) as caught:
        ask(asking, api or asking.api)
    assert type(caught.value) is kind
    assert TOKEN not in f"{caught.value!r} {caught.value} {asking.api!r}"
    return caught.value


@every
def test_a_token_that_is_not_accepted(asking: Asking, ask: Ask) -> None:
    asking.host.tokens.clear()
    assert "does not accept the token" in raised(asking, ask, NoRight).message


@every
def test_a_right_that_is_missing_is_named(asking: Asking, ask: Ask) -> None:
    named = {"X-Accepted-GitHub-Permissions": "pull_requests=write"}
    asking.faulty(Reply({"message": "Resource not accessible"}, 403, named))
    error = raised(asking, ask, NoRight)
    assert isinstance(error, NoRight) and error.lacks == "pull_requests=write"
    assert "pull_requests=write" in error.message


@every
def test_what_is_not_there(asking: Asking, ask: Ask) -> None:
    asking.faulty(Reply({"message": "404 Not Found"}, 404))
    raised(asking, ask, NotThere)


@changing
def test_what_is_refused_says_why(asking: Asking, ask: Ask) -> None:
    for status in (405, 409, 412, 422):
        asking.faulty(Reply({"message": "Conflict", "errors": [{"message": "say why\x1b[2J"}]}, status))
        error = raised(asking, ask, Refused)
        assert isinstance(error, Refused) and error.status == status
        assert error.words == r"Conflict; say why\x1b[2J"


@changing
def test_what_is_refused_in_words_of_any_shape(asking: Asking, ask: Ask) -> None:
    for junk in JUNK:
        asking.faulty(Reply({"message": junk, "errors": junk}, 422))
        error = raised(asking, ask, Refused)
        assert isinstance(error, Refused) and len(error.words) <= 300 and error.words.isprintable()


@changing
def test_a_token_that_is_repeated_is_not_told(asking: Asking, ask: Ask) -> None:
    for status, kind in ((403, NoRight), (409, Refused), (422, Refused)):
        asking.faulty(Reply({"message": f"bad credentials: {TOKEN}"}, status))
        assert TOKEN not in repr(raised(asking, ask, kind).__dict__)


LIMITS = [
    (Reply({}, 429, {"Retry-After": "90"}), timedelta(seconds=90)),
    (Reply({}, 403, {"Retry-After": "90"}), timedelta(seconds=90)),
    (
        Reply({}, 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 600)}),
        timedelta(minutes=10),
    ),
    (Reply({}, 429), timedelta(minutes=1)),
]


@every
def test_a_limit_of_requests(asking: Asking, ask: Ask) -> None:
    for reply, wait in LIMITS:
        asking.faulty(reply)
        before = len(asking.host.calls)
        error = raised(asking, ask, NoResponse)
        assert error.until == NOW + wait and error.everywhere
        assert len(asking.host.calls) == before + 1, "it is not asked again"


@reading
def test_what_passes_is_asked_again(asking: Asking, ask: Ask) -> None:
    fine = ask(asking, asking.api)
    for reply in (Reply(b"oops", 502), cut_off({"a": 1})):
        asking.faulty(reply, times=1)
        before = len(asking.host.calls)
        assert ask(asking, asking.api) == fine
        assert len(asking.host.calls) > before + 1


def cut_off(document: object) -> Reply:
    return Reply(json.dumps(document).encode(), headers={"Content-Length": "9999"})


@changing
@pytest.mark.parametrize(
    "reply", [Reply(b"oops", 502), Reply(hang=60), cut_off({"number": 1})], ids=["5xx", "hangs", "cut-off"]
)
def test_a_change_without_an_answer_is_uncertain_and_made_once(asking: Asking, ask: Ask, reply: Reply) -> None:
    asking.faulty(reply)
    before = len(asking.host.calls)
    began = time.monotonic()
    raised(asking, ask, Uncertain, asking.hasty)
    assert time.monotonic() - began < 10
    assert len(asking.host.calls) == before + 1


@pytest.mark.parametrize(
    "reply", [Reply(b"oops", 502), cut_off({}), Reply(hang=60)], ids=["5xx", "cut-off", "hangs"]
)
def test_what_was_done_though_no_answer_came_is_found(asking: Asking, reply: Reply) -> None:
    """The same call again would be refused, or open a second one: who asks looks first."""
    asking.clone.push("lockbot/more", "more", on="main")

    def done(call: Call) -> Reply | None:
        if call.method == "GET":
            return None
        assert asking.host.api(call).status < 300
        return reply

    asking.host.faults[:] = [done]
    raised(asking, CHANGE["open"], Uncertain, asking.hasty)
    found = asking.requests.find(asking.api, PATH, "lockbot/more")
    assert found is not None and found.wording == SAYS
    asking.host.faults.clear()
    with pytest.raises(Refused):
        CHANGE["open"](asking, asking.api)


@reading
@pytest.mark.parametrize("reply", [Reply(hang=60), Reply(b" " * 600 + b"{}", drip=0.05)], ids=["silent", "drips"])
def test_a_host_that_hangs(asking: Asking, ask: Ask, reply: Reply) -> None:
    asking.faulty(reply)
    began = time.monotonic()
    assert raised(asking, ask, NoResponse, asking.hasty).message.endswith("does not answer")
    assert time.monotonic() - began < 10


@every
def test_something_else_than_json(asking: Asking, ask: Ask) -> None:
    for body in (b"<html>Sign in</html>", b"{", b"\xff\xfe", b"[" * 200_000):
        asking.faulty(Reply(body))
        assert "no JSON" in raised(asking, ask, NoResponse).message


@every
def test_an_answer_of_another_host_is_not_asked_for(asking: Asking, ask: Ask, tmp_path: Path) -> None:
    with GitHost(tmp_path / "other") as other:
        elsewhere = {"Location": f"{other.url}/steal", "Link": f'<{other.url}/steal>; rel="next"'}
        for reply in (Reply({}, 301, elsewhere), Reply({}, 307, elsewhere)):
            asking.faulty(reply)
            with pytest.raises(NoResponse):
                ask(asking, asking.api)
        assert other.calls == []


@pytest.mark.parametrize("ask", [READ["find"], READ["find_comment"]], ids=["find", "find_comment"])
def test_a_next_page_of_another_host_is_not_asked_for(asking: Asking, ask: Ask, tmp_path: Path) -> None:
    with GitHost(tmp_path / "other") as other:
        asking.faulty(Reply([], 200, {"Link": f'<{other.url}/steal>; rel="next"'}))
        try:
            ask(asking, asking.api)  # Forgejo's module counts pages, and follows no link
        except NoResponse as error:
            assert "another host" in error.message
        assert other.calls == []


@shaped
def test_answers_of_wrong_types(asking: Asking, ask: Ask) -> None:
    """What the forge would have answered, with one thing in it that is something else, for each thing in it: it is
    taken for what it is, or said not to be as documented; never is it a crash."""
    asking.clone.push("lockbot/more", "more", on="main")
    refused = taken = 0
    number = 0
    while (mangled := _Mangled(number)).more(asking, ask):
        refused += mangled.refused
        taken += not mangled.refused
        number += 1 if EVERYTHING or number < 20 else 3
    assert number > 2 and taken > 0
    assert refused > 0 or ask is CHANGE["edit"]  # of which Forgejo's module reads no answer


class _Mangled:
    """One thing of one call's answers replaced, by its number among all."""

    def __init__(self, number: int) -> None:
        self._left = number
        self._junk = JUNK[number % len(JUNK)]
        self._done = False
        self.refused = False

    def more(self, asking: Asking, ask: Ask) -> bool:
        """Asks; False: there are not so many things."""
        asking.host.faults[:] = [lambda call: self._replace(asking.host.api(call))]
        try:
            _sound(ask(asking, asking.api))
        except NoResponse:
            self.refused = True
        asking.host.faults.clear()
        if (made := asking.requests.find(asking.api, PATH, "lockbot/more")) is not None:
            asking.requests.close(asking.api, PATH, made.number)
        return self._done

    def _replace(self, reply: Reply) -> Reply:
        body = copy.deepcopy(reply.body)
        places = list(_places(body))
        if self._done or self._left >= len(places) + 1:
            self._left -= len(places) + 1
            return reply
        self._done = True
        if self._left == 0:
            return Reply(self._junk, reply.status, reply.headers)
        holder, key = places[self._left - 1]
        holder[key] = self._junk
        return Reply(body, reply.status, reply.headers)


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    pairs = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(pairs):
        yield document, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _sound(result: object) -> None:
    """Everything in it is what its type says, as far as texts and numbers go."""
    if dataclasses.is_dataclass(result):
        for each in dataclasses.fields(result):
            value = getattr(result, each.name)
            if each.type == "str":
                assert isinstance(value, str)
            if each.type == "int":
                assert isinstance(value, int) and not isinstance(value, bool)
            _sound(value)
    elif isinstance(result, tuple):
        for one in result:
            _sound(one)


@pytest.mark.parametrize("name", ["open", "change", "close", "comment"])
def test_what_is_done_only_as_the_status_says_is_not_done(asking: Asking, name: str) -> None:
    """200, by somebody else than the forge's API. (Forgejo may say nothing of a comment that was edited.)"""
    answers: Sequence[Any] = (None, [], {}, {"number": "1"}, {"number": 10**9, "iid": 10**9})
    for answer in answers:
        asking.faulty(Reply(answer))
        raised(asking, CHANGE[name], NoResponse)


def test_filing_tells_what_failed(asking: Asking) -> None:
    asking.faulty(Reply({"message": "no"}, 403), "POST")
    told = asking.requests.file(asking.api, PATH, asking.seen.number, People(("a",), ("person",), ("person",)))
    assert told and TOKEN not in "".join(told)
