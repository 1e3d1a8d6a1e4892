"""Moving inputs with real Nix: what can be had is had, what can't is named, and a pin is what it says."""

from __future__ import annotations

import shutil
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lockbot.errors import Cancelled, LockbotError, SurroundingsError, UsageError
from lockbot.lock.propose import Limits, Proposal, propose
from lockbot.lock.request import UpdateRequest
from lockbot.model import ChangeKind, Event, Retrying
from lockbot.nix import installed
from lockbot.nix.lockfile import LockFileError
from lockbot.process import CancelToken
from tests import nixes
from tests.fleet import Fleet, HostSpec, Input, Upstream
from tests.lock.revisions import NoRevisions, anything

LIMITS = Limits(timeout=60, retries=1, delay=0.05)


class Bench:
    """A fleet whose own work tree stands in for lockbot's, and a way to propose in it."""

    def __init__(self, nix: nixes.Nix, tmp: Path, cancel: CancelToken, fleet: Fleet) -> None:
        self.fleet = fleet
        self.events: list[Event] = []
        self._nix = installed.find(nix.environment, cancel, tmp / "data", {})

    @property
    def lock(self) -> bytes:
        return (self.fleet.flake / "flake.lock").read_bytes()

    def propose(self, request: UpdateRequest | None = None, limits: Limits = LIMITS) -> Proposal:
        return propose(
            self._nix,
            self.fleet.flake,
            request or UpdateRequest(),
            limits,
            self.events.append,
            NoRevisions(),
            anything(self._nix),
        )


@pytest.fixture
def upstreams(tmp_path: Path) -> dict[str, Upstream]:
    return {name: Upstream.create(tmp_path, name) for name in ("a", "b", "c")}


@pytest.fixture
def bench(nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, upstreams: dict[str, Upstream]) -> Bench:
    fleet = Fleet.create(tmp_path / "fleet", nix, inputs=[*upstreams.values()], hosts=[HostSpec("x", ["a"])])
    return Bench(nix, tmp_path, cancel, fleet)


def moved(proposal: Proposal) -> dict[str, str | None]:
    return {change.input: change.new.rev if change.new else None for change in proposal.changes}


def test_nothing_new_leaves_the_file_alone(bench: Bench) -> None:
    path = bench.fleet.flake / "flake.lock"
    before = path.stat()
    proposal = bench.propose()
    assert (proposal.changes, proposal.held, proposal.notes, proposal.tips) == ((), (), (), {})
    assert proposal.asked.keys() == {"a", "b", "c"}, "though each was asked"
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_all_or_the_named(bench: Bench, upstreams: dict[str, Upstream]) -> None:
    new = {name: upstream.commit("more") for name, upstream in upstreams.items()}
    assert moved(bench.propose(UpdateRequest(("b",)))) == {"b": new["b"]}
    upstreams["a"].commit("one more")
    proposal = bench.propose()
    assert moved(proposal) == {"a": upstreams["a"].head(), "c": new["c"]}
    assert {change.input: change.commits for change in proposal.changes} == {"a": 2, "c": 1}, "as Nix counted"
    assert proposal.tips.keys() == {"a", "c"}


def test_one_dead_input_never_stops_the_others(bench: Bench, upstreams: dict[str, Upstream]) -> None:
    new = {name: upstream.commit("more") for name, upstream in upstreams.items()}
    old = bench.fleet.locked("b")
    shutil.rmtree(upstreams["b"].path)
    proposal = bench.propose()
    assert moved(proposal) == {"a": new["a"], "c": new["c"]}
    (held,) = proposal.held
    assert (held.input, held.reason, held.revision) == ("b", "fetch-failed", old)
    assert bench.fleet.locked("b") == old


def test_nothing_can_be_fetched(bench: Bench, upstreams: dict[str, Upstream]) -> None:
    before = bench.lock
    for upstream in upstreams.values():
        shutil.rmtree(upstream.path)
    with pytest.raises(SurroundingsError, match="no input could be fetched"):
        bench.propose()
    assert bench.lock == before


def test_a_network_that_comes_back_is_waited_for(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, upstreams: dict[str, Upstream]
) -> None:
    """The first two fetches fail as curl does without a network; the third is the real one."""
    fleet = Fleet.create(tmp_path / "fleet", nix, inputs=[upstreams["a"]], hosts=[HostSpec("x", ["a"])])
    new = upstreams["a"].commit("more")
    wrapper = tmp_path / "bin"
    wrapper.mkdir()
    (wrapper / "nix").write_text(
        "#!/bin/sh\n"
        f'case "$*" in flake\\ update*) echo x >>{tmp_path}/count;'
        f' if [ "$(wc -l <{tmp_path}/count)" -le 2 ]; then'
        " echo \"error: unable to download 'https://example.invalid/': Could not resolve hostname (6)\" >&2;"
        " exit 1; fi;; esac\n"
        f'exec {nix.bin}/nix "$@"\n'
    )
    (wrapper / "nix").chmod(0o755)
    environment = dict(nix.environment) | {"PATH": f"{wrapper}:{nix.environment['PATH']}"}
    bench = Bench(replace(nix, environment=environment), tmp_path, cancel, fleet)
    proposal = bench.propose()
    assert moved(proposal) == {"a": new}
    assert proposal.held == ()
    assert [event.what for event in bench.events if isinstance(event, Retrying)] == ["fetching a"]


def test_unknown_and_following_inputs_are_refused(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, upstreams: dict[str, Upstream]
) -> None:
    outer = Upstream.create(tmp_path, "outer", inputs={"a": upstreams["a"]})
    fleet = Fleet.create(
        tmp_path / "fleet",
        nix,
        inputs=[upstreams["a"], Input(outer, follows={"a": "a"})],
        hosts=[HostSpec("x", ["a"])],
    )
    bench = Bench(nix, tmp_path, cancel, fleet)
    before = bench.lock
    with pytest.raises(UsageError) as caught:
        bench.propose(UpdateRequest(("outter", "outer/a"), {"b": "git+file:///x"}))
    assert "no input 'outter' in flake.lock; did you mean 'outer'?" in caught.value.message
    assert "input 'outer/a' follows 'a'" in caught.value.message
    assert "no input 'b'" in caught.value.message, "every mistake at once"
    assert bench.lock == before


def test_a_nested_input_moves_alone(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, upstreams: dict[str, Upstream]
) -> None:
    outer = Upstream.create(tmp_path, "outer", inputs={"base": upstreams["a"]})
    fleet = Fleet.create(tmp_path / "fleet", nix, inputs=[outer, upstreams["b"]], hosts=[HostSpec("x", ["b"])])
    new = upstreams["a"].commit("more")
    upstreams["b"].commit("not wished for")
    bench = Bench(nix, tmp_path, cancel, fleet)
    assert moved(bench.propose(UpdateRequest(("outer/base",)))) == {"outer/base": new}


def test_a_pin_sticks_and_keeps_the_original(bench: Bench, upstreams: dict[str, Upstream]) -> None:
    middle = upstreams["a"].commit("middle")
    tip = upstreams["a"].commit("tip")
    other = upstreams["b"].commit("other")
    before = bench.fleet.lock()["nodes"]
    ref = f"{upstreams['a'].url}?rev={middle}"
    proposal = bench.propose(UpdateRequest(None, {"a": ref}))
    assert moved(proposal) == {"a": middle}
    after = bench.fleet.lock()["nodes"]
    assert after["a"]["original"] == before["a"]["original"]
    bench.fleet.commit({}, "pinned")
    assert moved(bench.propose(UpdateRequest(("b",)))) == {"b": other}, "updating another leaves the pin"
    assert bench.fleet.locked("a") == middle
    assert moved(bench.propose(UpdateRequest(("a",)))) == {"a": tip}, "and the next update goes on from there"


def test_a_pin_together_with_named_inputs(bench: Bench, upstreams: dict[str, Upstream]) -> None:
    middle = upstreams["a"].commit("middle")
    upstreams["a"].commit("tip")
    other = upstreams["b"].commit("other")
    upstreams["c"].commit("not wished for")
    proposal = bench.propose(UpdateRequest(("b",), {"a": f"{upstreams['a'].url}?rev={middle}"}))
    assert moved(proposal) == {"a": middle, "b": other}


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("git+file:///nowhere?rev=" + "0" * 40, "cannot pin a"),
        ("--option", "--option"),
        ("nixpkgs", "indirect"),
    ],
)
def test_a_bad_pin_is_refused(bench: Bench, ref: str, words: str) -> None:
    before = bench.lock
    with pytest.raises(LockbotError, match=words) as caught:
        bench.propose(UpdateRequest(None, {"a": ref}))
    assert "secret" not in str(caught.value) + caught.value.hint
    assert bench.lock == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b'{"nodes": {', "flake.lock:1:"),
        (b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> x\n", "conflict"),
        (b'{"nodes": {"root": {}}, "root": "root", "version": 8}', "version 8"),
    ],
)
def test_a_broken_lock_is_told_before_nix_touches_it(bench: Bench, content: bytes, words: str) -> None:
    path = bench.fleet.flake / "flake.lock"
    path.write_bytes(content)
    with pytest.raises(LockFileError, match=words):
        bench.propose()
    assert path.read_bytes() == content


def test_a_flake_that_was_never_locked(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, upstreams: dict[str, Upstream]
) -> None:
    fleet = Fleet.create(
        tmp_path / "fleet", nix, inputs=[upstreams["a"]], hosts=[HostSpec("x", ["a"])], lock=False
    )
    (change,) = Bench(nix, tmp_path, cancel, fleet).propose().changes
    assert (change.input, change.kind) == ("a", ChangeKind.ADDED)


def test_an_input_that_the_lock_does_not_have_yet(
    bench: Bench, tmp_path: Path, upstreams: dict[str, Upstream]
) -> None:
    new = Upstream.create(tmp_path, "new")
    bench.fleet.declare(inputs=[*upstreams.values(), new])
    (change,) = bench.propose(UpdateRequest(("new",))).changes
    assert (change.input, change.kind) == ("new", ChangeKind.ADDED)


def test_an_input_that_flake_nix_no_longer_has(bench: Bench, upstreams: dict[str, Upstream]) -> None:
    bench.fleet.declare(inputs=[upstreams["a"], upstreams["c"]])
    new = upstreams["a"].commit("more")
    proposal = bench.propose()
    assert proposal.held == ()
    assert {change.input: change.kind for change in proposal.changes} == {
        "a": ChangeKind.UPDATED,
        "b": ChangeKind.REMOVED,
    }
    assert bench.fleet.locked("a") == new


def test_path_and_indirect_inputs_are_skipped_with_a_word(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, upstreams: dict[str, Upstream]
) -> None:
    local = tmp_path / "local"
    local.mkdir()
    (local / "flake.nix").write_text("{ outputs = _: { }; }\n")
    fleet = Fleet.create(
        tmp_path / "fleet",
        nix,
        inputs=[upstreams["a"], Input(upstreams["b"], name="local", url=f"path:{local}")],
        hosts=[HostSpec("x", ["a"])],
    )
    new = upstreams["a"].commit("more")
    bench = Bench(nix, tmp_path, cancel, fleet)
    proposal = bench.propose()
    assert moved(proposal) == {"a": new}
    assert any("local" in note and "path" in note for note in proposal.notes)
    with pytest.raises(UsageError, match="path"):
        bench.propose(UpdateRequest(("local",)))


def test_cancelling_while_fetching(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    """A server that never answers: SIGTERM ends the fetch, and so does the deadline."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        flake = tmp_path / "flake"
        flake.mkdir()
        (flake / "flake.nix").write_text(
            f'{{ inputs.x.url = "git+http://127.0.0.1:{port}/x"; outputs = _: {{ }}; }}\n'
        )
        nix = installed.find(one_nix.environment, cancel, tmp_path / "data", {})
        with pytest.raises(LockbotError):
            propose(nix, flake, UpdateRequest(), Limits(1, 0), lambda _: None, NoRevisions(), anything(nix, 1))
        timer = threading.Timer(1, lambda: cancel.cancel("SIGTERM"))
        timer.start()
        with pytest.raises(Cancelled):
            propose(nix, flake, UpdateRequest(), Limits(60, 0), lambda _: None, NoRevisions(), anything(nix))
        timer.join()


def test_inputs_of_a_directory_of_the_flake_move(
    nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, upstreams: dict[str, Upstream]
) -> None:
    """`path:./sub` is part of the flake; what that has as inputs of its own is upstream's, and moves."""
    fleet = Fleet.create(
        tmp_path / "fleet", nix, inputs=[upstreams["a"]], hosts=[HostSpec("x", ["a"])], lock=False
    )
    sub = f'{{ inputs.leaf.url = "{upstreams["b"].url}"; outputs = _: {{ }}; }}\n'
    flake = (fleet.flake / "flake.nix").read_text().replace("inputs = {", 'inputs = { sub.url = "path:./sub";', 1)
    fleet.commit({"sub/flake.nix": sub, "flake.nix": flake}, "a flake within")
    nix.run("nix", "flake", "lock", cwd=fleet.flake)
    fleet.commit({}, "locked")
    new = upstreams["b"].commit("more")
    assert moved(Bench(nix, tmp_path, cancel, fleet).propose()) == {"sub/leaf": new}


def test_a_flake_that_is_no_nix_is_not_the_networks_fault(bench: Bench) -> None:
    (bench.fleet.flake / "flake.nix").write_text("{ inputs = \n")
    with pytest.raises(LockbotError, match="cannot lock the flake") as caught:
        bench.propose()
    assert "network" not in caught.value.hint
