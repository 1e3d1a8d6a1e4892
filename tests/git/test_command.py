"""How git is started: what it may read, what it may not, and that it ends."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lockbot.errors import Cancelled, CommandError, DeadlineExceeded, SurroundingsError
from lockbot.git.command import Git, own_environment, user_environment
from lockbot.process import CancelToken
from tests.git.world import World, script


def own(world: World) -> Git:
    return Git(world.user, own_environment(world.environ), world.cancel)


def user(world: World) -> Git:
    return Git(world.user, user_environment(world.environ), world.cancel)


def test_the_child_gets_its_profile_and_nothing_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("SECRET", "of lockbot's")
    git = own(world)
    shown = git.configured(("alias.env", "!env -0")).ask("env")
    seen = dict(item.split("=", 1) for item in shown.split("\0") if item)
    assert "SECRET" not in seen
    assert seen.get("GIT_DIR", "") != "/nowhere"
    assert seen["LC_ALL"] == "C"
    assert seen["GIT_TERMINAL_PROMPT"] == "0"
    known = {
        *git.environment,
        "GIT_CONFIG_PARAMETERS",
        "GIT_PREFIX",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "GIT_EXEC_PATH",
        "STARTED_BY_LOCKBOT",
    }
    extra = {"GIT_CONFIG_COUNT"} | {name for name in seen if name.startswith("GIT_CONFIG_")}
    assert set(seen) <= known | extra


def test_standard_input_and_replies(world: World) -> None:
    git = own(world)
    blob = git.run("hash-object", "-w", "--stdin", stdin=b"\xff" * 200_000).stdout.strip()
    assert git.ask("cat-file", "-s", blob) == "200000"
    assert git.resolve("HEAD") == world.tip(world.user, "HEAD")
    assert git.resolve("no-such-name") is None
    assert git.holds("merge-base", "--is-ancestor", "HEAD", "HEAD")


def test_errors_carry_the_command_and_gits_words(world: World) -> None:
    with pytest.raises(CommandError) as caught:
        own(world).run("cat-file", "-t", "1" * 40)
    assert caught.value.command == f"git -C {world.user} cat-file -t {'1' * 40}"
    assert caught.value.code == 128
    assert "could not get object info" in caught.value.output
    with pytest.raises(CommandError):
        own(world).holds("merge-base", "--is-ancestor", "1" * 40, "HEAD")


def test_own_git_is_blind_to_the_users_configuration(world: World) -> None:
    world.git(world.user, "config", "--global", "alias.mine", "version")
    xdg = Path(world.environ["HOME"]) / ".config" / "git" / "attributes"
    xdg.parent.mkdir(parents=True)
    xdg.write_text("* filter=evil\n")
    assert own(world).run("config", "alias.mine", check=False).code == 1
    assert user(world).ask("config", "alias.mine") == "version"
    assert own(world).ask("check-attr", "filter", "flake.lock").endswith(": unspecified")
    assert user(world).ask("check-attr", "filter", "flake.lock").endswith(": evil")


def test_an_operators_configuration_by_environment_holds_but_not_for_hooks(world: World) -> None:
    world.environ |= {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": "X: y",
        "GIT_CONFIG_KEY_1": "core.hooksPath",
        "GIT_CONFIG_VALUE_1": "/mine",
    }
    git = user(world)
    assert git.ask("config", "http.extraHeader") == "X: y"
    assert git.ask("config", "core.hooksPath") == "/dev/null"
    assert own(world).run("config", "http.extraHeader", check=False).code == 1


def test_git_that_is_not_there(world: World, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    git = replace(own(world), environment={**own(world).environment, "PATH": str(tmp_path / "empty")})
    with pytest.raises(SurroundingsError, match="git"):
        git.run("version")


def test_a_directory_that_is_gone_is_not_swapped_for_another(world: World) -> None:
    with pytest.raises(CommandError, match="cannot change to"):
        own(world).at(world.root / "gone").run("rev-parse", "--git-dir")


def test_cancelled_before_and_while_it_runs(world: World) -> None:
    git = own(world).configured(("alias.wait", "!sleep 60"))
    token = CancelToken()
    begun = time.monotonic()
    threading.Timer(0.3, lambda: token.cancel("SIGTERM")).start()
    with pytest.raises(Cancelled):
        replace(git, cancel=token).run("wait")
    with pytest.raises(Cancelled):
        replace(git, cancel=token).run("version")
    assert time.monotonic() - begun < 20
    token.close()


def test_a_remote_that_never_answers_ends_at_the_deadline(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.git"
        git = replace(user(world), timeout=1.0)
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="git ls-remote took longer than 1 s"):
            git.run("ls-remote", url)
        assert time.monotonic() - begun < 20
    # That no process of it is left is checked after every test (tests/conftest.py).


def test_no_prompt_waits_for_an_answer(world: World, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    world.environ |= {"GIT_ASKPASS": str(script(tmp_path / "ask", f"touch '{asked}'; sleep 60"))}
    world.environ["SSH_ASKPASS"] = world.environ["GIT_ASKPASS"]
    finished = replace(user(world), timeout=10).run(
        "credential", "fill", stdin=b"url=https://example.org\n\n", check=False
    )
    assert finished.code != 0
    assert "terminal prompts disabled" in finished.stderr
    assert not asked.exists()


def test_nothing_leaks_from_many_runs(world: World) -> None:
    git = own(world)
    git.run("version")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # only the number matters
    for _ in range(20):
        git.run("version")
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208  # only the number matters
