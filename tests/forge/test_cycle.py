"""Whole runs on an input that a forge on loopback has: git fetches it there, and its checks are asked there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from lockbot.commands import hold
from lockbot.history.input_states import StateWord
from lockbot.model import Outcome, Run
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import HostSpec, Input, Upstream
from tests.forge.server import GitHub, Reply, Server, run, status
from tests.forge.test_upstream import TOKEN
from tests.update.inside import World


class ForgeWorld(World):
    """Input a lives on the forge, b in a local repository; a's commits are named 1, 2, … from the oldest."""

    def __init__(
        self,
        nix: nixes.Nix,
        tmp: Path,
        cancel: CancelToken,
        server: Server,
        hosts: Sequence[HostSpec] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.root = tmp
        self.server = server
        self.forge = GitHub(f"{server.url}/api/v3", prefix="/api/v3")
        server.answer = self.forge
        server.repositories = tmp / "served"
        account = {"kind": "github", "url": f"{server.url}/api/v3", "token": TOKEN}
        wished = {
            "LOCKBOT_POLICY__UPSTREAM_CHECKS": "true",
            "LOCKBOT_FORGE": json.dumps({server.host: account}),
        }
        super().__init__(
            nix,
            tmp,
            cancel,
            hosts or [HostSpec("web", ["a", "b"])],
            "ab",
            wished | dict(settings or {}),
            moved=False,
        )

    def declared(self, upstream: Upstream) -> Upstream | Input:
        if upstream.name != "a":
            return upstream
        (self.root / "served" / "owner").mkdir(parents=True)
        (self.root / "served" / "owner" / "a").symlink_to(upstream.path)
        return Input(upstream, url=f"git+{self.server.url}/owner/a")

    def revision(self, number: int) -> str:
        return self.upstreams["a"].git("rev-list", "--reverse", "main").split()[number - 1]

    def check(self, **became: str | None) -> None:
        """`check(c2="success")`: what became of a's second commit; None: it still runs; "": it has no checks."""
        for name, conclusion in became.items():
            runs = [run("build", conclusion, "completed" if conclusion else "in_progress")]
            self.forge.runs[self.revision(int(name[1:]))] = [] if conclusion == "" else runs


Make = Callable[..., ForgeWorld]


@pytest.fixture
def make(tmp_path: Path, cancel: CancelToken, server: Server, one_nix: nixes.Nix) -> Make:
    def world(
        nix: nixes.Nix = one_nix, hosts: Sequence[HostSpec] = (), settings: Mapping[str, str] | None = None
    ) -> ForgeWorld:
        return ForgeWorld(nix, tmp_path, cancel, server, hosts, settings)

    return world


def reasons(run: Run) -> dict[str, str]:
    return {held.input: held.reason for held in run.held}


def test_the_newest_green_revision_is_taken(nix: nixes.Nix, make: Make, tmp_path: Path) -> None:
    world = make(nix)
    world.upstreams["a"].history(["second", "third", "fourth"])
    world.upstreams["b"].commit("second")
    world.check(c1="success", c2="success", c3="failure", c4=None)
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved() == {"a": "2", "b": "2"}, "the others move as ever"
    (held,) = run.held
    assert (held.input, held.reason) == ("a", "waiting-for-checks")
    tip, taken = world.revision(4)[:7], world.revision(2)[:7]
    assert held.detail.startswith(f"check 'build' is in progress on {tip} https://github.com/owner/repo/runs/5")
    assert f"{taken}, the newest green one, is taken" in held.detail
    assert any(note.startswith("b: taken without upstream's own verdict") for note in run.notes)
    message = world.fleet.git("log", "-1", "--format=%B", "main")
    assert "check 'build' is in progress" in message
    world.check(c4="success")
    asked = len(world.server.asked)
    assert world.update().outcome is Outcome.PUBLISHED
    assert world.moved()["a"] == "4"
    assert len(world.server.asked) == asked + 2, "no more is asked than the tip"
    assert {one.headers.get("authorization") for one in world.server.asked} == {f"Bearer {TOKEN}"}
    leaks = [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert leaks == [], "the token is nowhere on disk"
    assert not any(TOKEN in repr(event) for event in world.events)


def test_nothing_green_is_waited_for_and_can_be_accepted(make: Make) -> None:
    world = make()
    world.upstreams["a"].history(["second", "third"])
    world.check(c1="success", c2="failure", c3="failure")
    run = world.update("a")
    assert run.outcome is Outcome.UNCHANGED
    assert reasons(run) == {"a": "waiting-for-checks"}
    assert "; nor is the one before it green" in run.held[0].detail
    assert world.moved()["a"] == "1"
    assert world.state("a").state is StateWord.HELD
    hold.accept(world.app(), "a", None)
    assert world.update("a").outcome is Outcome.PUBLISHED
    assert world.moved()["a"] == "3"


def test_an_upstream_without_checks_is_not_held(make: Make) -> None:
    world = make()
    world.upstreams["a"].commit("second")
    world.check(c1="", c2="")
    run = world.update("a")
    assert run.outcome is Outcome.PUBLISHED
    assert "a: taken without upstream's own verdict, for its commits have no checks there" in run.notes


def test_checks_that_have_not_reported_get_a_day(make: Make) -> None:
    world = make()
    world.upstreams["a"].commit("second")
    world.check(c1="success", c2="")
    run = world.update("a")
    assert reasons(run) == {"a": "waiting-for-checks"}
    assert "no check has reported" in run.held[0].detail
    assert world.state("a").next_try == world.now + timedelta(days=1)
    world.now += timedelta(days=1)
    assert world.update("a").outcome is Outcome.PUBLISHED
    assert world.moved()["a"] == "2"


@pytest.mark.parametrize(
    ("reply", "detail", "again"),
    [
        (Reply({}, 403, {"X-RateLimit-Remaining": "0", "Retry-After": "600"}), "limit of requests", True),
        (Reply(b"gone", 404), "no such repository or commit for this token", False),
        (Reply(b"<html>"), "no JSON", False),
    ],
)
def test_a_forge_that_does_not_say(make: Make, reply: Reply, detail: str, again: bool) -> None:
    world = make()
    for upstream in world.upstreams.values():
        upstream.commit("second")
    world.server.answer = lambda _: reply
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved() == {"a": "1", "b": "2"}
    assert reasons(run) == {"a": "checks-unknown"}
    assert detail in run.held[0].detail
    next_try = world.state("a").next_try
    assert next_try == (world.now + timedelta(minutes=10) if again else None)


def test_the_search_takes_no_revision_that_is_red_upstream(make: Make) -> None:
    """The tip is green there and breaks a host here; the one before builds here and is red there."""
    world = make()
    world.upstreams["a"].history(["second", "third"])
    world.upstreams["a"].break_evaluation(hosts=["web"])
    world.check(c1="success", c2="success", c3="failure", c4="success")
    run = world.update("a")
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved()["a"] == "2"
    culprit = world.state("a").culprit
    assert culprit is not None and not culprit.exact, "the third was not judged: nobody is blamed for certain"


def test_what_is_old_enough_must_be_green_too(make: Make) -> None:
    world = make(settings={"LOCKBOT_POLICY__MINIMUM_AGE": "1d"})
    world.upstreams["a"].history(["second", "third"])
    world.check(c1="success", c2="success", c3="failure")
    assert reasons(world.update("a")) == {"a": "waiting-for-age"}
    assert world.server.asked == [], "nothing is old enough to ask about"
    world.now += timedelta(days=2)
    world.upstreams["a"].commit("fourth")
    world.check(c4="success")
    assert world.update("a").outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved()["a"] == "2"


def test_nobody_is_asked_who_need_not_be(make: Make) -> None:
    world = make(settings={"LOCKBOT_POLICY__UPSTREAM_CHECKS": "false"})
    world.upstreams["a"].commit("second")
    world.forge.statuses[world.revision(2)] = [status("ci", "failure")]
    assert world.update("a").outcome is Outcome.PUBLISHED
    assert world.server.asked == []
