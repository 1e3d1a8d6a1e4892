"""Threats of docs/security.md that no other folder's tests are about."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lockbot.commands import check
from lockbot.nix import installed
from lockbot.nix.command import Nix
from lockbot.process import CancelToken, Deadline
from tests import nixes
from tests.forge.server import Server
from tests.nix.test_evaluate import World
from tests.web import world as web

TOKEN = "c4n4ry7d1f"  # noqa: S105 -- no secret: what must not turn up


def flake_of(settings: str, host: str) -> str:
    return f"{{ nixConfig = {{ {settings} }}; outputs = _: {{ hosts.web = {host}; }}; }}"


HOST = (
    'let made = derivation { name = "made-SALT"; system = "x86_64-linux"; builder = "/bin/sh";'
    ' args = [ "-c" "echo made >$out" ]; }; in derivation { name = "web"; system = "x86_64-linux";'
    ' builder = "/bin/sh"; args = [ "-c" "echo ok >$out" ]; text = builtins.readFile made; }'
)


@pytest.mark.parametrize("theirs", ["", "accept-flake-config = true"], ids=["as it is", "accepted in nix.conf"])
def test_a_flakes_own_settings_for_nix_are_not_accepted(
    theirs: str, nix: nixes.Nix, tmp_path: Path, cancel: CancelToken
) -> None:
    """Neither when it is locked nor when it is evaluated, and what that needs is built: no hook of its runs, no
    cache of its is asked."""
    hook, ran = tmp_path / "hook", tmp_path / "ran"
    hook.write_text(f"#!/bin/sh\nid >>{ran}\n")
    hook.chmod(0o755)
    environment = dict(nix.environment)
    environment["NIX_CONFIG"] = f"{environment.get('NIX_CONFIG', '')}\n{theirs}\n"
    with Server() as cache, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "*")
        settings = (
            f'post-build-hook = "{hook}"; substituters = [ "{cache.url}" ];'
            f' extra-substituters = [ "{cache.url}" ];'
            f' pre-build-hook = "{hook}"; allow-import-from-derivation = true; builders = "ssh://{cache.host}";'
        )
        world = World(nix, tmp_path, cancel, {})
        world.nix = installed.find(environment, cancel, tmp_path / "data", {})
        text = flake_of(settings, HOST.replace("SALT", tmp_path.name.replace("_", "-")))
        done = world.evaluate({"web": "fine"}, files={"flake.nix": text})["web"]
        assert done.failure is None, "what it is made from is built on the way"
        world.nix.update(world.tmp / "flake", [], {}, Deadline(60, "updating"))
        assert cache.asked == []
    assert not ran.exists()


@contextmanager
def daemon_of(nix: Nix, socket: Path, settings: str) -> Iterator[Nix]:
    """A real nix-daemon on this store, and who talks to it."""
    environment = {**nix.environ, "NIX_DAEMON_SOCKET_PATH": str(socket)}
    own = {**environment, "NIX_REMOTE": "local", "NIX_CONFIG": f"{environment['NIX_CONFIG']}{settings}\n"}
    daemon = subprocess.Popen([nix.nix.parent / "nix-daemon", "--daemon"], env=own, start_new_session=True)
    try:
        while not socket.exists():
            time.sleep(0.01)
        yield replace(nix, environ={**environment, "NIX_REMOTE": "daemon"})
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()


@pytest.mark.parametrize(("trusted", "warned"), [("root", True), ("nobody", False)])
def test_who_is_trusted_by_the_daemon_is_warned(
    trusted: str,
    warned: bool,
    one_nix: nixes.Nix,
    tmp_path: Path,
    cancel: CancelToken,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever it trusts can have it run anything as root. Of root there is nothing to warn: it is another here."""
    nix = installed.find(one_nix.environment, cancel, tmp_path / "data", {})
    flake = web.World.create(tmp_path / "flake", nixes.git_environment(tmp_path / "home"))
    user = pwd.getpwuid(os.getuid()).pw_name
    with (
        daemon_of(nix, tmp_path / "socket", f"trusted-users = {user if warned else trusted}") as asked,
        flake.app() as (app, _),
    ):
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        look = check._Look()
        check._nix(look, app, asked)
    (store,) = [one for one in look.findings if one.what == "nix store"]
    assert (store.level is check.Level.WARNING) == warned, store
    assert ("trusted-users" in store.advice) == warned


@contextmanager
def every_command_line(pattern: str) -> Iterator[set[str]]:
    """What `ps` shows of this machine's processes whose command line has this in it, sampled as fast as can be."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for place in Path("/proc").iterdir():
                if place.name.isdigit():
                    try:
                        line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    except OSError:
                        continue
                    if pattern in line:
                        seen.add(line)
            time.sleep(0.001)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_no_command_line_shows_a_token(one_nix: nixes.Nix, tmp_path: Path, cancel: CancelToken) -> None:
    """Tokens for fetching reach Nix by its environment."""
    settings = {"access-tokens": f"github.com={TOKEN}"}
    world = World(one_nix, tmp_path, cancel, settings)
    assert TOKEN in world.nix.environ["NIX_CONFIG"]
    with every_command_line(str(tmp_path)) as seen:
        for _ in range(3):
            assert world.evaluate({"web": "fine"})["web"].failure is None
    assert any(" eval " in line for line in seen), "it was looked while Nix ran"
    assert not any(TOKEN in line for line in seen)
