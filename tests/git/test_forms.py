"""The forms that a user's repository can have: each works, or is refused with words that say what to do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lockbot.errors import UsageError
from lockbot.git.publish import Moved, Parked
from lockbot.git.source import LocalSource, RemoteSource
from tests.git.world import World

Form = Callable[[World], Path]


def plain(world: World) -> Path:
    return world.user


def bare(world: World) -> Path:
    return world.remote


def linked_worktree(world: World) -> Path:
    world.git(world.user, "switch", "--quiet", "--create", "aside")
    world.git(world.user, "worktree", "add", "--quiet", str(world.root / "linked"), "main")
    return world.root / "linked"


def worktree_config(world: World) -> Path:
    world.git(world.user, "config", "extensions.worktreeConfig", "true")
    world.git(world.user, "config", "--worktree", "core.sparseCheckout", "false")
    return linked_worktree(world)


def bare_with_worktree(world: World) -> Path:
    place = world.root / "both"
    world.git(world.root, "clone", "--quiet", "--bare", str(world.remote), str(place / ".bare"))
    world.git(place / ".bare", "config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    (place / ".git").write_text("gitdir: ./.bare\n")
    world.git(place, "worktree", "add", "--quiet", "main")
    return place / "main"


def git_link(world: World) -> Path:
    (world.user / ".git").rename(world.root / "elsewhere.git")
    (world.user / ".git").symlink_to(world.root / "elsewhere.git")
    return world.user


def separate_git_dir(world: World) -> Path:
    world.git(world.root, "init", "--quiet", "--separate-git-dir", str(world.root / "apart"), str(world.user))
    return world.user


def submodule(world: World) -> Path:
    outer = world.root / "outer"
    world.git(world.root, "init", "--quiet", str(outer))
    allowed = ("-c", "protocol.file.allow=always")
    world.git(outer, *allowed, "submodule", "--quiet", "add", "-b", "main", str(world.remote), "flake")
    return outer / "flake"


def work_tree_elsewhere(world: World) -> Path:
    """As dotfiles are often kept: the repository is named, its files lie in another directory."""
    (world.user / ".git").rename(world.root / "dotfiles")
    world.git(world.root / "dotfiles", "config", "core.worktree", str(world.user))
    return world.root / "dotfiles"


def dotfiles(world: World) -> Path:
    place = world.root / "dotfiles"
    world.git(world.root, "clone", "--quiet", "--bare", str(world.remote), str(place))
    world.git(place, "config", "status.showUntrackedFiles", "no")
    return place


def _cloned(world: World, *options: str, url: str = "") -> Path:
    world.git(world.root, "clone", "--quiet", *options, url or str(world.remote), str(world.root / "cloned"))
    return world.root / "cloned"


def shared(world: World) -> Path:
    return _cloned(world, "--shared")


def referenced(world: World) -> Path:
    return _cloned(world, "--reference", str(world.user), url=f"file://{world.remote}")


def single_branch(world: World) -> Path:
    return _cloned(world, "--single-branch")


def _partial(world: World, kind: str) -> Path:
    for name in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        world.git(world.remote, "config", name, "true")
    return _cloned(world, f"--filter={kind}", url=f"file://{world.remote}")


def blobless(world: World) -> Path:
    return _partial(world, "blob:none")


def treeless(world: World) -> Path:
    return _partial(world, "tree:0")


def treeless_ahead(world: World) -> Path:
    """With a commit that the remote has not."""
    path = treeless(world)
    (path / "more.nix").write_text("{ }\n")
    world.user_commit("more", path)
    world.git(path, "push", "--quiet")
    world.user_commit("and more", path)
    return path


def sparse(world: World) -> Path:
    world.git(world.user, "sparse-checkout", "set", "--no-cone", "/flake.*")
    return world.user


def skip_worktree(world: World) -> Path:
    world.git(world.user, "update-index", "--skip-worktree", "flake.nix")
    (world.user / "flake.nix").write_text("# of this machine\n")
    return world.user


def replaced(world: World) -> Path:
    tree = world.git(world.user, "rev-parse", "HEAD^{tree}")
    other = world.git(world.user, "commit-tree", "-m", "another", tree)
    world.git(world.user, "replace", "HEAD", other)
    return world.user


def grafted(world: World) -> Path:
    """Its history seems to begin with the newest commit."""
    (world.user / ".git" / "info").mkdir(exist_ok=True)
    (world.user / ".git" / "info" / "grafts").write_text(world.tip(world.user, "HEAD") + "\n")
    return world.user


def packed(world: World) -> Path:
    world.git(world.user, "gc", "--quiet", "--prune=now")
    world.git(world.user, "commit-graph", "write", "--reachable")
    world.git(world.user, "multi-pack-index", "write")
    return world.user


def split_index(world: World) -> Path:
    for name in ("splitIndex", "untrackedCache"):
        world.git(world.user, "config", f"core.{name}", "true")
    world.git(world.user, "update-index", "--split-index", "--index-version=4")
    return world.user


def reftable(world: World) -> Path:
    if (
        world.git(world.root, "init", "--quiet", "--ref-format=reftable", "x", check=False)
        or not (world.root / "x" / ".git" / "reftable").exists()
    ):
        pytest.skip("this git knows no reftable")
    return _cloned(world, "--ref-format=reftable")


def alias(world: World) -> Path:
    """`main` is another name of `master`, which is checked out."""
    world.git(world.user, "branch", "--quiet", "--move", "main", "master")
    world.git(world.user, "symbolic-ref", "refs/heads/main", "refs/heads/master")
    world.git(world.user, "config", "push.default", "upstream")
    return world.user


def alias_checked_out(world: World) -> Path:
    alias(world)
    world.git(world.user, "symbolic-ref", "HEAD", "refs/heads/main")
    return world.user


WORKS: tuple[Form, ...] = (
    plain,
    alias,
    alias_checked_out,
    bare,
    linked_worktree,
    worktree_config,
    bare_with_worktree,
    git_link,
    separate_git_dir,
    submodule,
    work_tree_elsewhere,
    dotfiles,
    shared,
    referenced,
    single_branch,
    blobless,
    treeless,
    treeless_ahead,
    sparse,
    skip_worktree,
    replaced,
    grafted,
    packed,
    split_index,
    reftable,
)


@pytest.mark.parametrize("form", WORKS, ids=lambda form: form.__name__)
def test_it_works(world: World, form: Form) -> None:
    """Two updates in a row, and between them nothing is left behind: not in the files, not in the index."""
    world.user_commit("second")
    world.with_remote()
    path = form(world)
    source = LocalSource(path, "main")
    before = world.git(path, "status", "--porcelain", check=False)
    ahead = form is treeless_ahead
    for _ in range(2):
        result, made = world.cycle(source)
        assert isinstance(result, Moved), result
        assert result.notes == ()
        assert world.tip(path, "refs/heads/main") == made
        assert (world.tip(world.remote) == made) is not ahead, "what the user has not pushed lockbot does not push"
        assert world.git(path, "status", "--porcelain", check=False) == before
        shutil.rmtree(world.root / "state")
    world.git(path, "fsck", "--no-dangling")


def shallow(world: World) -> Path:
    return _cloned(world, "--depth=1", url=f"file://{world.remote}")


def sha256(world: World) -> Path:
    path = world.root / "sha256"
    world.git(world.root, "init", "--quiet", "--object-format=sha256", str(path))
    (path / "flake.lock").write_text("{ }\n")
    world.user_commit("start", path)
    return path


def test_a_partial_clone_of_two_remotes(world: World) -> None:
    """Each has a history of its own under the same name, and the user's branch needs both."""
    world.user_commit("second")
    world.with_remote()
    path = treeless(world)
    more = World(world.root / "more", world.environ, world.cancel)
    more.root.mkdir()
    more.make()
    for text in ("one", "two"):
        (more.user / "more.txt").write_text(text)
        more.user_commit(text)
    more.with_remote()
    for name in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        world.git(more.remote, "config", name, "true")
    world.git(path, "remote", "add", "more", f"file://{more.remote}")
    world.git(path, "config", "remote.more.promisor", "true")
    world.git(path, "config", "remote.more.partialclonefilter", "tree:0")
    world.git(path, "fetch", "--quiet", "more")
    merge = ("merge", "--quiet", "--allow-unrelated-histories", "-X", "ours", "-m", "both", "more/main")
    world.git(path, *merge)
    result, made = world.cycle(LocalSource(path, "main", push=False))
    assert result == Moved(pushed=False) and world.tip(path) == made


def partial_whose_remote_lost_it(world: World) -> Path:
    world.write("newer")
    world.user_commit("newer")
    world.git(world.user, "push", "--quiet")
    path = treeless(world)
    world.git(world.user, "switch", "--quiet", "--orphan", "anew")
    world.user_commit("anew")
    world.git(world.user, "push", "--quiet", "--force", "origin", "anew:main")
    world.git(world.remote, "gc", "--quiet", "--prune=now")
    return path


REFUSED: tuple[tuple[Form, str, str], ...] = (
    (shallow, "is a shallow clone", "git fetch --unshallow"),
    (sha256, "SHA-256", "SHA-1"),
    (partial_whose_remote_lost_it, "is a partial clone", "fetch --refetch --no-filter origin"),
)


@pytest.mark.parametrize(("form", "words", "hint"), REFUSED, ids=[form.__name__ for form, *_ in REFUSED])
def test_it_is_refused(world: World, form: Form, words: str, hint: str) -> None:
    world.user_commit("second")
    world.with_remote()
    path = form(world)
    before = world.tip(path, "refs/heads/main")
    with pytest.raises(UsageError) as caught:
        world.cycle(LocalSource(path, "main"))
    assert words in caught.value.message and str(path) in caught.value.message
    assert hint in caught.value.hint
    assert world.tip(path, "refs/heads/main") == before


@pytest.mark.parametrize(("form", "words"), [(sha256, "SHA-256"), (shallow, "is a shallow clone")])
def test_it_is_refused_at_a_url(world: World, form: Form, words: str) -> None:
    world.user_commit("second")
    world.with_remote()
    with pytest.raises(UsageError, match=words):
        world.cycle(RemoteSource(f"file://{form(world)}", "main"))


def test_a_remote_that_is_another_kind_of_repository_is_refused(world: World) -> None:
    world.with_remote()
    world.git(world.user, "remote", "set-url", "origin", str(sha256(world)))
    with pytest.raises(UsageError, match=r"remote origin .* SHA-256"):
        world.cycle(world.source())


def test_an_alias_of_what_is_no_branch_is_refused(world: World) -> None:
    world.with_remote()
    world.git(world.user, "symbolic-ref", "refs/heads/alias", "refs/remotes/origin/main")
    with pytest.raises(UsageError, match="is an alias of refs/remotes/origin/main, which is no branch"):
        world.cycle(LocalSource(world.user, "alias"))


def test_a_separate_git_dir_seen_from_another_work_tree_parks(world: World) -> None:
    """git does not say where the other one lies."""
    world.with_remote()
    separate_git_dir(world)
    world.git(world.user, "worktree", "add", "--quiet", "-b", "aside", str(world.root / "linked"))
    source = LocalSource(world.root / "linked", "main", push=False)
    result, _ = world.cycle(source)
    assert isinstance(result, Parked) and "separate git directory" in result.why
    for command in result.advice:
        subprocess.run(["sh", "-c", command], cwd=world.user, env=world.environ, check=True)
    assert world.status() == ""
    world.git(world.user, "push", "--quiet")
    result, _ = world.cycle(LocalSource(world.root / "linked", "main"))
    assert isinstance(result, Moved), result
    (note,) = [one for one in result.notes if "stays where it was" in one]
    assert "`git pull origin main` in the work tree where main is checked out" in note
