"""Whole runs: what is waited for comes, and the very run that finds out moves the input, and says so."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from lockbot.commands import hold, status
from lockbot.commands.holds import ask_due
from lockbot.commands.holds.given import GivenEnd
from lockbot.commands.notify.send import notify
from lockbot.errors import UsageError
from lockbot.model import Outcome
from lockbot.process import CancelToken
from lockbot.report import styled_lines
from tests import nixes
from tests.fleet import HostSpec, Input, Upstream
from tests.forge.server import Reply, Server
from tests.forge.test_upstream import TOKEN
from tests.forge.upstream_pull_requests import GitHub, Pull, Repository
from tests.update.inside import World

HOUR = timedelta(hours=1)


class Nights(World):
    """Input a is on a forge, and says which packages it has; hosts are made of b."""

    def __init__(self, nix: nixes.Nix, tmp: Path, cancel: CancelToken, server: Server) -> None:
        self.root, self.server = tmp, server
        server.repositories = tmp / "served"
        account = {"kind": "github", "url": server.url, "token": TOKEN}
        settings = {"LOCKBOT_FORGE": json.dumps({server.host: account}), "PATH": self._logging(nix)}
        super().__init__(nix, tmp, cancel, [HostSpec("web", ["b"])], "ab", settings, moved=False)
        self.forge = GitHub(Repository(self.upstreams["a"].path), name="owner/a")
        server.answer = self.forge

    def _logging(self, nix: nixes.Nix) -> str:
        """A PATH whose `nix` notes each evaluation."""
        self.log, place = self.root / "evaluations", self.root / "bin"
        self.log.touch()
        place.mkdir()
        (place / "nix").write_text(f'#!/bin/sh\n[ "$1" = eval ] && echo >>{self.log}\nexec {nix.bin}/nix "$@"\n')
        (place / "nix").chmod(0o755)
        return f"{place}:{nix.environment['PATH']}"

    def declared(self, upstream: Upstream) -> Upstream | Input:
        if upstream.name != "a":
            return upstream
        (self.root / "served" / "owner").mkdir(parents=True)
        (self.root / "served" / "owner" / "a").symlink_to(upstream.path)
        return Input(upstream, url=f"git+{self.server.url}/owner/a?ref=main")

    def release(self, version: str | None) -> str:
        """One more commit of a, whose package `tool` is at this version; None: there is none any more."""
        package = f'tool = {{ version = "{version}"; }};' if version is not None else ""
        systems = "".join(f"legacyPackages.{one}-linux = {{ {package} }};" for one in ("x86_64", "aarch64"))
        return self.upstreams["a"].commit("release", files={"flake.nix": f"{{ outputs = _: {{ {systems} }}; }}"})

    def wait(self, **ends: tuple[str, str]) -> str:
        return styled_lines.text(hold.hold(self.app(), "a", "w", None, None, GivenEnd(**ends)))  # type: ignore[arg-type]

    def wait_for_a_fix(self) -> tuple[str, Pull]:
        """Hold a until its pull request is merged: the address of that, and what its forge has of it."""
        self.forge.pulls[1] = pull = Pull()
        url = f"{self.server.url}/owner/a/pull/1"
        hold.hold(self.app(), "a", "waiting for the fix", None, None, GivenEnd(url))
        return url, pull

    def ask(self) -> tuple[str, ...]:
        """As a run does at its beginning, an hour later."""
        self.now += HOUR
        app = self.app()
        place = app.place()
        with app.history(place) as past:
            return ask_due(app, place, past)

    def evaluations(self) -> int:
        return len(self.log.read_text().splitlines())

    def told(self) -> str:
        return styled_lines.text(status.lines(status.look(self.app()), None))


def test_a_run_asks_before_it_proposes(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, server: Server
) -> None:
    world = Nights(one_nix, tmp_path, cancel, server)
    url, pull = world.wait_for_a_fix()
    for upstream in world.upstreams.values():
        upstream.commit("second")
    run = world.update()
    assert run.outcome is Outcome.PARTLY_PUBLISHED and world.moved() == {"a": "1", "b": "2"}
    (held,) = run.held
    assert held.detail == f"held by you until {url} is merged: waiting for the fix"
    message = world.fleet.git("log", "-1", "--format=%B", "main")
    assert "is merged: waiting for the fix" in " ".join(message.split())
    assert url not in message, "a link would tell everybody there of it, night after night"
    pull.state, pull.commit = "merged", world.upstreams["a"].head("main")
    assert world.update().outcome is Outcome.UNCHANGED, "it was asked less than an hour ago"
    server.answer = lambda _: Reply(b"oops", 502)
    world.now += HOUR
    assert world.update().outcome is Outcome.UNCHANGED and "answers 502" in world.told()
    server.answer = world.forge
    world.now += HOUR
    run = world.update()
    assert run.outcome is Outcome.PUBLISHED and world.moved() == {"a": "2", "b": "2"}
    assert f"a moves again: {url} was merged on 2026-11-20, and main has it" in run.notes
    assert "held by you" not in world.told()
    app = world.app()
    with app.history() as past:
        last = past.latest(app.place().flake)
        assert last is not None and last.notes == run.notes


def test_who_looks_between_the_runs_asks_too(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, server: Server
) -> None:
    """`lockbot notify`, which the daemon calls each hour, and a dry run: they only say what they hear."""
    world = Nights(one_nix, tmp_path, cancel, server)
    url, pull = world.wait_for_a_fix()
    pull.state, pull.commit = "merged", world.upstreams["a"].head("main")
    assert notify(world.app()).notes == (), "it was asked less than an hour ago"
    world.now += HOUR
    sent = notify(world.app())
    arrived = f"{url} was merged on 2026-11-20, and main has it"
    assert sent.notes == (f"a is held until the next run: {arrived}",)
    assert not sent.configured and arrived in world.told()
    dry = world.update(dry_run=True)
    assert f"a is held until the next run: {arrived}" in dry.notes and "held by you" in world.told()
    assert f"a moves again: {arrived}" in world.update().notes, "the run says so, though it was asked just now"
    assert "held by you" not in world.told()


def test_until_a_package_is_at_a_version(
    one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken, server: Server
) -> None:
    world = Nights(one_nix, tmp_path, cancel, server)
    with pytest.raises(UsageError, match="there is no tool in main"):
        world.wait(version=("tool", "2.0"))
    first = world.release("1.9")
    with pytest.raises(UsageError, match=r"tool is at 1\.9 in main .*: there is nothing to wait for"):
        world.wait(version=("tool", "1.8"))
    told = world.wait(version=("tool", "2.0"))
    assert "a is held where it is until tool is at 2.0 or newer, from the next run on" in told
    assert f"asked just now: tool is at 1.9 in main ({first[:7]})" in told
    steps = [
        ("2.0-rc1", "tool is at 2.0-rc1 in main ("),
        ("unstable-2026-01-01", "which of that and 2.0 is newer can't be said"),
        (None, "there is no tool in main ("),
    ]
    for version, answer in steps:
        world.release(version)
        assert world.ask() == () and answer in world.told(), version
    evaluations = world.evaluations()
    assert world.ask() == () and "asked less than a minute ago: there is no tool in main (" in world.told()
    assert world.evaluations() == evaluations, "the same revision is not evaluated again"
    world.release("2.0.1")
    world.now += HOUR
    run = world.update("a")
    assert run.outcome is Outcome.PUBLISHED
    assert any(note.startswith("a moves again: tool is at 2.0.1 in main (") for note in run.notes)
    assert world.fleet.locked("a", "main") == world.upstreams["a"].head()
