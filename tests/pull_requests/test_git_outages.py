"""A remote that git cannot push to, or not for sure: nothing is lost, it is told, and the next night heals it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from lockbot.model import PullRequestState
from lockbot.process import CancelToken
from tests.forge.pull_requests.githost import GitHost
from tests.forge.server import Reply
from tests.nixes import Nix
from tests.pull_requests.forges import FORGES, NAME, TOKEN, WAYS, host_of
from tests.pull_requests.inside import World
from tests.pull_requests.world import Nights
from tests.sampling import some


@contextmanager
def a_hook_refuses(host: GitHost) -> Iterator[None]:
    hook = host.repository(NAME) / "hooks/pre-receive"
    before = hook.read_text() if hook.exists() else "#!/bin/sh\nexit 0\n"
    hook.write_text("#!/bin/sh\necho 'not on Fridays' >&2\nexit 1\n")
    hook.chmod(0o755)
    yield
    hook.write_text(before)


@contextmanager
def nobody_is_known(host: GitHost) -> Iterator[None]:
    who = host.tokens.pop(TOKEN)
    yield
    host.tokens[TOKEN] = who


@contextmanager
def it_is_gone(host: GitHost) -> Iterator[None]:
    place = host.repository(NAME)
    away = place.rename(place.with_name("away"))
    yield
    away.rename(place)


@contextmanager
def it_hangs_up(host: GitHost) -> Iterator[None]:
    def between(service: str, _: str) -> None:
        if service == "push":
            raise ConnectionResetError("before anything is done")

    host.between = between
    yield
    host.between = lambda _service, _repository: None


@contextmanager
def it_hangs_up_when_it_is_done(host: GitHost) -> Iterator[None]:
    pushed = host.pushed

    def done(repository: str) -> None:
        pushed(repository)
        raise ConnectionResetError("after everything is done")

    host.pushed = done
    yield
    host.pushed = pushed


OUTAGES: Mapping[str, Callable[[GitHost], AbstractContextManager[None]]] = {
    one.__name__: one
    for one in (a_hook_refuses, nobody_is_known, it_is_gone, it_hangs_up, it_hangs_up_when_it_is_done)
}
TABLE = {f"{way}, {outage}": (way, outage) for way in WAYS for outage in OUTAGES}


@pytest.mark.parametrize("case", some(TABLE, 3))
def test_an_outage_of_git(case: str, tmp_path: Path, cancel: CancelToken) -> None:
    way, outage = TABLE[case]
    with host_of(tmp_path / "forge") as host:
        world = World(tmp_path, FORGES[way.partition(" ")[0]](host), cancel, token=WAYS[way])
        for names in ("a", "ab"):  # opened, then updated
            world.moves(*names)
            main = world.tip()
            with OUTAGES[outage](host):
                night = world.night()
            good = [one.head for one in world.open()] == [night.commit]
            assert night.told if not good else outage == "it_hangs_up_when_it_is_done", night
            assert TOKEN not in repr(night)
            assert not good or night.commit is not None
            night = world.night()
            assert (night.told, night.landed, world.tip()) == ("", None, main)
            (one,) = world.open()
            assert one.head in world.judged and world.locked(one.head) == world.upstream
            assert len(world.forge.requests()) == 1
            (kept,) = world.kept()
            assert (kept.state, kept.number, kept.commit) == (PullRequestState.OPEN, one.number, one.head)
            world.check_comments()


@contextmanager
def pages_are_said(host: GitHost) -> Iterator[None]:
    """To whoever asks the API."""
    host.faults[:] = [lambda _call: Reply(b"<html>Sign in</html>")]
    yield
    host.faults.clear()


WHOLE: Mapping[str, tuple[Callable[[GitHost], AbstractContextManager[None]], str]] = {
    "github": (pages_are_said, "no JSON"),
    "gitlab": (a_hook_refuses, "not on Fridays"),
    "forgejo": (it_is_gone, "not found"),
}


@pytest.mark.parametrize("kind", FORGES)
def test_what_a_whole_nights_record_says(kind: str, one_nix: Nix, tmp_path: Path) -> None:
    """No bug's traceback; failed, and why; nothing is published. What was judged stands in the record."""
    outage, why = WHOLE[kind]
    with host_of(tmp_path / "forge") as host:
        nights = Nights(one_nix, tmp_path, FORGES[kind](host))
        nights.upstream("a")
        with outage(host):
            result = nights.world.update()
        assert result.code == 3 and "Traceback" not in result.stderr, result.stderr
        assert (result["outcome"], result["commit"], nights.open()) == ("failed", None, [])
        assert why in result["error"] + result.stderr, result["error"]
        assert nights.night()["outcome"] == "requested"
        assert nights.locked("a", nights.only().branch) == nights.newest("a")
        (listed,) = nights.listed()
        assert (listed["state"], listed["number"]) == ("open", nights.only().number)
        nights.check()
