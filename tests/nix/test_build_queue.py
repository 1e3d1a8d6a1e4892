"""What is built next, and what is given up: nothing that is wanted gets lost."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from lockbot.nix.build import Target
from lockbot.nix.build.queue import BuildQueue
from lockbot.process import CancelToken


@pytest.fixture
def cancel() -> Iterator[CancelToken]:
    with CancelToken() as token:
        yield token


def target(name: str) -> Target:
    return Target(name, "", name, "")


def names(targets: list[Target]) -> list[str]:
    return [one.drv for one in targets]


def test_what_is_wanted_goes_first_and_together(cancel: CancelToken) -> None:
    queue = BuildQueue()
    for name in "abc":
        queue.try_meanwhile(target(name))
    queue.want(target("b"))
    queue.want(target("d"))
    assert names(queue.take(cancel)) == ["b", "d"]
    assert queue.attempt is None
    assert names(queue.take(cancel)) == ["a"]
    queue.done()
    assert names(queue.take(cancel)) == ["c"]
    queue.done()
    assert not queue


def test_what_is_not_needed_is_given_up(cancel: CancelToken) -> None:
    queue = BuildQueue()
    queue.try_meanwhile(target("a"))
    queue.give_up("a")
    assert not queue, "before it was begun"
    queue.try_meanwhile(target("a"))
    queue.take(cancel)
    attempt = queue.attempt
    assert attempt is not None
    queue.give_up("a")
    assert attempt.given_up
    queue.done()


def test_what_one_host_gives_up_and_another_wants_is_built(cancel: CancelToken) -> None:
    """In every order of the two, and of the moment when it is begun."""
    for order in itertools.permutations(("begin", "want", "give up")):
        queue = BuildQueue()
        queue.try_meanwhile(target("a"))
        for step in order:
            if step == "begin" and queue:
                queue.take(cancel)
            elif step == "want":
                queue.want(target("a"))
            elif step == "give up":
                queue.give_up("a")
        attempt = queue.attempt
        begun_as_wanted = attempt is None and not queue and order.index("want") < order.index("begin")
        under_way = attempt is not None and not attempt.given_up
        assert under_way or "a" in queue.wanted or begun_as_wanted, order
        queue.done()


def test_who_wants_to_see_it_now_gets_a_try_of_its_own(cancel: CancelToken) -> None:
    queue = BuildQueue()
    queue.try_meanwhile(target("a"))
    queue.take(cancel)
    queue.want(target("a"), anew=True)
    assert names(list(queue.wanted.values())) == ["a"]
    queue.done()


def test_nothing_that_is_wanted_gets_lost(cancel: CancelToken) -> None:
    luck = random.Random(7)  # noqa: S311 -- the same each time
    for _ in range(500):
        queue, wanted, built = BuildQueue(), set[str](), set[str]()
        for _ in range(40):
            name = luck.choice("abc")
            match luck.randrange(4):
                case 0:
                    queue.want(target(name))
                    wanted.add(name)
                    built.discard(name)
                case 1:
                    queue.try_meanwhile(target(name))
                case 2:
                    queue.give_up(name)
                case 3 if queue and queue.attempt is None:
                    taken = queue.take(cancel)
                    built |= {one.drv for one in taken} if queue.attempt is None else set()
                case _:
                    attempt = queue.attempt
                    built |= {attempt.target.drv} if attempt is not None and not attempt.given_up else set()
                    queue.done()
        attempt = queue.attempt
        built |= {attempt.target.drv} if attempt is not None and not attempt.given_up else set()
        queue.done()
        assert wanted <= built | queue.wanted.keys()
