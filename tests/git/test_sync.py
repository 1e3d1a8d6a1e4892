"""Finding the user's branch and remote, and what a candidate is built on."""

from __future__ import annotations

import socket
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from lockbot.errors import LockbotError, UsageError
from lockbot.git.failure import RemoteError
from lockbot.git.source import LocalSource, RemoteSource, Repository, discover, remote_of
from lockbot.git.sync import Base, sync
from lockbot.model import FailureKind
from lockbot.redact import redact
from tests.forge.server import Reply, Server
from tests.git.world import World, script


def look(
    world: World, path: Path | None = None, *, branch: str | None = None, remote: str | None = None
) -> Repository:
    return discover(world.open().reading, path or world.user, branch=branch, remote=remote)


def synced(world: World, source: LocalSource | RemoteSource | None = None) -> Base:
    return sync(world.open(), source or world.source())


def test_discover_a_subdirectory(world: World) -> None:
    world.with_remote()
    link = world.root / "link"
    link.symlink_to(world.user / "hosts")
    for path in (world.user / "hosts", link):
        found = look(world, path)
        assert (found.path, found.common, found.bare) == (world.user, world.user / ".git", False)
        assert (found.branch, found.subdirectory) == ("main", "hosts")
        assert (found.remote, found.remote_branch, found.tracking) == (
            "origin",
            "main",
            "refs/remotes/origin/main",
        )


def test_discover_a_bare_repository_and_a_git_directory(world: World) -> None:
    world.with_remote()
    found = look(world, world.remote)
    assert (found.path, found.common, found.bare, found.remote) == (world.remote, world.remote, True, None)
    assert look(world, world.user / ".git").common == world.user / ".git"


def test_discover_remotes(world: World) -> None:
    assert look(world).remote is None
    world.git(world.user, "remote", "add", "origin", "/x")
    world.git(world.user, "remote", "add", "my.fork", "/y")
    assert look(world).remote == "origin"
    assert look(world, remote="").remote is None
    assert look(world, remote="my.fork").remote == "my.fork"
    world.git(world.user, "config", "branch.main.remote", "my.fork")
    world.git(world.user, "config", "branch.main.merge", "refs/heads/trunk")
    assert (look(world).remote, look(world).remote_branch) == ("my.fork", "trunk")
    assert (look(world, remote="origin").remote, look(world, remote="origin").remote_branch) == ("origin", "main")
    world.git(world.user, "config", "branch.main.remote", ".")
    assert look(world).remote is None
    with pytest.raises(UsageError) as caught:
        look(world, remote="nope")
    assert "my.fork, origin" in caught.value.hint


def test_detached_head_asks_for_the_branch(world: World) -> None:
    world.git(world.user, "checkout", "--quiet", "--detach")
    with pytest.raises(UsageError) as caught:
        synced(world)
    assert "detached" in caught.value.message
    assert "`branch`" in caught.value.hint
    assert synced(world, world.source(branch="main")).local == world.tip(world.user)


@pytest.mark.parametrize(
    "name", ["-main", "--upload-pack=x", "a..b", "a b", "x.lock", "a:b", "*", "@{-1}", "a\nb"]
)
def test_names_that_no_branch_can_have(world: World, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a branch"):
        synced(world, world.source(branch=name))
    with pytest.raises(UsageError, match="cannot be the name of a branch"):
        synced(world, RemoteSource(str(world.user), name))


@pytest.mark.parametrize("name", ["feature/höst/ünï", "$(reboot)", "a'b", "HEAD"])
def test_strange_names_work(empty_world: World, name: str) -> None:
    world = empty_world.make("main")
    world.git(world.user, "update-ref", f"refs/heads/{name}", "HEAD")
    world.git(world.user, "symbolic-ref", "HEAD", f"refs/heads/{name}")
    world.with_remote()
    result, made = world.cycle(world.source())
    assert world.tip(world.user, f"refs/heads/{name}") == world.tip(world.remote, f"refs/heads/{name}") == made, (
        result
    )


def test_only_local(world: World) -> None:
    base = synced(world)
    tip = world.tip(world.user)
    assert base == Base(tip, "main", tip, None, push_allowed=False)


def test_level_with_the_remote(world: World) -> None:
    world.with_remote()
    tip = world.tip(world.user)
    assert synced(world) == Base(tip, "main", tip, tip, push_allowed=True)
    assert synced(world, world.url()) == Base(tip, "main", None, tip, push_allowed=True)


def test_behind_the_remote(world: World) -> None:
    world.with_remote()
    local = world.tip(world.user)
    theirs = world.colleague()
    assert synced(world) == Base(theirs, "main", local, theirs, push_allowed=True)


def test_ahead_of_the_remote(world: World) -> None:
    world.with_remote()
    remote = world.tip(world.remote)
    mine = world.user_commit("mine")
    base = synced(world)
    assert (base.commit, base.local, base.remote, base.push_allowed) == (mine, mine, remote, False)
    assert "push them yourself" in base.notes[0]


def test_diverged(world: World) -> None:
    world.with_remote()
    theirs = world.colleague()
    mine = world.user_commit("mine")
    base = synced(world)
    assert (base.commit, base.remote, base.push_allowed) == (mine, theirs, False)
    assert "have diverged (1 and 1 commits)" in base.notes[0]


def test_remote_lacks_the_branch(world: World) -> None:
    world.with_remote()
    world.git(world.user, "switch", "--quiet", "--create", "new")
    base = synced(world)
    assert (base.commit, base.remote, base.push_allowed) == (world.tip(world.user, "new"), None, False)
    assert "no branch new" in base.notes[0]


@pytest.mark.parametrize("push", [True, False])
@pytest.mark.parametrize("answer", ["broken off", "emptied"])
def test_a_remote_that_has_lost_every_branch_is_not_believed(world: World, answer: str, push: bool) -> None:
    """An answer over HTTP that breaks off at its head looks like that, too: then a push would not be made, and
    the branch go another way than the remote's."""
    world.with_remote()
    with ExitStack() as stack:
        if answer == "emptied":
            world.git(world.remote, "update-ref", "-d", "refs/heads/main")
        else:
            server = stack.enter_context(Server())
            server.answer = lambda _: Reply(b"")
            world.git(world.user, "remote", "set-url", "origin", f"{server.url}/x.git")
        if push:
            with pytest.raises(RemoteError, match="no branch at all, and origin/main was there"):
                synced(world)
        else:
            base = synced(world, replace(world.source(), push=False))
            assert base.remote is None and "only the local branch was looked at" in base.notes[0]


def test_a_remote_that_never_had_a_branch(world: World) -> None:
    world.git(world.root, "init", "--quiet", "--bare", str(world.remote))
    world.git(world.user, "remote", "add", "origin", str(world.remote))
    assert "no branch main: nothing is pushed" in synced(world).notes[0]


def test_a_rewritten_branch_and_one_in_the_way_of_another(world: World) -> None:
    synced(world)
    world.git(world.user, "commit", "--quiet", "--amend", "-m", "rewritten")
    assert synced(world).commit == world.tip(world.user)
    world.git(world.user, "branch", "-m", "main", "main/sub")
    assert synced(world).branch == "main/sub"


def test_unreachable_remote_stops_only_who_wants_to_push(world: World) -> None:
    world.with_remote()
    world.git(world.user, "remote", "set-url", "origin", "http://127.0.0.1:9/x.git")
    with pytest.raises(RemoteError) as caught:
        synced(world)
    assert caught.value.kind is FailureKind.NETWORK
    base = synced(world, world.source(push=False))
    assert (base.commit, base.remote) == (world.tip(world.user), None)
    assert "only the local branch was looked at" in base.notes[0]


def test_a_remote_that_hangs_is_the_networks_fault(world: World) -> None:
    world.timeout = 1.5
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(RemoteError) as caught:
            synced(world, RemoteSource(f"http://127.0.0.1:{server.getsockname()[1]}/x.git", "main"))
        assert caught.value.kind is FailureKind.NETWORK
        assert "did not answer within 1.5 s" in caught.value.message


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("git@example.org: Permission denied (publickey).", FailureKind.AUTH),
        ("Host key verification failed.", FailureKind.AUTH),
        ("ssh: connect to host example.org port 22: Connection refused", FailureKind.NETWORK),
        ("ERROR: Repository not found.", FailureKind.NOT_FOUND),
    ],
)
def test_what_ssh_says(world: World, tmp_path: Path, words: str, kind: FailureKind) -> None:
    ssh = script(tmp_path / "ssh", f'echo "$@" > "{tmp_path}/argv"; echo "{words}" >&2; exit 255')
    world.with_remote()
    world.git(world.user, "remote", "set-url", "origin", "git@example.org:me/flake.git")
    world.git(world.user, "config", "core.sshCommand", str(ssh))  # as people give a repository a key of its own
    with pytest.raises(RemoteError) as caught:
        synced(world)
    assert caught.value.kind is kind
    assert redact(caught.value.hint) == caught.value.hint, (
        "advice must not look like a secret: it is printed redacted"
    )
    assert "-oBatchMode=yes" in (tmp_path / "argv").read_text()


def test_not_found(world: World) -> None:
    with pytest.raises(RemoteError) as caught:
        synced(world, RemoteSource(str(world.root / "nowhere.git"), "main"))
    assert caught.value.kind is FailureKind.NOT_FOUND


@pytest.mark.parametrize("how", ["local", "url"])
def test_shallow(world: World, how: str) -> None:
    synced(world, RemoteSource(str(world.user)))  # what was fetched before is not taken for today's
    world.user_commit("second")
    world.user_commit("third")
    shallow = world.root / "shallow"
    world.git(world.root, "clone", "--quiet", "--depth=1", f"file://{world.user}", str(shallow))
    source = LocalSource(shallow) if how == "local" else RemoteSource(f"file://{shallow}", "main")
    with pytest.raises(UsageError) as caught:
        synced(world, source)
    assert "shallow" in caught.value.message
    assert "fetch --unshallow" in caught.value.hint


@pytest.mark.parametrize("how", ["local", "url"])
def test_sha256(world: World, how: str) -> None:
    other = world.root / "sha256"
    world.git(world.root, "init", "--quiet", "--object-format=sha256", "--initial-branch=main", str(other))
    world.user_commit("x", other)
    with pytest.raises(UsageError, match="SHA-256"):
        synced(world, LocalSource(other) if how == "local" else RemoteSource(str(other), "main"))


@pytest.mark.parametrize("how", ["local", "url"])
def test_missing_branch_lists_what_there_is(world: World, how: str) -> None:
    world.git(world.user, "branch", "feature/x")
    source = world.source(branch="nope") if how == "local" else RemoteSource(str(world.user), "nope")
    with pytest.raises(UsageError) as caught:
        synced(world, source)
    assert "'nope'" in caught.value.message
    assert "feature/x, main" in caught.value.hint


@pytest.mark.parametrize("branch", [None, "main"])
@pytest.mark.parametrize("how", ["local", "url"])
def test_no_commit_yet(empty_world: World, how: str, branch: str | None) -> None:
    world = empty_world
    world.git(world.root, "init", "--quiet", "--initial-branch=main", str(world.user))
    source = world.source(branch=branch) if how == "local" else RemoteSource(str(world.user), branch)
    with pytest.raises(UsageError, match="no commit yet"):
        synced(world, source)


def test_not_a_repository(empty_world: World) -> None:
    (empty_world.root / "plain").mkdir()
    with pytest.raises(UsageError, match="not in a git repository"):
        synced(empty_world, LocalSource(empty_world.root / "plain"))
    with pytest.raises(UsageError, match="is not a directory"):
        synced(empty_world, LocalSource(empty_world.root / "nowhere"))


def test_a_repository_of_another_user(world: World) -> None:
    try:
        subprocess.run(["chown", "-R", "65534", str(world.user)], check=True, capture_output=True)
    except subprocess.CalledProcessError:
        pytest.skip("only root can give files away")
    with pytest.raises(UsageError) as caught:
        synced(world)
    assert "dubious ownership" in caught.value.message
    for path in (world.user, world.user / ".git"):
        assert f"safe.directory {path}" in caught.value.hint
        world.git(world.user, "config", "--global", "--add", "safe.directory", str(path))
    assert synced(world).local is not None


def test_a_relative_remote_and_what_only_the_repository_configures(world: World) -> None:
    world.with_remote()
    world.git(world.user, "remote", "set-url", "origin", "../remote.git")
    assert synced(world).remote == world.tip(world.remote)
    world.git(world.user, "config", "http.extraHeader", "Authorization: s3cret")
    world.git(world.user, "config", "--global", "http.proxy", "http://proxy")
    remote = remote_of(look(world))
    assert remote.url == f"{world.user}/../remote.git"
    assert ("http.extraheader", "Authorization: s3cret") in remote.config
    assert not [key for key, _ in remote.config if key == "http.proxy"], "it holds in the clone anyhow"
    assert "s3cret" not in repr(remote) + repr(look(world))


@pytest.mark.parametrize("url", ["-x", "--upload-pack=touch x", "ext::sh -c x", "a\nb", ""])
def test_addresses_that_are_refused(world: World, url: str) -> None:
    with pytest.raises(LockbotError):
        synced(world, RemoteSource(url, "main"))
