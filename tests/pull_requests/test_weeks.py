"""A week of nights: a base that moves, people, an outage, a rate limit; by each forge's API, and by both ways that
need no token. Every commit on main was judged, nothing is lost, one request at a time for each group."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import pytest

from tests.fleet import HostSpec
from tests.forge.pull_requests.githost import Call
from tests.forge.server import Reply
from tests.pull_requests.conftest import Make, by_turns
from tests.pull_requests.forges import TOKEN
from tests.pull_requests.parsing import parse
from tests.pull_requests.world import Nights
from tests.update.world import Result

EACH = "[search]\none_commit_per_input = true"
A, B = "lockbot/update-main=a", "lockbot/update-main=b"


def steps(result: Result) -> dict[str, str]:
    """Branch → what was done about its request."""
    return {one["branch"]: one["step"] for one in result["pull_requests"]}


def failing(reply: Reply) -> Callable[[Call], Reply]:
    return lambda _call: reply


OUTAGES = {
    "an outage": Reply(b"<html>down for maintenance</html>", 503, {"Content-Type": "text/html"}),
    "a rate limit": Reply({"message": "API rate limit exceeded"}, 429, {"Retry-After": "120"}),
}


def test_a_week(nights: Make) -> None:
    here = nights(publish='merge = "when-checks-pass"\nlabels = ["bug"]', more=EACH)
    forge, people = here.forge, set[str]()
    forge.require_check()

    # Monday: a request for each input.
    here.upstream("a", "b")
    assert steps(here.night()) == {A: "opened", B: "opened"}
    here.check()

    # Tuesday: the checks of one have passed. It lands, and the other is judged again on top of it.
    judged = here.tip(A)
    forge.check(judged, "success")
    forge.check(here.tip(B), "pending")
    result = here.night()
    assert here.tip() == judged
    assert steps(result) == {A: "landed", B: "updated"}
    assert here.world.runs()[0]["outcome"] == "partly published"  # of what Monday's run proposed, one has landed
    assert here.forge.host.git("owner/flake", "rev-parse", f"{here.tip(B)}^") == judged
    here.check()

    # Wednesday: somebody works on the branch; lockbot has something newer, and leaves it to them.
    people.add(here.person_commits(B))
    here.upstream("b")
    assert steps(here.night())[B] == "left alone"
    here.check(people)

    # Thursday and Friday: the forge is down, and then it has had enough of lockbot. They are done on their branch.
    here.forge.host.git("owner/flake", "branch", "theirs", B)
    here.forge.host.git("owner/flake", "update-ref", f"refs/heads/{B}", f"{B}^")
    here.forge.host.pushed("owner/flake")
    before = here.tip()
    for what, reply in OUTAGES.items():
        forge.host.faults[:] = [failing(reply)]
        result = here.night(ends=3)
        forge.host.faults.clear()
        assert result["outcome"] == "failed", what
        assert here.tip() == before
        here.check(people)

    # Saturday: all is well again; and somebody moves main while lockbot works.
    here.upstream("a")
    assert steps(here.night())[B] == "updated"
    people.add(here.person_commits())
    forge.check(here.tip(B), "success")
    assert here.settle()["landed"] is None
    assert "has moved" in next(one["waits"] for one in here.listed() if one["branch"] == B)
    here.check(people)

    # Sunday: judged again on top of that, and landed when its checks have passed.
    assert steps(here.night()) == {A: "updated", B: "updated"}
    forge.check(here.tip(B), "success")
    assert here.settle()["landed"] is not None
    assert here.locked("b") == here.world.upstreams["b"].head()
    here.night()
    assert [one.branch for one in here.open()] == [A]
    assert forge.host.tip("owner/flake", B) is None
    here.check(people)


def test_at_once_lands_what_was_judged_and_nothing_else(nights: Make) -> None:
    here = nights(publish='merge = "at-once"')
    here.upstream("a")
    theirs: list[str] = []

    def move() -> None:  # the push of the branch is next, and then that of main
        here.meanwhile("push", lambda: here.meanwhile("push", lambda: theirs.append(here.person_commits())))

    move()
    result = here.night()
    assert result["outcome"] == "published"
    assert theirs
    assert result["commit"] == here.tip()
    assert here.locked("a") == here.world.upstreams["a"].head()
    here.check(set(theirs))
    here.night()
    here.night()
    assert here.open() == []
    assert here.forge.host.tip("owner/flake", "lockbot/update-main") is None
    assert [one["state"] for one in here.listed()] == ["landed"]


@pytest.mark.parametrize("kind", ["forgejo"])
def test_where_the_flake_lies_here_its_branch_follows_what_lands(nights: Make) -> None:
    here = nights(local=True, publish='merge = "when-checks-pass"')
    here.forge.require_check()
    here.upstream("a")
    before = here.world.head()
    judged = here.night()["candidate"]
    assert (here.only().head, here.world.head()) == (judged, before)
    here.forge.check(judged, "success")
    assert here.settle()["landed"] == judged
    assert here.world.head() == judged == here.tip()
    here.world.check_repository()

    # With commits that are not pushed, a request would ask for those, too.
    here.world.fleet.commit({"README": "mine"}, "not pushed")
    here.upstream("b")
    result = here.night(ends=1)
    assert result["outcome"] == "stale"
    assert "ask for more than the update" in result["error"]
    assert here.open() == []


@pytest.mark.parametrize("kind", ["gitlab"])
def test_no_command_line_has_the_token(nights: Make) -> None:
    """Nor base64 of it, as git sends it: what any user of the machine can see while it runs."""
    here = nights(publish='merge = "at-once"')
    here.world.wrap("git", 'tr "\\0" " " </proc/$$/cmdline >>$here/seen; exec $real "$@"')
    here.upstream("a")
    assert here.night()["outcome"] == "published"
    seen = (here.world.directory / "wrappers/seen").read_text()
    assert "push" in seen
    for secret in (TOKEN, b64encode(f"x-access-token:{TOKEN}".encode()).decode()):
        assert secret not in seen


@by_turns("forgejo")
def test_a_branch_that_may_not_be_pushed_to_is_people_s(nights: Make) -> None:
    here = nights(publish='merge = "at-once"')
    here.forge.host.protect("owner/flake", "main")
    here.upstream("a")
    before = here.tip()
    result = here.night()
    assert result["outcome"] == "requested"
    assert here.tip() == before
    (one,) = here.listed()
    assert "may not be pushed to" in one["waits"]
    here.check()


def test_by_choice_the_forge_merges_what_may_not_be_pushed(nights: Make) -> None:
    here = nights(publish='merge = "at-once"\nauto_merge = true')
    here.forge.require_check()
    here.forge.host.protect("owner/flake", "main")
    here.upstream("a")
    assert here.night()["outcome"] == "requested"
    (one,) = here.listed()
    assert "another commit" in one["waits"]
    judged = here.only().head
    here.forge.check(judged, "pending")
    here.settle()
    here.forge.check(judged, "success")
    assert here.forge.requests()[0].state == "merged"
    here.night()
    (one,) = here.listed()
    assert one["state"] in ("landed", "merged")


@by_turns("forgejo")
def test_a_request_that_may_not_be_labelled_is_open_all_the_same(nights: Make) -> None:
    here = nights(publish='labels = ["bug"]\nassignees = ["nobody-there"]')
    here.upstream("a")
    here.forge.host.faults.append(
        lambda call: Reply({"message": "no"}, 403) if "label" in call.path or "assignee" in call.path else None
    )
    assert here.night()["outcome"] == "requested"
    assert here.only().head == here.tip("lockbot/update-main")
    here.check()


@by_turns("gitlab")
def test_a_forge_that_gives_no_answer_is_not_asked_for_each_request(nights: Make) -> None:
    here = nights(more=EACH)
    here.upstream("a", "b")
    here.night()
    here.upstream("a", "b")
    before = len(here.forge.host.calls)
    here.forge.host.faults.append(failing(OUTAGES["a rate limit"]))
    here.night(ends=3)
    assert len(here.forge.host.calls) == before + 1


def test_by_choice_the_forge_merges_what_has_passed_already(nights: Make) -> None:
    """lockbot waits for the checks before it pushes, and so has no more to wait for when it may not."""
    here = nights(publish='merge = "when-checks-pass"\nauto_merge = true')
    here.forge.require_check()
    here.forge.host.protect("owner/flake", "main")
    here.upstream("a")
    here.night()
    judged = here.only().head
    here.forge.check(judged, "success")
    here.settle()
    assert here.forge.requests()[0].state == "merged"
    assert here.forge.host.has("owner/flake", "main", judged)


def test_what_another_request_has_is_closed(nights: Make) -> None:
    """One of a single input, by hand; then the night's, of all."""
    here = nights()
    here.upstream("a", "b")
    assert steps(here.night("--input", "a")) == {A: "opened"}
    first = here.only().number
    assert steps(here.night()) == {"lockbot/update-main": "opened", A: "closed"}
    assert here.only().number != first
    assert here.forge.host.tip("owner/flake", A) is None
    sign = "!" if here.forge.kind == "gitlab" else "#"
    told = "".join(parse(here.forge.comments(first)[0]).text).replace("\u200b", "")
    assert f"{sign}{here.only().number} has taken its place" in told
    here.check()


@by_turns("github")
def test_a_conflict_is_not_merged_but_judged_again(nights: Make) -> None:
    """Somebody moves the same input on main, to another revision."""
    here = nights()
    here.upstream("a")
    here.night()
    number = here.only().number
    lock = here.forge.host.git("owner/flake", "show", "lockbot/update-main:flake.lock")
    here.upstream("a", "b")
    here.night()
    theirs = here.forge.host.commit_on("owner/flake", "main", "by hand", {"flake.lock": lock + "\n"})
    assert steps(here.night()) == {"lockbot/update-main": "updated"}
    assert here.only().number == number
    assert here.forge.host.git("owner/flake", "rev-parse", "lockbot/update-main^") == theirs
    assert here.locked("a", "lockbot/update-main") == here.world.upstreams["a"].head()
    (comment,) = here.forge.comments(number)
    assert "judged again on top of it" in comment
    here.check({theirs})


@by_turns("forgejo")
def test_what_the_branch_has_moved_itself_is_closed(nights: Make) -> None:
    here = nights()
    here.upstream("a")
    here.night()
    lock = here.forge.host.git("owner/flake", "show", "lockbot/update-main:flake.lock")
    here.forge.host.commit_on("owner/flake", "main", "by hand", {"flake.lock": lock + "\n"})
    result = here.night()
    assert steps(result) == {"lockbot/update-main": "closed"}
    assert here.open() == []
    here.check()


@by_turns("gitlab")
def test_it_is_a_draft_while_a_host_is_held_back(nights: Make) -> None:
    """Somebody adds a host that does not build yet, with the update nor without."""
    here = nights(publish='merge = "at-once"')
    here.upstream("a")
    here.night()
    here.adds_host(HostSpec("nas", ["b"], failure="build"))
    here.upstream("b")
    before = here.tip()
    assert here.night()["outcome"] == "requested"
    assert here.only().draft
    assert here.tip() == before
    assert "held back" in here.listed()[0]["waits"]
    here.adds_host()
    assert here.night()["outcome"] == "published"
    here.check()


# -- without a token ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gitlab"])
def test_a_week_by_push_options(nights: Make) -> None:
    week_without_a_token(nights(token=False), "lockbot/update-main")


@pytest.mark.parametrize("kind", ["forgejo"])
def test_a_week_by_agit(nights: Make) -> None:
    week_without_a_token(nights(token=False), None)


def week_without_a_token(here: Nights, branch: str | None) -> None:
    """`branch`: of the request, where the way to it makes one that people can push to."""
    people = set[str]()
    here.upstream("a")
    result = here.night()
    assert list(steps(result).values()) == ["opened"]
    first = here.only()
    assert (result["pull_requests"][0]["number"], first.head) == (first.number, result["candidate"])
    here.check()

    # Nothing is new: nothing is pushed.
    assert list(steps(here.night()).values()) == ["unchanged"]
    assert here.only().head == first.head

    # A newer candidate, and then a base that has moved: the same request.
    here.upstream("b")
    assert list(steps(here.night()).values()) == ["updated"]
    people.add(here.person_commits())
    assert list(steps(here.night()).values()) == ["updated"]
    assert here.only().number == first.number
    assert here.only().head != first.head
    here.check(people)

    if branch is not None:
        people.add(theirs := here.person_commits(branch))
        here.upstream("a")
        assert list(steps(here.night()).values()) == ["left alone"]
        assert here.tip(branch) == theirs
        here.forge.host.git("owner/flake", "branch", "theirs", branch)
        here.forge.host.git("owner/flake", "update-ref", f"refs/heads/{branch}", f"{branch}^")
        here.forge.host.pushed("owner/flake")

    # git's side is down for a night.
    here.forge.host.tokens.clear()
    here.upstream("a")
    assert here.night(ends=3)["outcome"] == "failed"
    here.forge.host.tokens["secret-token"] = "lockbot"  # of a stand-in
    here.night()
    assert here.locked("a", "main") != here.world.upstreams["a"].head()
    assert here.only().number == first.number

    # Somebody takes it as it is.
    head = here.only().head
    here.forge.host.git("owner/flake", "update-ref", "refs/heads/main", head)
    here.forge.host.pushed("owner/flake")
    here.night()
    assert [one["state"] for one in here.listed()] == ["landed"]
    here.night()
    here.check(people)


@pytest.mark.parametrize("kind", ["github"])
def test_elsewhere_the_branch_is_pushed_and_where_to_open_it_is_told(nights: Make) -> None:
    here = nights(token=False)
    here.upstream("a")
    result = here.night()
    assert steps(result) == {"lockbot/update-main": "waiting"}
    assert "/compare/main...lockbot" in result["pull_requests"][0]["text"]
    assert here.tip("lockbot/update-main") == result["candidate"]
    here.upstream("b")
    here.night()
    assert here.locked("b", "lockbot/update-main") == here.world.upstreams["b"].head()
    here.check()
