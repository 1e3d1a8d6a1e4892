"""People come first: whatever somebody does to a request or its branch, and whenever, it stands, and is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.pull_requests.conftest import Make, by_turns
from tests.pull_requests.world import Nights
from tests.sampling import EVERYTHING

BRANCH = "lockbot/update-main"


def opened(make: Make, **options: object) -> Nights:
    """A night has opened a request, and upstream has gone on since."""
    nights = make(**options)
    nights.upstream("a")
    nights.night()
    assert nights.only().branch == BRANCH
    nights.upstream("b")
    return nights


def test_a_commit_of_somebodys_on_the_branch_stays_and_is_told_once(nights: Make) -> None:
    here = opened(nights)
    theirs = here.person_commits(BRANCH)
    for _ in range(2):
        result = here.night()
        assert [one["step"] for one in result["pull_requests"]] == ["left alone"]
        assert here.tip(BRANCH) == theirs
    (comment,) = here.forge.comments(here.only().number)
    assert comment.count("leaves it alone") == 1
    here.check({theirs})


@by_turns("github")
def test_when_their_commit_is_gone_lockbot_goes_on(nights: Make) -> None:
    here = opened(nights)
    before = here.tip(BRANCH)
    here.person_commits(BRANCH)
    here.night()
    here.forge.host.git("owner/flake", "update-ref", f"refs/heads/{BRANCH}", before)
    here.forge.host.pushed("owner/flake")
    assert [one["step"] for one in here.night()["pull_requests"]] == ["updated"]
    here.check()


STEPS: dict[str, str] = {
    "when lockbot has looked, and git has not": "look before push",
    "when git has looked, too": "push",
    "when nobody has looked": "look before fetch",
}


@pytest.mark.parametrize("when", STEPS)
def test_a_push_just_before_lockbots_own_is_not_overwritten(nights: Make, when: str) -> None:
    here, theirs = opened(nights), []
    here.meanwhile(STEPS[when], lambda: theirs.append(here.person_commits(BRANCH)))
    result = here.night()
    assert [one["step"] for one in result["pull_requests"]] == ["left alone"]
    assert here.tip(BRANCH) == theirs[0]
    here.check(set(theirs))


def at_call(here: Nights, wanted: int, act: Callable[[], object]) -> Callable[[], int]:
    """Before the n-th request of the API from now on something happens; how many there have been since."""
    first = len(here.forge.host.calls)

    def fault(_call: object) -> None:
        if len(here.forge.host.calls) - first == wanted:
            act()

    here.forge.host.faults[:] = [fault]
    return lambda: len(here.forge.host.calls) - first


OFFSET = {"github": 0, "gitlab": 1, "forgejo": 2}


def test_a_push_between_any_two_calls_is_not_overwritten(nights: Make, kind: str) -> None:
    """While a request is updated, and landed where its checks have passed; the next calls in the next night."""
    here = opened(nights, publish='merge = "when-checks-pass"')
    here.forge.require_check()
    kept: set[str] = set()
    wanted, calls = 1 + (0 if EVERYTHING else OFFSET[kind]), 99
    while wanted <= calls:
        here.forge.check(here.tip(BRANCH), "success")
        made: list[str] = []
        count = at_call(here, wanted, lambda made=made: made.append(here.person_commits(BRANCH)))  # type: ignore[misc]
        here.night()
        calls = count()
        here.forge.host.faults.clear()
        here.check(kept | set(made))
        for commit in made:  # they keep it, and are done with the request
            kept.add(commit)
            here.forge.host.git("owner/flake", "branch", f"kept-{wanted}", commit)
        for one in here.open():
            here.forge.close(one.number)
        here.forge.host.git("owner/flake", "update-ref", "-d", f"refs/heads/{BRANCH}")
        here.upstream("a")
        here.night()
        here.upstream("b")
        wanted += 1 if EVERYTHING else 3
    assert kept
    here.check(kept)


@by_turns("forgejo")
def test_a_branch_on_which_somebody_goes_on_after_it_landed_is_not_removed(nights: Make) -> None:
    here = nights(publish='merge = "at-once"')
    here.upstream("a")
    assert here.night()["outcome"] == "published"
    theirs = here.person_commits(BRANCH)
    for _ in range(2):
        here.settle()
        assert here.tip(BRANCH) == theirs
    here.check({theirs})


def test_a_request_that_was_closed_stays_closed_for_these_revisions(nights: Make) -> None:
    here = nights()
    here.upstream("a")
    here.night()
    number = here.only().number
    here.forge.close(number)
    result = here.night()
    assert [one["step"] for one in result["pull_requests"]] == ["closed", "refused"]
    assert here.open() == []
    assert [one["step"] for one in here.night()["pull_requests"]] == ["refused"]
    here.upstream("a")
    assert [one["step"] for one in here.night()["pull_requests"]] == ["opened"]
    assert here.only().number != number or here.forge.kind == "gitlab"
    here.check()


def test_who_closed_one_may_open_it_again(nights: Make) -> None:
    here = opened(nights, publish='merge = "when-checks-pass"')
    here.forge.require_check()
    number, head = here.only().number, here.only().head
    here.forge.close(number)
    assert "closed" in [one["step"] for one in here.night("--input", "a")["pull_requests"]]
    here.forge.reopen(number)
    here.forge.check(head, "success")
    here.settle()
    assert here.settle()["landed"] == head
    here.check()


def test_a_branch_that_was_deleted_is_a_no_to_these_revisions(nights: Make) -> None:
    here = nights()
    here.upstream("a")
    here.night()
    here.forge.host.git("owner/flake", "update-ref", "-d", f"refs/heads/{BRANCH}")
    here.forge.host.pushed("owner/flake")
    assert "refused" in [one["step"] for one in here.night()["pull_requests"]]
    assert here.forge.host.tip("owner/flake", BRANCH) is None
    here.upstream("b")
    here.night()
    assert here.locked("b", BRANCH) == here.world.upstreams["b"].head()
    here.check()


def test_a_request_that_asks_for_another_base_is_left_alone(nights: Make) -> None:
    here = opened(nights)
    here.forge.host.git("owner/flake", "branch", "release", "main")
    here.forge.retarget(here.only().number, "release")
    before = here.tip(BRANCH)
    result = here.night()
    assert [one["step"] for one in result["pull_requests"]] == ["left alone"]
    assert here.tip(BRANCH) == before
    here.check()


def test_a_repository_that_was_renamed_is_followed_and_told(nights: Make) -> None:
    here = opened(nights)
    here.forge.rename("owner/other")
    result = here.night()
    assert [one["step"] for one in result["pull_requests"]] == ["updated"]
    assert any("owner/other" in note for note in result["notes"]), result["notes"]


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_what_people_merge_is_found_and_what_came_of_it_is_told(nights: Make, how: str) -> None:
    here = nights()
    here.upstream("a")
    here.night()
    request = here.only()
    here.forge.merge(request.number, how)
    result = here.night()
    (one,) = (one for one in here.listed() if one["number"] == request.number)
    assert one["state"] == ("landed" if how == "merge" else "merged")
    assert result["outcome"] == "unchanged"
    here.night()  # by then the forge has made of it what it makes of what was merged
    assert here.forge.host.tip("owner/flake", BRANCH) is None
    here.check()


@by_turns("gitlab")
def test_somebodys_branch_of_that_name_is_theirs(nights: Make) -> None:
    here = nights()
    here.forge.host.git("owner/flake", "branch", BRANCH, "main")
    theirs = here.person_commits(BRANCH)
    here.upstream("a")
    result = here.night()
    assert [one["step"] for one in result["pull_requests"]] == ["left alone"]
    assert here.tip(BRANCH) == theirs
    assert here.open() == []


@by_turns("forgejo")
def test_when_the_history_is_lost_the_request_is_found_again(nights: Make) -> None:
    here = opened(nights)
    number = here.only().number
    for path in (here.world.directory / "state/lockbot").glob("history.sqlite*"):
        path.unlink()
    here.night()
    assert here.only().number == number
    assert here.locked("b", BRANCH) == here.world.upstreams["b"].head()
    here.night()
    here.check()
