"""Holds until a pull request is merged: of the three forges, with all that one may answer."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lockbot.commands.holds import tools
from lockbot.errors import Cancelled, UsageError
from lockbot.forge import repositories
from lockbot.forge.http import Patience
from lockbot.process import CancelToken
from tests.forge.server import Answer, Asked, Reply
from tests.forge.test_upstream import TOKEN
from tests.forge.upstream_pull_requests import GitLab, Pull
from tests.holds.waiting import FORGES, HOUR, Make
from tests.nixes import PROJECT

DAY = timedelta(days=1)


@pytest.mark.parametrize("kind", FORGES)
def test_a_merge_ends_a_hold_when_the_branch_has_it(make: Make, kind: str) -> None:
    world = make(kind)
    world.forge.pulls[1] = pull = Pull()
    told = world.wait(world.url())
    assert told.startswith(f"a is held where it is until {world.url()} is merged, from the next run on\n")
    assert "asked just now: it is still open" in told
    assert world.ask() == () and world.answer == "it is still open"
    pull.state, pull.commit = "merged", world.upstream.commit(world.first, branch="main")
    assert world.ask() == ()
    assert world.answer == "merged on 2026-11-20; not yet in stable"
    assert f"until {world.url()} is merged; asked less than a minute ago: merged on 2026-11-20;" in world.told()
    world.upstream.line(3, pull.commit, branch="stable")
    assert world.ask() == (f"a moves again: {world.url()} was merged on 2026-11-20, and stable has it",)
    assert world.hold is None
    assert world.ask() == (), "it is told once"
    assert all(TOKEN in asked.headers["authorization"] for asked in world.server.asked)


@pytest.mark.parametrize("kind", FORGES)
def test_what_is_closed_holds_on_and_says_so(make: Make, kind: str) -> None:
    world = make(kind)
    world.forge.pulls[1] = pull = Pull()
    world.wait(world.url())
    pull.state = "closed"
    assert world.ask() == ()
    assert world.answer == "it was closed, and nobody will merge it; `lockbot release a` ends the hold"
    assert "nobody will merge it" in world.told()
    pull.state = "open"
    assert world.ask() == () and world.answer == "it is still open", "it was opened again"


@pytest.mark.parametrize(
    ("pull", "knows"),
    [
        (Pull("merged", squash=True), True),
        (Pull("merged", as_is=True), True),
        (Pull("merged"), True),
        (Pull("merged", commit="", squash=True), False),
    ],
)
def test_gitlabs_ways_to_merge(make: Make, pull: Pull, knows: bool) -> None:
    """Without a commit that it is merged as, nobody can look for it: it ends, and says so."""
    world = make("gitlab")
    world.forge.pulls[1] = Pull()
    world.wait(world.url())
    if pull.commit is None:
        pull.commit = world.upstream.commit(world.first, branch="main")
    world.forge.pulls[1] = pull
    told = world.ask()
    if knows:
        assert told == () and world.answer.endswith("not yet in stable")
    else:
        assert "as which commit is not told, so stable may lack it" in told[0]


def test_a_merge_request_that_is_being_merged(make: Make) -> None:
    world = make("gitlab")
    assert isinstance(world.forge, GitLab)
    world.forge.pulls[1] = Pull("locked")
    assert "it is still open" in world.wait(world.url())


ORIGINALS = {
    "a tarball": {"type": "tarball", "url": "https://example.org/a.tar.gz"},
    "another repository": None,
}


@pytest.mark.parametrize("kind", ORIGINALS)
def test_where_the_input_has_no_such_history_the_merge_ends_it(
    make: Make, kind: str, tmp_path: Path, git_environment: dict[str, str], cancel: CancelToken
) -> None:
    world = make()
    original = ORIGINALS[kind]
    if original is None:
        other = type(world.upstream)(tmp_path / "other", git_environment, cancel)
        world.first = other.commit(branch="stable")
        original = {"type": "git", "url": other.url, "ref": "stable"}
    world.lock(original)
    world.forge.pulls[1] = pull = Pull()
    world.wait(world.url())
    pull.state, pull.commit = "merged", world.upstream.commit(branch="main")
    (told,) = world.ask()
    assert told.endswith("was merged on 2026-11-20; whether what a follows has it can't be told")


# -- when it is made


NO_USE = [
    (Pull("merged"), "was merged on 2026-11-20, and stable has it: there is nothing to wait for", "the next run"),
    (Pull("closed"), "there is nothing to wait for: it was closed, and nobody will merge it", "--until-merged"),
    (None, "no such repository or pull request for this token (404)", "is it written right?"),
]


@pytest.mark.parametrize("kind", FORGES)
def test_what_is_no_use_is_told_at_once(make: Make, kind: str) -> None:
    world = make(kind)
    for pull, why, hint in NO_USE:
        world.forge.pulls = {1: replace(pull, commit=world.first)} if pull is not None else {}
        with pytest.raises(UsageError) as caught:
            world.wait(world.url())
        assert why in caught.value.message and hint in caught.value.hint
        assert "lockbot release" not in caught.value.message, "there is no hold yet"
    assert world.hold is None


def test_what_is_merged_and_has_not_arrived_is_worth_a_hold(make: Make) -> None:
    world = make()
    world.forge.pulls[1] = Pull("merged", world.upstream.commit(world.first, branch="main"))
    assert "asked just now: merged on 2026-11-20; not yet in stable" in world.wait(world.url())


TROUBLE: dict[str, tuple[Reply, str]] = {
    "a limit": (Reply({}, 403, {"X-RateLimit-Remaining": "0"}), "its limit of requests"),
    "another limit": (Reply({}, 429, {"Retry-After": "9"}), "its limit of requests"),
    "no right": (Reply({}, 403), "does not let this token read that"),
    "no token": (Reply({}, 401), "does not accept the token (see [forge]"),
    "broken": (Reply(b"oops", 502), "answers 502"),
    "a page": (Reply(b"<html>Sign in"), "no JSON"),
    "slow": (Reply({}, drip=2, hang=30), "does not answer"),
    "nothing of use": (Reply({"merged": "yes", "state": 4}), "otherwise than its API is documented"),
    "an unknown state": (Reply({"state": "levitating"}), "otherwise than its API is documented"),
    "moved": (Reply(status=301, headers={"Location": "http://127.0.0.1:9/steal"}), "another host"),
}


def test_a_forge_that_does_not_say_keeps_the_hold(make: Make) -> None:
    """It is made all the same, with the reason; and once it answers, it ends."""
    world = make()
    fine = world.forge
    for trouble, (reply, why) in TROUBLE.items():
        world.server.answer = _always(reply)
        told = world.wait(world.url())
        assert "could not be asked yet" in told and why in told, trouble
        assert world.ask() == () and why in world.answer, trouble
        assert "there was no answer yet" in world.told(), trouble
        assert TOKEN not in world.told() + told, trouble
        world.server.answer = fine
        world.forge.pulls[1] = Pull("merged", world.first)
        assert len(world.ask()) == 1, trouble


def _always(reply: Reply) -> Answer:
    return lambda _: reply


def test_trouble_after_the_merge_is_no_arrival(make: Make) -> None:
    """What is merged for sure has not arrived for sure."""
    world = make()
    world.forge.pulls[1] = pull = Pull()
    world.wait(world.url())
    pull.state, pull.commit = "merged", world.first

    def answer(asked: Asked) -> Reply:
        return Reply({}, 500) if "compare" in asked.path else world.forge(asked)

    world.server.answer = answer
    assert world.ask() == ()
    assert world.answer.startswith("merged on 2026-11-20; whether stable has it could not be asked: ")


def test_a_renamed_repository_is_followed(make: Make) -> None:
    world = make()
    world.forge.pulls[1] = Pull("merged", world.upstream.commit(world.first, branch="main"))

    def answer(asked: Asked) -> Reply:
        if asked.path.startswith("/repos/"):
            there = asked.path.replace("/repos/owner/repo", "/repositories/7")
            return Reply(status=301, headers={"Location": there})
        path = asked.path.replace("/repositories/7", "/repos/owner/repo")
        return world.forge(Asked(path, asked.query, asked.headers, asked.every))

    world.server.answer = answer
    assert "merged on 2026-11-20" in world.wait(world.url())


def test_a_host_that_does_not_answer_is_asked_once_for_all(make: Make) -> None:
    """However many holds wait for it."""
    world = make()
    world.server.answer = lambda _: Reply({}, 429)
    world.wait(world.url())
    held = world.hold
    assert held is not None
    world.lock({"type": "git", "url": world.upstream.url, "ref": "stable"}, names=("a", "b", "c"))
    app = world.app
    with app.history() as history:
        for name in ("b", "c"):
            history.ledger(app.place().flake).hold(replace(held, input=name))
    asked = len(world.server.asked)
    assert world.ask() == ()
    assert len(world.server.asked) == asked + 1
    assert world.told().count("its limit of requests") == 3


# -- how often


def test_it_is_asked_once_an_hour_at_most(make: Make) -> None:
    world = make()
    world.forge.pulls[1] = Pull()
    world.wait(world.url())
    steps = [(timedelta(0), 0), (HOUR - timedelta(seconds=1), 0), (timedelta(seconds=1), 1), (HOUR / 2, 0)]
    steps += [(-DAY, 1), (HOUR / 2, 0), (HOUR / 2, 1), (3 * DAY, 1)]
    for after, times in steps:
        before = len(world.server.asked)
        world.ask(after)
        assert len(world.server.asked) == before + times, after


def test_who_fails_is_not_asked_sooner(make: Make) -> None:
    world = make()
    world.server.answer = lambda _: Reply({}, 429)
    world.wait(world.url())
    asked = len(world.server.asked)
    world.ask(HOUR / 2)
    assert len(world.server.asked) == asked


def test_another_process_asks_at_the_same_time(make: Make) -> None:
    """Whichever is first asks; the other does not."""
    world = make()
    world.forge.pulls[1] = Pull()
    world.wait(world.url())
    inner: list[tuple[str, ...]] = []

    def answer(asked: Asked) -> Reply:
        if not inner:
            inner.append(world.ask(timedelta(0)))
        return world.forge(asked)

    world.server.answer = answer
    asked = len(world.server.asked)
    assert world.ask() == () and inner == [()]
    assert len(world.server.asked) == asked + 1


def test_a_hold_that_the_user_changes_meanwhile_stays(make: Make) -> None:
    """The answer is about another one than is there when it comes."""
    world = make()
    world.forge.pulls[1] = Pull("open")
    world.forge.pulls[2] = Pull("open")
    world.wait(world.url())

    def answer(asked: Asked) -> Reply:
        world.server.answer = world.forge
        world.now += timedelta(seconds=1)
        world.wait(world.url(2))
        world.forge.pulls[1] = Pull("merged", world.first)
        return world.forge(asked)

    world.server.answer = answer
    assert world.ask() == ()
    found = world.hold
    assert found is not None and found.ends is not None and world.url(2) in repr(found.ends)
    assert world.answer == "it is still open"


def test_who_was_killed_while_asking_has_asked(make: Make) -> None:
    """The hold stays; in an hour it is asked again."""
    world = make()
    world.forge.pulls[1] = Pull()
    world.wait(world.url())

    def stopped(_: Asked) -> Reply:
        world.cancel.cancel("SIGTERM")
        return Reply(hang=5)

    world.server.answer = stopped
    with pytest.raises(Cancelled):
        world.ask()
    fresh = CancelToken()
    world.cancel, world.server.answer = fresh, world.forge
    world.forge.pulls[1] = Pull("merged", world.first)
    assert world.ask(HOUR / 2) == () and world.hold is not None
    assert len(world.ask(HOUR / 2)) == 1
    fresh.close()


def test_a_run_that_is_killed_while_it_asks(make: Make) -> None:
    """Between asking and releasing nothing is lost: the hold stays, and an hour later it ends."""
    world = make()
    world.forge.pulls[1] = Pull()
    world.wait(world.url())
    world.now = datetime.now(UTC) + HOUR
    environment = {**world.app.environ, "PYTHONPATH": str(PROJECT), "NO_PROXY": "*"}
    run = subprocess.Popen([sys.executable, "-m", "lockbot", "update"], env=environment, cwd="/")

    def killed(_: Asked) -> Reply:
        run.kill()
        run.wait()
        return Reply(b"")

    world.server.answer = killed
    assert run.wait(60) == -signal.SIGKILL
    found = world.hold
    assert found is not None and found.heard is not None and found.heard.answer == "it is still open"
    world.server.answer = world.forge
    world.forge.pulls[1] = Pull("merged", world.first)
    assert world.ask(-HOUR / 2) == () and world.hold is not None
    assert len(world.ask(HOUR)) == 1


def test_what_can_not_be_asked_for_a_week_is_an_alarm(make: Make) -> None:
    world = make()
    world.forge.pulls[1] = Pull()
    world.wait(world.url())
    world.server.answer = lambda _: Reply({}, 401)
    world.ask(6 * DAY)
    assert "ALARM" not in world.told().replace("ALARM no run", "")
    world.ask(2 * DAY)
    assert f"ALARM a: it is held until {world.url()} is merged, which could not be asked since 2026-11-22" in (
        world.told()
    )
    world.server.answer = world.forge
    world.ask(HOUR)
    assert "could not be asked" not in world.told()


def test_a_forge_that_is_no_longer_configured(make: Make) -> None:
    world = make()
    world.forge.pulls[1] = Pull()
    world.wait(world.url())
    world.config = {"LOCKBOT_FORGE": "{}"}
    assert world.ask() == ()
    assert "is not known" in world.answer


def test_all_questions_together_are_bounded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_SECONDS", 0.2)
    world = make()
    world.forge.pulls[1] = Pull()
    world.wait(world.url())
    world.server.answer = lambda _: Reply(hang=30)
    monkeypatch.setattr(repositories, "_PATIENCE", Patience(timeout=60))
    assert world.ask() == ()
    assert world.answer == "there was no time left for an answer"


def test_the_answer_of_a_stranger_is_cut(make: Make) -> None:
    world = make()
    pull = Pull("merged", world.upstream.commit(world.first, branch="main"), moment="x" * 5000)
    world.forge.pulls[1] = pull
    assert "asked just now: merged; not yet in stable" in world.wait(world.url())
