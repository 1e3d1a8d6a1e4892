"""Updates by which an input would bring along what is read here: held in policy's words, and not fetched."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from lockbot.commands import hold
from lockbot.history.input_states import StateWord
from lockbot.model import Outcome
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import HostSpec
from tests.lock.test_not_fetched import OUTPUTS, Secret, flake_with, lock_of
from tests.sampling import nix_by_turns
from tests.update.inside import World

HELD = {"LOCKBOT_POLICY__NEW_PATH": "hold"}


def hostile(world: World, secret: Secret, *, locked: bool = False) -> str:
    """b's tip would read the secret."""
    declared = f'url = "path:{secret.directory}/f"; flake = false;'
    files = {"flake.nix": flake_with(declared).replace(OUTPUTS, "outputs = _: { lib.part = import ./part.nix; };")}
    if locked:
        place = {"type": "path", "path": f"{secret.directory}/f"}
        node = {"locked": place | {"narHash": f"sha256-{'A' * 43}="}, "original": place, "flake": False}
        files |= lock_of({"root": {"inputs": {"x": "x"}}, "x": node})
    return world.upstreams["b"].commit("hostile", files=files)


@nix_by_turns(
    ("locked", "names"),
    {"all": (False, ()), "by name": (False, ("b",)), "locked": (True, ()), "locked, by name": (True, ("b",))},
)
def test_it_is_held_in_policys_words_and_the_others_move(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, locked: bool, names: tuple[str, ...]
) -> None:
    world, secret = World(nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab"), Secret(tmp_path)
    hostile(world, secret, locked=locked)
    run = world.update(*names)
    assert run.outcome is (Outcome.UNCHANGED if names else Outcome.PARTLY_PUBLISHED)
    (held,) = run.held
    where = f"path:{secret.directory}/f"
    assert (held.input, held.reason, held.detail) == (
        "b",
        "new-local-path",
        f"b/x would be read from this machine: {where}",
    )
    assert held.revision == world.fleet.locked("b", "main")
    assert world.moved() == {"a": "1" if names else "2", "b": "1"}, "not even b's harmless second, as ever"
    assert world.state("b").state is StateWord.HELD
    assert not secret.is_in(nix)


@nix_by_turns("names", {"all": (), "by name": ("b",)})
def test_what_is_accepted_is_fetched_then(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, names: tuple[str, ...]
) -> None:
    world, secret = World(nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab"), Secret(tmp_path)
    tip = hostile(world, secret)
    run = world.update(*names, settings=HELD)
    (held,) = run.held
    assert (held.reason, "`lockbot accept b` takes it" in held.detail) == ("new-local-path", True)
    assert not secret.is_in(nix)
    hold.accept(world.app(HELD), "b", None)
    assert world.update(*names, settings=HELD).outcome is Outcome.PUBLISHED
    assert world.fleet.locked("b", "main") == tip
    assert secret.is_in(nix)


def test_the_users_own_hold_is_told_first(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    world, secret = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab"), Secret(tmp_path)
    middle = world.upstreams["b"].head()
    hostile(world, secret)
    hold.hold(world.app(), "b", "the third is bad", None, middle)
    run = world.update(settings=HELD)
    assert [held.reason for held in run.held] == ["held-by-user"]
    assert world.moved() == {"a": "2", "b": "2"}, "and it goes where the user holds it"
    assert not secret.is_in(one_nix)


def test_an_older_revision_that_is_old_enough(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    """The tip is harmless and too young; the newest that is old enough would read the secret."""
    rule = {"LOCKBOT_POLICY__MINIMUM_AGE": "3d"}
    world, secret = World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab"), Secret(tmp_path)
    flake_nix = world.upstreams["b"].git("show", "HEAD:flake.nix")
    world.update(settings=rule)
    hostile(world, secret)
    world.update(settings=rule)
    world.now += timedelta(days=4)
    world.upstreams["b"].commit("harmless", files={"flake.nix": flake_nix})
    run = world.update(settings=rule)
    assert world.fleet.locked("a", "main") == world.upstreams["a"].head()
    reasons = {held.reason for held in run.held if held.input == "b"}
    assert "new-local-path" in reasons, run.held
    assert not secret.is_in(one_nix)


def test_the_search_steps_over_it(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    """The tip breaks a host, what comes before it would read the secret, and the one before that is good."""
    world, secret = (
        World(one_nix, tmp_path, cancel, [HostSpec("web", ["a"]), HostSpec("db", ["b"])], "ab"),
        Secret(tmp_path),
    )
    b = world.upstreams["b"]
    flake_nix = b.git("show", "HEAD:flake.nix")
    hostile(world, secret)
    b.commit("harmless", files={"flake.nix": flake_nix})
    b.break_build()
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED
    assert world.moved()["a"] == "2"
    assert world.moved()["b"] in ("2", "4")
    assert not secret.is_in(one_nix)


def test_a_new_input_of_flake_nix(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    world, secret = World(nix, tmp_path, cancel, [HostSpec("web", ["a"])], "ab"), Secret(tmp_path)
    hostile(world, secret)
    b = world.upstreams.pop("b")
    world.fleet.declare(inputs=[world.upstreams["a"]])
    nix.run("nix", "flake", "lock", cwd=world.fleet.flake)
    world.fleet.commit({}, "b is gone")
    world.fleet.declare(inputs=[world.upstreams["a"], b])
    run = world.update()
    assert run.outcome is Outcome.FAILED
    assert run.error is not None
    assert run.error.startswith("flake.nix asks for what the policy does not allow: b/x would be read from this")
    assert not secret.is_in(nix)
