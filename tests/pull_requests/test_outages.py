"""Whatever a forge answers, to whichever call of a night: nothing is lost, what went wrong is told, and the next
night makes up for it: one request, one comment."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockbot.model import Landing, PullRequestState, RequestStep
from lockbot.process import CancelToken
from tests.forge.pull_requests.githost import Call
from tests.forge.server import Reply
from tests.pull_requests.forges import FORGES, TOKEN, Shown, host_of
from tests.pull_requests.inside import Night, World, answering
from tests.sampling import some

ALL, A = "lockbot/update-main", "lockbot/update-main=a"


@dataclass(frozen=True)
class Answer:
    """`reply` None: the connection is closed. `done`: what was asked for is done nevertheless."""

    reply: Reply | None
    done: bool = False


ANSWERS: Mapping[str, Answer] = {
    "401": Answer(Reply({"message": "Bad credentials"}, 401)),
    "403": Answer(Reply({"message": "Forbidden"}, 403, {"X-Accepted-GitHub-Permissions": "pull_requests=write"})),
    "404": Answer(Reply({"message": "Not Found"}, 404)),
    "409": Answer(Reply({"message": "Conflict"}, 409)),
    "422": Answer(Reply({"message": "Unprocessable", "errors": [{"message": "no"}]}, 422)),
    "429": Answer(Reply({"message": "Slow down"}, 429, {"Retry-After": "120"})),
    "500": Answer(Reply(b"oops", 500)),
    "503": Answer(Reply(b"<html>down</html>", 503)),
    "HTML": Answer(Reply(b"<html>Sign in</html>")),
    "cut off": Answer(Reply(b'{"number": 1', headers={"Content-Length": "9999"})),
    "hung up": Answer(None),
    "a list": Answer(Reply([[]])),
    "a table": Answer(Reply({"number": "1", "iid": [], "state": 7})),
    "null": Answer(Reply(None)),
    "elsewhere": Answer(Reply(b"", 301, {"Location": "https://127.0.0.1:1/elsewhere"})),
    "in circles": Answer(Reply(b"", 307, {"Location": "/api/v3/repos/owner/flake"})),
    "done, 502": Answer(Reply(b"oops", 502), done=True),
    "done, cut off": Answer(Reply(b"{", 201, headers={"Content-Length": "9999"}), done=True),
    "done, hung up": Answer(None, done=True),
    "done, HTML": Answer(Reply(b"<html>", 201), done=True),
}


# -- kinds of nights ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """`before`: what leads up to a night of this kind; `good`: whether, after it, everything is as it should be;
    `one_in`: how many of its cases are taken."""

    before: Callable[[World], None]
    good: Callable[[World, Night], bool]
    landing: Landing = Landing.PEOPLE
    one_in: int = 20


def only(world: World, branch: str = ALL) -> Shown | None:
    """The only open request, if it is of this branch, and has its tip."""
    match world.open():
        case [one] if (one.branch, one.head, one.base) == (branch, world.tip(branch), "main"):
            return one
    return None


def newest(world: World) -> bool:
    """One request is open, and asks for everything that is new; nothing else of lockbot's is on the remote."""
    one = only(world)
    return (
        one is not None
        and one.head in world.judged
        and world.locked(one.head) == world.upstream
        and one.head[:7] in one.body
        and world.branches() == {"main", ALL}
    )


def nothing_open(world: World) -> None:
    """Somebody has closed what there was, and upstream has gone on."""
    for one in world.open():
        world.forge.close(one.number)
    world.forge.host.git("owner/flake", "update-ref", "-d", f"refs/heads/{ALL}")
    world.night()
    world.moves("a", "b")


def one_open(world: World) -> None:
    """It has a comment every other time."""
    if not world.open():
        world.moves("a")
        assert world.night().told == ""
    world.moves("b")


def one_overtaken(world: World) -> None:
    """A request for one input is open, and the run of tonight asks for all of them."""
    nothing_open(world)
    assert world.night(("a",)).told == ""
    assert only(world, A) is not None


def one_to_land(world: World) -> None:
    world.moves("a")
    world.night()
    one = only(world)
    assert one is not None
    world.forge.check(one.head, "success")


def landed(world: World, night: Night) -> bool:
    """Where a forge that has to be told of it only pretends to listen, the next night tells it again."""
    return world.locked("main") == world.upstream and (not world.open() or night.landed is not None)


PLANS: Mapping[str, Plan] = {
    "opens": Plan(nothing_open, lambda world, _: newest(world)),
    "updates": Plan(one_open, lambda world, _: newest(world)),
    "overtakes": Plan(one_overtaken, lambda world, _: newest(world), one_in=48),
    "lands": Plan(one_to_land, landed, Landing.WHEN_CHECKS_PASS),
}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("kind", FORGES)
def test_any_answer_to_any_call(kind: str, plan: str, tmp_path: Path, cancel: CancelToken) -> None:
    """Where all cases are taken, each call meets each answer at one of the three forges."""
    with host_of(tmp_path / "forge") as host:
        world = World(tmp_path, FORGES[kind](host), cancel, landing=PLANS[plan].landing)
        world.forge.require_check()
        calls = calls_of(world, PLANS[plan])
        turn = list(FORGES).index(kind)
        cases = [(call, name) for at, call in enumerate(calls) for name in list(ANSWERS)[(at + turn) % 3 :: 3]]
        taken = some(cases, PLANS[plan].one_in, turn)
        for call, name in [*taken, *(case for case in made_in_secret(calls, plan, turn) if case not in taken)]:
            try:
                check_answer(world, PLANS[plan], call, ANSWERS[name])
            except AssertionError as error:
                raise AssertionError(f"{call} is answered with {name}") from error


def made_in_secret(calls: list[str], plan: str, turn: int) -> list[tuple[str, str]]:
    """What makes something, and is not answered: where a second one would be made. Always taken."""
    done = [name for name, answer in ANSWERS.items() if answer.done]
    ends = {"opens": ("/pulls", "/merge_requests"), "updates": ("/comments", "/notes")}.get(plan, ())
    return [(call, done[turn]) for call in calls if call.startswith("POST") and call.endswith(ends)]


def calls_of(world: World, plan: Plan) -> list[str]:
    """What a night of this kind asks the forge, each once."""
    asked: list[str] = []
    for _ in range(2):  # the second has a comment to change
        plan.before(world)
        world.calls()
        night = world.night()
        assert plan.good(world, night) and not night.told, (world.open(), night)
        asked += world.calls()
    return list(dict.fromkeys(asked))


def check_answer(world: World, plan: Plan, call: str, answer: Answer) -> None:
    plan.before(world)
    if call.startswith("POST") and call.endswith(("comments", "notes")):
        for one in world.open():  # so that it is called for
            world.forge.delete_comments(one.number)
    before, mains = len(world.forge.requests()), world.tip()
    with answering(world.forge, call, answer.reply, done=answer.done):
        night = world.night()
    told = night.told + "".join(one.text for one in night.done) + "".join(one.waits for one in world.kept())
    assert plan.good(world, night) or told, (world.open(), night)
    assert TOKEN not in repr(night) + json.dumps([one.text for one in night.done])
    assert night.landed in (None, world.tip())
    assert world.tip() in {mains, *world.judged}
    world.check_comments()
    night = world.night()
    assert plan.good(world, night), (world.open(), world.branches(), night, told)
    assert night.trouble is None, night
    assert len(world.forge.requests()) <= before + 1, world.forge.requests()
    world.check_comments()
    kept = [one for one in world.kept() if one.state.active]
    assert [(one.state, one.number, one.branch) for one in kept] == [
        (PullRequestState.OPEN, one.number, one.branch) for one in world.open()
    ]


@pytest.mark.parametrize("kind", FORGES)
def test_one_that_is_not_found_for_once_is_not_taken_for_deleted(
    kind: str, tmp_path: Path, cancel: CancelToken
) -> None:
    """A repository that can be seen, and in it a request that can't."""
    with host_of(tmp_path / "forge") as host:
        world = World(tmp_path, FORGES[kind](host), cancel)
        world.moves("a")
        world.night()
        (shown,) = world.open()
        host.faults[:] = [lambda call: _GONE if re.fullmatch(r".*s/\d+", call.path) else None]
        assert "has no such pull request" in world.night().told
        host.faults.clear()
        assert [one.step for one in world.night().done] == [RequestStep.UNCHANGED]
        # One that is in no list either was deleted: a no to these revisions.
        host.faults[:] = [_deleted]
        assert [one.step for one in world.night().done] == [RequestStep.CLOSED, RequestStep.REFUSED]
        assert world.open() == [shown]


_GONE = Reply({"message": "Not Found"}, 404)


def _deleted(call: Call) -> Reply | None:
    if re.fullmatch(r".*s/\d+", call.path):
        return _GONE
    return Reply([]) if call.path.endswith(("/pulls", "/merge_requests")) else None


@pytest.mark.parametrize("kind", FORGES)
def test_a_comment_is_written_anew_only_where_it_is_gone(kind: str, tmp_path: Path, cancel: CancelToken) -> None:
    with host_of(tmp_path / "forge") as host:
        world = World(tmp_path, FORGES[kind](host), cancel)
        for _ in range(2):
            world.moves("a")
            world.night()
        (edits,) = [call for call in calls_of(world, PLANS["updates"]) if re.search("(comments|notes)/N$", call)]
        check_answer(world, PLANS["updates"], edits, ANSWERS["404"])
        (shown,) = world.open()
        (before,) = world.forge.comments(shown.number)
        world.forge.delete_comments(shown.number)
        world.moves("a")
        assert world.night().told == ""
        (after,) = world.forge.comments(shown.number)
        assert after != before and before.splitlines()[-1] in after
