"""What is made of each forge's answers, from its own API on a real server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from lockbot.forge.clients import FORGES
from lockbot.forge.http import Patience
from lockbot.forge.place import Account, Kind, Place, place_of
from lockbot.forge.responses import Check
from lockbot.forge.upstream import UpstreamChecks, sum_up
from lockbot.model import Locked
from lockbot.nix import forges
from lockbot.policy.upstream_checks import Checks, Standing
from lockbot.process import CancelToken
from tests.forge.server import Forgejo, GitHub, GitLab, Server, run, status

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
REV, OTHER = "1" * 40, "2" * 40
TOKEN = "canary-7d1f"  # noqa: S105 -- no secret: what must not turn up elsewhere
QUICK = Patience(timeout=5, delay=0.01)


def locked(url: str) -> Locked:
    return Locked(url.partition(":")[0], url, url, REV)


GITHUB, GITLAB = locked(f"github:owner/repo/{REV}"), locked(f"gitlab:group%2Fdeep/repo/{REV}")
FORGEJO = Locked("git", f"git+https://codeberg.org/owner/repo?rev={REV}", "git+https://codeberg.org/owner/repo")
Asker = Callable[[Account], UpstreamChecks]


@pytest.fixture
def asking(server: Server, cancel: CancelToken) -> Callable[..., UpstreamChecks]:
    """Every well-known forge is this server."""

    def make(prefix: str = "", token: str | None = None, patience: Patience = QUICK) -> UpstreamChecks:
        account = Account(url=server.url + prefix, token=token)
        hosts = dict.fromkeys(("github.com", "gitlab.com", "codeberg.org"), account)
        return UpstreamChecks(hosts, cancel, lambda: NOW, patience)

    return make


# -- GitHub


@pytest.mark.parametrize(
    ("runs", "statuses", "standing", "detail"),
    [
        ([run("build", "success")], [], Standing.GREEN, ""),
        ([run("build", "success"), run("docs", "skipped"), run("x", "neutral")], [], Standing.GREEN, ""),
        ([], [status("hydra", "success")], Standing.GREEN, ""),
        ([], [], Standing.NONE, ""),
        ([run("build", "success"), run("test", "failure")], [], Standing.RED, "check 'test' is failure"),
        ([run("test", "timed_out")], [], Standing.RED, "check 'test' is timed out"),
        ([run("test", "cancelled")], [], Standing.RED, "check 'test' is cancelled"),
        ([run("test", "what_is_new_next_year")], [], Standing.RED, "check 'test' is what is new next year"),
        ([run("build", "success")], [status("hydra", "error")], Standing.RED, "check 'hydra' is error"),
        ([run("build", None, "in_progress")], [], Standing.PENDING, "check 'build' is in progress"),
        ([run("a", None, "queued")], [status("b", "failure")], Standing.RED, "check 'b' is failure"),
        ([run("a", "success")], [status("b", "pending")], Standing.PENDING, "check 'b' is pending"),
        ([run("a", "failure"), run("b", "failure")], [], Standing.RED, "check 'a' is failure (and 1 more)"),
    ],
)
def test_github(
    server: Server,
    asking: Callable[..., UpstreamChecks],
    runs: list[dict[str, object]],
    statuses: list[dict[str, object]],
    standing: Standing,
    detail: str,
) -> None:
    server.answer = GitHub(server.url, {REV: runs}, {REV: statuses})
    found = asking()(GITHUB, REV)
    assert (found.standing, found.detail) == (standing, detail)
    if standing is Standing.GREEN:
        assert found.link == f"https://github.com/owner/repo/commit/{REV}"


def test_github_in_pages(server: Server, asking: Callable[..., UpstreamChecks]) -> None:
    fine = [run(f"run {n}", "success") for n in range(149)]
    server.answer = GitHub(server.url, {REV: [*fine, run("the last", "failure")]}, {REV: []})
    assert asking()(GITHUB, REV).detail == "check 'the last' is failure"
    assert len(server.asked) == 2, "a red one is enough: no statuses are asked for"
    many = [status(f"status {n}", "success") for n in range(230)]
    server.answer = GitHub(server.url, {REV: fine}, {REV: [*many, status("the last", "pending")]})
    assert asking()(GITHUB, REV) == Checks(
        Standing.PENDING, "check 'the last' is pending", "https://ci.example.org/8"
    )


def test_a_commit_is_asked_about_once(server: Server, asking: Callable[..., UpstreamChecks]) -> None:
    server.answer = GitHub(server.url, {REV: [run("a", "success")], OTHER: []})
    ask = asking()
    assert [ask(GITHUB, REV).standing, ask(GITHUB, REV).standing] == [Standing.GREEN] * 2
    assert len(server.asked) == 2
    assert ask(GITHUB, OTHER).standing is Standing.NONE


def test_headers(server: Server, asking: Callable[..., UpstreamChecks]) -> None:
    asking(token=TOKEN)(GITHUB, REV)
    asking(token=TOKEN)(GITLAB, REV)
    asking(token=TOKEN)(FORGEJO, REV)
    sent = [asked.headers["authorization"] for asked in server.asked]
    assert sent == [f"Bearer {TOKEN}", f"Bearer {TOKEN}", f"token {TOKEN}"]
    assert all(asked.headers["user-agent"].startswith("lockbot/") for asked in server.asked)
    assert server.asked[0].headers["x-github-api-version"] == "2022-11-28"


# -- GitLab


@pytest.mark.parametrize(
    ("pipeline", "standing"),
    [
        ("success", Standing.GREEN),
        ("failed", Standing.RED),
        ("canceled", Standing.RED),
        *(
            (word, Standing.PENDING)
            for word in ("created", "preparing", "pending", "running", "manual", "scheduled")
        ),
        ("skipped", Standing.NONE),
        (None, Standing.NONE),
    ],
)
def test_gitlab(
    server: Server, asking: Callable[..., UpstreamChecks], pipeline: str | None, standing: Standing
) -> None:
    server.answer = GitLab({REV: pipeline})
    found = asking()(GITLAB, REV)
    assert found.standing is standing
    if standing in (Standing.RED, Standing.PENDING):
        assert found.detail == f"check 'pipeline 7' is {pipeline}"
        assert found.link == "https://gitlab.com/group/deep/repo/-/pipelines/7"


# -- Forgejo and Gitea


@pytest.mark.parametrize(
    ("statuses", "standing"),
    [
        ([("a", "success"), ("b", "warning"), ("c", "skipped")], Standing.GREEN),
        ([("a", "success"), ("b", "pending")], Standing.PENDING),
        ([("a", "pending"), ("b", "failure")], Standing.RED),
        ([("a", "error")], Standing.RED),
        ([], Standing.NONE),
    ],
)
def test_forgejo(
    server: Server,
    asking: Callable[..., UpstreamChecks],
    statuses: list[tuple[str, str]],
    standing: Standing,
) -> None:
    server.answer = Forgejo({REV: statuses})
    found = asking("/api/v1")(FORGEJO, REV)
    assert found.standing is standing
    assert len(server.asked) == 1
    assert found.link in (None, f"https://codeberg.org/owner/repo/commit/{REV}"), "a path is no link"


def test_forgejo_in_pages_that_its_administrator_made_small(
    server: Server, asking: Callable[..., UpstreamChecks]
) -> None:
    server.answer = Forgejo({REV: [*((f"a{n}", "success") for n in range(24)), ("last", "failure")]}, most=10)
    assert asking("/api/v1")(FORGEJO, REV).detail == "check 'last' is failure"
    assert [asked.query["page"] for asked in server.asked] == ["1", "2", "3"]


# -- words


def test_what_anybody_named_a_check_is_one_short_line() -> None:
    evil = Check("a\nb\x1b[31m\u202e" + "x" * 500, Standing.RED, "fail\x00ed", "javascript:alert(1)")
    found = sum_up((evil,), None)
    assert found.link is None
    assert found.detail.isprintable() and len(found.detail) < 200


# -- where an input lives


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (f"github:NixOS/nixpkgs/{REV}", Place(Kind.GITHUB, "github.com", ("NixOS", "nixpkgs"))),
        (f"github:a/b/{REV}?host=ghe.example.org", Place(Kind.GITHUB, "ghe.example.org", ("a", "b"))),
        (f"gitlab:a%2Fb/c/{REV}", Place(Kind.GITLAB, "gitlab.com", ("a", "b", "c"))),
        (f"git+https://GitHub.com/a/b.git?rev={REV}", Place(Kind.GITHUB, "github.com", ("a", "b"))),
        (f"git+ssh://git@codeberg.org:22/a/b?rev={REV}", Place(Kind.FORGEJO, "codeberg.org", ("a", "b"))),
        ("git+https://own.example.org:8443/a/b", Place(Kind.FORGEJO, "own.example.org:8443", ("a", "b"))),
        ("git+https://own.example.org/a/b", None),
        ("git+https://unknown.example.org/a/b", None),
        ("git+https://github.com/a/b/c", None),
        ("git+https://github.com/a/%2e%2e", None),
        ("git+file:///home/a/b", None),
        ("git+https://github.com:99999999/a/b", None),
        ("sourcehut:~a/b", None),
        ("path:/a", None),
        ("https://github.com/a/b/archive/main.tar.gz", None),
        ("nonsense://", None),
    ],
)
def test_places(url: str, place: Place | None) -> None:
    assert place_of(locked(url), {"own.example.org:8443": Account(Kind.FORGEJO)}) == place


def test_every_forge_with_an_api_is_in_the_table() -> None:
    assert {kind.value for kind in Kind} <= forges.FORGES.keys()


def test_no_forge_is_said(server: Server, asking: Callable[..., UpstreamChecks]) -> None:
    assert asking()(locked("path:/a"), REV).standing is Standing.NO_FORGE
    assert asking()(GITHUB, "sha256-AAAA").standing is Standing.NO_FORGE
    assert server.asked == []


def test_where_each_kind_has_its_api() -> None:
    assert FORGES[Kind.GITHUB].api("github.com") == "https://api.github.com"
    assert FORGES[Kind.GITHUB].api("a.org") == "https://a.org/api/v3"
    assert FORGES[Kind.GITLAB].api("gitlab.com") == "https://gitlab.com/api/v4"
    assert FORGES[Kind.FORGEJO].api("codeberg.org") == "https://codeberg.org/api/v1"
    assert FORGES.keys() == frozenset(Kind)
