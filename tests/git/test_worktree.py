"""Candidates: what is checked out, what is committed, and how it is signed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lockbot.errors import Cancelled, CommandError, LockbotError
from lockbot.git.publish import Moved, publish
from lockbot.git.source import LocalSource, RemoteSource
from lockbot.git.sync import sync
from lockbot.git.worktree import Authorship, Signing, SigningFormat, commit, recommit, worktree
from tests.git.world import LOCK, LOCKBOT, MESSAGE, WHEN, World, script


def test_a_worktree_lives_as_long_as_its_context(world: World) -> None:
    clone = world.open()
    base = sync(clone, world.source())
    with worktree(clone, base.commit, world.source()) as tree:
        assert (tree.path / LOCK).read_text() == (world.user / LOCK).read_text()
        assert tree.path.parent == clone.trees
        assert (tree.submodules, tree.notes) == (False, ())
        with worktree(clone, base.commit, world.source()) as second:
            assert second.path != tree.path
    assert list(clone.trees.iterdir()) == []
    assert list(clone.directory.glob("worktrees/*")) == []


def test_a_cancelled_run_leaves_no_worktree(world: World) -> None:
    clone = world.open()
    base = sync(clone, world.source())
    with pytest.raises(Cancelled), worktree(clone, base.commit, world.source()):
        world.cancel.cancel("SIGTERM")
        world.cancel.check()
    assert list(clone.trees.iterdir()) == []
    assert list(clone.directory.glob("worktrees/*")) == []


def test_only_the_named_paths_are_committed(world: World) -> None:
    clone = world.open()
    base = sync(clone, world.source())
    with worktree(clone, base.commit, world.source()) as tree:
        (tree.path / LOCK).write_text("{}\n")
        (tree.path / "flake.nix").write_text("changed\n")
        (tree.path / "staged").write_text("staged\n")
        subprocess.run(["git", "-C", str(tree.path), "add", "."], env=world.environ, check=True)
        made = commit(clone, tree, [LOCK], MESSAGE, name="r1", authorship=Authorship(LOCKBOT), when=WHEN)
        again = commit(clone, tree, [LOCK], MESSAGE, name="r1", authorship=Authorship(LOCKBOT), when=WHEN)
    assert made == again, "made of the same, on the same"
    assert clone.git.ask("diff", "--name-only", base.commit, made) == LOCK
    assert clone.git.ask("show", "-s", "--format=%P", made) == base.commit
    assert clone.git.ask("show", "-s", "--format=%an <%ae> %at|%cn <%ce> %ct", made) == (
        "lockbot <lockbot@example.org> 1740810600|lockbot <lockbot@example.org> 1740810600"
    )
    assert clone.git.ask("show", "-s", "--format=%B", made).strip() == MESSAGE.strip()
    assert clone.git.ask("show", "-s", "--format=%(trailers:key=Lockbot-Run,valueonly)", made).strip() == "r1"


def test_a_lock_that_is_new_and_ignored(world: World) -> None:
    world.git(world.user, "rm", "--quiet", LOCK)
    (world.user / ".gitignore").write_text("*.lock\n")
    world.user_commit("no lock")
    clone = world.open()
    base = sync(clone, world.source())
    with worktree(clone, base.commit, world.source()) as tree:
        (tree.path / LOCK).write_text("{}\n")
        subprocess.run(["git", "-C", str(tree.path), "add", "-Nf", LOCK], env=world.environ, check=True)
        made = commit(clone, tree, [LOCK], MESSAGE, name="r1", authorship=Authorship(LOCKBOT), when=WHEN)
    assert clone.read_file(made, LOCK) == b"{}\n"
    assert publish(clone, world.source(), base, made, run="r1") == Moved(pushed=False)


def test_nothing_new_is_an_error(world: World) -> None:
    clone = world.open()
    base = sync(clone, world.source())
    with (
        worktree(clone, base.commit, world.source()) as tree,
        pytest.raises(LockbotError, match="did not change"),
    ):
        commit(clone, tree, [LOCK], MESSAGE, name="r1", authorship=Authorship(LOCKBOT), when=WHEN)


@pytest.mark.parametrize(
    "message", ["# not a comment\n\n\nkept\n", "ünïcode ☃ \udc80", "nul\0byte", "-F -", "--amend"]
)
def test_messages_are_kept_as_they_are(world: World, message: str) -> None:
    clone, base, made = world.proposed(world.source())
    told = recommit(clone, made, message, name="r1")
    expected = message.replace("\0", "").encode(errors="replace").decode()
    shown = clone.git.run("cat-file", "commit", told).stdout.partition("\n\n")[2]
    assert shown.rstrip("\n") == expected.rstrip("\n")
    assert clone.kept() == {"r1": told}
    form = "--format=%T %P %an %ae %at %cn %ce %ct"
    assert clone.git.ask("show", "-s", form, told) == clone.git.ask("show", "-s", form, made)
    assert base.commit in clone.git.ask("show", "-s", form, told)


def test_ssh_signatures(world: World) -> None:
    key = world.root / "key with space"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    signers = world.root / "signers"
    signers.write_text(f"{LOCKBOT.email} {key.with_suffix('.pub').read_text()}")
    world.git(world.user, "config", "gpg.ssh.allowedSignersFile", str(signers))
    clone = world.open()
    base = sync(clone, world.source())
    sign = Signing(SigningFormat.SSH, str(key))
    made = world.candidate(clone, world.source(), base, sign=sign)
    told = recommit(clone, made, "other words\n\nLockbot-Run: r1\n", name="r1", sign=sign)
    assert publish(clone, world.source(), base, told, run="r1") == Moved(pushed=False)
    world.git(world.user, "verify-commit", told)
    world.git(world.user, "fetch", "--quiet", str(clone.directory), made)
    world.git(world.user, "verify-commit", made)
    unsigned = recommit(clone, made, "x\n", name="r1")
    world.git(world.user, "fetch", "--quiet", str(clone.directory), unsigned)
    with pytest.raises(AssertionError):
        world.git(world.user, "verify-commit", unsigned)


def test_a_key_that_is_missing_is_told(world: World) -> None:
    clone = world.open()
    base = sync(clone, world.source())
    with pytest.raises(CommandError, match="git commit-tree failed"):
        world.candidate(clone, world.source(), base, sign=Signing(SigningFormat.SSH, "/no/such/key"))
    assert clone.kept() == {}


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_gpg_signatures(world: World) -> None:
    home = Path("/tmp") / f"lockbot-gpg-{world.root.name}"  # noqa: S108  # the agent's socket needs a short path
    home.mkdir(mode=0o700)
    world.environ["GNUPGHOME"] = str(home)
    try:
        options = ["--batch", "--quiet", "--passphrase", "", "--quick-generate-key", LOCKBOT.email]
        subprocess.run(["gpg", *options], env=world.environ, check=True, capture_output=True)
        clone = world.open()
        base = sync(clone, world.source())
        made = world.candidate(clone, world.source(), base, sign=Signing(SigningFormat.OPENPGP, LOCKBOT.email))
        assert publish(clone, world.source(), base, made, run="r1") == Moved(pushed=False)
        world.git(world.user, "verify-commit", made)
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], env=world.environ, check=False)
        shutil.rmtree(home, ignore_errors=True)


def evil_filter(world: World) -> Path:
    """A filter in the user's global configuration that tells when it runs."""
    told = world.root / "filter-ran"
    filtering = script(world.root / "filter", f"touch '{told}'; cat")
    for part in ("smudge", "clean"):
        world.git(world.user, "config", "--global", f"filter.lfs.{part}", str(filtering))
    world.git(world.user, "config", "--global", "filter.lfs.required", "true")
    return told


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


def test_lfs_pointers_stay_and_no_filter_runs(world: World) -> None:
    (world.user / ".gitattributes").write_text(
        "*.bin filter=lfs diff=lfs merge=lfs -text\nflake.lock filter=lfs\n"
    )
    (world.user / "model.bin").write_text(POINTER)
    world.user_commit("lfs")
    told = evil_filter(world)
    clone = world.open()
    base = sync(clone, world.source())
    with worktree(clone, base.commit, world.source()) as tree:
        assert (tree.path / "model.bin").read_text() == POINTER
        (tree.path / LOCK).write_text("{}\n")
        made = commit(clone, tree, [LOCK], MESSAGE, name="r1", authorship=Authorship(LOCKBOT), when=WHEN)
    assert not told.exists()
    assert clone.git.ask("diff", "--name-only", base.commit, made) == LOCK
    world.git(world.user, "checkout-index", "--force", "model.bin")
    (world.user / "model.bin").unlink()
    world.git(world.user, "checkout", "model.bin")
    assert told.exists(), "the user's own git runs it: else this test shows nothing"


def with_submodule(world: World, url: str) -> World:
    inner = world.root / "inner"
    world.git(world.root, "init", "--quiet", "--initial-branch=main", str(inner))
    (inner / ".gitattributes").write_text("*.bin filter=lfs\n")
    (inner / "model.bin").write_text(POINTER)
    (inner / "inner.nix").write_text("{ }\n")
    world.user_commit("inner", inner)
    allowed = ["-c", "protocol.file.allow=always"]
    world.git(world.user, *allowed, "submodule", "--quiet", "add", str(inner), "vendor/inner")
    world.git(world.user, "config", "--file", ".gitmodules", "submodule.vendor/inner.url", url)
    world.user_commit("submodule")
    return world


@pytest.mark.parametrize("how", ["local", "remote", "url"])
def test_submodules_without_hooks_or_filters(world: World, how: str) -> None:
    with_submodule(world, "../inner")
    told = evil_filter(world)
    hooked = world.hooks(world.root / "everywhere", "post-checkout")
    world.git(world.user, "config", "--global", "core.hooksPath", str(world.root / "everywhere" / "hooks"))
    if how != "local":
        world.with_remote()
        hooked.unlink(missing_ok=True)
    source: LocalSource | RemoteSource = world.url() if how == "url" else world.source()
    clone = world.open()
    base = sync(clone, source)
    with worktree(clone, base.commit, source) as tree:
        assert tree.notes == ()
        assert tree.submodules
        assert (tree.path / "vendor" / "inner" / "inner.nix").read_text() == "{ }\n"
        assert (tree.path / "vendor" / "inner" / "model.bin").read_text() == POINTER
    assert not told.exists()
    assert not hooked.exists()
    assert list(clone.directory.glob("worktrees/*")) == []
    with worktree(clone, base.commit, source, submodules=False) as tree:
        assert not tree.submodules
        assert list((tree.path / "vendor" / "inner").iterdir()) == []
    assert world.cycle(source)[0] == Moved(pushed=how != "local")


def test_submodules_that_cannot_be_had_are_a_note(world: World) -> None:
    with_submodule(world, str(world.root / "nowhere"))
    clone = world.open()
    base = sync(clone, world.source())
    with worktree(clone, base.commit, world.source()) as tree:
        assert not tree.submodules
        assert "submodules could not be checked out" in tree.notes[0]
        assert (tree.path / LOCK).exists()


def test_a_path_on_this_machine_is_no_submodule_of_a_repository_elsewhere(world: World) -> None:
    with_submodule(world, str(world.root / "inner"))
    clone = world.open()
    base = sync(clone, world.source())
    world.git(world.user, "remote", "add", "origin", "https://example.org/me/flake.git")
    with worktree(clone, base.commit, world.source()) as tree:
        assert not tree.submodules
        assert "not allowed" in tree.notes[0]
