"""Which of the user's git settings reach lockbot's git and Nix's, and that they arrive as they were written."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lockbot.errors import LockbotError, SurroundingsError
from lockbot.git import settings
from lockbot.git.command import Git, Pair, nix_environment, user_environment
from lockbot.git.source import RemoteSource
from lockbot.git.sync import sync
from lockbot.nix import installed
from tests import nixes
from tests.git.world import World, script

THROUGH = (
    "credential.helper",
    "credential.https://forge.example.username",
    "credentialcache.ignoresighup",
    "url.ssh://git@forge.example/.insteadof",
    "url.x.pushinsteadof",
    "ssh.variant",
    "core.gitproxy",
    "http.proxy",
    "http.sslcainfo",
    "http.extraheader",
    "http.https://forge.example/.extraheader",
    "http.cookiefile",
    "http.version",
    "safe.directory",
)
KEPT_OUT = (
    "core.hookspath",
    "core.fsmonitor",
    "core.autocrlf",
    "core.askpass",
    "filter.lfs.smudge",
    "protocol.file.allow",
    "protocol.allow",
    "safe.barerepository",
    "transfer.fsckobjects",
    "init.templatedir",
    "merge.ff",
    "index.version",
    "alias.fetch",
    "push.gpgsign",
    "http.followredirects",
    "http.https://forge.example/.followredirects",
    "http.lowspeedlimit",
    "http.https://forge.example/.lowspeedtime",
    "remote.origin.url",
    "include.path",
    "httpx.proxy",
)


def arrived(world: World, found: tuple[settings.Setting, ...]) -> list[Pair]:
    """What git sees of these settings, narrowed."""
    access = settings.restrict(world.environ, found, world.root / "narrow")
    seen = settings.read(Git(world.root, user_environment(access), world.cancel))
    return [(one.key, one.value) for one in seen if one.scope == "global" and one.key != "core.sshcommand"]


@pytest.mark.parametrize("key", [*THROUGH, *KEPT_OUT])
@pytest.mark.parametrize("scope", ["system", "global", "command", "local", "worktree"])
def test_what_is_let_through(world: World, key: str, scope: str) -> None:
    expected = [(key, "x")] if key in THROUGH and scope not in ("local", "worktree") else []
    assert arrived(world, (settings.Setting(scope, key, "x"),)) == expected


HOSTILE = ["", " x ", 'a"b', "a\\b", "a\\", "a\nb\tc", "# ; x", "ü 日本", '!f() { echo "$1"; }; f', "x\x08y"]


@pytest.mark.parametrize("value", HOSTILE)
def test_values_arrive_as_they_were_written(world: World, value: str) -> None:
    pairs = [("http.extraheader", value), ('url.ssh://a"b\\c].x.insteadof', value), ("http.extraheader", "second")]
    found = tuple(settings.Setting("global", *pair) for pair in pairs)
    assert arrived(world, found) == pairs


def test_what_a_user_wrote_is_read_with_all_that_it_includes(world: World) -> None:
    home = Path(world.environ["HOME"])
    (home / "work").write_text("[credential]\n\thelper = /work/helper\n[alias]\n\tx = y\n")
    world.git(world.root, "config", "--global", f"includeIf.gitdir:{world.user}/.path", "work")
    world.git(world.user, "config", "http.extraHeader", "of the repository")
    world.environ["GIT_CONFIG_NOSYSTEM"] = "1"
    inside = settings.read(Git(world.user, user_environment(world.environ), world.cancel))
    assert arrived(world, inside) == [
        ("user.name", "Test Person"),
        ("user.email", "person@example.org"),
        ("credential.helper", "/work/helper"),
    ]
    assert [one.of_repository for one in inside if one.key == "http.extraheader"] == [True]


@pytest.mark.parametrize(
    ("environ", "configured", "expected"),
    [
        ({}, "", "ssh +"),
        ({"GIT_SSH_COMMAND": "ssh -i /key"}, "ssh -i /other", "ssh -i /key +"),
        ({"GIT_SSH_COMMAND": "ssh -i /key", "GIT_SSH": "/opt/ssh"}, "", "ssh -i /key +"),
        ({}, "ssh -i /other", "ssh -i /other +"),
        ({"GIT_SSH": "/opt/my ssh"}, "", "'/opt/my ssh' +"),
        ({"GIT_SSH": "/opt/ssh"}, "ssh -i /other", "ssh -i /other +"),
        ({"GIT_SSH": "/opt/plink.exe"}, "", "/opt/plink.exe"),
        ({"GIT_SSH_VARIANT": "simple"}, "/opt/mine", "/opt/mine"),
    ],
)
def test_ssh_never_asks(world: World, environ: dict[str, str], configured: str, expected: str) -> None:
    found = (settings.Setting("global", "core.sshcommand", configured),) if configured else ()
    access = settings.restrict({**world.environ, **environ}, found, world.root / "narrow")
    for variables in (user_environment(access), nix_environment(access)):
        git = Git(world.root, {**world.environ, **variables}, world.cancel)
        used = variables.get("GIT_SSH_COMMAND") or git.ask("config", "core.sshCommand")
        assert used == expected.replace("+", settings.SSH_OPTIONS)
        assert "GIT_SSH" not in variables


def test_no_secret_is_in_the_environment_of_nix(world: World) -> None:
    world.environ |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": "Authorization: s3cret",
        "GIT_DIR": "/nowhere",
    }
    file = world.root / "narrow"
    found = (settings.Setting("command", "http.extraheader", "Authorization: s3cret"),)
    for_nix = nix_environment(settings.restrict(world.environ, found, file))
    assert "s3cret" not in repr(for_nix) + repr(found)
    assert "s3cret" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "GIT_DIR" not in for_nix


def test_the_file_is_lockbots_own(world: World) -> None:
    theirs = world.root / "theirs"
    theirs.write_text("theirs\n")
    file = world.root / "narrow"
    file.symlink_to(theirs)
    with pytest.raises(SurroundingsError, match="a symbolic link"):
        settings.restrict(world.environ, (), file)
    assert theirs.read_text() == "theirs\n"
    file.unlink()
    settings.restrict(world.environ, (), file)
    before = file.stat()
    settings.restrict(world.environ, (), file)
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    file.unlink()
    file.mkdir()
    with pytest.raises(SurroundingsError, match=f"cannot write {file}"):
        settings.restrict(world.environ, (), file)


# -- that they are of use ---------------------------------------------------------------------------------------


@pytest.fixture
def guarded() -> Iterator[tuple[str, list[str]]]:
    """A server's address that lets nobody in, and the credentials that it was given."""
    given: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if said := self.headers.get("Authorization"):
                given.append(base64.b64decode(said.split()[1]).decode())
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", given
        server.shutdown()
        thread.join()


def ask_as_the_user(world: World, address: str) -> None:
    helper = script(world.root / "helper", "echo username=me; echo password=s3cret")
    world.git(world.root, "config", "--global", "credential.helper", str(helper))
    world.git(world.root, "config", "--global", f"url.{address}/.insteadOf", "http://forge.invalid/")


def test_a_remote_is_reached_with_the_users_credentials(world: World, guarded: tuple[str, list[str]]) -> None:
    ask_as_the_user(world, guarded[0])
    with pytest.raises(LockbotError, match="does not let lockbot in"):
        sync(world.open(), RemoteSource("http://forge.invalid/x.git", "main"))
    assert "me:s3cret" in guarded[1]


def test_an_input_is_fetched_with_the_users_credentials(
    nix: nixes.Nix, world: World, guarded: tuple[str, list[str]]
) -> None:
    ask_as_the_user(world, guarded[0])
    access = world.open().access
    environ = {**nix.environment, "HOME": world.environ["HOME"]}
    found = installed.find(environ, world.cancel, world.root / "data", {}, nix_environment(access))
    found = replace(found, environ={**found.environ, "XDG_CACHE_HOME": str(world.root / "cache")})
    done = found.call(found.nix, "flake", "metadata", "git+http://forge.invalid/x.git?ref=main")
    assert done.code != 0
    assert "me:s3cret" in guarded[1], done.stderr


def test_nixs_git_is_not_misled_by_where_lockbot_was_started(
    nix: nixes.Nix, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.user / "flake.lock").unlink()
    world.user_commit("no lock")
    world.with_remote()
    world.git(world.user, "config", f"url.file:///nowhere{os.sep}.insteadOf", f"file://{world.remote}")
    monkeypatch.chdir(world.user)
    found = installed.find(nix.environment, world.cancel, world.root / "data", {})
    found = replace(found, environ={**found.environ, "XDG_CACHE_HOME": str(world.root / "cache")})
    done = found.call(found.nix, "flake", "metadata", "--json", f"git+file://{world.remote}")
    assert done.code == 0, done.stderr
