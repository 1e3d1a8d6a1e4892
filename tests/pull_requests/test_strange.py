"""What seldom happens: left-over branches, pushes that fail just then, another repository at the address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lockbot.model import Landing, PullRequestState, RequestStep
from lockbot.process import CancelToken
from tests.forge.pull_requests.githost import GitHost
from tests.forge.server import Reply
from tests.nixes import Nix
from tests.pull_requests.forges import FORGES, NAME, host_of
from tests.pull_requests.inside import World
from tests.pull_requests.test_git_outages import a_hook_refuses
from tests.pull_requests.test_weeks import EACH
from tests.pull_requests.world import Nights

BRANCH = "lockbot/update-main"


def a_world(host: GitHost, directory: Path, cancel: CancelToken, kind: str, **options: object) -> World:
    forge = FORGES[kind](host)
    forge.require_check()
    return World(directory, forge, cancel, **options)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize("kind", FORGES)
def test_a_push_that_fails_where_a_closed_requests_branch_was_left(
    kind: str, tmp_path: Path, cancel: CancelToken
) -> None:
    """It is lockbot's still, whether the new commit has come there or not."""
    with host_of(tmp_path / "forge") as host:
        world = a_world(host, tmp_path, cancel, kind)
        world.moves("a")
        world.night()
        (one,) = world.open()
        world.forge.close(one.number)
        world.moves("a")
        with a_hook_refuses(host):
            assert world.night().trouble is not None
        assert [done.step for done in world.night().done] == [RequestStep.UNCHANGED]
        (one,) = world.open()
        assert world.locked(one.head) == world.upstream


@pytest.mark.parametrize("kind", FORGES)
def test_a_push_that_failed_is_no_no_where_the_old_branch_is_removed(
    kind: str, tmp_path: Path, cancel: CancelToken
) -> None:
    with host_of(tmp_path / "forge") as host:
        world = a_world(host, tmp_path, cancel, kind)
        world.moves("a")
        world.night()
        (one,) = world.open()
        world.forge.close(one.number)
        world.moves("a")
        with a_hook_refuses(host):
            assert world.night().trouble is not None
        host.git(NAME, "update-ref", "-d", f"refs/heads/{BRANCH}")
        assert [done.step for done in world.night().done] == [RequestStep.OPENED]


@pytest.mark.parametrize("landing", [Landing.WHEN_CHECKS_PASS, Landing.AT_ONCE])
@pytest.mark.parametrize("kind", FORGES)
def test_what_a_person_made_a_draft_does_not_land(
    kind: str, landing: Landing, tmp_path: Path, cancel: CancelToken
) -> None:
    with host_of(tmp_path / "forge") as host:
        world = a_world(host, tmp_path, cancel, kind, landing=landing)
        if landing is Landing.AT_ONCE:
            host.protect(NAME, "main")
        world.moves("a")
        world.night()
        (one,) = world.open()
        world.forge.make_draft(one.number)
        world.forge.check(one.head, "success")
        if landing is Landing.AT_ONCE:
            host.unprotect(NAME)
        for _ in range(2):
            night = world.night()
            assert (night.landed, world.tip()) == (None, world.first)
        (kept,) = world.kept()
        assert "draft" in kept.waits and world.open()[0].draft


@pytest.mark.parametrize("kind", FORGES)
def test_a_request_of_that_number_may_be_somebodys(kind: str, tmp_path: Path, cancel: CancelToken) -> None:
    """As where the repository was made anew, or the remote's address leads to another forge."""
    with host_of(tmp_path / "forge") as host:
        world = a_world(host, tmp_path, cancel, kind)
        world.moves("a")
        world.night()
        (one,) = world.open()
        host.git(NAME, "branch", "feature", "main")
        host.commit_on(NAME, "feature", "by hand", {"README": "x\n"})
        world.forge.is_anothers(one.number, "feature", "theirs")
        world.moves("b")
        world.night()
        after = next(shown for shown in world.forge.requests() if shown.number == one.number)
        assert (after.title, after.body, after.state) == ("theirs", "theirs", "open")
        (ours,) = [shown for shown in world.open() if shown.branch == BRANCH]
        assert ours.number != one.number and world.locked(ours.head) == world.upstream
        (kept,) = [request for request in world.kept() if request.state is PullRequestState.OPEN]
        assert kept.number == ours.number


@pytest.mark.parametrize("amended", [False, True])
def test_what_was_amended_is_theirs_where_the_history_is_lost(
    amended: bool, tmp_path: Path, cancel: CancelToken
) -> None:
    """By somebody whose address is the one that lockbot commits with."""
    with host_of(tmp_path / "forge") as host:
        world = a_world(host, tmp_path, cancel, "github")
        world.moves("a")
        world.night()
        (one,) = world.open()
        world.forgets()
        if amended:
            commit = host.git(NAME, "cat-file", "commit", one.head)
            later = re.sub(r"(?m)^(committer .*> )(\d+)", lambda found: f"{found[1]}{int(found[2]) + 60}", commit)
            (tmp_path / "amended").write_text(later + "\n")
            theirs = host.git(NAME, "hash-object", "-t", "commit", "-w", str(tmp_path / "amended"))
            host.git(NAME, "update-ref", f"refs/heads/{BRANCH}", theirs)
            host.pushed(NAME)
        world.moves("b")
        assert [done.step for done in world.night().done] == [
            RequestStep.LEFT_ALONE if amended else RequestStep.OPENED
        ]
        assert not amended or world.tip(BRANCH) == theirs


HOSTILE = {
    "an address that is none": Reply(status=302, headers={"Location": "//["}),
    "a year that is none": Reply(status=429, headers={"Retry-After": f"Mon, 01 Jan {'9' * 30} 00:00:00 GMT"}),
    "a zone that is none": Reply(status=429, headers={"Retry-After": f"Mon, 01 Jan 2020 00:00:00 +{'9' * 30}"}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_answers_that_no_forge_gives(case: str, tmp_path: Path, cancel: CancelToken) -> None:
    with host_of(tmp_path / "forge") as host:
        world = a_world(host, tmp_path, cancel, "github")
        for _ in range(2):  # when it is opened, then looked at
            world.moves("a")
            host.faults[:] = [lambda _call: HOSTILE[case]]
            assert world.night().told
            host.faults[:] = [lambda call: HOSTILE[case] if call.method != "GET" else None]
            assert world.night().told
            host.faults.clear()
            assert not world.night().told


# -- whole nights -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def only_one() -> str:
    """Which forge it is makes no difference."""
    return "forgejo"


def test_a_groups_request_is_the_same_whichever_of_it_moves(one_nix: Nix, tmp_path: Path, only_one: str) -> None:
    with host_of(tmp_path / "forge") as host:
        here = Nights(one_nix, tmp_path, FORGES[only_one](host), more=EACH)
        here.world.environment["LOCKBOT_GROUP"] = '[{"name": "g", "inputs": ["a", "b"], "strategy": "together"}]'
        for names in ("a", "ab", "b"):
            here.upstream(*names)
            here.night()
            assert here.only().branch == f"{BRANCH}=a+b"
        here.check()


def test_what_failed_for_each_of_a_series_is_no_success(one_nix: Nix, tmp_path: Path, only_one: str) -> None:
    """A look at earlier requests has told something before; then nothing can be pushed."""
    with host_of(tmp_path / "forge") as host:
        here = Nights(one_nix, tmp_path, FORGES[only_one](host), more=EACH)
        here.upstream("a")
        here.night()
        here.forge.close(here.only().number)
        here.upstream("a", "b")
        with a_hook_refuses(host):
            result = here.night(ends=3)
        assert (result["outcome"], result["commit"]) == ("failed", None)
        assert "not on Fridays" in result["error"]


def test_a_series_of_which_one_is_refused_tells_so(one_nix: Nix, tmp_path: Path, only_one: str) -> None:
    with host_of(tmp_path / "forge") as host:
        here = Nights(one_nix, tmp_path, FORGES[only_one](host), more=EACH)
        here.upstream("a")
        here.night()
        here.forge.close(here.only().number)
        here.upstream("a", "b")
        hook = host.repository(NAME) / "hooks/pre-receive"
        hook.write_text("#!/bin/sh\ngrep -q =a && echo 'not this one' >&2 && exit 1\nexit 0\n")
        hook.chmod(0o755)
        result = here.night()
        assert (result["outcome"], result["commit"]) == ("requested", None)
        assert "not this one" in result["error"]
        assert here.only().branch == f"{BRANCH}=b"
